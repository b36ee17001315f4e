"""How old a price may be for an entry is a setting that the whole way from the cache to the review keeps to."""

from typing import Any

import pytest

from orders.models import OrderIntent
from tests.world import World

HELD: dict[str, Any] = {"max_cycles": 1, "entry_cooldown": 0.0, "target_profit": 1000.0}


@pytest.mark.requirement("S2-51")
@pytest.mark.parametrize(("valid", "age", "enters"), [(2.0, 3.0, False), (2.0, 1.0, True), (8.0, 7.0, True)])
def test_an_old_price_holds_back_entries_as_long_as_set(
    world: World, settings: Any, valid: float, age: float, enters: bool
) -> None:
    settings.QUOTE_SECONDS = valid
    world.start()
    world.clock.advance(age)
    world.bot(**HELD)
    world.session.step()
    assert OrderIntent.objects.exists() == enters
    world.run(3)
    assert OrderIntent.objects.exists(), "a fresh price lets it in"
