"""The environment variables of the site, typed and checked before anything starts.

Values come from the process environment, then from `NAME_FILE` (secrets only: the path of a file that holds the
value), then from a `.env` file beside `manage.py`. What is wrong is refused naming the variable, never its value.
`python -m tradingsite.env` prints `.env.example`, which is made from this module.
"""

import difflib
import os
import stat
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from tradingsite.envvalues import admin_networks, database_parts, parse_key_ring

BASE_DIR = Path(__file__).resolve().parent.parent
SECRET_KEY_LENGTH_MIN = 50
SECRET_KEY_DIFFERENT_MIN = 16  # 50 random characters never have fewer
PREFIX = "TRADING_"
# Read by the engine's and the tests' own entry points, so not a mistyped setting.
FOREIGN_VARIABLES = frozenset({"TRADING_TEST_BROWSER"})

CommaList = Annotated[tuple[str, ...], NoDecode]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]


class EnvError(ValueError):
    """The environment can't be used. Its text has one line for each wrong variable and says what to do."""


class Env(BaseSettings):
    """Everything that a person may set from outside. Field names in lower case are the variables' names."""

    model_config = SettingsConfigDict(
        case_sensitive=False, env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    trading_env: Literal["local", "production"] = Field(
        "local",
        description="`local` makes its own secrets under TRADING_VAR_DIR; `production` has no default secret.",
    )
    secret_key: SecretStr | None = Field(
        None,
        description="Signs sessions and tokens; at least 50 characters. Required in production, made for you in local.",
    )
    trading_credential_keys: SecretStr | None = Field(
        None,
        description="Key ring for broker passwords: `id:base64 of 32 bytes`, comma separated; the first one encrypts, "
        "all decrypt. Required in production, made for you in local.",
    )
    database_url: SecretStr | None = Field(
        None,
        description="postgresql://user:password@host:5432/name. Empty: an embedded PostgreSQL under TRADING_VAR_DIR.",
    )
    trading_var_dir: Path = Field(
        BASE_DIR / "var", description="Folder for what the site makes itself: database, logs, secrets, candles."
    )
    allowed_hosts: CommaList = Field(
        ("localhost", "127.0.0.1", "[::1]"), description="Host names that the site answers to, comma separated."
    )
    csrf_trusted_origins: CommaList = Field(
        (), description="Origins that may post forms, with scheme, comma separated: https://desk.example.com"
    )
    trading_second_factor: Literal["off", "traders"] | None = Field(
        None,
        description="`traders`: who may move money shows a code of an authenticator app after the password; `off`: who "
        "has set one up does. Empty: `traders` in production, `off` in local.",
    )
    trading_admin_networks: CommaList | None = Field(
        None,
        description="Networks from which the admin can be seen, comma separated: 10.0.0.0/8,203.0.113.7; or `any`. "
        "Empty: loopback and private networks in production, all in local.",
    )
    debug: bool = Field(False, description="Shows tracebacks in the browser. Never in production.")
    log_level: LogLevel = Field("INFO", description="DEBUG, INFO, WARNING, ERROR or CRITICAL.")
    max_bots: int = Field(10, ge=1, le=1000, description="Bots that may run at once.")
    update_interval: float = Field(0.1, ge=0.01, le=60, description="Shortest interval of a bot's decisions, seconds.")
    heartbeat_interval: float = Field(60, ge=1, le=3600, description="Seconds between two heartbeats of an engine.")
    orders_interval: float = Field(0.5, ge=0.1, le=60, description="Seconds between two passes of the Orders Manager.")
    cycles_interval: float = Field(1, ge=0.1, le=60, description="Seconds between two passes of the Cycles Manager.")
    validation_interval: float = Field(30, ge=1, le=3600, description="Seconds between two validations of cycles.")
    reconciliation_interval: float = Field(10, ge=1, le=3600, description="Seconds between two reconciliations.")
    reconciliation_at_once: int = Field(5, ge=1, le=100, description="Accounts of a host compared at the same time.")
    live_second_person: bool = Field(
        True, description="Whether a person other than the asker must agree before an account trades real money."
    )
    trading_notify_private: bool = Field(False, description="Whether news may go to private networks and this host.")
    trading_telegram_token: SecretStr | None = Field(
        None, description="Token of the Telegram bot that people send commands to, as BotFather gave it; empty: none."
    )
    live_paper_days: int = Field(
        14, ge=0, le=365, description="Days that a demo account must have run before another one goes live; 0: none."
    )
    paper_commission_per_lot: float = Field(3.5, ge=0, le=1000, description="Commission of paper, a lot and deal.")
    trading_ticks_days: int = Field(14, ge=0, le=366, description="Days of seen ticks kept, for parity; 0: none.")
    trading_retention_debug_days: int = Field(
        14, ge=7, le=36_500, description="Days that events for debugging are kept, such as each heartbeat's."
    )
    trading_retention_events_days: int = Field(
        365,
        ge=7,
        le=36_500,
        description="Days that other events are kept; those about cycles and orders stay.",
    )
    trading_retention_requests_days: int = Field(
        30, ge=7, le=36_500, description="Days that answered requests to engines and sent notifications are kept."
    )
    trading_retention_not_sent_days: int = Field(
        180, ge=7, le=36_500, description="Days that the reasons are kept why something was not sent."
    )
    trading_parity_limit: float = Field(0.5, ge=0, le=100, description="Daily drift of a bot, % of balance: an alert.")
    trading_host_name: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9._-]{1,60}$",
        description="The name by which engines on one database tell their machines apart. Empty: the machine's own.",
    )
    trading_runners: int = Field(
        2, ge=1, le=16, description="Runner processes of a host; one that dies is replaced, its accounts go to others."
    )
    trading_restart_on_failure: bool = Field(True, description="Start a process of the engine again when it died.")
    trading_max_restarts: int = Field(
        5, ge=1, le=100, description="Deaths of a process in five minutes after which it stays down; pages say so."
    )
    trading_runner_memory_mb: int = Field(
        1500, ge=0, le=1_000_000, description="A runner above this is replaced by a fresh one; 0 is without limit."
    )
    trading_runner_handles: int = Field(
        4000, ge=0, le=1_000_000, description="Open files and sockets above which a runner is replaced; 0: no limit."
    )
    trading_runner_cpu_percent: float = Field(
        0, ge=0, le=10_000, description="A runner above this for two minutes is replaced; 100 is one core, 0: no limit."
    )
    trading_quote_seconds: float = Field(
        5, ge=0.5, le=300, description="So long a price is good for decisions; entries wait while it is older."
    )
    trading_stream_prices: bool = Field(
        True,
        description="Take prices from the broker's stream where there is one; while it is silent they are asked for.",
    )
    mt5_login: int | None = Field(None, ge=1, description="Login of a first account, made when the database is empty.")
    mt5_password: SecretStr | None = Field(None, description="Password of that account.")
    mt5_server: str | None = Field(None, description="Trade server of that account, as the terminal shows it.")
    mt5_path: str | None = Field(None, description="Path of that account's terminal64.exe.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put `NAME_FILE` between the environment and the `.env` file."""
        return init_settings, env_settings, _SecretFiles(settings_cls), dotenv_settings

    @field_validator("allowed_hosts", "csrf_trusted_origins", "trading_admin_networks", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("csrf_trusted_origins")
    @classmethod
    def _origins_have_a_scheme(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any(urlsplit(origin).scheme not in {"http", "https"} or not urlsplit(origin).netloc for origin in value):
            raise ValueError("each origin starts with http:// or https://")
        return value

    @field_validator("trading_admin_networks")
    @classmethod
    def _networks(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        admin_networks(value, is_production=True)
        return value

    @field_validator("secret_key")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < SECRET_KEY_LENGTH_MIN:
            raise ValueError(f"needs at least {SECRET_KEY_LENGTH_MIN} characters")
        return value

    @field_validator("trading_credential_keys")
    @classmethod
    def _ring_is_sound(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            parse_key_ring(value.get_secret_value())
        return value

    @field_validator("database_url")
    @classmethod
    def _names_a_database(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            database_parts(value.get_secret_value())
        return value

    @field_validator("trading_var_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value if value.is_absolute() else BASE_DIR / value

    @model_validator(mode="after")
    def _production_has_no_defaults(self) -> Self:
        if self.trading_env == "production":
            required = ("secret_key", "trading_credential_keys", "allowed_hosts")
            missing = [name.upper() for name in required if name not in self.model_fields_set]
            if missing:
                raise ValueError(f"{', '.join(missing)}: required when TRADING_ENV=production, there is no default")
            secret = self.secret_key.get_secret_value() if self.secret_key else ""
            if len(set(secret)) < SECRET_KEY_DIFFERENT_MIN:
                raise ValueError(
                    "SECRET_KEY: is not random; make one with `python -c 'import secrets; "
                    "print(secrets.token_urlsafe(64))'`"
                )
            if self.debug:
                raise ValueError("DEBUG: must be off when TRADING_ENV=production")
            if "*" in self.allowed_hosts:
                raise ValueError("ALLOWED_HOSTS: name the hosts, `*` lets anyone choose the host name")
        return self

    @model_validator(mode="after")
    def _first_account_is_whole(self) -> Self:
        given = {name: getattr(self, name) is not None for name in ("mt5_login", "mt5_password", "mt5_server")}
        if any(given.values()) and not all(given.values()):
            absent = ", ".join(name.upper() for name, here in given.items() if not here)
            raise ValueError(f"{absent}: a first account needs MT5_LOGIN, MT5_PASSWORD and MT5_SERVER together")
        return self


class _SecretFiles(PydanticBaseSettingsSource):
    """Read the secrets whose `NAME_FILE` variable names a file."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        """Give nothing for a single field: the whole is read at once by `__call__`."""
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Give the values of every secret that was named by file.

        Raises:
            EnvError: The file can't be read, is empty, or the variable is set both ways.
        """
        variables = {**_dotenv_variables(), **os.environ}
        found: dict[str, Any] = {}
        for name in secret_names():
            path = variables.get(f"{name}_FILE")
            if not path:
                continue
            if os.environ.get(name):
                raise EnvError(f"{name}: set {name} or {name}_FILE, not both")
            try:
                if variables.get("TRADING_ENV") == "production" and _everyone_reads(Path(path)):
                    raise EnvError(f"{name}_FILE: everyone on the host can read the file; `chmod o= {path}`")
                found[name.lower()] = Path(path).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise EnvError(f"{name}_FILE: the file can't be read ({type(error).__name__})") from None
            if not found[name.lower()]:
                raise EnvError(f"{name}_FILE: the file is empty")
        return found


def _everyone_reads(path: Path) -> bool:
    """Tell whether any account of the host may read a file; Windows keeps that elsewhere."""
    return os.name == "posix" and bool(path.stat().st_mode & stat.S_IROTH)


def secret_names() -> list[str]:
    """List the variables that hold secrets, in upper case."""
    return [name.upper() for name, field in Env.model_fields.items() if "SecretStr" in str(field.annotation)]


def _dotenv_variables() -> dict[str, str]:
    """Read the `.env` file beside `manage.py`, if there is one."""
    return {key.upper(): value for key, value in dotenv_values(BASE_DIR / ".env").items() if value is not None}


def _refuse_unknown(variables: Mapping[str, str]) -> None:
    """Refuse a mistyped `TRADING_` variable, which would otherwise be ignored in silence.

    Raises:
        EnvError: A variable begins with `TRADING_` and is none of ours.
    """
    known = {name.upper() for name in Env.model_fields} | {f"{name}_FILE" for name in secret_names()}
    problems = []
    for name in sorted(name for name in variables if name.upper().startswith(PREFIX)):
        if name.upper() in known | FOREIGN_VARIABLES:
            continue
        close = difflib.get_close_matches(name.upper(), known, n=1)
        problems.append(f"{name}: unknown setting" + (f", did you mean {close[0]}?" if close else ", remove it"))
    if problems:
        raise EnvError("\n".join(problems))


@lru_cache(maxsize=1)
def load() -> Env:
    """Read and check the environment, once for each process.

    Raises:
        EnvError: Something is missing, unknown or wrong.
    """
    return read()


def read() -> Env:
    """Read and check the environment afresh.

    Raises:
        EnvError: Something is missing, unknown or wrong.
    """
    given = {**_dotenv_variables(), **os.environ}
    _refuse_unknown(given)
    for name in Env.model_fields:
        # Bytes that are no UTF-8 arrive as halves of characters
        if not (given.get(name.upper()) or "").isprintable():
            raise EnvError(f"{name.upper()}: holds bytes that are no text in UTF-8, or control characters")
    try:
        return Env(_env_file=BASE_DIR / ".env")
    except ValidationError as error:
        raise EnvError("\n".join(_problem(item) for item in error.errors(include_input=False))) from None


def _problem(item: Any) -> str:
    """Give one line for one validation error. Errors about several variables name them themselves."""
    message = item["msg"].removeprefix("Value error, ")
    return f"{str(item['loc'][0]).upper()}: {message}" if item["loc"] else message


def example() -> str:
    """Give the text of `.env.example`."""
    lines = [
        "# Settings of the trading site. Copy to .env and uncomment what you need; `make run` needs none of them.",
        "# A secret may also come from a file: NAME_FILE=/path/of/the/file instead of NAME=value.",
        "# Made by `make envexample`; do not edit.",
    ]
    secrets = set(secret_names())
    for name, field in Env.model_fields.items():
        default = field.default
        if isinstance(default, tuple):
            default = ",".join(default)
        elif isinstance(default, bool):
            default = str(default).lower()
        elif isinstance(default, Path):
            default = default.relative_to(BASE_DIR).as_posix()
        note = " Secret." if name.upper() in secrets else ""
        lines += ["", f"# {field.description}{note}", f"# {name.upper()}={'' if default is None else default}"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    import sys

    sys.stdout.write(example())
