"""A trial of a credential key: encrypt a known text and read it back."""

import base64

from cryptography.fernet import Fernet

CANARY = b"canary"


def round_trip(key: bytes) -> bool:
    """Tell whether what `key` encrypts, it can decrypt.

    Raises:
        ValueError: The key has the wrong length.
    """
    box = Fernet(base64.urlsafe_b64encode(key))
    return box.decrypt(box.encrypt(CANARY)) == CANARY
