"""`manage.py backtest` from the command line to the stored result and the report file."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction

from backtesting.models import Backtest
from strategies.models import Bot
from strategies.services import save_config
from tests.realdata import GBPUSD_ASK, GBPUSD_BID, needs_real_data
from tests.world import World


@pytest.fixture
def bot(world: World) -> Bot:
    return world.bot(direction="both", max_cycles=2)


def backtest(*args: str) -> dict[str, Any]:
    out = StringIO()
    call_command("backtest", *args, "--json", stdout=out)
    found: dict[str, Any] = json.loads(out.getvalue())
    return found


def ticks_file(folder: Path) -> Path:
    path = folder / "EURUSD-ticks.csv"
    rows = [
        f"2026-03-03 {9 + n // 3600:02}:{n // 60 % 60:02}:{n % 60:02},{1.1 + (n % 40 - n % 130) * 1e-4:.5f},"
        f"{1.1001 + (n % 40 - n % 130) * 1e-4:.5f}"
        for n in range(7000)
    ]
    path.write_text("time,bid,ask\n" + "\n".join(rows) + "\n", "utf-8")
    return path


def test_a_backtest_is_stored_and_a_rerun_is_identical(bot: Bot, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    first = backtest("Grid", "--history", str(ticks_file(tmp_path)), "--html", str(page))
    second = backtest("Grid", "--history", str(ticks_file(tmp_path)))
    assert first["figures"]["closed"] > 3
    assert first["ticks"] == 7000
    assert {k: v for k, v in first.items() if k != "id"} == {k: v for k, v in second.items() if k != "id"}
    assert "Equity and balance" in page.read_text("utf-8")
    stored = Backtest.objects.get(pk=first["id"])
    assert (stored.status, stored.progress, stored.config) == ("done", 1.0, bot.config)
    assert stored.data_hash == first["data_hash"]
    assert stored.plan["values"] == bot.config.values  # type: ignore[union-attr]
    assert "password" not in json.dumps(stored.plan)


def test_an_older_version_and_a_period_can_be_replayed(bot: Bot, tmp_path: Path, world: World) -> None:
    values = {**bot.config.values, "target_profit": 95.0}  # type: ignore[union-attr]
    save_config(bot=bot, values=values, note="more", seen_version=1, at=world.clock.now(), by=world.ada)
    path = str(ticks_file(tmp_path))
    new, old = (backtest(name, "--history", path) for name in ("Grid", "Grid@1"))
    assert new["figures"] != old["figures"]
    part = backtest(str(bot.pk), "--history", path, "--from", "2026-03-03 10:00", "--to", "2026-03-03 10:30")
    assert part["ticks"] == 1800


def test_prices_may_come_from_the_model(bot: Bot) -> None:
    period = ("--from", "2026-03-03", "--to", "2026-03-03 02:00")
    first, again, other = (backtest("Grid", "--seed", seed, *period) for seed in ("1", "1", "2"))
    assert first["data_hash"] == again["data_hash"] != other["data_hash"]
    assert first["figures"] == again["figures"]
    assert Backtest.objects.get(pk=first["id"]).seed == 1


@needs_real_data
def test_a_month_of_real_bid_and_ask_bars_is_replayed(world: World) -> None:
    world.bot("Cable", symbols=("GBPUSD",), distance=20.0, direction="both", max_cycles=2)
    found = backtest("Cable", "--history", str(GBPUSD_BID), str(GBPUSD_ASK))
    assert found["ticks"] == 4 * 30_117
    assert found["figures"]["closed"] > 10
    assert found["figures"]["swap"] != 0.0


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("Nobody", "--seed", "1"), "there is no bot 'Nobody'; known: Grid"),
        (("Grid@7", "--seed", "1"), "no version 7; it has 1"),
        (("Grid",), "give files, or a seed"),
        (("Grid", "--seed", "1", "--balance", "-5"), "--balance"),
        (("Grid", "--history", "missing-EURUSD.csv"), "can't be read"),
        (("Grid", "--seed", "1", "--from", "2026-03-03", "--to", "2026-03-02"), "--to: must be after --from"),
    ],
)
def test_what_is_wrong_is_said(bot: Bot, args: tuple[str, ...], said: str) -> None:
    with pytest.raises(CommandError) as refused:
        call_command("backtest", *args)
    assert said in str(refused.value)
    assert not Backtest.objects.exists()


def test_the_database_refuses_a_done_backtest_without_a_result(bot: Bot, world: World) -> None:
    assert bot.config is not None
    with pytest.raises(IntegrityError), transaction.atomic():
        Backtest.objects.create(config=bot.config, status="done", source="x", created_at=world.clock.now())
