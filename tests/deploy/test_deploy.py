"""What can be checked of the deployment files without their hosts."""

import configparser
import re
import shlex
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.tradingsite.test_checks import manage, production
from tradingsite.env import Env

ROOT = Path(__file__).resolve().parent.parent.parent
DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))


def unit(path: Path) -> configparser.RawConfigParser:
    # A unit may name a key twice
    parser = configparser.RawConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment]
    parser.read(path)
    return parser


@pytest.mark.requirement("S2-23")
@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_units_restart_and_signal_the_main_process_only(path: Path) -> None:
    service = unit(path)["Service"]
    assert service["KillMode"] == "mixed"
    assert (service["Type"], service["Restart"], service["RestartSec"]) == ("simple", "always", "10")
    assert "network.target" in unit(path)["Unit"]["After"]
    assert service["User"] != "root"
    assert service["WorkingDirectory"]


def test_the_engine_has_time_to_end_in_order() -> None:
    from engine.supervisor.run import CHILDREN_STOP_SECONDS, RUNNERS_STOP_SECONDS

    needed = RUNNERS_STOP_SECONDS + CHILDREN_STOP_SECONDS
    assert float(unit(DEPLOY / "systemd" / "trading-engine.service")["Service"]["TimeoutStopSec"]) > 2 * needed
    assert float(program("trading-engine")["stopwaitsecs"]) > 2 * needed
    assert float(compose()["services"]["engine"]["stop_grace_period"].rstrip("s")) > 2 * needed


def program(name: str) -> configparser.SectionProxy:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(DEPLOY / "supervisor.conf")
    return parser[f"program:{name}"]


@pytest.mark.requirement("S2-24")
def test_supervisord_restarts_and_keeps_both_logs() -> None:
    engine = program("trading-engine")
    assert (engine["autostart"], engine["autorestart"]) == ("true", "true")
    assert engine["stopasgroup"] == engine["killasgroup"] == "false"
    assert engine["stdout_logfile"] != engine["stderr_logfile"]


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "compose" / "compose.yml").read_text())
    return found


@pytest.mark.requirement("S2-25")
def test_compose_starts_everything_in_order_and_for_ever() -> None:
    services = compose()["services"]
    assert set(services) == {"database", "web", "engine", "proxy"}
    assert all(service["restart"] == "always" for service in services.values())
    assert services["engine"]["depends_on"]["web"]["condition"] == "service_healthy"
    known = {name.upper() for name in Env.model_fields}
    assert set(services["engine"]["environment"]) <= known
    published = [name for name, service in services.items() if "ports" in service]
    assert published == ["proxy"], "only the proxy is reachable"
    secrets = re.findall(r"\$\{(\w+)(:\?)?\}", (DEPLOY / "compose" / "compose.yml").read_text())
    assert secrets
    assert all(required for _, required in secrets), "no secret has a default"


@pytest.mark.processes
@pytest.mark.parametrize("name", ["web", "engine"])
def test_the_preflight_is_clean_with_what_compose_sets(name: str, tmp_path: Path) -> None:
    given = {**production(tmp_path), "POSTGRES_PASSWORD": "secret", "DESK_HOST": "desk.example.com"}
    wanted = {
        key: re.sub(r"\$\{(\w+):[?-]\}", lambda match: given.get(match[1], ""), str(value))
        for key, value in compose()["services"][name]["environment"].items()
    }
    done = manage("check", "--deploy", "--fail-level", "INFO", **wanted | {"TRADING_VAR_DIR": str(tmp_path)})
    assert (done.returncode, done.stderr) == (0, "")


def test_the_site_behind_a_proxy_takes_the_clients_address_from_it() -> None:
    commands = [
        unit(DEPLOY / "systemd" / "trading-web.service")["Service"]["ExecStart"],
        program("trading-web")["command"],
        compose()["services"]["web"]["command"][-1],
    ]
    assert all("daphne --proxy-headers" in command for command in commands)


def test_the_windows_task_runs_the_engine_without_end() -> None:
    tree = ElementTree.parse(DEPLOY / "windows" / "trading-engine.xml")  # noqa: S314 - our own file
    space = {"t": "http://schemas.microsoft.com/windows/2004/02/mit/task"}
    assert tree.findtext(".//t:ExecutionTimeLimit", namespaces=space) == "PT0S"
    assert tree.findtext(".//t:MultipleInstancesPolicy", namespaces=space) == "IgnoreNew"
    assert "runengine" in str(tree.findtext(".//t:Arguments", namespaces=space))


def test_every_command_that_is_started_exists() -> None:
    from django.core.management import get_commands

    commands = [unit(path)["Service"]["ExecStart"] for path in UNITS] + [program("trading-engine")["command"]]
    for command in commands:
        words = shlex.split(command)
        if "manage.py" in words:
            assert words[words.index("manage.py") + 1] in get_commands()
