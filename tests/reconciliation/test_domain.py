"""What is a divergence, how bad it is, and what a pass writes about it: S3's rules, without a database."""

import os
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brokers.domain import AccountState, Book, MarginMode, Position, Side
from reconciliation.domain import (
    Expected,
    Finding,
    Held,
    Kind,
    Policy,
    Severity,
    Thresholds,
    Treatment,
    default_policy,
    divergences_of,
    missing_of,
    plan,
    policies_of,
    unmatched_of,
)
from tests.reconciliation.test_matching import AT, PIP, expected, position

ALERT = Treatment(Policy.ALERT)
# `make soak-reconciliation` asks for ten times as many
EXAMPLES = int(os.environ.get("RECONCILIATION_EXAMPLES", "2000"))
ACCOUNT = AccountState(1, "S", "USD", 1000.0, 0.0, 0.0, 1000.0, 0.0, 1000.0, 0.0, 100, MarginMode.HEDGING, True, True)


def kinds(order: Expected, place: Position, limits: Thresholds | None = None) -> list[Kind]:
    return [f.kind for f in divergences_of(order, place, pip=PIP, limits=limits or Thresholds())]


@pytest.mark.requirement("S3-01", "S3-34", "S3-35")
def test_create_position_buy() -> None:
    held = position(7, side=Side.BUY, volume=0.3)
    assert (held.side, held.side.sign, held.volume) == ("buy", 1, 0.3)
    with pytest.raises(FrozenInstanceError):
        held.volume = 0.2  # type: ignore[misc]


@pytest.mark.requirement("S3-02", "S3-35")
def test_unrealized_pnl_calculation() -> None:
    assert position(profit=12.5, swap=-0.75).unrealized_pnl == 11.75


@pytest.mark.requirement("S3-02", "S3-35")
def test_position_repr() -> None:
    held = position(7, volume=0.3)
    assert str(held) == "#7 buy 0.3 EURUSD at 1.1"
    assert "identifier=7" in repr(held)
    assert "volume=0.3" in repr(held)


@pytest.mark.requirement("S3-03", "S3-36")
def test_create_snapshot() -> None:
    book = Book(AT, ACCOUNT, (position(1),), ())
    assert (book.account.equity, len(book.positions), book.at) == (1000.0, 1, AT)
    with pytest.raises(FrozenInstanceError):
        book.positions = ()  # type: ignore[misc]


@pytest.mark.requirement("S3-04", "S3-36")
def test_total_open_volume() -> None:
    assert Book(AT, ACCOUNT, (position(1, volume=0.1), position(2, volume=0.2)), ()).total_open_volume == 0.3
    assert Book(AT, ACCOUNT, (), ()).total_open_volume == 0


@pytest.mark.requirement("S3-04", "S3-36")
def test_unrealized_pnl_sum() -> None:
    book = Book(AT, ACCOUNT, (position(1, profit=5.0, swap=-1.0), position(2, profit=-2.0)), ())
    assert book.unrealized_pnl == 2.0


@pytest.mark.requirement("S3-09", "S3-25", "S3-38")
@pytest.mark.parametrize(("price", "found"), [(1.1005, []), (1.10051, [Kind.ENTRY]), (1.0994, [Kind.ENTRY])])
def test_detect_divergence_entry_slippage(price: float, found: list[Kind]) -> None:
    assert kinds(expected(), position(price_open=price)) == found


@pytest.mark.requirement("S3-09", "S3-26", "S3-38")
@pytest.mark.parametrize(
    ("volume", "found"),
    [(0.09, Kind.FOREIGN_CHANGE), (0.089, Kind.VOLUME), (0.11, Kind.FOREIGN_CHANGE), (0.2, Kind.VOLUME)],
)
def test_detect_divergence_volume_mismatch(volume: float, found: Kind) -> None:
    assert kinds(expected(), position(volume=volume)) == [found]


@pytest.mark.requirement("S3-27", "S3-38")
@pytest.mark.parametrize(
    ("tp", "found"),
    [(1.12, []), (1.121, [Kind.FOREIGN_CHANGE]), (1.1211, [Kind.TAKE_PROFIT]), (0.0, [Kind.TAKE_PROFIT])],
)
def test_detect_divergence_tp_mismatch(tp: float, found: list[Kind]) -> None:
    assert kinds(expected(tp=1.12), position(tp=tp)) == found
    assert kinds(expected(sl=1.12), position(sl=tp)) == [Kind.STOP_LOSS if k is Kind.TAKE_PROFIT else k for k in found]


@pytest.mark.requirement("S3-38")
def test_detect_divergence_none() -> None:
    assert kinds(expected(sl=1.0, tp=1.2), position(sl=1.0, tp=1.2)) == []


def test_what_is_under_way_or_unknown_is_no_divergence() -> None:
    apart = position(volume=0.05, sl=1.0, price_open=2.0)
    assert kinds(expected(volume_open=True, stops_open=True, price=None), apart) == []


def test_thresholds_are_settings() -> None:
    wide = Thresholds(entry_pips=50.0, volume_share=0.6, stops_pips=200.0)
    assert kinds(expected(sl=1.0), position(price_open=1.104, volume=0.05, sl=1.01), wide) == [Kind.FOREIGN_CHANGE]


