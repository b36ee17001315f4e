"""The draft of a bot's parameters: judged while it is typed, nothing saved."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Symbol
from marketdata.services import ask_for_candles
from strategies.models import BotConfig
from tests.world import World


@pytest.fixture
def bot(world: World) -> Any:
    """A bot whose symbol the engine has seen, with bars kept."""
    bot = world.bot(max_levels=4)
    ask_for_candles(account=world.account, symbol="EURUSD", seconds=60, at=world.clock.now())
    world.run(70)
    ask_for_candles(account=world.account, symbol="EURUSD", seconds=60, at=world.clock.now())
    world.run(3)
    return bot


def looked(world: World, bot: Any, who: Any, **changed: Any) -> Any:
    client = Client()
    client.force_login(who)
    values = {name: value for name, value in {**bot.config.values, **changed}.items() if value not in (None, False)}
    return client.post(reverse("bot-draft", args=(bot.pk,)), values)


def test_a_draft_tells_its_reach_its_changes_and_its_errors(world: World, bot: Any) -> None:
    versions = BotConfig.objects.count()
    answer = looked(world, bot, world.ben)
    buy, sell = answer.context["reaches"]
    # Four levels, 10 pips apart: 3 steps against the first
    assert (buy.side, buy.legs, buy.lots, buy.pips) == ("buy", 4, 0.4, 30.0)
    assert (sell.legs, sell.pips) == (4, 30.0)
    # 30 + 20 + 10 pips of 0.1 lot, and four spreads of a pip
    assert buy.loss == pytest.approx(-64.0, abs=1.0)
    # The simulated broker's margin of 0.4 lots of EURUSD at 1:100
    symbol = Symbol.objects.get(account=world.account, name="EURUSD")
    assert buy.margin == pytest.approx(0.4 * symbol.terms["margin_per_lot"], abs=0.01)
    assert buy.margin > 100
    assert buy.level == pytest.approx(100 * (10_000 + buy.loss) / buy.margin, rel=0.05)
    assert "of margin there" in answer.content.decode()
    assert "Nothing changed from v1" in answer.content.decode()

    answer = looked(world, bot, world.ben, distance=20.0)
    assert answer.context["reaches"][0].pips == 60.0
    assert answer.context["changes"] == ["distance: 10.0 → 20.0"]

    answer = looked(world, bot, world.ben, trail_start=0.5)
    assert any("set both, or neither" in error for error in answer.context["errors"])
    assert answer.context["reaches"] == []
    assert BotConfig.objects.count() == versions


def test_a_draft_of_another_persons_bot_does_not_exist(world: World, bot: Any) -> None:
    assert looked(world, bot, world.cem).status_code == 404
