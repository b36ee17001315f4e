"""Pure rules of reconciliation: what our decisions say beside what the broker says, and what follows from a difference.

A divergence is only ever computed on an identified pair (X-01). Distances are in pips, volumes in lots, shares of 1,
money in account currency. Default thresholds are S3's.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any

from brokers.domain import Position

PRICE_NOISE = 1e-8
VOLUME_NOISE = 1e-8


class Kind(StrEnum):
    """What can differ. `s3_code` is S3's `matched`: 0 closed by broker, 1 divergence, 2 unmatched (X-02)."""

    ENTRY = "entry"
    VOLUME = "volume"
    STOP_LOSS = "stop_loss"
    TAKE_PROFIT = "take_profit"
    FOREIGN_CHANGE = "foreign_change"
    CLOSED_BY_BROKER = "closed_by_broker"
    UNMATCHED = "unmatched"
    MISSING_IN_BOOKS = "missing_books"
    MISSING_AT_BROKER = "missing_broker"
    PROFIT = "profit"
    BALANCE = "balance"
    UNKNOWN_OUTCOME = "unknown"
    LATE_EXECUTION = "late"

    @property
    def s3_code(self) -> int:
        """S3's number for the state."""
        return {Kind.CLOSED_BY_BROKER: 0, Kind.UNMATCHED: 2, Kind.MISSING_IN_BOOKS: 2}.get(self, 1)

    @property
    def lasts(self) -> bool:
        """Tell whether it ends when it is not seen any more; a closure or a late execution happened once."""
        return self not in (Kind.CLOSED_BY_BROKER, Kind.LATE_EXECUTION)

    @property
    def needs_second_look(self) -> bool:
        """Tell whether one look may be a matter of order of arrival: deals may come later than what they changed."""
        return self in (Kind.MISSING_AT_BROKER, Kind.BALANCE, Kind.PROFIT)


class Severity(IntEnum):
    """How bad; entries stop while a critical divergence is open."""

    INFO = 1
    WARNING = 2
    CRITICAL = 3


class Policy(StrEnum):
    """What is done without asking: take the position in, let the books follow, tell people, or nothing."""

    ADOPT = "adopt"
    MIRROR = "mirror"
    ALERT = "alert"
    IGNORE = "ignore"


# Mirroring needs something of the broker's that the books can take over; adopting needs an unknown position.
UNPROVED = (Policy.ALERT, Policy.IGNORE)
STRANGE = (Policy.ALERT, Policy.ADOPT, Policy.IGNORE)
POLICIES: Mapping[Kind, tuple[Policy, ...]] = {
    Kind.UNKNOWN_OUTCOME: UNPROVED,
    Kind.MISSING_AT_BROKER: UNPROVED,
    Kind.UNMATCHED: STRANGE,
    Kind.MISSING_IN_BOOKS: STRANGE,
}
COMMON_POLICIES = (Policy.ALERT, Policy.MIRROR, Policy.IGNORE)
MIRRORED = frozenset({Kind.CLOSED_BY_BROKER, Kind.FOREIGN_CHANGE, Kind.PROFIT})


def policies_of(kind: Kind) -> tuple[Policy, ...]:
    """Name the policies that have a meaning for a kind."""
    return POLICIES.get(kind, COMMON_POLICIES)


def default_policy(kind: Kind) -> Policy:
    """Return what is done where nobody chose: the books follow what is proved, and people hear of the rest."""
    return Policy.MIRROR if kind in MIRRORED else Policy.ALERT


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Where a difference begins to matter; the two `match_` ones only limit suggestions (source: S3)."""

    entry_pips: float = 5.0
    volume_share: float = 0.10
    stops_pips: float = 10.0
    money: float = 0.01
    match_volume_share: float = 0.05
    match_pips: float = 2.0


@dataclass(frozen=True, slots=True)
class Expected:
    """An open order as our decisions say it must be at the broker.

    `price` is the quote that the decision stood on (None when unknown), `volume` what was asked for less what we
    closed. `volume_open` and `stops_open` tell that a request of ours is under way, which proves nothing yet.
    """

    order_id: int
    identifier: int
    ticket: int
    token: str
    symbol: str
    side: str
    volume: float
    price: float | None
    sl: float
    tp: float
    volume_open: bool = False
    stops_open: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference. `mark` is what a person accepts: the same mark is not told again, another one is."""

    kind: Kind
    identifier: int
    severity: Severity
    rule: str
    mark: str
    ours: Mapping[str, Any] = field(default_factory=dict)
    theirs: Mapping[str, Any] = field(default_factory=dict)
    measured: float = 0.0
    threshold: float = 0.0
    ticket: int = 0
    symbol: str = ""
    order_id: int | None = None
    intent_id: int | None = None
    suggestion: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The identity of the divergence in its account's ledger."""
        return f"{self.kind}:{self.identifier}"


