"""Seeded chance: the same answer to the same question, in every process and on every machine."""

from hashlib import blake2b

BITS = 53


def chance(*question: object) -> float:
    """Return a number in 0…1 that only depends on the question."""
    digest = blake2b(repr(question).encode(), digest_size=8).digest()
    return (int.from_bytes(digest) >> (64 - BITS)) / float(2**BITS)
