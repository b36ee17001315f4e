"""Through which door the present work came in: kept beside the work, so that services needn't hand it on."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Origin:
    """A door (`admin`, `api`, `command line`, `engine`, …), the request that came through it, and who stood there.

    `person` names somebody who is no user of the site, as the one who typed a command on the host.
    """

    via: str
    request_id: str = ""
    person: str = ""


_current: ContextVar[Origin] = ContextVar("origin")
ENGINE = Origin("engine")


def current_origin() -> Origin:
    """Return the door of the present work; what no door announced is the engine's own."""
    return _current.get(ENGINE)


@contextmanager
def coming_from(origin: Origin) -> Iterator[None]:
    """Say through which door the work inside came in."""
    token = _current.set(origin)
    try:
        yield
    finally:
        _current.reset(token)