def test_another_direction_is_critical_and_the_only_thing_said() -> None:
    (found,) = divergences_of(expected(), position(side=Side.SELL, sl=1.0), pip=PIP, limits=Thresholds())
    assert (found.kind, found.severity) == (Kind.FOREIGN_CHANGE, Severity.CRITICAL)


@pytest.mark.requirement("S3-28", "S3-29", "S3-30", "X-02")
def test_every_kind_has_one_of_s3s_codes() -> None:
    assert Kind.CLOSED_BY_BROKER.s3_code == 0
    assert Kind.UNMATCHED.s3_code == 2
    assert {k.s3_code for k in (Kind.ENTRY, Kind.VOLUME, Kind.STOP_LOSS, Kind.TAKE_PROFIT, Kind.BALANCE)} == {1}
    assert all(k.s3_code in (0, 1, 2) for k in Kind)


def test_an_unknown_position_with_our_mark_is_critical_a_manual_one_is_not() -> None:
    assert unmatched_of(position(), is_ours=True, suggestion={}).severity is Severity.CRITICAL
    assert unmatched_of(position(), is_ours=False, suggestion={}).severity is Severity.INFO
    assert missing_of(expected(), suggestion={}).severity is Severity.CRITICAL


def test_every_kind_has_a_default_policy_among_its_policies() -> None:
    assert all(default_policy(kind) in policies_of(kind) for kind in Kind)
    assert default_policy(Kind.MISSING_AT_BROKER) is Policy.ALERT, "nothing unproved is closed without a person"


# The ledger: opened once, updated while it lasts, ended when it is over

MARKS = st.sampled_from(["a", "b"])
FINDINGS = st.lists(
    st.builds(
        Finding, st.sampled_from(list(Kind)), st.integers(0, 5), st.sampled_from(list(Severity)), st.just("r"), MARKS
    ),
    max_size=12,
)


class Ledger:
    """What the database does, in memory."""

    def __init__(self) -> None:
        self.open: dict[str, Held] = {}
        self.accepted: dict[str, str] = {}
        self.serial = 0

    def take(self, findings: list[Finding], treat: Any) -> bool:
        made = plan(findings, list(self.open.values()), accepted=self.accepted, treat=treat)
        for finding, treatment in made.opened:
            assert finding.key not in self.open
            self.serial += 1
            if treatment.acts:
                self.accepted[finding.key] = finding.mark
            else:
                self.open[finding.key] = held_of(self.serial, finding)
        for row, finding in made.updated:
            self.open[row.key] = held_of(row.id, finding)
        for row in made.ended:
            del self.open[row.key]
        return not made.nothing

    def accept(self, key: str) -> None:
        self.accepted[key] = self.open.pop(key).mark


def held_of(pk: int, finding: Finding) -> Held:
    return Held(pk, finding.key, finding.mark, int(finding.severity), finding.rule, dict(finding.suggestion))


def by_default(finding: Finding) -> Treatment:
    return Treatment(default_policy(finding.kind))


@settings(max_examples=EXAMPLES, deadline=None)
@given(FINDINGS, FINDINGS, st.randoms(use_true_random=False))
def test_a_second_pass_over_an_unchanged_world_changes_nothing(
    before: list[Finding], now: list[Finding], shuffler: Any
) -> None:
    ledger = Ledger()
    ledger.take(before, by_default)
    ledger.take(now, by_default)
    unique = list({f.key: f for f in reversed(now)}.values())
    shuffler.shuffle(unique)
    assert not ledger.take(unique, by_default)
    assert not ledger.take([*unique, *unique], by_default)


@settings(max_examples=500, deadline=None)
@given(FINDINGS)
def test_what_was_accepted_stays_quiet_until_it_differs_in_another_way(findings: list[Finding]) -> None:
    ledger = Ledger()
    unique = list({f.key: f for f in findings}.values())
    ledger.take(unique, lambda f: ALERT)
    for key in list(ledger.open):
        ledger.accept(key)
    assert not ledger.take(unique, lambda f: ALERT)
    ledger.take([replace(f, mark=f.mark + "!") for f in unique], lambda f: ALERT)
    assert set(ledger.open) == {f.key for f in unique}


def test_a_policy_of_ignoring_ends_what_lasted_and_a_dry_run_leaves_it_to_people() -> None:
    finding = Finding(Kind.STOP_LOSS, 1, Severity.WARNING, "r", "0")
    ledger = Ledger()
    ledger.take([finding], lambda f: Treatment(Policy.MIRROR, dry_run=True))
    assert set(ledger.open) == {"stop_loss:1"}
    ledger.take([finding], lambda f: Treatment(Policy.IGNORE))
    assert ledger.open == {}
    ledger.take([finding], lambda f: Treatment(Policy.MIRROR))
    assert (ledger.open, ledger.accepted) == ({}, {"stop_loss:1": "0"})


def test_what_happened_once_does_not_end_by_not_being_seen() -> None:
    ledger = Ledger()
    ledger.take([Finding(Kind.LATE_EXECUTION, 1, Severity.WARNING, "r", "1")], lambda f: ALERT)
    assert not ledger.take([], lambda f: ALERT)
    assert set(ledger.open) == {"late:1"}
