"""Backtests in the admin: asked for, run by a job, cancelled, looked at, compared; and a draft tried on history."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django_q.models import OrmQ

from backtesting import services
from backtesting.domain import Asked, Cancelled
from backtesting.models import Backtest, ParityReport
from backtesting.sources import from_candles, from_files, recorded_span
from core.clock import VirtualClock
from marketdata.candlefile import Candles
from marketdata.candlestore import CandleStore, SeriesId
from strategies.models import Bot, BotConfig
from strategies.services import save_config
from tests.admin.conftest import AT, Desk
from tests.admin.test_config_page import typed

BEGIN = int(datetime(2026, 2, 16, tzinfo=UTC).timestamp())
CLOCK = VirtualClock(AT)
LIVELY = {"lot_size": 0.1, "distance": 5.0, "target_profit": 5.0, "max_cycles": 2, "entry_cooldown": 60.0}
LIST = reverse("admin:backtesting_backtest_changelist")
ADD = reverse("admin:backtesting_backtest_add")


def page(backtest: Backtest, name: str = "change") -> str:
    return reverse(f"admin:backtesting_backtest_{name}", args=(backtest.pk,))


@pytest.fixture
def store(settings: Any, tmp_path: Path) -> CandleStore:
    settings.VAR_DIR = tmp_path
    return CandleStore(tmp_path / "candles")


@pytest.fixture(autouse=True)
def patient_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the page wait as long as a busy machine needs."""
    monkeypatch.setattr("backtesting.admin.trying.SECONDS_MAX", 3600.0)


@pytest.fixture
def candles(store: CandleStore) -> Candles:
    """Two days of M1 candles of a random walk, as sessions on the account's server keep them."""
    count = 2 * 1440
    steps = np.random.default_rng(5).normal(0, 12, count).round().astype(np.int64)
    close = 110_000 + np.cumsum(steps)
    opened = close - steps
    high, low = np.maximum(opened, close) + 4, np.minimum(opened, close) - 4
    made = Candles.of([BEGIN + 60 * np.arange(count), opened, high, low, close, np.full(count, 9, np.int64)], digits=5)
    store.add(SeriesId("Sim-Demo", "EURUSD", 60), [made])
    return made


@pytest.fixture
def bot(desk: Desk) -> Bot:
    """A bot that trades often; what the page's own row of a backtest shows is of another one."""
    save_config(bot=desk.bot, values=LIVELY, note="lively", at=AT)
    desk.bot.refresh_from_db()
    Backtest.objects.all().delete()
    return desk.bot


def asked_for(bot: Bot, desk: Desk, **fields: Any) -> Backtest:
    assert bot.config is not None
    return services.ask(config=bot.config, asked=Asked(**fields), by=desk.people["ada"], clock=CLOCK)


def done(bot: Bot, desk: Desk, **fields: Any) -> Backtest:
    made = asked_for(bot, desk, **fields)
    assert services.run_asked(made.pk, clock=CLOCK) == "done"
    return Backtest.objects.get(pk=made.pk)


def form_of(of: Bot, **changed: Any) -> dict[str, Any]:
    return {"bot": of.pk, "prices": "recorded", "balance": 10_000, "leverage": 100, "spread": 1, **changed}


