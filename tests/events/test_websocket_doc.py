"""docs/websocket.md: its client runs against a real site, with a token, and its tables name what is sent."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from accounts.models import User
from accounts.tokens import create_token, revoke_token
from core.clock import SystemClock
from core.ids import SystemIds
from tests.dashboard.desks import build_desk

pytestmark = pytest.mark.django_db(transaction=True)
ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = (ROOT / "docs" / "websocket.md").read_text(encoding="utf-8")
CLOCK = SystemClock()


@pytest.fixture
def site(site_environment: dict[str, str]) -> Iterator[str]:
    """Serve the site on this test's database and give its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "daphne", "-b", "127.0.0.1", "-p", str(port), "tradingsite.asgi:application"]
    process = subprocess.Popen(
        command, cwd=ROOT, env=site_environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until = CLOCK.ticks() + 30
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert CLOCK.ticks() < until, "the site did not come up"
            CLOCK.sleep(0.1)
        yield f"ws://127.0.0.1:{port}/ws/live/"
    finally:
        process.kill()
        process.wait()


def client(tmp_path: Path, address: str, token: str) -> "subprocess.Popen[str]":
    code = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert code is not None
    script = tmp_path / "client.py"
    script.write_text(code[1], encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, str(script), address, token], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip


def test_the_pages_client_follows_with_a_token_until_it_is_revoked(site: str, tmp_path: Path) -> None:
    desk = build_desk(at=CLOCK.now())
    ada: User = desk.ada
    now = CLOCK.now()
    token, text = create_token(
        user=ada, name="watcher", scope="read", expires_at=now + timedelta(days=1), ids=SystemIds(), at=now
    )
    process = client(tmp_path, site, text)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("Demo ")
    revoke_token(token=token, at=CLOCK.now())
    _, problems = process.communicate(timeout=120)
    assert "4401" in problems


def test_a_wrong_token_is_sent_away(site: str, tmp_path: Path) -> None:
    process = client(tmp_path, site, "td_0000000000_" + "x" * 43)
    out, problems = process.communicate(timeout=120)
    assert out == ""
    assert "4401" in problems


def test_the_client_has_at_most_twenty_lines_that_do_something() -> None:
    code = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert code is not None
    assert len([line for line in code[1].splitlines() if line.strip()]) <= 20
