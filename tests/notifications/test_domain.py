"""Who wants to hear of what, and when."""

from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest

from notifications.domain import TRIES_MAX, Wish, due_at, next_try, wants

AT = datetime(2026, 3, 3, 23, 0, tzinfo=UTC)


def wish(**fields: Any) -> Wish:
    plain: dict[str, Any] = {
        "kinds": (), "level_min": "warning", "account_id": None, "quiet_from": None, "quiet_until": None,
        "digest": timedelta(0),
    }  # fmt: skip
    return Wish(**(plain | fields))


@pytest.mark.parametrize(
    ("fields", "kind", "level", "account", "heard"),
    [
        ({}, "ORDER_UNKNOWN", "warning", 1, True),
        ({}, "CYCLE_CLOSED", "info", 1, False),
        ({"level_min": "info"}, "CYCLE_CLOSED", "info", 1, True),
        ({"kinds": ("CYCLE_CLOSED",), "level_min": "info"}, "CYCLE_OPENED", "info", 1, False),
        ({"account_id": 2}, "ORDER_UNKNOWN", "error", 1, False),
        ({"account_id": 2}, "GUARD_COUNTDOWN", "error", 1, False),
        ({"kinds": ("CYCLE_CLOSED",), "level_min": "error"}, "GUARD_COUNTDOWN", "warning", 1, True),
    ],
)
def test_people_hear_what_they_want(fields: dict[str, Any], kind: str, level: str, account: int, heard: bool) -> None:
    assert wants(wish(**fields), kind, level, account) == heard


@pytest.mark.parametrize(
    ("begin", "end", "at", "due"),
    [
        (time(22), time(7), AT, AT.replace(day=4, hour=7)),
        (time(22), time(7), AT.replace(hour=3), AT.replace(hour=7)),
        (time(22), time(7), AT.replace(hour=7), AT.replace(hour=7)),
        (time(22), time(7), AT.replace(hour=12), AT.replace(hour=12)),
        (time(12), time(14), AT.replace(hour=13), AT.replace(hour=14)),
        (time(12), time(12), AT.replace(hour=12), AT.replace(hour=12)),
    ],
)
def test_quiet_hours_hold_back_all_but_what_is_urgent(begin: time, end: time, at: datetime, due: datetime) -> None:
    quiet = wish(quiet_from=begin, quiet_until=end, digest=timedelta(0))
    assert due_at(quiet, "ORDER_UNKNOWN", at) == due
    assert due_at(quiet, "GUARD_COUNTDOWN", at) == at


def test_tries_end() -> None:
    waits = [next_try(tries, AT) for tries in range(1, TRIES_MAX + 1)]
    assert waits[-1] is None
    assert all(later is not None and later > AT for later in waits[:-1])
