"""The supervisor's care of processes that live but are not well, with real processes and a virtual clock."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.core.management import CommandError, call_command
from django_q.models import OrmQ

from core.clock import SystemClock, VirtualClock
from core.ids import SeededIds
from engine.models import EngineHost, EngineProcess
from engine.registry import this_host
from engine.supervisor.care import GROWN_AFTER_SECONDS, HOT_SECONDS, HUNG_SECONDS, STOP_SECONDS, Limits, RunnerCare
from engine.supervisor.children import Child, RestartPolicy
from engine.supervisor.runners import RunnerPool
from events.models import Event
from strategies.models import Bot
from tests.world import World

pytestmark = pytest.mark.django_db


@pytest.fixture
def clock() -> VirtualClock:
    """Begin now, and not when the module was read: rows and processes of this moment are not to be of the future."""
    return VirtualClock(SystemClock().now())


@pytest.fixture
def sleeper() -> "Iterator[subprocess.Popen[bytes]]":
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def runner(process: "subprocess.Popen[bytes]", **fields: Any) -> EngineProcess:
    now = SystemClock().now()
    given = {"started_at": now, "seen_at": now, **fields}
    name = f"h:runner:{process.pid}:{fields.get('started_at', '')}"
    return EngineProcess.objects.create(name=name, role="runner", host=this_host(), pid=process.pid, **given)


def look_for(care: RunnerCare, clock: VirtualClock, seconds: float, row: EngineProcess | None = None) -> int:
    """Look each second; with a row, that runner shows its life all the time."""
    ended = 0
    for _ in range(int(seconds)):
        clock.advance(1)
        if row is not None:
            EngineProcess.objects.filter(pk=row.pk).update(seen_at=clock.now())
        ended += care.look()
    return ended


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGSTOP")
def test_a_stopped_runner_is_ended(clock: VirtualClock, sleeper: "subprocess.Popen[bytes]") -> None:
    runner(sleeper)
    sleeper.send_signal(signal.SIGSTOP)
    care = RunnerCare(Limits(), clock=clock)
    assert look_for(care, clock, HUNG_SECONDS) == 0
    assert look_for(care, clock, 3) == 1
    assert not psutil.pid_exists(sleeper.pid)
    assert "no sign of life" in Event.objects.get(kind="RUNNER_ENDED").text


def test_a_runner_that_shows_life_stays(clock: VirtualClock, sleeper: "subprocess.Popen[bytes]") -> None:
    row = runner(sleeper)
    assert look_for(RunnerCare(Limits(), clock=clock), clock, 3 * HUNG_SECONDS, row) == 0
    assert sleeper.poll() is None


def test_silence_while_the_database_was_away_counts_for_nothing(
    clock: VirtualClock, sleeper: "subprocess.Popen[bytes]"
) -> None:
    runner(sleeper)
    care = RunnerCare(Limits(), clock=clock)
    look_for(care, clock, HUNG_SECONDS - 1)
    care.forget()
    clock.advance(600)
    assert look_for(care, clock, HUNG_SECONDS - 1) == 0
    assert sleeper.poll() is None


def test_a_runner_that_does_not_end_when_asked_is_ended(
    clock: VirtualClock, sleeper: "subprocess.Popen[bytes]"
) -> None:
    row = runner(sleeper, stop_requested=True)
    care = RunnerCare(Limits(), clock=clock)
    assert look_for(care, clock, STOP_SECONDS, row) == 0
    assert look_for(care, clock, 3, row) >= 1
    assert sleeper.wait(5) is not None


@pytest.mark.requirement("S2-27", "S0-82")
@pytest.mark.parametrize("grown", [{"rss_bytes": 2_000}, {"handles": 200}])
def test_a_runner_that_has_grown_makes_room_for_another(
    clock: VirtualClock, sleeper: "subprocess.Popen[bytes]", grown: dict[str, int]
) -> None:
    row = runner(sleeper, **grown)
    care = RunnerCare(Limits(rss_bytes=1_000, handles=100), clock=clock)
    look_for(care, clock, GROWN_AFTER_SECONDS - 20, row)
    assert not EngineProcess.objects.get().stop_requested, "not in its first minute"
    look_for(care, clock, 40, row)
    assert EngineProcess.objects.get().stop_requested
    assert Event.objects.filter(kind="RUNNER_REPLACED").count() == 1
    assert sleeper.poll() is None, "it is asked, not killed"


@pytest.mark.requirement("S2-27")
def test_a_runner_that_takes_a_processor_without_end_makes_room_for_another(
    clock: VirtualClock, sleeper: "subprocess.Popen[bytes]"
) -> None:
    row = runner(sleeper, cpu_percent=99.0)
    care = RunnerCare(Limits(cpu_percent=90.0), clock=clock)
    look_for(care, clock, HOT_SECONDS - 10, row)
    EngineProcess.objects.update(cpu_percent=50.0)
    look_for(care, clock, 1, row)
    EngineProcess.objects.update(cpu_percent=99.0)
    look_for(care, clock, HOT_SECONDS - 10, row)
    assert not EngineProcess.objects.get().stop_requested, "a pause begins the time anew"
    look_for(care, clock, 20, row)
    assert EngineProcess.objects.get().stop_requested
    assert "90 % of a processor" in Event.objects.get(kind="RUNNER_REPLACED").text


@pytest.mark.requirement("S2-29")
def test_the_number_of_runners_follows_what_is_wanted(clock: VirtualClock, sleeper: "subprocess.Popen[bytes]") -> None:
    rows = [runner(sleeper, started_at=SystemClock().now() + timedelta(milliseconds=n)) for n in range(3)]
    pool = RunnerPool(3, [], clock=clock, ids=SeededIds(1))
    pool.look()
    assert not EngineProcess.objects.filter(stop_requested=True).exists()
    pool.wanted = 1
    pool.look()
    asked = set(EngineProcess.objects.filter(stop_requested=True).values_list("pk", flat=True))
    assert asked == {rows[1].pk, rows[2].pk}, "the youngest go"
    pool.wanted = 3
    pool.look()
    assert OrmQ.objects.filter(key=f"engine@{this_host()}").count() == 2


@pytest.mark.requirement("S2-18", "S2-19", "S2-06", "S2-07")
@pytest.mark.parametrize(("policy", "starts"), [(RestartPolicy(True, 3), 3), (RestartPolicy(False, 3), 1)])
def test_a_process_that_dies_again_and_again_stays_down_and_says_where_to_look(
    clock: VirtualClock, tmp_path: Path, policy: RestartPolicy, starts: int
) -> None:
    child = Child(
        "web", EngineProcess.Role.WEB, [sys.executable, "-c", "print('x'); raise SystemExit(3)"],
        environment={}, folder=tmp_path, log_file=tmp_path / "web.log", clock=clock, token="t", policy=policy,
    )  # fmt: skip
    child.start()
    for _ in range(100):
        if child._process is not None:
            child._process.wait(10)
        child.look()
        clock.advance(1)
    assert str(tmp_path / "web.log") in child.failed
    assert (tmp_path / "web.log").read_text().count("x") == starts
    assert not EngineProcess.objects.exists()


def test_a_process_that_dies_now_and_then_is_started_again_for_ever(clock: VirtualClock, tmp_path: Path) -> None:
    child = Child(
        "web", EngineProcess.Role.WEB, [sys.executable, "-c", "pass"],
        environment={}, folder=tmp_path, log_file=tmp_path / "web.log", clock=clock, token="t",
        policy=RestartPolicy(True, 2),
    )  # fmt: skip
    child.start()
    for _ in range(5):
        assert child._process is not None
        child._process.wait(10)
        child.look()
        clock.advance(400)
        child.look()
    assert (child.failed, child.restarts) == ("", 5)
    child.kill()
    assert psutil.Process().children() == []


# The command line


def run(*arguments: str, capsys: Any) -> dict[str, Any]:
    call_command("engine", *arguments, "--json")
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.requirement("S4-45", "S2-26")
def test_accounts_are_steered_from_a_terminal(world: World, capsys: Any) -> None:
    for name, state in (("pause", "paused"), ("start", "running"), ("drain", "paused"), ("stop", "stopped")):
        (told,) = run(name, "--account", "Sim", capsys=capsys)["accounts"]
        world.account.refresh_from_db()
        assert (told["desired_state"], world.account.desired_state) == (state, state)
    call_command("engine", "stop")
    assert "nothing to change" in capsys.readouterr().out
    with pytest.raises(CommandError, match="Nobody is unknown; known: Sim"):
        call_command("engine", "stop", "--account", "Nobody")


def test_status_shows_what_is_wrong_and_ends_with_a_code(world: World, capsys: Any) -> None:
    world.bot()
    world.run(8)
    with pytest.raises(SystemExit) as ended:
        call_command("engine", "status")
    assert ended.value.code == 2
    shown = capsys.readouterr().out
    assert "start `manage.py runengine`" in shown
    assert "Sim" in shown
    with pytest.raises(SystemExit):
        call_command("engine", "status", "--json")
    assert json.loads(capsys.readouterr().out)["accounts"][0]["jobs"]["orders"]["passes"] > 0
    call_command("engine", "status", "--watch", "--seconds", "0.1")
    assert capsys.readouterr().out.startswith("Engine ")


def test_capacity_is_set_for_a_known_host(capsys: Any) -> None:
    with pytest.raises(CommandError, match=r"none, start `manage\.py runengine`"):
        call_command("engine", "capacity", "4")
    EngineHost.objects.create(host="a", runners=2, seen_at=SystemClock().now())
    assert run("capacity", "4", capsys=capsys) == {"host": "a", "runners_wanted": 4}
    assert EngineHost.objects.get().runners_wanted == 4
    call_command("engine", "capacity", "0")
    assert EngineHost.objects.get().runners_wanted is None
    with pytest.raises(CommandError, match="1 to 16"):
        call_command("engine", "capacity", "17")


@pytest.mark.requirement("S2-09", "S2-16", "S2-17", "S2-20", "S2-21", "S2-22")
def test_a_manager_configuration_becomes_stopped_bots(world: World, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "gbp.json").write_text(
        json.dumps(
            {"name": "Cable", "strategy_type": "CycleTrader", "symbols": ["GBPUSD"], "configs": {"lot_size": 0.02}}
        )
    )
    file = tmp_path / "manager_config.json"
    monitoring = {"health_check_interval": 5, "log_aggregation": True, "resource_monitoring": True}
    config: dict[str, Any] = {
        "strategies": [{"instance_id": 10021}, {"instance_id": "10038", "config_file": "gbp.json"}],
        "restart_on_failure": False, "max_restarts": 7, "monitoring": monitoring,
    }  # fmt: skip
    file.write_text(json.dumps(config))
    wanted = {"TRADING_RESTART_ON_FAILURE": "false", "TRADING_MAX_RESTARTS": "7"}
    assert run("import", str(file), "--account", "Sim", "--dry-run", capsys=capsys)["settings"] == wanted
    assert not Bot.objects.exists()
    run("import", str(file), "--account", "Sim", capsys=capsys)
    first, second = Bot.objects.order_by("magic")
    assert (first.magic, first.strategy, first.desired_state) == (10021, "cycle-trader", "stopped")
    assert second.config is not None
    assert (second.name, second.symbols, second.config.values["lot_size"]) == ("Cable", ["GBPUSD"], 0.02)
    with pytest.raises(CommandError, match=r"magic numbers \[10021, 10038\] already"):
        call_command("engine", "import", str(file), "--account", "Sim")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "is no JSON"),
        ("[]", "one JSON object"),
        ('{"strategies": []}', "strategies: give a list"),
        ('{"strategys": []}', "unknown: strategys; known:"),
        ('{"strategies": [{"instance_id": 0}]}', "strategies.0.instance_id"),
        ('{"strategies": [{"instance_id": true}]}', "strategies.0.instance_id"),
        ('{"strategies": [{"instance_id": 1}, {"instance_id": 1}]}', "given twice"),
        ('{"strategies": [{"instance_id": 1, "config_file": "../../etc/passwd"}]}', "lies outside"),
        ('{"strategies": [{"instance_id": 1, "config_file": "gone.json"}]}', "can't be read"),
        ('{"strategies": [{"instance_id": 1}], "max_restarts": "5"}', "max_restarts"),
        ("[" * 100_000, "is no JSON"),
    ],
)
def test_a_bad_manager_configuration_is_refused_whole(world: World, tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "manager_config.json"
    file.write_text(text)
    with pytest.raises(CommandError, match=says):
        call_command("engine", "import", str(file), "--account", "Sim")
    assert not Bot.objects.exists()
