"""Copying in a run: an account of one's own whose books only change, a bot that copies it, and what must come of it."""

from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from typing import Any

from accounts.services import create_account
from copying.services import subscribe
from orders.models import Order
from strategies.models import Bot
from strategies.services import create_bot
from tests.simulation.checkers import rows
from tests.simulation.desk import INTERVALS, Desk
from tests.simulation.scenario import START_PRICE
from tests.world import START

# Desks without a provider look once a minute
COPYING_INTERVALS = {**INTERVALS, "copying": 2.0}
# Far from the tickets of the terminal
FIRST, STRANGE, LAST = 900_001, 900_002, 900_003
STOPS = {"sl": Decimal("1.05"), "tp": Decimal("1.20")}


def copied(desk: Desk) -> None:
    """Let a bot copy three positions, one of a symbol it does not trade; stops move before the provider closes all."""
    provider = create_account(name="Provider", login=2002, server="Elsewhere", at=START, by=desk.account_owner)
    bot = create_bot(account=desk.account, name="Copies", strategy="copier", symbols=("EURUSD",), values={}, at=START)
    Bot.objects.filter(pk=bot.pk).update(desired_state="running")
    subscribe(
        name="Mirror", provider=provider, bot=bot, scaling="multiplier", factor=Decimal("0.5"),
        volume_max=Decimal(1), age_max_seconds=600.0, deviation_pips_max=100.0, by=desk.account_owner, at=START,
    )  # fmt: skip
    desk.at(6.0, partial(_open, desk, provider.pk, FIRST))
    desk.at(7.0, partial(_open, desk, provider.pk, STRANGE, symbol="XAUUSD"))
    desk.at(16.0, partial(_open, desk, provider.pk, LAST, side="sell"))
    desk.at(26.0, lambda: _change(FIRST, **STOPS))
    desk.at(42.0, partial(_close, desk))


def _open(desk: Desk, account_id: int, number: int, **fields: Any) -> None:
    Order.objects.create(
        account_id=account_id, ticket=number, identifier=number, volume=Decimal("0.4"), volume_initial=Decimal("0.4"),
        **{
            "symbol": "EURUSD", "side": "buy", "status": "open", "price_open": Decimal(str(START_PRICE)),
            "opened_at": desk.clock.now(), **fields,
        },
    )  # fmt: skip


def _close(desk: Desk) -> None:
    for number in (FIRST, STRANGE, LAST):
        _change(number, status="closed", volume=0, price_close=1, close_reason="bot", closed_at=desk.clock.now())


def _change(number: int, **fields: Any) -> None:
    Order.objects.filter(ticket=number).update(**fields)


def broken_copies() -> Iterator[str]:
    """Return what does not hold of the copies once all is over: each exactly once, followed, closed or told of."""
    copies = rows(
        "SELECT c.id, c.state, c.asked_sl, c.asked_tp, c.cycle_id, s.ticket, s.symbol, s.sl, s.tp FROM copying_copy c "
        "JOIN orders_order s ON s.id = c.source_id"
    )
    if sorted(copy["ticket"] for copy in copies) != [FIRST, STRANGE, LAST]:
        yield f"copying: not each position has one copy: {copies}"
    for copy in copies:
        number, there = copy["ticket"], _opened_by(copy["id"])
        if number == STRANGE:
            told = len(rows("SELECT 1 FROM events_event WHERE kind = 'COPY_SKIPPED'"))
            if (copy["state"], len(there), told) != ("skipped", 0, 1):
                yield f"copying: #{number} is {copy['state']}, with {len(there)} positions, told {told} times"
            continue
        if copy["state"] != "closed" or [(o["cycle_id"], o["status"]) for o in there] != [(copy["cycle_id"], "closed")]:
            yield f"copying: #{number} is {copy['state']}, its positions are {there}"
        stops = [(o["sl"], o["tp"]) for o in there]
        if stops != [(copy["sl"], copy["tp"])] or (copy["asked_sl"], copy["asked_tp"]) != tuple(map(float, stops[0])):
            yield f"copying: #{number} has {copy['sl']} {copy['tp']}, its positions {stops}, asked for {copy}"


def _opened_by(copy_id: int) -> list[dict[str, Any]]:
    return rows(
        "SELECT o.cycle_id, o.status, o.sl, o.tp FROM orders_order o JOIN cycles_cycle c ON c.id = o.cycle_id "
        "WHERE c.memory->>'copy' = %s",
        str(copy_id),
    )
