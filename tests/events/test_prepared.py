"""A prepared query answers as the queryset that it was made from."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import Q
from django.test.utils import CaptureQueriesContext

from accounts.models import TradingAccount
from events.models import Event
from events.prepared import NUMBER, TIME, Prepared
from events.services import record
from tests.world import START, World


def events_of(account_id: int) -> Any:
    return Event.objects.filter(Q(account_id=account_id) | Q(account=None), kind__startswith="E%").order_by("id")


@pytest.fixture
def account(world: World) -> TradingAccount:
    for n in range(3):
        data = {"n": [n, "x"]}
        record(kind=f"E%{n}", text="t", at=START + timedelta(minutes=n), account_id=world.account.pk, data=data)
    record(kind="E%all", text="t", at=START)
    return world.account


def test_models_come_whole(account: TradingAccount) -> None:
    prepared = Prepared(events_of, NUMBER)
    found, expected = prepared(account.pk), list(events_of(account.pk))
    assert found == expected
    assert [vars(e) | {"_state": 0} for e in found] == [vars(e) | {"_state": 0} for e in expected]
    assert not found[0]._state.adding
    assert found[0].data == {"n": [0, "x"]}
    assert [e.kind for e in prepared(account.pk + 1)] == ["E%all"]


def test_values_come_as_tuples_or_flat(account: TradingAccount) -> None:
    pairs = Prepared(lambda a: events_of(a).values_list("kind", "data"), NUMBER)
    assert pairs(account.pk) == list(events_of(account.pk).values_list("kind", "data"))
    flat = Prepared(lambda a: events_of(a).values_list("kind", flat=True)[:2], NUMBER)
    assert flat(account.pk) == ["E%0", "E%1"]


def test_every_argument_takes_its_marker_s_place(account: TradingAccount) -> None:
    since = Prepared(lambda a, at: events_of(a).filter(at__gt=at).values_list("kind", flat=True), NUMBER, TIME)
    assert since(account.pk, START) == ["E%1", "E%2"]
    assert since(account.pk, START + timedelta(minutes=1)) == ["E%2"]


def test_the_sql_is_made_once(account: TradingAccount) -> None:
    made = []

    def make(account_id: int) -> Any:
        made.append(account_id)
        return events_of(account_id)

    prepared = Prepared(make, NUMBER)
    with CaptureQueriesContext(connection) as seen:
        for _ in range(3):
            prepared(account.pk)
    assert (made, len(seen)) == ([NUMBER], 3)


def test_joined_models_come_with_it(account: TradingAccount) -> None:
    prepared = Prepared(lambda a: events_of(a).select_related("account", "bot"), NUMBER)
    prepared(account.pk)
    with CaptureQueriesContext(connection) as seen:
        first, *_, last = prepared(account.pk)
        assert (first.account, first.bot, last.account) == (account, None, None)
    assert len(seen) == 1


def test_what_can_not_be_prepared_is_refused(account: TradingAccount) -> None:
    with pytest.raises(ValueError, match="can't be prepared"):
        Prepared(lambda a: Event.objects.all(), NUMBER)(account.pk)
