"""Runs the doctor on an account, before it trades, hourly and on request, and keeps what it found."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from accounts.models import Symbol, TradingAccount
from brokers.doctor import Check, Expected, Grade, examine
from brokers.gateway import Gateway, ReadError, SymbolError
from engine.gate import SendGate
from engine.models import EngineState
from events.services import record
from orders.gate import fenced
from orders.models import Order
from risk.services import lift_cause, raise_block
from strategies.models import Bot

CAUSE = "doctor"
SPECIFICATION = ("digits", "point", "volume_min", "volume_max", "volume_step", "contract_size")
TERMS = (
    "stops_level_points", "freeze_level_points", "swap_long", "swap_short", "filling_mask", "execution_mode",
    "tradable", "currency_base", "currency_profit",
)  # fmt: skip
# Kept for pages that judge a draft while no engine is asked; they follow the market, so that a change is no news
FOLLOWING = ("value_per_price", "margin_per_lot")


def expected_of(account: TradingAccount) -> Expected:
    """Return what the account was set up as, with the symbols of its bots and the marks of its open positions."""
    bots = list(Bot.objects.filter(account=account).exclude(desired_state="stopped").select_related("config"))
    marked = Order.objects.filter(account=account, status="open", intent__isnull=False).values_list(
        "identifier", "intent__magic", "intent__comment"
    )
    return Expected(
        login=account.login,
        server=account.server,
        demo=account.demo,
        margin_mode=account.margin_mode,
        currency=account.currency,
        symbols=tuple(sorted({symbol for bot in bots for symbol in bot.symbols})),
        lots=lots_of(bots),
        marked={identifier: (magic, comment) for identifier, magic, comment in marked},
    )


def lots_of(bots: Sequence[Bot]) -> dict[str, tuple[float, ...]]:
    """Return the fixed volumes that bots open with, by symbol; one that sizes by risk has none."""
    found: dict[str, set[float]] = {}
    for bot in bots:
        values = bot.config.values if bot.config is not None else {}
        if "lot_size" in values and values.get("sizing", "fixed") == "fixed":
            for symbol in bot.symbols:
                found.setdefault(symbol, set()).add(float(values["lot_size"]))
    return {symbol: tuple(sorted(lots)) for symbol, lots in found.items()}


def examine_account(gateway: Gateway, gate: SendGate, *, at: datetime) -> tuple[Check, ...]:
    """Examine a connected account, keep the findings, and forbid entries while something blocks.

    What is wrong with one symbol holds back its bots only (`engine.trading`). Raises LeaseLost, ReadError.
    """
    account = TradingAccount.objects.get(pk=gate.account_id)
    expected = expected_of(account)
    checks = examine(gateway, expected)
    blocking = [check for check in checks if check.grade is Grade.BLOCK and ": " not in check.name]
    with fenced(gate):
        EngineState.objects.filter(account=account).update(doctor=[asdict(check) for check in checks], examined_at=at)
        if blocking:
            reason = "; ".join(f"{check.name}: {check.found}. {check.fix}" for check in blocking)
            raise_block(account_id=account.pk, cause=CAUSE, reason=reason, at=at)
        else:
            lift_cause(account_id=account.pk, cause=CAUSE, why="the doctor finds nothing that blocks", at=at)
        for symbol in expected.symbols:
            _keep_specification(gateway, account.pk, symbol, at)
    return checks


def _keep_specification(gateway: Gateway, account_id: int, symbol: str, at: datetime) -> None:
    """Write a symbol's specification down, with an event that says what the broker changed since the last look."""
    try:
        spec = gateway.spec(symbol)
    except (SymbolError, ReadError):
        return
    row, _ = Symbol.objects.get_or_create(account_id=account_id, name=symbol)
    now: dict[str, Any] = {name: getattr(spec, name) for name in SPECIFICATION}
    before = {name: getattr(row, name) for name in SPECIFICATION}
    changed = [f"{n} {before[n]:g} → {now[n]:g}" for n in SPECIFICATION if before[n] not in (None, now[n])]
    terms: dict[str, Any] = {name: getattr(spec, name) for name in TERMS}
    changed += [f"{n} {row.terms[n]} → {terms[n]}" for n in TERMS if n in row.terms and row.terms[n] != terms[n]]
    terms |= {name: getattr(spec, name) for name in FOLLOWING}
    Symbol.objects.filter(pk=row.pk).update(**now, terms=terms, seen_at=at)
    if changed:
        record(
            kind="SYMBOL_CHANGED",
            level="warning",
            text=f"The broker changed {symbol}: {', '.join(changed)}",
            account_id=account_id,
            at=at,
        )