def test_a_backtest_is_asked_for_on_a_page_and_run_by_a_job(
    bot: Bot, desk: Desk, candles: Candles, as_: Callable[..., Client]
) -> None:
    client = as_("ada")
    first = client.get(ADD, {"bot": bot.pk}).content.decode()
    assert "recorded from 2026-02-16 00:00 to 2026-02-18 00:00 UTC" in first
    answer = client.post(ADD, form_of(bot, begin="2026-02-17", end="2026-02-17"))
    backtest = Backtest.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, page(backtest))
    assert (backtest.status, backtest.created_by) == ("queued", desk.people["ada"])
    (task,) = OrmQ.objects.all()
    assert (task.key, task.task["func"]) == ("jobs", "backtesting.tasks.run_backtest")
    assert task.task["args"] == (backtest.pk,)
    waiting = client.get(page(backtest)).content.decode()
    assert "It waits for a worker" in waiting
    assert client.get(page(backtest, "progress")).json() == {
        "status": "queued", "progress": 0.0, "text": "Queued", "is_over": False
    }  # fmt: skip

    assert services.run_asked(backtest.pk, clock=CLOCK) == "done"
    backtest.refresh_from_db()
    result = backtest.result
    assert result is not None
    assert backtest.plan["values"] == bot.config.values  # type: ignore[union-attr]
    assert len(backtest.data_hash) == 64
    assert result["ticks"] == 1440 * 4
    assert result["figures"]["closed"] > 5
    assert client.get(page(backtest, "progress")).json()["is_over"]

    text = client.get(page(backtest)).content.decode()
    for said in ("Equity and balance", "Drawdown", "Months", "Profit factor", "Expectancy", "Sharpe", "Sortino"):
        assert said in text
    for said in ("Exposure", "Lowest margin level", "Worst excursion", "Worst cycle", "MAE", "MFE", "Feb"):
        assert said in text
    assert f"{result['figures']['net']:,.2f}" in text
    assert backtest.data_hash in text
    assert text.count("<svg") == 3
    legs = result["cycles"][0]["legs"]
    closely = client.get(page(backtest), {"cycle": 1}).content.decode()
    assert closely.count("<svg") == 4
    assert f"{legs[0]['price_open']:.5f}" in closely
    listed = client.get(LIST).content.decode()
    assert f"{abs(result['figures']['net']):,.2f}" in listed


def test_the_same_prices_give_the_same_result(bot: Bot, desk: Desk, candles: Candles) -> None:
    first, second = done(bot, desk), done(bot, desk)
    assert first.result == second.result
    assert first.data_hash == second.data_hash
    assert done(bot, desk, spread_pips=2.0).data_hash != first.data_hash


def test_delivered_twice_it_runs_once(bot: Bot, desk: Desk, candles: Candles) -> None:
    backtest = done(bot, desk)
    assert services.run_asked(backtest.pk, clock=CLOCK) == "nothing to do"
    assert Backtest.objects.get(pk=backtest.pk).result == backtest.result


def test_without_recorded_prices_it_says_how_to_get_them(
    bot: Bot, desk: Desk, store: CandleStore, as_: Callable[..., Client]
) -> None:
    assert "No M1 candles of EURUSD are recorded yet" in as_("ada").get(ADD, {"bot": bot.pk}).content.decode()
    backtest = asked_for(bot, desk)
    assert services.run_asked(backtest.pk, clock=CLOCK) == "failed"
    text = as_("ada").get(page(backtest)).content.decode()
    assert "manage.py history import FILE --symbol EURUSD" in text
    assert "It could not be run" in text
    assert "(&#x27;" not in text


def test_made_prices_need_no_history(bot: Bot, desk: Desk, store: CandleStore) -> None:
    period = {"begin": datetime(2026, 3, 3, tzinfo=UTC), "end": datetime(2026, 3, 3, 2, tzinfo=UTC)}
    backtest = done(bot, desk, seed=3, **period)
    assert (backtest.seed, backtest.source) == (3, "price model, seed 3")


def test_what_waits_or_runs_is_cancelled(bot: Bot, desk: Desk, candles: Candles, as_: Callable[..., Client]) -> None:
    waiting = asked_for(bot, desk)
    answer = as_("ada").post(page(waiting, "cancel"), {"_form_submitted": "on"})
    assert answer.status_code == 200
    waiting.refresh_from_db()
    assert waiting.status == "cancelled"
    assert services.run_asked(waiting.pk, clock=CLOCK) == "nothing to do"

    source = services.source_of(bot, Asked())
    assert bot.config is not None
    plan = services.plan_of(bot.config, source, services.account_of(source, balance=10_000.0, leverage=100))
    running = services.begin(config=bot.config, source=source, plan=plan, by=None, clock=CLOCK)
    told: list[float] = []

    def stop_half_way(share: float) -> None:
        told.append(share)
        if share > 0.5:
            assert services.cancel(backtest=running, clock=CLOCK)

    with pytest.raises(Cancelled):
        services.run(running, plan, source, clock=CLOCK, told=stop_half_way)
    running.refresh_from_db()
    assert (running.status, running.result) == ("cancelled", None)
    assert 0.5 < running.progress == told[-1] < 0.7
    assert not services.cancel(backtest=running, clock=CLOCK)


