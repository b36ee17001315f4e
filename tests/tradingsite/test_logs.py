"""The structured log that every process of the site writes."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from tradingsite.logs import JsonFormatter, SharedRotatingFile


def handler(path: Path, size_max: int = 0) -> SharedRotatingFile:
    made = SharedRotatingFile(path, maxBytes=size_max, backupCount=9, encoding="utf-8", delay=True)
    made.setFormatter(JsonFormatter())
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
    assert "ValueError: lot" in seen["traceback"]
    assert seen["at"].endswith("+00:00")


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
