"""Rows that are written with one statement are what was given, whatever the values look like."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import DataError, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import TradingAccount
from events.models import Event
from events.rows import insert_rows
from orders.models import Order

AT = datetime(2026, 3, 3, 9, 0, tzinfo=UTC)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0") | st.sampled_from("\"\\{},'% NULL"), max_size=60)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(TEXTS, min_size=1, max_size=5), data=st.dictionaries(TEXTS, st.none() | st.integers() | TEXTS))
def test_what_is_written_is_what_was_given(db: None, texts: list[str], data: dict[str, Any]) -> None:
    rows = [{"at": AT, "kind": "K", "text": t, "data": {**data, "n": n}} for n, t in enumerate(texts)]
    keys = insert_rows(Event, rows)
    found = Event.objects.in_bulk(keys)
    assert [(found[k].text, found[k].data, found[k].at, found[k].level) for k in keys] == [
        (row["text"], row["data"], AT, "info") for row in rows
    ]


@pytest.mark.django_db
def test_numbers_nothing_and_defaults_are_kept() -> None:
    account = TradingAccount.objects.create(name="A", login=1, server="S")
    common = {"account_id": account.pk, "symbol": "EURUSD", "side": "buy", "status": "open", "opened_at": AT}
    keys = insert_rows(
        Order,
        [
            {**common, "ticket": n, "identifier": n, "volume": 0.1 * n, "volume_initial": 0.1 * n, "price_open": price,
             "opened_offset_seconds": offset}
            for n, price, offset in ((1, 1.10001, None), (2, 1e-7, 7200), (3, 145000.125, 0))
        ],
    )  # fmt: skip
    assert [
        (o.ticket, float(o.volume), float(o.price_open), o.opened_offset_seconds, o.comment, o.suspicious_since)
        for o in Order.objects.filter(pk__in=keys).order_by("pk")
    ] == [
        (1, 0.1, 1.10001, None, "", None),
        (2, 0.2, 1e-7, 7200, "", None),
        (3, 0.3, 145000.125, 0, "", None),
    ]


@pytest.mark.django_db
def test_what_does_not_fit_is_refused_and_not_cut() -> None:
    assert insert_rows(Event, []) == []
    with pytest.raises(ValueError, match="events_event has no column nonsense"):
        insert_rows(Event, [{"nonsense": 1}])
    for kinds in (["x" * 41], ["K", "x" * 41]):
        with pytest.raises(DataError), transaction.atomic():
            insert_rows(Event, [{"at": AT, "kind": kind, "text": ""} for kind in kinds])
    assert not Event.objects.exists()
