"""What a person may do about a divergence, and what will happen then: read by the desk before anything is done."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from reconciliation.domain import Kind
from reconciliation.models import Divergence, Ending, State

STRANGERS = (Kind.UNMATCHED, Kind.MISSING_IN_BOOKS)
STOPS = (Kind.STOP_LOSS, Kind.TAKE_PROFIT)


class Action(StrEnum):
    """The buttons of the desk."""

    ACCEPT_BROKER = "accept_broker"
    ACCEPT_OURS = "accept_ours"
    ADOPT = "adopt"
    MANUAL = "manual"
    IGNORE = "ignore"
    ASSIGN = "assign"
    NOTE = "note"
    UNDO = "undo"


def why_not(row: Divergence, action: Action) -> str | None:
    """Say why an action has no meaning for a divergence as it is, or None."""
    if action in (Action.ASSIGN, Action.NOTE):
        return None
    if action is Action.UNDO:
        return _why_not_undo(row)
    if row.state == State.CLOSED:
        return f"It is closed already: {row.get_closed_how_display().lower()}."
    kind = Kind(row.kind)
    match action:
        case Action.ACCEPT_BROKER if kind in STRANGERS:
            return "The broker has a position that the books do not know: adopt it, or mark it as manual."
        case Action.ACCEPT_BROKER if kind is Kind.UNKNOWN_OUTCOME:
            return "Settle it on the page of its intent: that needs a manager."
        case Action.ADOPT | Action.MANUAL if kind not in STRANGERS:
            return "Only a position that the books do not know can be adopted or marked as manual."
        case Action.ACCEPT_OURS:
            return _why_not_ours(row, kind)
    return None


def _why_not_ours(row: Divergence, kind: Kind) -> str | None:
    if row.asked_at is not None:
        return "The engine was asked already; the next check will tell."
    if kind in STOPS or kind in STRANGERS or (kind is Kind.LATE_EXECUTION and row.order_id is not None):
        return None
    if kind is Kind.FOREIGN_CHANGE and row.ours.get("side") == row.theirs.get("side"):
        same = row.ours.get("volume") == row.theirs.get("volume")
        return None if same else "Only changed stops can be set again."
    if kind is Kind.VOLUME:
        more = float(row.theirs.get("volume", 0)) > float(row.ours.get("volume", 0))
        return None if more else "The broker has less than we wanted; only a new decision of the bot can add to it."
    return "What happened at the broker can't be taken back."


def _why_not_undo(row: Divergence) -> str | None:
    if row.state == State.IGNORED:
        return None
    if row.state != State.CLOSED or row.closed_by_id is None:
        return "There is nothing that a person did to be undone."
    if row.closed_how == Ending.MANUAL:
        return None
    if row.closed_how == Ending.ACCEPTED and row.kind not in BOOKED:
        return None
    if row.closed_how == Ending.CLAIMED:
        return "Release the claim instead: Claims → Release."
    return "It changed the books or the broker, and can't be undone."


# Kinds whose acceptance changed books that nothing can change back
BOOKED = (Kind.MISSING_AT_BROKER, Kind.PROFIT, Kind.BALANCE)


def preview(row: Divergence, action: Action) -> list[str]:
    """Say in words what an action will do, and what it will not."""
    kind, ours, theirs = Kind(row.kind), row.ours, row.theirs
    match action:
        case Action.ACCEPT_BROKER:
            return _preview_broker(row, kind)
        case Action.ACCEPT_OURS if kind in STOPS or kind is Kind.FOREIGN_CHANGE:
            wanted = f"SL {price(ours, 'sl')} and TP {price(ours, 'tp')}"
            return [
                f"The engine asks the broker once to set {wanted} on #{row.ticket}.",
                f"Now there: SL {price(theirs, 'sl')}, TP {price(theirs, 'tp')}.",
                "The divergence ends when the next check sees it done.",
            ]
        case Action.ACCEPT_OURS:
            return [
                f"The engine closes {excess(row):g} lots of #{row.ticket} {row.symbol} at the market price, once.",
                "Money is won or lost by it, and it can't be undone.",
            ]
        case Action.ADOPT:
            return [
                f"#{row.ticket} {theirs.get('side')} {theirs.get('volume'):g} {row.symbol} becomes a leg of the cycle.",
                "Its bot counts it and may close it. The position itself is not touched now.",
                "It can be given back: Claims → Release.",
            ]
        case Action.MANUAL:
            return [f"#{row.ticket} stays untouched and is shown under Manual positions.", "It can be undone."]
        case Action.IGNORE:
            return ["It leaves the queue until then, and comes back if it still lasts.", "It does not stop entries."]
        case Action.UNDO:
            return ["It comes back into the queue at once."]
    return []


def _preview_broker(row: Divergence, kind: Kind) -> list[str]:
    again = "It is told again only when the broker's value changes."
    match kind:
        case Kind.MISSING_AT_BROKER:
            return [
                f"Order #{row.ticket} is closed in the books without a deal that proves it, at its opening price.",
                "Deals that arrive later correct the figures. It can't be undone.",
            ]
        case Kind.PROFIT:
            return [f"The order books {row.theirs.get('net')} as its deals say, instead of {row.ours.get('net')}."]
        case Kind.BALANCE:
            return [f"A balance of {row.theirs.get('balance')} is right as it is. {again}"]
        case Kind.CLOSED_BY_BROKER | Kind.LATE_EXECUTION:
            return ["You have seen it. Nothing else changes."]
    return [f"What the broker has on #{row.ticket} is right. Nothing is sent. {again}"]


def excess(row: Divergence) -> float:
    """Return the lots that "accept ours" closes."""
    there = float(row.theirs.get("volume", 0))
    return round(there - float(row.ours.get("volume", 0)), 8) if row.kind == Kind.VOLUME else there


def price(side: Mapping[str, Any], name: str) -> str:
    """Show a stop; 0 is none."""
    value = side.get(name)
    return f"{value:g}" if value else "none"
