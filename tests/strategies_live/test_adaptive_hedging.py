"""AdaptiveHedging on a whole account: it opens, hedges, reaches its target or its stop, and survives a crash."""

from typing import Any

import pytest

from cycles.models import Cycle
from orders.models import Deal
from tests.world import VALUES, World

HEDGING: dict[str, Any] = {
    "direction": "buy", "lot_size": 0.1, "target_profit": 10.0, "min_zone": 20.0, "zone_atr": 1.0, "exit_atr": 3.0,
    "max_cycles": 1, "entry_cooldown": 3600, "harvest_ratio": 0.0,
}  # fmt: skip


def hedging(world: World, **values: Any) -> None:
    world.bot("Hedge", "adaptive-hedging", **{**HEDGING, **values})


@pytest.mark.requirement("S1-32", "S0-42")
def test_a_cycle_is_hedged_at_the_edges_and_closes_at_its_target(lively: World) -> None:
    hedging(lively)
    lively.run(3)
    (cycle,) = lively.cycles("open")
    assert (cycle.kind, cycle.side) == ("HEDGE", "buy")
    assert cycle.memory == {"zone": pytest.approx(0.002), "exit": pytest.approx(0.003, rel=0.1)}

    lively.move(-21)
    first, hedge = lively.open_orders()
    assert [(o.level, o.side) for o in (first, hedge)] == [(0, "buy"), (1, "sell")]
    assert hedge.volume > first.volume
    lively.assert_equal()

    cycle.refresh_from_db()
    (recorded,) = cycle.hedge_levels
    assert recorded == {
        "level": 1, "side": "sell", "price": float(hedge.price_open), "volume": float(hedge.volume),
        "ticket": hedge.identifier, "opened_at": hedge.opened_at.isoformat(),
    }  # fmt: skip

    lively.move(+23)
    assert [o.side for o in lively.open_orders()] == ["buy", "sell", "buy"]
    lively.move(+32, run=4)
    cycle.refresh_from_db()
    assert (cycle.status, cycle.close_reason) == ("closed", "target")
    assert cycle.realized_profit == sum(
        (d.profit + d.swap + d.commission for d in Deal.objects.exclude(position_id=0)), 0
    )
    # The closing legs' commissions are paid out of the target
    assert cycle.realized_profit > 5
    lively.assert_equal()


def test_a_crash_between_hedges_forgets_neither_zone_nor_level(lively: World) -> None:
    hedging(lively)
    lively.run(3)
    lively.move(-21)
    memory = Cycle.objects.get().memory
    lively.restart()
    lively.run(3)
    assert Cycle.objects.get().memory == memory
    lively.move(+22)
    assert [o.level for o in lively.open_orders()] == [0, 1, 2]
    lively.assert_equal()


def test_the_money_stop_ends_a_cycle_that_went_wrong(lively: World) -> None:
    hedging(lively, max_hedge_levels=1, stop_loss_money=30.0)
    lively.run(3)
    lively.move(-21)
    lively.move(+25, run=4)
    (cycle,) = lively.cycles()
    assert (cycle.status, cycle.close_reason) == ("closed", "stop_money")
    lively.assert_equal()


def test_a_winner_pays_for_a_part_of_the_worst_leg(lively: World) -> None:
    hedging(lively, harvest_ratio=0.5, target_profit=40.0)
    lively.run(3)
    lively.move(-21)
    before = lively.open_orders()
    assert [o.side for o in before] == ["buy", "sell"]
    lively.move(-13, run=4)
    (left,) = lively.open_orders()
    assert (left.side, left.volume < before[0].volume) == ("buy", True)
    assert lively.cycles()[0].status == "open"
    lively.assert_equal()


def test_values_of_another_strategy_are_refused(lively: World) -> None:
    from django.core.exceptions import ValidationError

    with pytest.raises(ValidationError, match="distance"):
        lively.bot("Wrong", "adaptive-hedging", **VALUES)
