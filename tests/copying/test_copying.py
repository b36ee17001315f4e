"""Copies from the provider's books to the broker: each position once, through crashes; closes and stops followed."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from accounts import services as account_services
from accounts.models import AccountSnapshot, TradingAccount
from copying.models import Copy, Subscription
from copying.services import subscribe, unsubscribe
from orders.models import Order, OrderIntent
from risk.services import raise_block
from strategies.models import Bot
from strategies.services import create_bot, set_bot_state
from tests.world import ASK, BID, World


class Provider:
    """Another account of Ada's, as its engine keeps the books."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.account: TradingAccount = account_services.create_account(
            name="Provider", login=2002, server="Elsewhere", at=world.clock.now(), by=world.ada
        )
        self.tickets = 900

    def opens(self, **fields: Any) -> Order:
        self.tickets += 1
        volume = fields.pop("volume", Decimal("0.40"))
        return Order.objects.create(
            account=self.account, ticket=self.tickets, identifier=self.tickets, volume=volume, volume_initial=volume,
            **{
                "symbol": "EURUSD", "side": "buy", "status": "open", "price_open": Decimal(str(ASK)),
                "opened_at": self.world.clock.now(), **fields,
            },
        )  # fmt: skip

    def closes(self, order: Order) -> None:
        Order.objects.filter(pk=order.pk).update(
            status="closed", volume=0, price_close=1, close_reason="tp", closed_at=self.world.clock.now()
        )

    def subscribe(self, bot: Bot, **fields: Any) -> Subscription:
        terms = {"scaling": "multiplier", "factor": Decimal("0.5"), "volume_max": Decimal("1.00"), **fields}
        return subscribe(
            provider=self.account, bot=bot, by=self.world.ada, at=self.world.clock.now(), **{"name": "Mirror", **terms}
        )


@pytest.fixture
def provider(world: World) -> Provider:
    return Provider(world)


@pytest.fixture
def bot(world: World) -> Bot:
    made = world.bot(name="Copies", strategy="copier")
    world.run(2)
    return made


def test_a_position_is_copied_once_and_closed_with_the_providers(world: World, bot: Bot, provider: Provider) -> None:
    before = provider.opens()
    world.run(1)
    provider.subscribe(bot)
    order = provider.opens(sl=Decimal("1.05"), tp=Decimal("1.20"))
    world.run(3)
    (position,) = world.truth.positions
    assert (position.volume, position.sl, position.tp) == (0.2, 1.05, 1.2)
    copy = Copy.objects.get()
    assert (copy.source, copy.state, copy.volume) == (order, "open", Decimal("0.2"))
    assert copy.source != before, "what was open before is not copied"
    assert copy.latency is not None
    assert timedelta(0) <= copy.latency <= timedelta(seconds=2)
    intent = OrderIntent.objects.get()
    assert intent.trace["woken_by"] == f"copy of #{order.ticket}"
    assert intent.trace["verdict"]["approved"]
    provider.closes(order)
    world.run(4)
    assert world.truth.positions == ()
    copy.refresh_from_db()
    assert (copy.state, copy.reason) == ("closed", "provider tp")
    world.assert_equal()


def test_nothing_is_copied_twice_however_often_the_engine_dies(world: World, bot: Bot, provider: Provider) -> None:
    provider.subscribe(bot, age_max_seconds=600.0)
    order = provider.opens()
    world.run(3)
    world.restart()
    world.run(3)
    assert len(world.truth.positions) == 1
    world.crash()
    provider.closes(order)
    second = provider.opens(side="sell", price_open=Decimal(str(BID)))
    world.start()
    world.run(5)
    (position,) = world.truth.positions
    assert position.comment != ""
    assert Copy.objects.get(source=second).state == "open"
    assert Copy.objects.get(source=order).state == "closed"
    assert OrderIntent.objects.filter(kind="open").count() == 2
    world.assert_equal()


