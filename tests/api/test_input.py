"""What the API refuses, and how it says so: never a 500, always with the field's name."""

import gzip
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.exceptions import ValidationError

from accounts.apikit.parsing import parse_object
from accounts.models import TradingAccount
from core.strictjson import DEPTH_MAX
from tests.admin.conftest import Desk
from tests.api.conftest import Api
from tests.api.test_rights import LISTS, rows

Ask = Callable[..., Api]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"account": NaN}', "account"),
        (b'{"account": Infinity}', "account"),
        (b'{"account": -Infinity}', "account"),
        (b'{"account": 1e999}', "account"),
        (b'{"account": [1, [NaN]]}', "account"),
        (b'{"account": {"deeper": NaN}}', "deeper"),
        (b'{"account": 1, "account": 2}', "account"),
        (b'{"acount": 1}', "acount"),
        (b'{"account": 1, "is_admin": true}', "is_admin"),
        (b'{"account": true}', "account"),
        (b'{"account": "1"}', "account"),
        (b'{"account": 1.0}', "account"),
        (b'{"account": null}', "account"),
        (b'{"account": 0}', "account"),
        (b'{"account": ' + b"9" * 300 + b"}", "account"),
        (b'{"account": ' + b"9" * 5000 + b"}", "account"),
        (b'{"close_positions": "yes"}', "close_positions"),
        (b'{"close_positions": 1}', "close_positions"),
        (b'{"account": "\\u0000"}', "account"),
        (b'{"account": "\\ud800"}', "account"),
        (b'{"\\u0000": 1}', "non_field_errors"),
        (b"[" * 200_000, None),
        (b'{"account": ' + b"[" * 30 + b"]" * 30 + b"}", "non_field_errors"),
        (b"[]", "non_field_errors"),
        (b'"text"', "non_field_errors"),
        (b"{", "non_field_errors"),
        (b"", "non_field_errors"),
        (b'{"account": 1', "non_field_errors"),
        (b"\xff\xfe", "non_field_errors"),
        (gzip.compress(b'{"account": 1}'), "non_field_errors"),
        (b'{"x": "' + b"a" * 70_000 + b'"}', None),
    ],
)
def test_bad_bodies_are_refused_with_the_field(body: bytes, field: str | None, api: Ask, desk: Desk) -> None:
    before = list(TradingAccount.objects.values())
    answer = api("ada").post("trade-engine/stop", body)
    error = answer.json()["error"]
    if field is None:
        assert (answer.status_code, error["code"]) == (413, "too_large")
    else:
        assert answer.status_code == 400, answer.content
        assert field in error["fields"]
        assert error["message"]
    assert list(TradingAccount.objects.values()) == before


def test_other_content_and_methods_are_refused_in_the_same_shape(api: Ask, desk: Desk) -> None:
    asked = api("ada")
    form = asked.client.post(
        "/api/trade-engine/stop", "a=b", "application/x-www-form-urlencoded", headers=asked.headers
    )
    assert (form.status_code, form.json()["error"]["code"]) in ((415, "unsupported_media_type"), (400, "invalid"))
    assert asked.client.delete("/api/accounts", headers=asked.headers).json()["error"]["code"] == "method_not_allowed"
    assert asked.get("nothing").json()["error"]["code"] == "not_found"
    assert asked.get("nothing").status_code == 404


@pytest.mark.parametrize("route", LISTS)
@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"page_size": "1000000000"}, "page_size"),
        ({"page_size": "-1"}, "page_size"),
        ({"page_size": "0"}, "page_size"),
        ({"page_size": "²"}, "page_size"),
        ({"ordering": "password"}, "ordering"),
        ({"ordering": "account__password_encrypted"}, "ordering"),
        ({"account__owner": "1"}, "account__owner"),
        ({"lott": "1"}, "lott"),
    ],
)
def test_bad_parameters_are_refused_with_their_name(
    route: str, parameters: dict[str, str], field: str, api: Ask
) -> None:
    answer = api("ben").get(route, **parameters)
    assert answer.status_code == 400, answer.content
    assert list(answer.json()["error"]["fields"]) == [field]


@pytest.mark.parametrize("text", ["p=abc", "p=%00", "o=-1&p=1", "o=99999&p=1", "p=99999999999999999999999", "r=1&p="])
def test_a_cursor_of_nobody_is_no_error_of_ours(text: str, api: Ask) -> None:
    from base64 import b64encode

    for cursor in (b64encode(text.encode()).decode(), text, "é"):
        for route, ordering in (("events", "id"), ("accounts", "name"), ("deals", "-at")):
            assert api("ben").get(route, cursor=cursor, ordering=ordering).status_code in (200, 400, 404)


