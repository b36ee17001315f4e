"""The doctor: is this the account that was meant, and can it be traded as we would? Every answer carries its fix."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from brokers.domain import AccountState, Position, SymbolSpec
from brokers.gateway import BrokerError, Gateway, SymbolError

FILLING_BY_MASK = 2


class Grade(StrEnum):
    """What a check says: fine, worth knowing, or no entries until it is put right."""

    PASS = "pass"  # noqa: S105 - a grade
    WARN = "warn"
    BLOCK = "block"


@dataclass(frozen=True, slots=True)
class Check:
    """One check: its name, its grade, what was found, and what to do unless it passed."""

    name: str
    grade: Grade
    found: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Expected:
    """What the account was set up as. `marked` are the (magic, comment) that open positions of ours were sent with.

    `lots` are the fixed volumes that bots open with, by symbol.
    """

    login: int
    server: str
    demo: bool
    margin_mode: str
    currency: str
    symbols: tuple[str, ...] = ()
    marked: Mapping[int, tuple[int, str]] = field(default_factory=dict)
    lots: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


def examine(gateway: Gateway, expected: Expected) -> tuple[Check, ...]:
    """Make every check on a connected gateway. Raises ReadError: a read that failed says nothing about the account."""
    checks = [*_account_checks(gateway.account(), expected), _clock_check(gateway)]
    for symbol in expected.symbols:
        checks += _symbol_checks(gateway, symbol, expected.lots.get(symbol, ()))
    checks.append(_marks_check(gateway.book().positions, expected.marked))
    return tuple(checks)


def worst(checks: tuple[Check, ...]) -> Grade:
    """Return the worst grade of all checks."""
    grades = {check.grade for check in checks}
    return next((grade for grade in (Grade.BLOCK, Grade.WARN) if grade in grades), Grade.PASS)


def unreachable(problem: BrokerError) -> tuple[Check, ...]:
    """Return what to show of an account that can't be connected to or read."""
    return (Check("connection", Grade.BLOCK, problem.problem, problem.fix),)


def _account_checks(account: AccountState, expected: Expected) -> Iterator[Check]:
    yield Check("login", Grade.PASS, f"{account.login} at {account.server}")
    kinds = {True: "demo", False: "real money"}
    if account.demo == expected.demo:
        yield Check("money", Grade.PASS, kinds[account.demo])
    else:
        fix = f"Log in to the right account; for {kinds[account.demo]}, create another account."
        found = f"the broker says {kinds[account.demo]}, the account is set up as {kinds[expected.demo]}"
        yield Check("money", Grade.BLOCK, found, fix)
    if account.trade_allowed and account.programs_allowed:
        yield Check("trading", Grade.PASS, "allowed")
    elif account.trade_allowed:
        fix = "Press Algo Trading in the terminal, and allow trading by Python in its options."
        yield Check("trading", Grade.BLOCK, "the terminal does not let programs trade", fix)
    else:
        fix = "Use the master password, and allow algorithmic trading in the terminal and at the broker."
        yield Check("trading", Grade.BLOCK, "not allowed", fix)
    if account.margin_mode == expected.margin_mode:
        yield Check("margin mode", Grade.PASS, str(account.margin_mode))
    else:
        found = f"the broker says {account.margin_mode}, the account is set up as {expected.margin_mode}"
        yield Check("margin mode", Grade.BLOCK, found, f"Set the account's margin mode to {account.margin_mode}.")
    if account.currency == expected.currency:
        yield Check("currency", Grade.PASS, account.currency)
    else:
        found = f"{account.currency}, not {expected.currency}: targets and money stops count in {account.currency}"
        yield Check("currency", Grade.WARN, found, f"Set the account's currency to {account.currency}.")


def _clock_check(gateway: Gateway) -> Check:
    clock = gateway.clock_offset()
    if clock is None:
        found = "unknown: no fresh price, which is normal at weekends"
        return Check(
            "server clock", Grade.WARN, found, "Nothing with a time of the broker is read until a price comes in."
        )
    return Check("server clock", Grade.PASS, f"UTC{clock.offset.total_seconds() / 3600:+g} h")


