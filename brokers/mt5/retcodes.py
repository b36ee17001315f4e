"""Every return code of a trade request in one table; what is not listed is Unknown (reliability: default UNKNOWN).

Sources: mql5.com, "Return Codes of the Trade Server" and "last_error" of the Python integration.
"""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    DONE = "done"
    PARTIAL = "partial"
    PLACED = "placed"
    NO_CHANGES = "no_changes"
    POSITION_CLOSED = "position_closed"
    REFUSED = "refused"
    FRESH_PRICE = "fresh_price"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a code means for us, with a name that events show."""

    verdict: Verdict
    name: str


def _refused(name: str) -> Meaning:
    return Meaning(Verdict.REFUSED, name)


def _again(name: str) -> Meaning:
    return Meaning(Verdict.FRESH_PRICE, name)


RETCODES: dict[int, Meaning] = {
    10004: _again("requote"),
    10006: _refused("reject"),
    10007: _refused("cancel"),
    10008: Meaning(Verdict.PLACED, "placed"),
    10009: Meaning(Verdict.DONE, "done"),
    10010: Meaning(Verdict.PARTIAL, "done_partial"),
    10011: Meaning(Verdict.UNKNOWN, "error"),
    10012: Meaning(Verdict.UNKNOWN, "timeout"),
    10013: _refused("invalid"),
    10014: _refused("invalid_volume"),
    10015: _refused("invalid_price"),
    10016: _refused("invalid_stops"),
    10017: _refused("trade_disabled"),
    10018: _refused("market_closed"),
    10019: _refused("no_money"),
    10020: _again("price_changed"),
    10021: _again("price_off"),
    10022: _refused("invalid_expiration"),
    10023: _again("order_changed"),
    10024: _again("too_many_requests"),
    10025: Meaning(Verdict.NO_CHANGES, "no_changes"),
    10026: _refused("server_disables_at"),
    10027: _refused("client_disables_at"),
    10028: _again("locked"),
    10029: _again("frozen"),
    10030: _refused("invalid_fill"),
    10031: Meaning(Verdict.UNKNOWN, "connection"),
    10032: _refused("only_real"),
    10033: _refused("limit_orders"),
    10034: _refused("limit_volume"),
    10035: _refused("invalid_order"),
    10036: Meaning(Verdict.POSITION_CLOSED, "position_closed"),
    10038: _refused("invalid_close_volume"),
    10039: _refused("close_order_exist"),
    10040: _refused("limit_positions"),
    10041: _refused("reject_cancel"),
    10042: _refused("long_only"),
    10043: _refused("short_only"),
    10044: _refused("close_only"),
    10045: _refused("fifo_close"),
    10046: _refused("hedge_prohibited"),
}

INVALID_ARGUMENT = -2
AUTH_FAILED = -6
API_DISABLED = -8
NO_IPC = -10004
# The agent of a remote terminal: not carried out, because of its guards or because the call came too late
AGENT_REFUSED, AGENT_EXPIRED = -20001, -20002
NOT_SENT_ERRORS = frozenset({INVALID_ARGUMENT, API_DISABLED, NO_IPC, AGENT_REFUSED, AGENT_EXPIRED})


def meaning_of(code: int) -> Meaning:
    """Return what a code means; an unlisted one is Unknown."""
    return RETCODES.get(code, Meaning(Verdict.UNKNOWN, f"code_{code}"))
