"""Secrets that a local site makes for itself, each in a file that only its owner can read."""

import base64
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from tradingsite.env import EnvError
from tradingsite.envvalues import CREDENTIAL_KEY_BYTES


def new_secret_key() -> str:
    """Make a random signing key."""
    return secrets.token_urlsafe(64)


def new_key_ring() -> str:
    """Make a key ring with one random key, in the form of TRADING_CREDENTIAL_KEYS."""
    return "local:" + base64.b64encode(secrets.token_bytes(CREDENTIAL_KEY_BYTES)).decode("ascii")


def kept(path: Path, make: Callable[[], str]) -> str:
    """Give the secret kept at `path`, made by `make` the first time.

    Processes that start at once agree on one secret: it is written aside and linked into place, which only the
    first can do. The file is readable by its owner only.

    Raises:
        EnvError: The file can't be read or written, or is empty.
    """
    try:
        if not path.exists():
            _create(path, make())
        secret = path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise EnvError(f"TRADING_VAR_DIR: {path} can't be read or written ({type(error).__name__})") from None
    if not secret:
        raise EnvError(f"TRADING_VAR_DIR: {path} is empty; restore it, or remove it to have a new secret made")
    return secret


def _create(path: Path, secret: str) -> None:
    """Write a secret so that a reader sees all of it or nothing; another process may win, which is fine."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secret + "\n")
            file.flush()
            os.fsync(file.fileno())
        if hasattr(os, "link"):
            os.link(aside, path)
        else:
            aside.rename(path)
    except FileExistsError:
        return
    finally:
        aside.unlink(missing_ok=True)