def test_one_whose_worker_is_gone_can_be_given_up(bot: Bot, desk: Desk, candles: Candles) -> None:
    silent = asked_for(bot, desk)
    Backtest.objects.filter(pk=silent.pk).update(status="running", heard_at=AT)
    later = VirtualClock(AT + 2 * services.SILENT)
    assert services.cancel(backtest=silent, clock=later)
    silent.refresh_from_db()
    assert silent.status == "cancelled"


def test_two_are_compared(bot: Bot, desk: Desk, candles: Candles, as_: Callable[..., Client]) -> None:
    first = done(bot, desk)
    values = {**LIVELY, "target_profit": 12.0}
    save_config(bot=bot, values=values, note="more", seen_version=bot.config.version, at=AT)  # type: ignore[union-attr]
    bot.refresh_from_db()
    second = done(bot, desk)
    client = as_("ben")
    assert f'<option value="{second.pk}">' in client.get(page(first)).content.decode()
    compare = reverse("admin:backtesting_backtest_compare")
    text = client.get(compare, {"one": first.pk, "two": second.pk}).content.decode()
    assert "target_profit" in text
    assert "of different markets" not in text
    for backtest in (first, second):
        assert backtest.result is not None
        assert f"{backtest.result['figures']['expectancy']:,.2f}" in text
    third = done(bot, desk, spread_pips=2.0)
    other = client.get(compare, {"one": first.pk, "two": third.pk}).content.decode()
    assert "of different markets" in other
    for odd in ("", "&two=x", f"&two={10**30}"):
        assert client.get(f"{compare}?one={first.pk}{odd}").status_code == 404


