"""The system checks, and `manage.py` as the preflight."""

import base64
import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import CheckMessage
from pytest_django import Settings

from accounts.credentials import encrypt
from accounts.models import TradingAccount
from tests.tradingsite.clusters import discarded, folder
from tradingsite import checks
from tradingsite.queues import queue_settings

ROOT = Path(__file__).resolve().parent.parent.parent


def ids(found: list[CheckMessage]) -> list[str | None]:
    return [message.id for message in found]


def manage(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run manage.py in an environment of its own."""
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "SYSTEMROOT", "TRADING_VAR_DIR"}}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments], cwd=ROOT, env={**kept, **variables}, text=True,
        capture_output=True, timeout=180, check=False,
    )  # fmt: skip


def production(folder: Path) -> dict[str, str]:
    return {
        "TRADING_ENV": "production",
        "TRADING_VAR_DIR": str(folder),
        "SECRET_KEY": secrets.token_urlsafe(60),
        "TRADING_CREDENTIAL_KEYS": "2026:" + base64.b64encode(secrets.token_bytes(32)).decode(),
        "ALLOWED_HOSTS": "desk.example.com",
        "CSRF_TRUSTED_ORIGINS": "https://desk.example.com",
        "DATABASE_URL": "postgresql://trading:secret@db.example.com/trading",
    }


def test_our_queues_are_bounded() -> None:
    assert checks.queues_are_bounded(None) == []


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"timeout": None}, "trading.E001"),
        ({"retry": 25 * 3600}, "trading.E002"),
        ({"retry": 60}, "trading.E002"),
        ({"max_attempts": 0}, "trading.E003"),
        ({"ack_failures": False}, "trading.E003"),
    ],
)
def test_a_queue_that_repeats_tasks_is_refused(settings: Settings, change: dict[str, Any], error: str) -> None:
    wrong = queue_settings()
    wrong["ALT_CLUSTERS"]["engine@localhost"] |= change
    settings.Q_CLUSTER = wrong
    assert ids(checks.queues_are_bounded(None)) == [error]


@pytest.mark.parametrize(
    ("keys", "errors"),
    [
        ({"a": bytes(range(32))}, []),
        ({"a": bytes(range(32)), "b": bytes(range(1, 33))}, []),
        ({"a": b"\0" * 32}, ["trading.E004"]),
        ({"a": b"short"}, ["trading.E004"]),
        ({"a": bytes(range(32)), "b": bytes(range(32))}, ["trading.E005"]),
    ],
)
def test_a_credential_key_must_work(settings: Settings, keys: dict[str, bytes], errors: list[str]) -> None:
    settings.CREDENTIAL_KEYS = keys
    assert ids(checks.credential_keys_work(None)) == errors


def test_a_local_site_that_answers_to_the_world_is_named(settings: Settings) -> None:
    assert checks.local_site_stays_local(None) == []
    settings.ALLOWED_HOSTS = ["desk.example.com"]
    assert ids(checks.local_site_stays_local(None)) == ["trading.W001"]


@pytest.mark.processes
def test_the_preflight_is_clean_in_production(tmp_path: Path) -> None:
    done = manage("check", "--deploy", "--fail-level", "INFO", **production(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.processes
def test_the_preflight_refuses_a_local_site() -> None:
    done = manage("check", "--deploy", "--fail-level", "WARNING")
    assert done.returncode == 1
    assert "TRADING_ENV" in done.stderr


@pytest.mark.processes
def test_a_wrong_setting_is_one_line_and_exit_code_2() -> None:
    done = manage("check", MAX_BOTS="frog")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("MAX_BOTS: ")
    assert done.stderr.count("\n") == 1
    assert "frog" not in done.stderr


@pytest.mark.processes
def test_a_folder_that_can_not_hold_the_secrets_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "var").touch()
    done = manage("check", TRADING_VAR_DIR=str(tmp_path / "var"))
    assert done.returncode == 2
    assert done.stderr.startswith("TRADING_VAR_DIR: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.processes
@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://trading@127.0.0.1:1/trading", "does not answer"),
        ("{server}", "Create that database"),
    ],
)
def test_a_missing_database_is_one_line(url: str, says: str) -> None:
    from tradingsite.postgres import embedded, is_embedded

    if not is_embedded():
        pytest.skip("uses the embedded server")
    done = manage("migrate", DATABASE_URL=url.format(server=embedded().url("no_such_database")))
    assert done.returncode == 1
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.processes
def test_health_says_so_when_the_database_is_gone() -> None:
    code = (
        "from django.test import Client\n"
        "answer = Client(headers={'host': 'localhost'}).get('/healthz')\n"
        "print(answer.status_code, answer.json())"
    )
    done = manage("shell", "--no-imports", "-c", code, DATABASE_URL="postgresql://trading@127.0.0.1:1/trading")
    assert done.stdout == "503 {'database': 'down'}\n", done.stderr


@pytest.mark.processes
def test_settings_make_their_secrets_once(tmp_path: Path) -> None:
    first = manage("check", TRADING_VAR_DIR=str(tmp_path))
    assert first.returncode == 0, first.stderr
    made = {name: (tmp_path / name).read_text() for name in ("secret_key", "credential_key")}
    manage("check", TRADING_VAR_DIR=str(tmp_path))
    assert {name: (tmp_path / name).read_text() for name in made} == made
    if os.name == "posix":
        assert {(tmp_path / name).stat().st_mode & 0o777 for name in made} == {0o600}


@pytest.mark.django_db
def test_a_password_whose_key_was_removed_is_named(settings: Settings) -> None:
    old, new = {"old": bytes(range(32))}, {"new": bytes(range(1, 33))}
    account = TradingAccount.objects.create(name="Lost", login=7, server="Broker-Demo")
    account.password_encrypted = encrypt("secret", table="account", pk=account.pk, field="password", keys=old)
    account.save()
    settings.CREDENTIAL_KEYS = new | old
    assert checks.stored_passwords_have_their_key(None, databases=["default"]) == []
    settings.CREDENTIAL_KEYS = new
    assert ids(checks.stored_passwords_have_their_key(None, databases=["default"])) == ["trading.W003"]


@pytest.mark.processes
@pytest.mark.skipif(os.name == "nt", reason="kills with SIGKILL")
def test_django_brings_a_killed_server_back() -> None:
    code = (
        "import os, signal, psutil\n"
        "from django.db import connection\n"
        "from tradingsite.postgres import status\n"
        "connection.ensure_connection(); killed = status().pid\n"
        "os.kill(killed, signal.SIGKILL); psutil.wait_procs([psutil.Process(killed)], timeout=60)\n"
        "connection.close(); connection.ensure_connection(); print(status().pid != killed)"
    )
    with folder() as var, discarded(var / "postgres"):
        done = manage("shell", "--no-imports", "-c", code, TRADING_VAR_DIR=str(var))
        assert (done.stdout.strip(), done.returncode) == ("True", 0), done.stderr
        assert "is stopped" in manage("stop", TRADING_VAR_DIR=str(var)).stdout
