"""The simulated server's clock: wall clock written as if it were UTC, as most brokers do (brokers reference §5.2)."""

from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")


@lru_cache(maxsize=4096)
def _offset_of_hour(kind: str, hour: int) -> int:
    base, _, ahead = kind.partition(" ")
    if ahead:
        return _offset_of_hour(base, hour) + int(ahead)
    if kind == "utc":
        return 0
    at = datetime.fromtimestamp(hour * 3600, UTC)
    distance = at.astimezone(NEW_YORK).utcoffset()
    assert distance is not None
    return int(distance.total_seconds()) + 7 * 3600


def jumped(kind: str, seconds: int) -> str:
    """Return a kind of clock that is ahead of another one by so many seconds more."""
    base, _, before = kind.partition(" ")
    ahead = int(before or 0) + seconds
    return f"{base} {ahead:+d}" if ahead else base


def offset(kind: str, at: float) -> int:
    """Return server time minus UTC in seconds: New York + 7 h ("ny+7", with its summer time), or 0 ("utc").

    A clock that jumped says so: "ny+7 +3600".
    """
    return _offset_of_hour(kind, int(at // 3600))


def to_server(kind: str, at: float) -> float:
    """Convert UTC epoch seconds to the server's clock."""
    return at + offset(kind, at)


def to_utc(kind: str, server: float) -> float:
    """Convert the server's clock to UTC epoch seconds."""
    return server - offset(kind, server - offset(kind, server))
