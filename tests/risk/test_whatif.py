"""What proposed limits would have done to recorded equity."""

from datetime import UTC, datetime, timedelta

import pytest

from accounts.models import AccountSnapshot
from risk.domain.peak import Reading
from risk.domain.readings import Tier
from risk.domain.settings import GuardSettings
from risk.domain.whatif import Recorded, what_if
from risk.peaks import recorded
from tests.risk.test_scenarios import ONE_LOT, configure, pay
from tests.world import World

START = datetime(2026, 3, 3, tzinfo=UTC)


def records(*bases: float, flows: dict[int, float] | None = None, hours: float = 1.0) -> list[Recorded]:
    return [
        Recorded(Reading(at, base, True, (flows or {}).get(n, 0.0)), at.date())
        for n, base in enumerate(bases)
        for at in [START + timedelta(hours=hours * n)]
    ]


OFF = {"daily_warn": None, "daily_reduce": None}


def test_it_says_when_limits_would_have_fired_and_what_closing_would_have_saved() -> None:
    settings = GuardSettings(**OFF)
    found = what_if(settings, records(1000, 1000, 880, 840, 790, 600, 700))
    assert [(f.tier, f.equity) for f in found] == [(Tier.WARN, 880), (Tier.REDUCE, 840), (Tier.CLOSE, 790)]
    assert (found[-1].lowest, found[-1].last, found[-1].saved) == (600, 700, 90)
    assert (
        what_if(GuardSettings(**OFF, drawdown_warn=None, drawdown_reduce=None, drawdown_close=50.0), records(1000, 600))
        == ()
    )


def test_a_recovery_means_that_closing_would_have_cost() -> None:
    found = what_if(GuardSettings(**OFF), records(1000, 780, 1100))
    assert found[-1].saved == -320


def test_payments_neither_fire_nor_count_as_saved() -> None:
    assert what_if(GuardSettings(**OFF), records(1000, 500, flows={1: -500.0})) == ()
    found = what_if(GuardSettings(**OFF), records(1000, 780, 1780, flows={2: 1000.0}))
    assert found[-1].saved == 0


def test_each_day_begins_anew() -> None:
    settings = GuardSettings(drawdown_warn=None, drawdown_reduce=None, drawdown_close=None, daily_warn=3.0)
    found = what_if(settings, records(1000, 960, 960, 920, 880, hours=8.0))
    assert [(f.guard, f.at.day) for f in found] == [("daily", 3), ("daily", 4)]


def test_what_was_recorded_of_an_account_is_replayed(world: World) -> None:
    configure(world)
    world.bot(**ONE_LOT)
    world.run(3)
    world.move(+20, run=8)
    world.move(-60, run=60)
    pay(world, -1_000)
    world.run(60)
    assert AccountSnapshot.objects.count() > 3
    replayed = recorded(world.account.pk, since=world.clock.now() - timedelta(days=1), zone="ny+7")
    settings = GuardSettings(**OFF, drawdown_warn=4.0, drawdown_reduce=None, drawdown_close=None)
    (fired,) = what_if(settings, replayed)
    assert fired.figure == pytest.approx(5.8, abs=0.3)
    assert fired.saved == pytest.approx(0, abs=15)