def facts_of(position: Position) -> dict[str, Any]:
    """Return what does not float about a position, as plain values."""
    return {
        "ticket": position.ticket,
        "symbol": position.symbol,
        "side": position.side.value,
        "volume": position.volume,
        "price": position.price_open,
        "sl": position.sl,
        "tp": position.tp,
        "magic": position.magic,
        "comment": position.comment,
        "opened_at": position.opened_at.isoformat(),
        "server_offset_seconds": int(position.server_offset.total_seconds()),
    }


def wishes_of(expected: Expected) -> dict[str, Any]:
    """Return what our decisions say about an order, as plain values under the names of `facts_of`."""
    return {
        "ticket": expected.ticket,
        "symbol": expected.symbol,
        "side": expected.side,
        "volume": expected.volume,
        "price": expected.price,
        "sl": expected.sl,
        "tp": expected.tp,
    }


def pips_apart(a: float, b: float, pip: float) -> float:
    """Return the distance of two prices in pips, free of binary noise."""
    return round(abs(a - b) / pip, 6)


def divergences_of(expected: Expected, position: Position, *, pip: float, limits: Thresholds) -> list[Finding]:
    """Compare an identified pair: entry, volume, stops, and changes by others that are below the thresholds."""
    found: list[Finding] = []

    def add(kind: Kind, severity: Severity, rule: str, mark: object, measured: float, threshold: float) -> None:
        found.append(
            Finding(
                kind,
                expected.identifier,
                severity,
                rule,
                f"{mark}",
                wishes_of(expected),
                facts_of(position),
                measured,
                threshold,
                position.ticket,
                position.symbol,
                expected.order_id,
            )
        )

    if expected.side != position.side or expected.symbol.casefold() != position.symbol.casefold():
        rule = f"{expected.side} {expected.symbol} in the books, {position.side} {position.symbol} at the broker"
        add(Kind.FOREIGN_CHANGE, Severity.CRITICAL, rule, f"{position.side} {position.symbol}", 1.0, 0.0)
        return found
    below: list[str] = []
    if expected.price is not None:
        apart = pips_apart(expected.price, position.price_open, pip)
        if apart > limits.entry_pips:
            rule = f"entered {apart:g} pips from the decision's price"
            add(Kind.ENTRY, Severity.WARNING, rule, position.price_open, apart, limits.entry_pips)
    if not expected.volume_open and abs(expected.volume - position.volume) > VOLUME_NOISE:
        share = round(abs(expected.volume - position.volume) / max(expected.volume, VOLUME_NOISE), 6)
        if share > limits.volume_share:
            rule = f"volume differs by {share:.1%}"
            add(Kind.VOLUME, Severity.WARNING, rule, position.volume, share, limits.volume_share)
        else:
            below.append(f"volume {expected.volume:g} → {position.volume:g}")
    if not expected.stops_open:
        for kind, name, ours, theirs in (
            (Kind.STOP_LOSS, "stop loss", expected.sl, position.sl),
            (Kind.TAKE_PROFIT, "take profit", expected.tp, position.tp),
        ):
            if abs(ours - theirs) <= PRICE_NOISE:
                continue
            apart = pips_apart(ours, theirs, pip)
            if not ours or not theirs:
                rule = f"{name} removed at the broker" if ours else f"{name} set at the broker"
                add(kind, Severity.WARNING, rule, theirs, 0.0, 0.0)
            elif apart > limits.stops_pips:
                add(kind, Severity.WARNING, f"{name} differs by {apart:g} pips", theirs, apart, limits.stops_pips)
            else:
                below.append(f"{name} {ours:g} → {theirs:g}")
    if below:
        mark = f"{position.volume:g} {position.sl:g} {position.tp:g}"
        add(Kind.FOREIGN_CHANGE, Severity.INFO, f"changed at the broker: {', '.join(below)}", mark, 0.0, 0.0)
    return found


