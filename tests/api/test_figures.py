"""Equity, candles, statistics, backtests and parity: what a program reads to draw and to judge."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from django.conf import LazySettings
from django_q.models import OrmQ

from accounts.models import AccountSnapshot
from backtesting import tasks
from marketdata.candlefile import Candles
from marketdata.candlestore import SeriesId
from marketdata.selectors import candle_store
from orders.models import Deal
from tests.admin.conftest import AT, Desk
from tests.api.conftest import Api
from tests.api.test_rights import rows

Ask = Callable[..., Api]


def snapshots(desk: Desk, equities: list[int]) -> None:
    AccountSnapshot.objects.bulk_create(
        AccountSnapshot(
            account=desk.account, at=AT + timedelta(minutes=n + 1), balance=10_000, equity=equity, margin=0,
            margin_level=0, positions=0, total_open_volume=0,
        )
        for n, equity in enumerate(equities)
    )  # fmt: skip


def test_equity_is_thinned_out_and_ends_with_the_newest(api: Ask, desk: Desk) -> None:
    snapshots(desk, list(range(20_000, 20_100)))
    span = {"at_after": "2026-03-02T10:00:30Z", "at_before": "2026-03-02T12:00:00Z"}
    (whole,) = rows(api("ben").get("equity", **span))
    assert len(whole["points"]) == 100
    assert whole["points"][0] == {"at": "2026-03-02T10:01:00Z", "equity": "20000.00", "balance": "10000.00"}
    found = api("ben").get(f"equity/{desk.account.pk}", **span, points="7").json()
    assert (found["account"], found["currency"]) == (desk.account.pk, desk.account.currency)
    assert len(found["points"]) == 6, "nothing came in the last seventh"
    assert found["points"][-1]["equity"] == "20099.00"
    times = [point["at"] for point in found["points"]]
    assert times == sorted(times)
    assert api("ben").get("equity", at_before="2020-01-01T00:00:00Z").json()["results"][0]["points"] == []


def test_a_span_and_a_number_of_points_are_checked(api: Ask, desk: Desk) -> None:
    for route in ("equity", f"equity/{desk.account.pk}"):
        for parameters in (
            {"points": "1"},
            {"points": "2001"},
            {"points": "x"},
            {"at_after": "2026-03-02"},
            {"no": "1"},
        ):
            answer = api("ben").get(route, **parameters)
            assert answer.status_code == 400, (route, parameters)
            assert answer.json()["error"]["fields"].keys() & {*parameters, "at"}


def test_statistics_agree_with_the_deals(api: Ask, desk: Desk) -> None:
    def deal(ticket: int, **fields: Any) -> None:
        Deal.objects.create(
            account=desk.account, ticket=ticket, order_ticket=ticket, position_id=5001, symbol="EURUSD", kind="sell",
            reason="expert", price=1, swap=0, commission=0, fee=0, magic=desk.bot.magic,
            **{"volume": Decimal("0.005"), "entry": "out", **fields},
        )  # fmt: skip

    deal(7001, profit=Decimal("12.30"), at=AT + timedelta(hours=1))
    deal(7002, profit=Decimal("-2.30"), at=AT + timedelta(hours=2))
    (found,) = rows(api("ben").get("statistics", account=desk.account.pk))
    seen = found["figures"]
    # Half of the opening commission of 0.07 belongs to each half
    assert (seen["trades"], seen["wins"], seen["net"], seen["best"]) == (2, 1, "9.93", "12.27")
    assert seen["profit_factor"] == pytest.approx(12.265 / 2.335)
    assert [group["name"] for group in found["by_symbol"]] == ["EURUSD"]
    assert [group["figures"]["trades"] for group in found["by_bot"]] == [2]
    detail = f"statistics/{desk.account.pk}"
    late = api("ben").get(detail, at_after="2026-03-02T11:30:00Z").json()
    assert (late["figures"]["trades"], late["figures"]["win_rate"]) == (1, 0.0)
    assert api("ben").get(detail, symbol="USDJPY").json()["figures"]["mean_win"] is None
    assert api("ben").get(detail, bot=desk.bot.pk + 10_000).json()["figures"]["trades"] == 0
    assert list(api("ben").get(detail, fields="id,figures").json()) == ["id", "figures"]


@pytest.fixture
def candles(desk: Desk, settings: LazySettings, tmp_path: Any) -> int:
    """Keep an hour of M1 candles of EURUSD; return the symbol's number."""
    settings.VAR_DIR = tmp_path
    starts = np.arange(60, dtype=np.int64) * 60 + int(AT.timestamp())
    prices = np.arange(60, dtype=np.int64) + 108_400
    bars = Candles.of([starts, prices, prices + 5, prices - 5, prices + 1, np.full(60, 9)], 5)
    candle_store().add(SeriesId(desk.account.server, "EURUSD", 60), [bars])
    return int(desk.account.symbols.get(name="EURUSD").pk)