def test_a_crash_between_claim_and_send_loses_no_count(
    world: World, bot: Bot, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.subscribe(bot, age_max_seconds=600.0)
    provider.opens()

    def dies(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr("engine.trading.send_intent", dies)
        with pytest.raises(KeyboardInterrupt):
            world.run(2)
    world.restart()
    world.run(5)
    assert OrderIntent.objects.filter(kind="open").count() == 1
    assert len(world.truth.positions) <= 1
    assert Copy.objects.get().state in ("open", "closed")
    world.assert_equal()


def test_parts_and_stops_are_followed(world: World, bot: Bot, provider: Provider) -> None:
    provider.subscribe(bot)
    order = provider.opens()
    world.run(3)
    Order.objects.filter(pk=order.pk).update(volume=Decimal("0.20"), sl=Decimal("1.06"))
    world.run(9)
    (position,) = world.truth.positions
    assert (position.volume, position.sl) == (0.1, 1.06)
    world.run(6)
    assert [p.volume for p in world.truth.positions] == [0.1], "once"
    world.assert_equal()


def test_turned_around_and_renamed(world: World, bot: Bot, provider: Provider) -> None:
    provider.subscribe(bot, reverse=True, symbol_map={"EURUSD.r": "EURUSD"})
    provider.opens(symbol="EURUSD.r", sl=Decimal("1.05"), tp=Decimal("1.20"), price_open=Decimal(str(BID)))
    world.run(3)
    (position,) = world.truth.positions
    assert (position.type, position.sl, position.tp) == (1, 1.2, 1.05)


def test_lots_by_the_ratio_of_equities(world: World, bot: Bot, provider: Provider) -> None:
    provider.subscribe(bot, scaling="equity", factor=Decimal(1), age_max_seconds=60.0)
    provider.opens()
    world.run(3)
    assert volumes(world) == [], "the provider's equity is not known yet"
    assert "equity" in Copy.objects.get().reason
    AccountSnapshot.objects.create(
        account=provider.account, at=world.clock.now(), balance=40_000, equity=40_000, margin=0, margin_level=0,
        positions=1, total_open_volume=0,
    )  # fmt: skip
    world.run(3)
    assert volumes(world) == [0.1]


def volumes(world: World) -> list[float]:
    return [position.volume for position in world.truth.positions]


def skipped(world: World) -> str:
    copy = Copy.objects.get()
    assert copy.state == "skipped", (copy.state, copy.reason)
    assert world.truth.positions == ()
    assert world.kinds().count("COPY_SKIPPED") == 1
    return copy.reason


def test_what_is_too_late_is_skipped_and_told_once(world: World, bot: Bot, provider: Provider) -> None:
    provider.subscribe(bot)
    provider.opens(opened_at=world.clock.now() + timedelta(seconds=0.1))
    world.crash()
    world.start()
    world.run(5)
    assert "after it was opened" in skipped(world)


def test_a_block_holds_a_copy_back_and_is_its_reason(world: World, bot: Bot, provider: Provider) -> None:
    raise_block(account_id=world.account.pk, bot_id=bot.pk, cause="person", reason="news", at=world.clock.now())
    provider.subscribe(bot, age_max_seconds=4.0)
    provider.opens()
    world.run(2)
    assert (Copy.objects.get().state, "news" in Copy.objects.get().reason) == ("waiting", True)
    world.run(6)
    assert "news" in skipped(world)


def test_a_stopped_bot_a_strange_symbol_and_a_gone_position_say_why(world: World, bot: Bot, provider: Provider) -> None:
    subscription = provider.subscribe(bot, age_max_seconds=60.0)
    set_bot_state(bot=bot, state="paused", at=world.clock.now(), by=world.ada)
    strange, gone, stopped = provider.opens(symbol="XAUUSD"), provider.opens(), provider.opens()
    world.run(2)
    assert "none of the bot's symbols" in Copy.objects.get(source=strange).reason
    assert Copy.objects.get(source=stopped).reason == "the bot does not run"
    provider.closes(gone)
    world.run(2)
    assert "closed it before" in Copy.objects.get(source=gone).reason
    unsubscribe(subscription=subscription, by=world.ada, at=world.clock.now())
    world.run(2)
    assert Copy.objects.get(source=stopped).reason == "the subscription was stopped"
    assert world.truth.positions == ()


def test_a_stopped_subscription_still_follows_what_it_opened(world: World, bot: Bot, provider: Provider) -> None:
    subscription = provider.subscribe(bot)
    order = provider.opens()
    world.run(3)
    assert unsubscribe(subscription=subscription, by=world.ada, at=world.clock.now())
    assert not unsubscribe(subscription=subscription, by=world.ada, at=world.clock.now())
    provider.opens()
    provider.closes(order)
    world.run(4)
    assert world.truth.positions == ()
    assert Copy.objects.count() == 1


def test_only_one_bots_positions_and_never_copies_of_copies(world: World, bot: Bot, provider: Provider) -> None:
    def of_provider(name: str, strategy: str) -> Bot:
        return create_bot(
            account=provider.account, name=name, strategy=strategy, symbols=["EURUSD"], values={}, at=world.clock.now()
        )

    grid, copier = of_provider("TheirGrid", "cycle-trader"), of_provider("TheirCopier", "copier")
    provider.subscribe(bot, provider_bot=grid)
    subscribe(
        name="All", provider=provider.account, bot=bot, scaling="fixed", factor=Decimal("0.03"),
        volume_max=Decimal(1), by=world.ada, at=world.clock.now(),
    )  # fmt: skip
    wanted = provider.opens(bot=grid)
    provider.opens(bot=copier)
    by_hand = provider.opens()
    world.run(4)
    found = {(copy.subscription.name, copy.source_id) for copy in Copy.objects.all()}
    assert found == {("Mirror", wanted.pk), ("All", wanted.pk), ("All", by_hand.pk)}
    assert sorted(p.volume for p in world.truth.positions) == [0.03, 0.03, 0.2]


def test_a_copy_that_was_closed_here_stays_closed(world: World, bot: Bot, provider: Provider) -> None:
    provider.subscribe(bot, age_max_seconds=600.0)
    provider.opens()
    world.run(3)
    hand = world.by_hand()
    (position,) = hand.positions_get() or ()
    world.terminal.push_tick("EURUSD", BID, ASK)
    request = {
        "action": 1, "position": position.ticket, "symbol": "EURUSD", "volume": position.volume, "type": 1,
        "price": BID, "deviation": 50, "type_filling": 1,
    }  # fmt: skip
    reply = hand.order_send(request)
    assert reply is not None
    assert reply.retcode == 10009
    world.run(5)
    assert world.truth.positions == ()
    assert Copy.objects.get().state == "closed"
    assert OrderIntent.objects.filter(kind="open").count() == 1


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"factor": Decimal(0)}, "factor"),
        ({"volume_max": Decimal(-1)}, "volume_max"),
        ({"scaling": "guess"}, "scaling"),
        ({"positions_max": 0}, "positions_max"),
        ({"age_max_seconds": float("nan")}, "age_max_seconds"),
        ({"symbol_map": {"EURUSD.r": "USDJPY"}}, "symbol_map"),
        ({"symbol_map": {"EURUSD.r": 5}}, "symbol_map"),
        ({"name": ""}, "name"),
    ],
)
def test_terms_that_do_not_hold_are_refused_by_name(
    fields: dict[str, Any], field: str, world: World, provider: Provider
) -> None:
    with pytest.raises(ValidationError) as refused:
        provider.subscribe(world.bot(name="Copies", strategy="copier"), **fields)
    assert field in refused.value.message_dict
    assert not Subscription.objects.exists()


def test_who_copies_whom_is_checked(world: World, provider: Provider) -> None:
    grid, copier = world.bot(), world.bot(name="Copies", strategy="copier")
    with pytest.raises(ValidationError, match="make a bot with the strategy copier"):
        provider.subscribe(grid)
    with pytest.raises(ValidationError, match="not a bot of"):
        provider.subscribe(copier, provider_bot=grid)
    TradingAccount.objects.filter(pk=provider.account.pk).update(currency="JPY")
    provider.account.refresh_from_db()
    with pytest.raises(ValidationError, match="can't be compared"):
        provider.subscribe(copier, scaling="equity")
    provider.account = world.account
    with pytest.raises(ValidationError, match="can't copy itself"):
        provider.subscribe(copier)
