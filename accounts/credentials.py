"""Broker passwords at rest: AES-256-GCM, bound to the row they belong to.

A stored value reads `v1:<key id>:<base64url of nonce and ciphertext>`. The associated data is `table:pk:field`, so a
ciphertext copied to another row, or another column, does not open there.
"""

import base64
import binascii
import os
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

VERSION = "v1"
NONCE_BYTES = 12
KEY_BYTES = 32


class CredentialError(Exception):
    """A secret can't be encrypted or read; the text says what to do and never holds the secret."""


class UnknownKey(CredentialError):
    """The value was encrypted with a key that the key ring does not hold."""


def _ring(keys: Mapping[str, bytes] | None) -> Mapping[str, bytes]:
    ring: Mapping[str, bytes] = settings.CREDENTIAL_KEYS if keys is None else keys
    if not ring:
        raise CredentialError("no credential key is configured: set TRADING_CREDENTIAL_KEYS")
    for key_id, key in ring.items():
        if ":" in key_id or not key_id:
            raise CredentialError(f"credential key id {key_id!r} must be a non-empty text without ':'")
        if len(key) != KEY_BYTES:
            raise CredentialError(f"credential key {key_id!r} holds {len(key)} bytes, {KEY_BYTES} are needed")
    return ring


def _place(table: str, pk: int, field: str) -> bytes:
    return f"{table}:{pk}:{field}".encode()


def encrypt(secret: str, *, table: str, pk: int, field: str, keys: Mapping[str, bytes] | None = None) -> str:
    """Encrypt `secret` for one field of one row with the first key of the ring (default: settings.CREDENTIAL_KEYS).

    Raises:
        CredentialError: There is no usable key.
    """
    ring = _ring(keys)
    key_id = next(iter(ring))
    nonce = os.urandom(NONCE_BYTES)
    sealed = AESGCM(ring[key_id]).encrypt(nonce, secret.encode(), _place(table, pk, field))
    return f"{VERSION}:{key_id}:{base64.urlsafe_b64encode(nonce + sealed).decode('ascii')}"


def decrypt(value: str, *, table: str, pk: int, field: str, keys: Mapping[str, bytes] | None = None) -> str:
    """Open a value that `encrypt` made for the same field of the same row.

    Raises:
        UnknownKey: The key that it names is not in the ring.
        CredentialError: It is damaged, or was made for another row or field.
    """
    ring = _ring(keys)
    version, _, rest = value.partition(":")
    key_id, _, encoded = rest.partition(":")
    if version != VERSION or not key_id:
        raise CredentialError(f"the stored {field} of {table} {pk} is not in a known form; set it anew")
    if key_id not in ring:
        raise UnknownKey(
            f"the stored {field} of {table} {pk} needs the credential key {key_id!r}, which TRADING_CREDENTIAL_KEYS "
            "does not hold; add that key, or set the secret anew"
        )
    try:
        sealed = base64.b64decode(encoded, altchars=b"-_", validate=True)
        opened = AESGCM(ring[key_id]).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _place(table, pk, field))
    except (InvalidTag, binascii.Error, ValueError):
        raise CredentialError(
            f"the stored {field} of {table} {pk} can't be opened: it was changed, or belongs to another row; "
            "set it anew"
        ) from None
    return opened.decode()


def key_id_of(value: str) -> str:
    """Return the id of the key that a stored value was encrypted with; empty when there is none."""
    parts = value.split(":", 2)
    return parts[1] if len(parts) == 3 else ""