def _symbol_checks(gateway: Gateway, symbol: str, lots: tuple[float, ...]) -> Iterator[Check]:
    try:
        spec = gateway.spec(symbol)
    except SymbolError as problem:
        yield Check(f"{symbol}: name", Grade.BLOCK, problem.problem, problem.fix)
        return
    yield Check(f"{symbol}: name", Grade.PASS, gateway.broker_name(symbol))
    if spec.tradable:
        yield Check(f"{symbol}: trading", Grade.PASS, "full")
    else:
        yield Check(f"{symbol}: trading", Grade.BLOCK, "restricted by the broker", "Ask the broker, or trade another.")
    yield _volume_check(symbol, spec, lots)
    yield _filling_check(symbol, spec)
    yield _levels_check(symbol, spec)


def _volume_check(symbol: str, spec: SymbolSpec, lots: tuple[float, ...]) -> Check:
    """Tell whether the broker takes what bots open with; a strategy floors its volumes to the step."""
    name, takes = f"{symbol}: volume", f"{spec.volume_min:g} to {spec.volume_max:g} by {spec.volume_step:g}"
    refused = [each for each in lots if not spec.volume_min <= spec.volume(each) <= spec.volume_max]
    if refused:
        found = f"a bot opens with {refused[0]:g} lots, the broker takes {takes}"
        return Check(name, Grade.BLOCK, found, "Change the lot size in the bot's configuration.")
    floored = [each for each in lots if abs(spec.volume(each) - each) > 1e-8]
    if floored:
        found = f"{floored[0]:g} lots of a bot are traded as {spec.volume(floored[0]):g}; the broker takes {takes}"
        return Check(name, Grade.WARN, found, f"Choose a lot size that is a multiple of {spec.volume_step:g}.")
    return Check(name, Grade.PASS, takes)


def _filling_check(symbol: str, spec: SymbolSpec) -> Check:
    modes = [name for bit, name in ((1, "FOK"), (2, "IOC")) if spec.filling_mask & bit]
    if modes or spec.execution_mode != FILLING_BY_MASK:
        return Check(f"{symbol}: filling", Grade.PASS, ", ".join(modes) or "any")
    fix = "Orders are tried with every mode in turn, one decision each; the first ones may be refused."
    return Check(f"{symbol}: filling", Grade.WARN, "the broker names no filling mode", fix)


def _levels_check(symbol: str, spec: SymbolSpec) -> Check:
    stops, freeze = spec.stops_level_points, spec.freeze_level_points
    if not stops and not freeze:
        return Check(f"{symbol}: stops level", Grade.PASS, "none")
    found = f"{stops} points to the price, frozen within {freeze}"
    return Check(f"{symbol}: stops level", Grade.WARN, found, "Nearer stops and limit orders are refused.")


def _marks_check(positions: tuple[Position, ...], marked: Mapping[int, tuple[int, str]]) -> Check:
    """Tell whether the broker keeps magic and comment, by which an order with a lost reply is found again."""
    ours = [(p, *marked[p.identifier]) for p in positions if p.identifier in marked]
    if not ours:
        return Check("magic and comment", Grade.PASS, "no position of ours to see it on")
    lost_magic = [p.ticket for p, magic, _ in ours if p.magic != magic]
    lost_comment = [p.ticket for p, _, comment in ours if p.comment != comment]
    if not lost_magic and not lost_comment:
        return Check("magic and comment", Grade.PASS, f"kept on {len(ours)} positions")
    what = " and ".join(name for name, lost in (("magic", lost_magic), ("comment", lost_comment)) if lost)
    ticket = (lost_magic + lost_comment)[0]
    fix = "An order whose reply is lost can't be told from a foreign one: settle such outcomes by hand."
    return Check("magic and comment", Grade.WARN, f"the broker changes the {what} (position {ticket})", fix)