def test_candles_come_newest_first_page_by_page(api: Ask, desk: Desk, candles: int) -> None:
    (row,) = rows(api("ben").get("candles", name="EURUSD"))
    assert [(kept["seconds"], kept["candles"]) for kept in row["kept"]] == [(60, 60)]
    seen: list[str] = []
    page: dict[str, Any] = {}
    before: dict[str, str] = {}
    for _ in range(3):
        page = api("ben").get(f"candles/{candles}", count=25, **before).json()
        seen = [bar["at"] for bar in page["candles"]] + seen
        before = {"before": page["before"]} if page["before"] else {}
    assert not before
    assert len(seen) == len(set(seen)) == 60
    assert seen == sorted(seen)
    assert page["candles"][0] == {
        "at": "2026-03-02T10:00:00Z", "open": "1.08400", "high": "1.08405", "low": "1.08395", "close": "1.08401",
        "volume": 9,
    }  # fmt: skip
    assert api("ben").get(f"candles/{candles}", seconds=3600).json()["candles"] == []
    for wrong in ({"seconds": "61"}, {"count": "0"}, {"count": "2001"}, {"before": "2026-03-02"}, {"more": "1"}):
        answer = api("ben").get(f"candles/{candles}", **wrong)
        assert (answer.status_code, list(answer.json()["error"]["fields"])) == (400, list(wrong))


def test_an_unchanged_answer_is_not_sent_again(api: Ask, desk: Desk, candles: int) -> None:
    for route in (f"candles/{candles}", "backtests", "parity", f"statistics/{desk.account.pk}"):
        first = api("ben").get(route)
        again = api("ben")
        again.headers["If-None-Match"] = first.headers["ETag"]
        assert again.get(route).status_code == 304, route


def test_a_backtest_is_a_job_to_poll(api: Ask, desk: Desk) -> None:
    body = {"bot": desk.bot.pk, "seed": 3, "begin": "2026-02-02T00:00:00Z", "end": "2026-02-02T06:00:00+00:00"}
    ada = api("ada")
    answer = ada.post("backtests", body, key="the-same-key")
    assert answer.status_code == 202
    where = answer.headers["Location"].removeprefix("/api/")
    assert ada.get(where).json()["status"] == "queued"
    assert ada.post("backtests", body, key="the-same-key").json()["id"] == answer.json()["id"], "carried out once"
    assert OrmQ.objects.count() == 1
    assert ada.get(f"{where}/report").status_code == 404
    assert tasks.run_backtest(answer.json()["id"]) == "done"
    done = ada.get(where).json()
    assert (done["status"], done["progress"], done["bot"], done["version"]) == ("done", 1.0, desk.bot.pk, 1)
    report = ada.get(f"{where}/report").json()
    assert report["figures"] == done["figures"]
    assert report["ticks"] > 0
    assert ada.post(f"{where}/cancel").json()["error"]["code"] == "state"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"version": 77}, "version"),
        ({"begin": "2026-02-18T00:00:00Z", "end": "2026-02-17T00:00:00Z"}, "end"),
        ({"begin": "2026-02-18"}, "begin"),
        ({"begin": "2026-02-18T00:00:00"}, "begin"),
        ({"seed": 1, "begin": "2020-01-01T00:00:00Z", "end": "2026-01-01T00:00:00Z"}, "end"),
        ({"seed": True}, "seed"),
        ({"balance": 0}, "balance"),
        ({"balance": "1000"}, "balance"),
        ({"leverage": 1.5}, "leverage"),
        ({"symbols": ["EURUSD"]}, "symbols"),
    ],
)
def test_what_cannot_be_replayed_is_refused_by_name(body: dict[str, Any], field: str, api: Ask, desk: Desk) -> None:
    answer = api("ada").post("backtests", {"bot": desk.bot.pk, **body})
    assert (answer.status_code, list(answer.json()["error"]["fields"])) == (400, [field])
    assert not OrmQ.objects.exists()
    assert api("ada").post("backtests", {"bot": desk.other.bots.get().pk}).status_code == 404


def test_parity_tells_the_legs_on_request(api: Ask, desk: Desk) -> None:
    (report,) = rows(api("ben").get("parity", is_over="true"))
    assert (report["account"], report["drift"], "rows" in report) == (desk.account.pk, "-12.30", False)
    (leg,) = api("ben").get(f"parity/{report['id']}/legs").json()["legs"]
    assert leg["parts"] == {"gap": -12.3}
    assert rows(api("ben").get("parity", is_over="false")) == []


def test_the_start_of_a_span_is_inclusive(api: Ask, desk: Desk) -> None:
    snapshots(desk, [5])
    at = (AT + timedelta(minutes=1)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert datetime.fromisoformat(at) == AT + timedelta(minutes=1)
    (row,) = rows(api("ben").get("equity", at_after=at, at_before=at))
    assert [point["equity"] for point in row["points"]] == ["5.00"]
