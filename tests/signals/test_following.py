"""Alerts from the webhook to the broker: signed, fresh, once, approved where that is wanted."""

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from accounts.rotation import look
from core.ids import SystemIds
from events.models import Command, Event
from orders.models import NotSent, OrderIntent
from signals import api
from signals.domain import signature_of
from signals.models import Signal
from signals.services import create_source, stop_source
from strategies.models import Bot
from strategies.services import set_bot_state
from tests.world import World


class Sender:
    """TradingView, as far as the desk can tell."""

    def __init__(self, world: World, bot: Bot, **rules: Any) -> None:
        self.world = world
        self.source, self.secret = create_source(
            bot=bot, name="TV", volume=Decimal("0.10"), volume_max=Decimal("0.50"), by=world.ada, at=world.clock.now(),
            ids=SystemIds(), **rules,
        )  # fmt: skip

    def send(self, key: str = "a1", *, late: float = 0.0, signature: str | None = None, **fields: Any) -> Any:
        at = self.world.clock.now() - timedelta(seconds=late)
        alert = {"id": key, "at": at.isoformat(), "action": "buy", "symbol": "EURUSD", **fields}
        body = json.dumps(alert).encode()
        header = signature_of(body, self.secret) if signature is None else signature
        return Client().post(
            f"/api/signals/in/{self.source.prefix}", body, "application/json", headers={"X-Signature": header}
        )


@pytest.fixture
def bot(world: World, monkeypatch: pytest.MonkeyPatch) -> Bot:
    """A bot that opens nothing of its own accord, and a door that lives in the world's time."""
    monkeypatch.setattr(api, "CLOCK", world.clock)
    made = world.bot(strategy="signal-trader", manager="trailing", trail_start=50.0)
    world.run(2)
    return made


def code_of(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_an_alert_becomes_one_order_at_the_broker(world: World, bot: Bot) -> None:
    sender = Sender(world, bot)
    assert sender.send(volume="0.20", sl="1.05", tp="1.20").status_code == 202
    world.run(3)
    position = world.truth.positions[0]
    assert (position.volume, position.sl, position.tp) == (0.2, 1.05, 1.2)
    signal = Signal.objects.get()
    (cycle,) = world.cycles("open")
    assert (signal.state, signal.cycle_id) == ("done", cycle.pk)
    intent = OrderIntent.objects.get()
    assert (intent.trace["woken_by"], intent.why) == ("signal a1", "signal a1")
    # The session died before it had answered: it is asked again, and opens nothing again
    Command.objects.filter(kind="follow_signal").update(state="waiting", done_at=None)
    world.run(3)
    assert len(world.truth.positions) == 1
    assert sender.send("a2", action="close").status_code == 202
    world.run(4)
    assert len(world.truth.positions) == 0
    world.assert_equal()


def test_what_is_unsigned_stale_doubled_or_against_the_rules_is_refused(world: World, bot: Bot) -> None:
    sender = Sender(world, bot)
    stranger = Sender.__new__(Sender)
    stranger.world, stranger.source, stranger.secret = world, sender.source, "guessed"
    for answer in (stranger.send(), sender.send(signature=""), sender.send(signature="sha256=" + "0" * 64)):
        assert code_of(answer)[0] == 401
    assert code_of(sender.send(late=31)) == (409, "stale")
    assert code_of(sender.send(late=-10)) == (409, "stale")
    for fields in (
        {"symbol": "USDJPY"},
        {"volume": "0.51"},
        {"volume": "0"},
        {"lott": 1},
        {"at": "2026-03-03T09:00:00"},
    ):
        answer = sender.send(**fields)
        assert code_of(answer) == (400, "invalid")
        assert list(answer.json()["error"]["fields"]) == list(fields)
    assert not Signal.objects.exists()
    told = Event.objects.filter(kind="SIGNAL_REFUSED", bot=bot)
    assert told.count() == 5, "two were stale, three against the rules; what can't be read or is unsigned is nobody's"
    assert sender.send().status_code == 202
    assert code_of(sender.send()) == (409, "duplicate")
    stop_source(source=sender.source, by=world.ada, at=world.clock.now())
    assert code_of(sender.send("a2"))[0] == 401
    set_bot_state(bot=bot, state="stopped", by=world.ada, at=world.clock.now())
    assert Signal.objects.count() == 1


def test_an_alert_waits_for_a_person_and_not_for_ever(world: World, bot: Bot) -> None:
    sender = Sender(world, bot, approval_seconds=60.0)
    first, second, third = (sender.send(key).json()["id"] for key in ("a1", "a2", "a3"))
    world.run(3)
    assert world.truth.positions == ()
    ada = Client()
    ada.force_login(world.ada)

    def decide(pk: int, what: str) -> Any:
        headers = {"Idempotency-Key": SystemIds().token(20)}
        return ada.post(f"/api/signals/{pk}/{what}", {"reason": "seen"}, "application/json", headers=headers)

    assert decide(first, "approve").status_code == 202
    assert decide(second, "reject").status_code == 202
    world.run(3)
    assert len(world.truth.positions) == 1
    assert code_of(decide(second, "approve")) == (409, "state")
    world.clock.advance(61)
    assert code_of(decide(third, "approve")) == (409, "state")
    world.run(3)
    states = {row["id"]: row["state"] for row in ada.get("/api/signals").json()["results"]}
    assert states == {first: "done", second: "rejected", third: "expired"}
    assert len(world.truth.positions) == 1


def test_a_signal_passes_the_same_review_as_every_entry(world: World, bot: Bot) -> None:
    from risk.services import raise_block

    sender = Sender(world, bot)
    raise_block(account_id=world.account.pk, cause="person", reason="news", at=world.clock.now())
    assert sender.send().status_code == 202
    world.run(3)
    assert world.truth.positions == ()
    signal = Signal.objects.get()
    assert (signal.state, "news" in signal.result) == ("refused", True)
    kept = NotSent.objects.get(side="buy")
    assert (kept.code, kept.trace["woken_by"]) == ("blocked", "signal a1")
    set_bot_state(bot=bot, state="paused", by=world.ada, at=world.clock.now())
    assert sender.send("a2").status_code == 202
    world.run(3)
    assert Signal.objects.get(key="a2").state == "refused"
    assert world.truth.positions == ()


def test_the_secret_is_kept_like_the_other_secrets(world: World, bot: Bot) -> None:
    sender = Sender(world, bot)
    before = sum(look().by_key.values())
    assert sender.secret not in sender.source.secret_encrypted
    sender.source.delete()
    assert sum(look().by_key.values()) == before - 1
