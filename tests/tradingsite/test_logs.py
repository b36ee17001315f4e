"""The structured log that every process of the site writes."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import transaction
from structlog.contextvars import bound_contextvars

from accounts.logtail import last_lines
from core import loglevel
from core.clock import VirtualClock
from events import services as events
from tests.world import START, World
from tradingsite.logs import SharedRotatingFile, json_lines


def handler(path: Path, size_max: int = 0) -> SharedRotatingFile:
    made = SharedRotatingFile(path, maxBytes=size_max, backupCount=9, encoding="utf-8", delay=True)
    made.setFormatter(json_lines())
    return made


def record(text: str, **extra: object) -> logging.LogRecord:
    return logging.makeLogRecord({"msg": text, "levelname": "INFO", "name": "orders", **extra})


def test_a_record_is_one_json_object_with_its_extras(tmp_path: Path) -> None:
    log = handler(tmp_path / "log")
    try:
        raise ValueError("lot")
    except ValueError:
        log.emit(record("order\nrefused", ticket=7, exc_info=sys.exc_info()))
    log.close()
    (line,) = (tmp_path / "log").read_text().splitlines()
    seen = json.loads(line)
    assert (seen["message"], seen["ticket"], seen["logger"]) == ("order\nrefused", 7, "orders")
    assert "ValueError: lot" in seen["exception"]
    assert seen["at"].endswith("Z")
    assert (seen["level"], seen["process"]) == ("info", os.getpid())


@pytest.mark.requirement("S0-91")
def test_two_writers_share_a_rotated_file_and_lose_no_line(tmp_path: Path) -> None:
    one, other = handler(tmp_path / "log", 400), handler(tmp_path / "log", 400)
    for number in range(4):
        one.emit(record(f"one {number}"))
        other.emit(record(f"other {number}"))
    one.close()
    other.close()
    lines = [line for path in tmp_path.glob("log*") if path.suffix != ".lock" for line in path.read_text().splitlines()]
    assert {json.loads(line)["message"] for line in lines} == {
        f"{who} {n}" for who in ("one", "other") for n in range(4)
    }


SPEAK = """
import logging.config, pathlib, sys
from tradingsite.logs import logging_settings
logging.config.dictConfig(logging_settings(sys.argv[1], pathlib.Path(sys.argv[2]), to_file=True))
logging.getLogger("trading.orders").debug("Order sync #1: 0 MT5 orders, 0 DB orders")
logging.getLogger("trading.orders").info("Fixed 1 suspicious orders")
"""


@pytest.mark.requirement("S0-88")
@pytest.mark.parametrize(("level", "lines"), [("DEBUG", 2), ("INFO", 1), ("WARNING", 0)])
def test_the_level_decides_what_is_written(tmp_path: Path, level: str, lines: int) -> None:
    home = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", SPEAK, level, str(tmp_path)], cwd=home, check=True, timeout=60)
    file = tmp_path / "trading.jsonl"
    assert (len(file.read_text().splitlines()) if file.exists() else 0) == lines


def test_a_line_says_what_it_is_about(tmp_path: Path) -> None:
    log = handler(tmp_path / "log")
    with bound_contextvars(account=3, correlation="c1"):
        log.emit(record("sent", cycle=9))
    log.emit(record("other"))
    log.close()
    first, second = (json.loads(line) for line in (tmp_path / "log").read_text().splitlines())
    assert (first["account"], first["correlation"], first["cycle"]) == (3, "c1", 9)
    assert "account" not in second


def test_the_last_lines_of_one_account_are_found(tmp_path: Path) -> None:
    file = tmp_path / "log"
    assert last_lines(file, 3) == []
    log = handler(file)
    for number in range(9):
        log.emit(record(f"line {number}", account=3 + number % 2))
    log.close()
    with file.open("a", encoding="utf-8") as half:
        half.write('{"account": 3, "message": "being writ')
    assert [line["message"] for line in last_lines(file, 3, count=3)] == ["line 4", "line 6", "line 8"]


def test_an_event_is_in_the_log_once_it_is_kept(world: World, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "events"):
        at, account = world.clock.now(), world.account.pk
        with transaction.atomic():
            events.record(kind="SYSTEM_HEALTH", text="taken back", at=at, account_id=account)
            transaction.set_rollback(True)
        events.record(kind="SYSTEM_HEALTH", text="kept", at=at, account_id=account, level="error")
    (line,) = [one for one in caplog.records if one.name == "events.services"]
    assert (line.getMessage(), line.levelname) == ("SYSTEM_HEALTH: kept", "ERROR")
    assert vars(line)["account"] == world.account.pk


@pytest.fixture
def usual_levels() -> Iterator[None]:
    yield
    for name in loglevel.PACKAGES:
        logging.getLogger(name).setLevel(logging.NOTSET)


def test_the_level_changes_while_processes_run_and_comes_back(tmp_path: Path, usual_levels: None) -> None:
    clock = VirtualClock(START)
    ours, other = logging.getLogger("engine.session"), logging.getLogger("httpx")
    before = ours.getEffectiveLevel(), other.getEffectiveLevel()
    loglevel.set_level(tmp_path, "DEBUG", until=START + timedelta(minutes=5))
    loglevel.apply_level(loglevel.asked_level(tmp_path, clock.now()))
    assert ours.isEnabledFor(logging.DEBUG)
    assert other.getEffectiveLevel() == before[1], "other people's loggers may tell what must not be told"
    clock.advance(301)
    loglevel.apply_level(loglevel.asked_level(tmp_path, clock.now()))
    assert ours.getEffectiveLevel() == before[0]


def test_every_package_of_ours_follows_the_level() -> None:
    assert {config.name for config in apps.get_app_configs() if "site-packages" not in config.path} <= set(
        loglevel.PACKAGES
    )


@pytest.mark.parametrize("text", ["", "{", "[]", '{"level": "FROG", "until": null}', '{"level": "DEBUG"}', "null"])
def test_a_level_file_that_does_not_hold_changes_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / loglevel.FILE).write_text(text)
    assert loglevel.asked_level(tmp_path, START) is None


def test_the_level_is_asked_for_by_a_command(settings: Any, tmp_path: Path) -> None:
    settings.VAR_DIR = tmp_path

    def said(*words: str) -> Any:
        out = StringIO()
        call_command("loglevel", *words, "--json", stdout=out)
        return json.loads(out.getvalue())["asked"]

    assert said() is None
    assert said("DEBUG", "--minutes", "5") == "DEBUG"
    assert said() == "DEBUG"
    assert said("usual") is None
    with pytest.raises(CommandError, match="--minutes: give 0"):
        said("DEBUG", "--minutes", "-1")
