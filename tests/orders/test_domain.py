from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokers.domain import Deal, DealEntry, DealKind, Reason
from orders.domain import TRANSITIONS, IllegalTransition, check_transition, closure_of, comment_of, token_in
from orders.models import IntentState

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


def deal(ticket: int, entry: DealEntry, volume: float, *, price: float = 1.1, reason: Reason = Reason.EXPERT) -> Deal:
    profit = 0.0 if entry is DealEntry.IN else 12.5
    return Deal(
        ticket,
        ticket,
        77,
        "EURUSD",
        DealKind.BUY,
        entry,
        reason,
        volume,
        price,
        profit,
        -0.5,
        -0.35,
        0.0,
        5,
        "",
        NOON + timedelta(seconds=ticket),
    )


def test_every_state_of_the_database_has_its_transitions() -> None:
    assert set(TRANSITIONS) - {""} == set(IntentState.values)


@pytest.mark.parametrize(("frm", "to"), [(a, b) for a in TRANSITIONS for b in IntentState.values])
def test_only_listed_transitions_are_legal(frm: str, to: str) -> None:
    if to in TRANSITIONS[frm]:
        check_transition(frm, to)
    else:
        with pytest.raises(IllegalTransition):
            check_transition(frm, to)


def test_a_sent_intent_never_goes_back_to_where_it_could_be_sent() -> None:
    reachable, new = set(), {"sent"}
    while new:
        reachable |= new
        new = set().union(*(TRANSITIONS[s] for s in new)) - reachable
    assert not reachable & {"planned", "claimed"}


def test_an_unknown_outcome_is_never_ended_as_refused() -> None:
    assert "refused" not in TRANSITIONS["unknown"]


def test_the_comment_carries_the_token_within_26_ascii_characters() -> None:
    comment = comment_of("0123456789")
    assert len(comment) <= 26
    assert comment.isascii()
    assert token_in(comment) == "0123456789"


@pytest.mark.parametrize("comment", ["", "td", "td:", "td:short", "[sl 1.08500]", "xx:0123456789", "td:01234 6789"])
def test_a_cut_or_foreign_comment_names_no_intent(comment: str) -> None:
    assert token_in(comment) is None


@given(st.text(max_size=40))
def test_any_comment_is_read_without_an_error(comment: str) -> None:
    token = token_in(comment)
    assert token is None or len(token) == 10


@given(
    st.permutations([deal(1, DealEntry.IN, 0.3), deal(2, DealEntry.OUT, 0.1), deal(3, DealEntry.OUT, 0.2)]),
    st.booleans(),
)
def test_a_closure_is_the_same_in_any_order_of_arrival_and_with_duplicates(deals: list[Deal], twice: bool) -> None:
    closure = closure_of(tuple(deals * 2 if twice else deals), ours=True)
    assert closure is not None
    assert closure.profit == pytest.approx(25.0)
    assert closure.swap == pytest.approx(-1.5)
    assert closure.commission == pytest.approx(-1.05)
    assert closure.at == NOON + timedelta(seconds=3)


@pytest.mark.parametrize(
    "deals",
    [
        (),
        (deal(1, DealEntry.IN, 0.3),),
        (deal(1, DealEntry.IN, 0.3), deal(2, DealEntry.OUT, 0.1)),
        (deal(2, DealEntry.OUT, 0.3),),
    ],
    ids=["none", "only in", "part out", "no opening seen"],
)
@pytest.mark.requirement("S0-14", "S0-18")
def test_deals_that_do_not_prove_a_closure_close_nothing(deals: tuple[Deal, ...]) -> None:
    assert closure_of(deals, ours=True) is None


@pytest.mark.parametrize(
    ("reason", "ours", "expected"),
    [
        (Reason.STOP_LOSS, False, "stop_loss"),
        (Reason.TAKE_PROFIT, True, "take_profit"),
        (Reason.STOP_OUT, False, "stop_out"),
        (Reason.MANUAL, False, "manual"),
        (Reason.EXPERT, True, "bot"),
        (Reason.EXPERT, False, "manual"),
        (Reason.OTHER, False, "other"),
    ],
)
def test_a_closure_is_classified_by_its_deals_reason(reason: Reason, ours: bool, expected: str) -> None:
    closure = closure_of((deal(1, DealEntry.IN, 0.1), deal(2, DealEntry.OUT, 0.1, reason=reason)), ours=ours)
    assert closure is not None
    assert closure.reason == expected
