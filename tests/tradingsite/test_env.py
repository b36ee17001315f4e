"""The environment: what is accepted, what is refused and how."""

import base64
import os
from pathlib import Path

import pytest

from tradingsite import env, envvalues

KEY = base64.b64encode(bytes(range(32))).decode()
OTHER_KEY = base64.b64encode(bytes(range(32, 64))).decode()
SECRET = "k3yB0ard-cat9_WalksOver~Every*Button+of(this)Desk=74Times"
PRODUCTION = {
    "TRADING_ENV": "production",
    "SECRET_KEY": SECRET,
    "TRADING_CREDENTIAL_KEYS": f"2026:{KEY}",
    "ALLOWED_HOSTS": "desk.example.com",
}


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Start from an empty environment, and from no `.env` file."""
    for name in [*env.Env.model_fields, *(f"{name}_FILE" for name in env.secret_names())]:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr(env, "BASE_DIR", tmp_path)


def given(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@pytest.mark.requirement("S1-20", "S1-21", "S1-22", "S1-23")
def test_an_empty_environment_is_a_local_site() -> None:
    seen = env.read()
    assert (seen.trading_env, seen.debug, seen.max_bots) == ("local", False, 10)
    assert (seen.update_interval, seen.heartbeat_interval, seen.log_level) == (0.1, 60, "INFO")


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"MAX_BOTS": "frog"}, "MAX_BOTS"),
        ({"MAX_BOTS": "0"}, "MAX_BOTS"),
        ({"UPDATE_INTERVAL": "-1"}, "UPDATE_INTERVAL"),
        ({"UPDATE_INTERVAL": "nan"}, "UPDATE_INTERVAL"),
        ({"HEARTBEAT_INTERVAL": "0"}, "HEARTBEAT_INTERVAL"),
        ({"LOG_LEVEL": "LOUD"}, "LOG_LEVEL"),
        ({"DEBUG": "perhaps"}, "DEBUG"),
        ({"SECRET_KEY": "frog"}, "SECRET_KEY"),
        ({"CSRF_TRUSTED_ORIGINS": "frog"}, "CSRF_TRUSTED_ORIGINS"),
        ({"TRADING_ADMIN_NETWORKS": "10.0.0.0/8,frog"}, "TRADING_ADMIN_NETWORKS"),
        ({"DATABASE_URL": "mysql://u:frog@h/d"}, "DATABASE_URL"),
        ({"DATABASE_URL": "postgresql://u:frog@h:port/d"}, "DATABASE_URL"),
        ({"DATABASE_URL": "postgresql://u:frog@h"}, "DATABASE_URL"),
        ({"TRADING_CREDENTIAL_KEYS": "frog"}, "TRADING_CREDENTIAL_KEYS"),
        ({"TRADING_CREDENTIAL_KEYS": "a:frog"}, "TRADING_CREDENTIAL_KEYS"),
        ({"TRADING_CREDENTIAL_KEYS": f"a:{KEY},a:{OTHER_KEY}"}, "TRADING_CREDENTIAL_KEYS"),
        ({"MT5_LOGIN": "frog"}, "MT5_LOGIN"),
        ({"MT5_LOGIN": "1"}, "MT5_PASSWORD, MT5_SERVER"),
        ({"TRADING_ENV": "frog"}, "TRADING_ENV"),
        ({"TRADING_VARDIR": "frog"}, "TRADING_VARDIR: unknown setting, did you mean TRADING_VAR_DIR?"),
        ({"TRADING_ENV": "production"}, "SECRET_KEY, TRADING_CREDENTIAL_KEYS, ALLOWED_HOSTS"),
        ({**PRODUCTION, "DEBUG": "true"}, "DEBUG"),
        ({**PRODUCTION, "ALLOWED_HOSTS": "*"}, "ALLOWED_HOSTS"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_nonsense_is_refused_by_name_without_its_value(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], says: str
) -> None:
    given(monkeypatch, variables)
    with pytest.raises(env.EnvError) as refused:
        env.read()
    assert says in str(refused.value)
    assert "frog" not in str(refused.value)


@pytest.mark.parametrize(("said", "meant"), [("True", True), ("FALSE", False), ("0", False), ("1", True)])
def test_yes_and_no_are_said_in_any_case(monkeypatch: pytest.MonkeyPatch, said: str, meant: bool) -> None:
    given(monkeypatch, {"DEBUG": said})
    assert env.read().debug is meant


@pytest.mark.parametrize("name", ["TRADING_HOST_NAME", "DATABASE_URL", "SECRET_KEY", "MT5_SERVER"])
def test_bytes_that_are_no_text_are_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    given(monkeypatch, {"MT5_LOGIN": "5012345", "MT5_PASSWORD": "x", "MT5_SERVER": "Broker-Demo"})
    monkeypatch.setenv(name, os.fsdecode(b"postgresql://frog\xff@h/d" if name == "DATABASE_URL" else b"frog\xff" * 12))
    with pytest.raises(env.EnvError, match=name) as refused:
        env.read()
    assert "frog" not in str(refused.value)


def test_production_takes_its_own_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, PRODUCTION)
    seen = env.read()
    assert seen.secret_key is not None
    assert seen.secret_key.get_secret_value() == SECRET
    assert SECRET not in repr(seen)


def test_a_secret_may_come_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET + "\n")
    monkeypatch.setenv("SECRET_KEY_FILE", str(tmp_path / "secret"))
    seen = env.read().secret_key
    assert seen is not None
    assert seen.get_secret_value() == SECRET


@pytest.mark.parametrize("content", [None, ""])
def test_a_secret_file_that_holds_nothing_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "secret").write_text(content)
    monkeypatch.setenv("MT5_PASSWORD_FILE", str(tmp_path / "secret"))
    with pytest.raises(env.EnvError, match="MT5_PASSWORD_FILE"):
        env.read()


def test_a_secret_given_twice_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET)
    given(monkeypatch, {"SECRET_KEY": SECRET, "SECRET_KEY_FILE": str(tmp_path / "secret")})
    with pytest.raises(env.EnvError, match="not both"):
        env.read()


@pytest.mark.requirement("S1-24")
def test_a_first_account_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, {"MT5_LOGIN": "5012345", "MT5_PASSWORD": "frog", "MT5_SERVER": "Broker-Demo"})
    seen = env.read()
    assert (seen.mt5_login, seen.mt5_server) == (5012345, "Broker-Demo")
    assert "frog" not in repr(seen)


@pytest.mark.requirement("S1-25", "S1-65")
def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("MAX_BOTS=3\nLOG_LEVEL=debug\n")
    monkeypatch.setenv("MAX_BOTS", "4")
    assert (env.read().max_bots, env.read().log_level) == (4, "DEBUG")


def test_a_mistyped_name_in_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("TRADING_CREDENTIAL_KEY=frog\n")
    with pytest.raises(env.EnvError, match="did you mean TRADING_CREDENTIAL_KEYS"):
        env.read()


def test_the_first_key_encrypts() -> None:
    assert list(envvalues.parse_key_ring(f"new:{KEY}, old:{OTHER_KEY}")) == ["new", "old"]


def test_production_refuses_a_secret_key_that_is_not_random(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, {**PRODUCTION, "SECRET_KEY": "secret" * 10})
    with pytest.raises(env.EnvError, match="SECRET_KEY: is not random") as caught:
        env.read()
    assert "secretsecret" not in str(caught.value)


@pytest.mark.skipif("os.name != 'posix'", reason="Windows keeps a file's rights elsewhere")
def test_production_refuses_a_secret_that_everyone_can_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "secret_key"
    file.write_text(SECRET)
    without = {name: value for name, value in PRODUCTION.items() if name != "SECRET_KEY"}
    given(monkeypatch, {**without, "SECRET_KEY_FILE": str(file)})
    file.chmod(0o644)
    with pytest.raises(env.EnvError, match="SECRET_KEY_FILE: everyone on the host can read the file"):
        env.read()
    file.chmod(0o640)
    assert env.read().secret_key is not None
