"""Ids come in through this door, so that a simulation can repeat a run exactly."""

import random
import secrets
from typing import Protocol

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


class Ids(Protocol):
    """A source of short random tokens."""

    def token(self, length: int = 10) -> str:
        """Return `length` characters of Crockford's base 32 in lower case (5 bits each)."""
        ...


class SystemIds:
    """Tokens from the operating system's random source."""

    def token(self, length: int = 10) -> str:
        return "".join(secrets.choice(ALPHABET) for _ in range(length))


class SeededIds:
    """Repeatable tokens: the same seed gives the same sequence."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - repeatable on purpose

    def token(self, length: int = 10) -> str:
        return "".join(self._random.choice(ALPHABET) for _ in range(length))
