"""Why a set of pseudo positions is traded or not, in words: pure, so that the page says what the engine does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from strategies.pseudo.results import SetResult


@dataclass(frozen=True, slots=True)
class Follower:
    """A bot that trades sets on the symbol: its limits, its state, and the open cycle of each set that it trades."""

    name: str
    state: str
    indication: str
    min_profit_factor: float
    min_trades: int
    max_cycles: int
    open_cycles: int
    trading: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A stable code, and the reason in words."""

    code: str
    text: str


def verdict(
    result: SetResult, *, valid: Sequence[int], min_profit_factor: float, min_trades: int, followers: Sequence[Follower]
) -> Verdict:
    """Say why a set is traded or is not; the first hindrance counts. `valid` are the signs that lasted, by kind."""
    name = str(result.key)
    for follower in followers:
        if name in follower.trading:
            return Verdict("traded", f"traded by {follower.trading[name]}")
    if result.recent < min_trades:
        return Verdict("trades", f"{result.recent} of {min_trades} pseudo positions")
    if result.profit_factor < min_profit_factor:
        return Verdict("profit_factor", f"profit factor below {min_profit_factor:g}")
    if valid[result.key.kind] != result.key.side.sign:
        return Verdict("signal", "no signal that has lasted")
    if not followers:
        return Verdict("no_bot", "no signal trader on this symbol")
    hindrances = [hindrance(result, follower) for follower in followers]
    free = next((h for h in hindrances if h.code == "ready"), None)
    return free or hindrances[0]


def hindrance(result: SetResult, follower: Follower) -> Verdict:
    """Say what keeps one bot from trading a set that has a signal and passes the account's limits."""
    name = follower.name
    if follower.state != "running":
        return Verdict("bot_state", f"{name} is {follower.state}")
    if follower.indication not in ("any", result.key.kind.label):
        return Verdict("indication", f"{name} follows {follower.indication} only")
    if result.recent < follower.min_trades:
        return Verdict("trades", f"{name} wants {follower.min_trades} pseudo positions")
    if result.profit_factor < follower.min_profit_factor:
        return Verdict("profit_factor", f"{name} wants a profit factor of {follower.min_profit_factor:g}")
    if follower.open_cycles >= follower.max_cycles:
        return Verdict("max_cycles", f"{name} has {follower.open_cycles} of {follower.max_cycles} cycles open")
    return Verdict("ready", f"{name} takes the best ready set at its next entry")
