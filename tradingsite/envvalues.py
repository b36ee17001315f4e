"""Values of the environment that are more than a word or a number: networks, the key ring, the database's address."""

import base64
import binascii
import ipaddress
from urllib.parse import urlsplit

CREDENTIAL_KEY_BYTES = 32

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
PRIVATE_NETWORKS = ("127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
EVERYWHERE = ("0.0.0.0/0", "::/0")


def admin_networks(given: tuple[str, ...] | None, *, is_production: bool) -> tuple[Network, ...]:
    """Return the networks from which the admin can be seen; `given` is None or empty where nobody chose.

    Raises:
        ValueError: One is no network.
    """
    chosen = given or (PRIVATE_NETWORKS if is_production else ("any",))
    try:
        return tuple(ipaddress.ip_network(n) for name in chosen for n in (EVERYWHERE if name == "any" else (name,)))
    except ValueError:
        raise ValueError("write networks like 10.0.0.0/8 or 203.0.113.7, comma separated, or `any`") from None


def parse_key_ring(text: str) -> dict[str, bytes]:
    """Parse `id:base64,id:base64` into ids and 32-byte keys; the first one is the key that encrypts.

    Raises:
        ValueError: An id is missing or given twice, or a key is not 32 bytes of base64. Keys are never in the text.
    """
    ring: dict[str, bytes] = {}
    for number, entry in enumerate((part.strip() for part in text.split(",") if part.strip()), start=1):
        key_id, colon, encoded = entry.partition(":")
        if not colon or not key_id or not key_id.replace("-", "").replace("_", "").isalnum():
            raise ValueError(f"entry {number} is not `id:base64 of {CREDENTIAL_KEY_BYTES} bytes`")
        if key_id in ring:
            raise ValueError(f"entry {number} repeats an id")
        try:
            key = base64.b64decode(encoded.replace("-", "+").replace("_", "/"), validate=True)
        except (binascii.Error, ValueError):
            raise ValueError(f"entry {number} is not base64") from None
        if len(key) != CREDENTIAL_KEY_BYTES:
            raise ValueError(f"entry {number} holds {len(key)} bytes, {CREDENTIAL_KEY_BYTES} are needed")
        ring[key_id] = key
    if not ring:
        raise ValueError("holds no key")
    return ring


def database_parts(url: str) -> dict[str, str]:
    """Split a PostgreSQL URL into Django's NAME, USER, PASSWORD, HOST, PORT and the rest as `OPTIONS` pairs.

    Raises:
        ValueError: Another scheme, a broken port or no database name. The URL is never in the text.
    """
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        if urlsplit(url).scheme not in {"postgres", "postgresql"}:
            raise ValueError
        given = conninfo_to_dict(url)
        if not str(given.get("port") or "0").replace(",", "").isdigit():
            raise ValueError
    except (ProgrammingError, ValueError):
        raise ValueError("is not a URL like postgresql://user:password@host:5432/name") from None
    if not given.get("dbname"):
        raise ValueError("names no database: postgresql://user:password@host:5432/name")
    return {key: str(value) for key, value in given.items() if value is not None}
