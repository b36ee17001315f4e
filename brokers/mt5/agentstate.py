"""What an agent keeps beside its terminal: certificate, key, highest fencing token, journal of what was sent."""

import hashlib
import os
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import NamedTemporaryFile

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from fasteners import InterProcessLock

from brokers.sendjournal import SendJournal

PREFIX = "agent1."
KEY_BYTES = 32
CERTIFICATE_LIFE = timedelta(days=20 * 365)


class AgentError(Exception):
    """The agent can't start or be spoken to; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Pairing:
    """What a client must know of an agent: the SHA-256 of its certificate, and the key of its messages."""

    fingerprint: bytes
    key: bytes

    @property
    def text(self) -> str:
        """The pairing as one line to copy. It is a secret: whoever has it may trade."""
        return PREFIX + urlsafe_b64encode(self.fingerprint + self.key).decode("ascii").rstrip("=")

    @classmethod
    def parse(cls, text: str) -> "Pairing":
        """Read what `text` wrote. Raises AgentError."""
        body = text.strip().removeprefix(PREFIX)
        try:
            both = urlsafe_b64decode(body + "=" * (-len(body) % 4))
        except (Base64Error, ValueError):
            both = b""
        if not text.strip().startswith(PREFIX) or len(both) != 2 * KEY_BYTES:
            raise AgentError("the pairing code is not whole: copy the line that the agent prints with --pairing")
        return cls(both[:KEY_BYTES], both[KEY_BYTES:])


class AgentState:
    """The agent's folder. One process holds it at a time: the one that may send to the terminal."""

    def __init__(self, folder: Path, *, now: datetime) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = InterProcessLock(str(folder / "agent.lock"))
        self.certificate_file = folder / "agent.crt"
        self.private_key_file = folder / "agent.pem"
        self._fence_file = folder / "fence"
        if not (self.certificate_file.exists() and self.private_key_file.exists()):
            self._make_certificate(now)
        self.pairing = Pairing(self._fingerprint(), self._message_key())
        self.journal = SendJournal(folder / "sent")
        self.fence = int(self._fence_file.read_text("ascii")) if self._fence_file.exists() else 0

    def hold(self) -> None:
        """Become the only agent on this folder. Raises AgentError when there is one already."""
        if not self._lock.acquire(blocking=False):
            raise AgentError(f"another agent holds {self.folder}; one agent serves one terminal")

    def let_go(self) -> None:
        """Let another agent hold the folder."""
        self._lock.release()

    def raise_fence(self, token: int) -> bool:
        """Take a fencing token; tell whether it holds, which a token below the highest one seen does not."""
        if token < self.fence or token < 1:
            return False
        if token > self.fence:
            self.write_fence(token)
        return True

    def write_fence(self, token: int) -> None:
        """Keep the highest token durably, before anything is done in its name."""
        _replace(self._fence_file, str(token).encode("ascii"))
        self.fence = token

    def _message_key(self) -> bytes:
        file = self.folder / "agent.key"
        if not file.exists():
            _replace(file, secrets.token_bytes(KEY_BYTES).hex().encode("ascii"))
        key = bytes.fromhex(file.read_text("ascii"))
        if len(key) != KEY_BYTES:
            raise AgentError(f"{file} is damaged: remove it, start again, and pair the account anew")
        return key

    def _fingerprint(self) -> bytes:
        certificate = x509.load_pem_x509_certificate(self.certificate_file.read_bytes())
        return hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).digest()

    def _make_certificate(self, now: datetime) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "terminal agent")])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + CERTIFICATE_LIFE)
            .sign(key, hashes.SHA256())
        )
        pem = serialization.Encoding.PEM
        plain = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        _replace(self.private_key_file, plain)
        _replace(self.certificate_file, certificate.public_bytes(pem))


def _replace(file: Path, content: bytes) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    with NamedTemporaryFile(dir=file.parent, delete=False) as made:
        made.write(content)
        made.flush()
        os.fsync(made.fileno())
    Path(made.name).replace(file)