@pytest.mark.parametrize(
    ("route", "parameters"),
    [
        ("events", {"account": "abc"}),
        ("events", {"at_after": "2026-03-29"}),
        ("events", {"at_before": "2026-03-29T02:30:00"}),
        ("orders", {"opened_at_after": "0001-01-01T00:00:00+02:00"}),
        ("events", {"level": "loud"}),
        ("orders", {"status": "half"}),
        ("orders", {"symbol": "\0"}),
        ("bots", {"desired_state": "x"}),
    ],
)
def test_filters_take_what_they_know(route: str, parameters: dict[str, str], api: Ask) -> None:
    answer = api("ben").get(route, **parameters)
    assert answer.status_code == 400, answer.content
    assert set(answer.json()["error"]["fields"]) <= {*parameters, "at", "opened_at"}


def test_a_range_of_times_takes_offsets_and_both_ends(api: Ask) -> None:
    found = rows(api("ben").get("events", page_size="200"))
    times = sorted(row["at"] for row in found)
    assert times
    between = {"at_after": times[0], "at_before": times[-1].replace("Z", "+00:00")}
    assert len(rows(api("ben").get("events", page_size="200", **between))) == len(found)
    assert rows(api("ben").get("events", at_before="1999-12-31T23:59:59.5-05:00")) == []


def test_numbers_are_plain_whole_ones(api: Ask) -> None:
    for number in ("999999999999999999999999", "-5", "1e3", "1.5", "2.2e-309", " 1", "1 ", "٣", "01", "", "null"):
        for field in ("account", "ticket", "bot"):
            answer = api("ben").get("orders", **{field: number})
            assert (answer.status_code, list(answer.json()["error"]["fields"])) == (400, [field]), number
    assert rows(api("ben").get("orders", ticket="0")) == []


def test_true_and_false_are_these_words(api: Ask, desk: Desk) -> None:
    assert [row["id"] for row in rows(api("root").get("accounts", demo="true"))] == [desk.account.pk]
    assert [row["id"] for row in rows(api("root").get("accounts", demo="false"))] == [desk.other.pk]
    for word in ("1", "0", "yes", "True", "", "null"):
        assert api("root").get("accounts", demo=word).status_code == 400


def test_a_parameter_is_given_once(api: Ask) -> None:
    assert api("ben").get("orders", status=["open", "closed"]).json()["error"]["fields"].keys() == {"status"}


def test_a_foreign_account_filters_like_one_that_does_not_exist(api: Ask, desk: Desk) -> None:
    assert api("ben").get("orders", account=desk.other.pk).json() == api("ben").get("orders", account=10**9).json()
    for route in ("status", "performance"):
        assert api("ben").get(f"trade-engine/{route}", account=desk.other.pk).status_code == 404


def test_pages_follow_each_other_without_gap_or_repetition(api: Ask, desk: Desk) -> None:
    from events.services import record
    from tests.admin.conftest import AT

    for number in range(25):
        record(kind="TEST", text=str(number), at=AT, account_id=desk.account.pk)
    asked = api("ben")
    page = asked.get("events", page_size=10, kind="TEST").json()
    seen = [row["text"] for row in page["results"]]
    record(kind="TEST", text="came in between", at=AT, account_id=desk.account.pk)
    while page["next"]:
        page = asked.client.get(page["next"], headers=asked.headers).json()
        seen += [row["text"] for row in page["results"]]
    assert seen == [str(number) for number in reversed(range(25))]
    turned = asked.get("events", kind="TEST", ordering="id", page_size=200).json()["results"]
    assert [row["text"] for row in turned][:25] == list(reversed(seen))


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | FLOATS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=10,
)


def depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max((depth(inner) for inner in value.values()), default=0)
    return 1 + max((depth(inner) for inner in value), default=0) if isinstance(value, list) else 0


@given(st.dictionaries(st.sampled_from(["a", "b"]), JSON, max_size=2))
def test_the_parser_takes_every_plain_object(value: dict[str, Any]) -> None:
    import json

    if depth(value) <= DEPTH_MAX:
        assert parse_object(json.dumps(value).encode()) == value


@given(st.binary(max_size=80))
def test_the_parser_answers_or_refuses_whatever_comes(body: bytes) -> None:
    with suppress(ValidationError):
        assert isinstance(parse_object(body), dict)