def test_who_may_do_what(bot: Bot, desk: Desk, candles: Candles, as_: Callable[..., Client]) -> None:
    backtest, waiting = done(bot, desk), asked_for(bot, desk)
    compare = reverse("admin:backtesting_backtest_compare")
    ben, cem, mia = as_("ben"), as_("cem"), as_("mia")
    assert ben.get(page(backtest)).status_code == 200
    assert ben.get(ADD).status_code == 403
    assert ben.post(ADD, form_of(bot)).status_code == 403
    assert ben.post(page(waiting, "cancel"), {"_form_submitted": "on"}).status_code == 403
    for address in (page(backtest), page(backtest, "progress")):
        assert cem.get(address).status_code == 404
    assert cem.get(compare, {"one": backtest.pk, "two": backtest.pk}).status_code == 404
    assert cem.post(page(waiting, "cancel"), {"_form_submitted": "on"}).status_code == 404
    # A manager of another account can't name this bot
    assert "Select a valid choice" in cem.post(ADD, form_of(bot)).content.decode()
    assert mia.post(page(backtest), {}).status_code == 403
    assert Backtest.objects.count() == 2


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"version": "77"}, "has no version 77"),
        ({"version": "x"}, "whole number"),
        ({"prices": "model"}, "Made prices need a seed"),
        ({"begin": "2026-02-18", "end": "2026-02-17"}, "The last day is before the first"),
        ({"prices": "model", "seed": "1", "begin": "2020-01-01", "end": "2026-01-01"}, "370 days at most"),
        ({"balance": "-1"}, "greater than or equal to 0.01"),
        ({"balance": "1e400"}, "Enter a number"),
        ({"begin": "0000-00-00"}, "valid date"),
        ({"bot": "0"}, "Select a valid choice"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(
    changed: dict[str, str], said: str, bot: Bot, store: CandleStore, as_: Callable[..., Client]
) -> None:
    answer = as_("ada").post(ADD, form_of(bot, **changed))
    assert answer.status_code == 200
    assert said in answer.content.decode()
    assert not Backtest.objects.exists()


def test_candles_on_disk_are_the_prices_of_the_file_they_came_from(
    desk: Desk, store: CandleStore, candles: Candles, tmp_path: Path
) -> None:
    path = tmp_path / "EURUSD.csv"
    call_command("history", "export", "--symbol", "EURUSD", "--source", "Sim-Demo", "--output", str(path))
    of_file = from_files([path], ["EURUSD"], spread_pips=1.0, begin=None, end=None)
    of_store = from_candles(store, "Sim-Demo", ["EURUSD"], spread_pips=1.0, begin=None, end=None)
    assert of_store.history.digest() == of_file.history.digest()
    # Imported candles fill what the server's lack
    later = Candles.of([candles.starts + 172_800, *candles.columns()[1:]], 5)
    store.add(SeriesId("files", "EURUSD", 60), [later])
    span = recorded_span(store, "Sim-Demo", ["EURUSD"])
    assert span is not None
    assert (span[1] - span[0]).days == 4
    assert recorded_span(store, "Sim-Demo", ["EURUSD", "GBPUSD"]) is None


# What-if


def tried(client: Client, bot: Bot, **changed: Any) -> str:
    address = reverse("admin:backtesting_backtest_try", args=(bot.pk,))
    answer = client.post(address, typed(bot, days="1", **changed))
    assert answer.status_code == 200
    return answer.content.decode()


def test_a_draft_is_tried_beside_the_saved_version_and_nothing_is_saved(
    bot: Bot, candles: Candles, as_: Callable[..., Client]
) -> None:
    client = as_("mia")
    text = client.get(reverse("admin:strategies_bot_config", args=(bot.pk,))).content.decode()
    assert "Try on history" in text
    before = (BotConfig.objects.count(), Backtest.objects.count(), OrmQ.objects.count())
    text = tried(client, bot, target_profit="20")
    assert "Draft" in text
    assert "Saved v2" in text
    assert "2026-02-17 00:00 to 2026-02-18 00:00 UTC" in text
    assert "target_profit" in text
    assert text.count("bt-line") == 2
    assert "both are the same" in tried(client, bot)
    assert (BotConfig.objects.count(), Backtest.objects.count(), OrmQ.objects.count()) == before


def test_a_draft_is_tried_as_a_backtest_of_it_would_run(
    bot: Bot, desk: Desk, candles: Candles, as_: Callable[..., Client]
) -> None:
    text = tried(as_("mia"), bot, target_profit="20")
    values = {**LIVELY, "target_profit": 20.0}
    save_config(bot=bot, values=values, note="", seen_version=2, at=AT)
    bot.refresh_from_db()
    backtest = done(bot, desk, begin=datetime(2026, 2, 17, tzinfo=UTC))
    assert backtest.result is not None
    assert f">{backtest.result['figures']['net']:,.2f}<" in text


def test_a_wrong_draft_and_an_empty_store_are_said(bot: Bot, store: CandleStore, as_: Callable[..., Client]) -> None:
    client = as_("mia")
    assert "Distance (pips)" in tried(client, bot, distance="-4")
    assert "No M1 candles of EURUSD are recorded yet" in tried(client, bot)


def test_who_only_looks_tries_nothing(bot: Bot, candles: Candles, as_: Callable[..., Client]) -> None:
    address = reverse("admin:backtesting_backtest_try", args=(bot.pk,))
    assert as_("ben").post(address, typed(bot)).status_code == 403
    assert as_("cem").post(address, typed(bot)).status_code == 404
    assert as_("mia").get(address).status_code == 403
    assert (
        "Try on history" not in as_("ben").get(reverse("admin:strategies_bot_config", args=(bot.pk,))).content.decode()
    )


def test_a_replay_that_takes_too_long_for_a_page_is_a_jobs_work(
    bot: Bot, candles: Candles, as_: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backtesting.admin.trying.SECONDS_MAX", -1.0)
    text = tried(as_("mia"), bot)
    assert f"{ADD}?bot={bot.pk}" in text


def test_parity_shows_each_bots_day_and_why(desk: Desk, as_: Callable[..., Client]) -> None:
    client, parity = as_("ada"), reverse("admin:backtesting_parityreport_changelist")
    seen = client.get(parity).content.decode()
    assert "Above the limit" in seen
    assert "Gap" in seen
    row = ParityReport.objects.get(bot=desk.bot)
    page = client.get(reverse("admin:backtesting_parityreport_change", args=(row.pk,))).content.decode()
    for text in ("above the limit of 5.00", "12.30", "Nobody looked", "buy 0.1 EURUSD, level 0", "DEMO"):
        assert text in page, text
    ParityReport.objects.update(status="skipped", note="EURUSD: no ticks were recorded on that day")
    assert "no ticks were recorded" in client.get(parity).content.decode()
    ParityReport.objects.all().delete()
    assert "Nothing is measured yet" in client.get(parity).content.decode()