def unmatched_of(position: Position, *, is_ours: bool, suggestion: Mapping[str, Any]) -> Finding:
    """Say that no order of ours is this position; `is_ours`: it carries our token or the magic of a bot of ours."""
    if is_ours:
        kind, severity = Kind.MISSING_IN_BOOKS, Severity.CRITICAL
        rule = "carries our mark, but no order of the books made it"
    else:
        kind, severity, rule = Kind.UNMATCHED, Severity.INFO, "opened by hand or by another program"
    return Finding(
        kind,
        position.identifier,
        severity,
        rule,
        str(position.identifier),
        {},
        facts_of(position),
        ticket=position.ticket,
        symbol=position.symbol,
        suggestion=suggestion,
    )


def missing_of(expected: Expected, *, suggestion: Mapping[str, Any]) -> Finding:
    """Say that an order of ours is open in the books only, and no deal proves its end."""
    return Finding(
        Kind.MISSING_AT_BROKER,
        expected.identifier,
        Severity.CRITICAL,
        "open in the books, not at the broker, and no deal says how it ended",
        "absent",
        wishes_of(expected),
        {},
        ticket=expected.ticket,
        symbol=expected.symbol,
        order_id=expected.order_id,
        suggestion=suggestion,
    )


@dataclass(frozen=True, slots=True)
class Held:
    """A divergence of the ledger that lasts."""

    id: int
    key: str
    mark: str
    severity: int
    rule: str
    suggestion: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Treatment:
    """What a policy says about one finding; a dry run only says what it would do."""

    policy: Policy
    dry_run: bool = False

    @property
    def acts(self) -> bool:
        """Tell whether something is done without asking."""
        return self.policy in (Policy.ADOPT, Policy.MIRROR) and not self.dry_run


def treatment_of(finding: Finding, rules: Mapping[Kind, Treatment]) -> Treatment:
    """Return what is done about a finding. The books never follow something critical without a person."""
    rule = rules[finding.kind]
    if finding.severity is Severity.CRITICAL and rule.policy is Policy.MIRROR:
        return Treatment(Policy.ALERT)
    return rule


def confirmed(
    findings: Iterable[Finding], *, before: Set[tuple[str, str]], held: Set[str]
) -> tuple[list[Finding], set[tuple[str, str]]]:
    """Leave out what needs a second look and is new; return the rest, and what to pass as `before` at the next look."""
    found = list(findings)
    candidates = {(f.key, f.mark) for f in found if f.kind.needs_second_look}
    kept = [f for f in found if not f.kind.needs_second_look or f.key in held or (f.key, f.mark) in before]
    return kept, candidates


@dataclass(frozen=True, slots=True)
class Plan:
    """What a pass writes into the ledger: nothing, when the world has not changed."""

    opened: tuple[tuple[Finding, Treatment], ...] = ()
    updated: tuple[tuple[Held, Finding], ...] = ()
    ended: tuple[Held, ...] = ()

    @property
    def nothing(self) -> bool:
        """Tell whether the ledger already says all of it."""
        return not (self.opened or self.updated or self.ended)


def plan(
    findings: Iterable[Finding],
    held: Sequence[Held],
    *,
    accepted: Mapping[str, str],
    treat: Callable[[Finding], Treatment],
) -> Plan:
    """Say what is new, what changed and what is over. `accepted` holds, by key, the mark that was settled last."""
    lasting = {h.key: h for h in held}
    seen: set[str] = set()
    opened: list[tuple[Finding, Treatment]] = []
    updated: list[tuple[Held, Finding]] = []
    for finding in findings:
        treatment = treat(finding)
        if finding.key in seen or treatment.policy is Policy.IGNORE:
            continue
        seen.add(finding.key)
        row = lasting.get(finding.key)
        if row is not None:
            if (row.mark, row.severity, row.rule, dict(row.suggestion)) != (
                finding.mark,
                finding.severity,
                finding.rule,
                dict(finding.suggestion),
            ):
                updated.append((row, finding))
        elif accepted.get(finding.key) != finding.mark:
            opened.append((finding, treatment))
    ended = tuple(h for h in held if h.key not in seen and Kind(h.key.partition(":")[0]).lasts)
    return Plan(tuple(opened), tuple(updated), ended)
