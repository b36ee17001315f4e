"""What any broker says, made into values that can be kept: finite, of 64 bits, text that a database takes.

A parser of a broker is made of these and runs in `guarded`: it gives a fact or raises ReadError, and nothing else.
"""

import re
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from brokers.gateway import ReadError

T = TypeVar("T")
P = ParamSpec("P")
TICKET_MAX = 2**63 - 1
# Beyond any account's worth; what is larger is damage, and no column holds it
AMOUNT_MAX = 1e12
# What is made of two amounts
FIGURE_MAX = 1e16
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def guarded(what: str, fix: str, parse: Callable[..., T], *args: Any) -> T:
    """Run a parser; whatever goes wrong in it is a ReadError that says what could not be read."""
    try:
        return parse(*args)
    except ReadError:
        raise
    except (ArithmeticError, AttributeError, TypeError, ValueError, LookupError, RecursionError) as problem:
        raise ReadError(f"{what} can't be read: {type(problem).__name__} {problem}.", fix) from None


def reads(who: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Make a gateway's read raise ReadError for an answer of any other shape than the one that it was written for."""

    def wrapped(method: Callable[P, T]) -> Callable[P, T]:
        @wraps(method)
        def read(*args: P.args, **rest: P.kwargs) -> T:
            return guarded(f"{who}'s answer", "It is tried again.", lambda: keepable(method(*args, **rest)))

        return read

    return wrapped


def keepable(found: T) -> T:
    """Return facts as they are, one or several. Raises ReadError where a value of one fits into no column."""
    if is_dataclass(found):
        for field in fields(found):
            _check(getattr(found, field.name), field.name)
    elif isinstance(found, tuple | list):
        for fact in found:
            keepable(fact)
    return found


def _check(value: Any, name: str) -> None:
    if isinstance(value, int) and abs(value) > TICKET_MAX:
        raise ReadError(f"{name} is {value}.")
    if isinstance(value, float) and not abs(value) < FIGURE_MAX:
        raise ReadError(f"{name} is {value}.")
    if isinstance(value, str) and UNSTORABLE.search(value):
        raise ReadError(f"{name} holds what is no text.")
    keepable(value)


def number(value: Any, name: str) -> float:
    """Return a finite float of an amount that an account can have. Raises ReadError."""
    result = float(value)
    if not -AMOUNT_MAX < result < AMOUNT_MAX:
        raise ReadError(f"{name} is {result}.")
    return result


def whole(value: Any, name: str) -> int:
    """Return an integer of 64 bits. Raises ReadError."""
    result = int(value)
    if not -TICKET_MAX <= result <= TICKET_MAX:
        raise ReadError(f"{name} is {result}.")
    return result


def text(value: Any) -> str:
    """Return a broker's text without what no database keeps: NUL and halves of characters become U+FFFD."""
    return UNSTORABLE.sub("\ufffd", str(value))


def positive(value: Any, name: str) -> float:
    """Return a finite float above zero. Raises ReadError."""
    result = number(value, name)
    if result <= 0:
        raise ReadError(f"{name} is {result}.")
    return result


def ticket(value: Any, name: str = "ticket") -> int:
    """Return a ticket in 1…2^63-1. Raises ReadError."""
    result = int(value)
    if not 0 < result <= TICKET_MAX:
        raise ReadError(f"{name} is {result}.")
    return result
