"""The doctor: passes on a sound account, and blocks or warns for the right reason on each sabotaged one."""

import json
import sys
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from accounts.models import Symbol, TradingAccount
from accounts.services import set_password
from brokers.doctor import Check, Expected, Grade, examine, worst
from brokers.gateway import ReadError
from brokers.simulator.account import SymbolSetup
from brokers.simulator.module import as_module
from brokers.terminallock import TerminalHold
from core.clock import VirtualClock
from engine.doctor import expected_of
from engine.management.commands import doctor as command
from engine.models import EngineState
from events.models import Event
from events.services import ask
from risk.selectors import standing_blocks
from tests.brokers.mt5.test_gateway import connect
from tests.brokers.simulator.conftest import LOGIN, SERVER, Rig
from tests.world import World

SOUND = Expected(LOGIN, SERVER, True, "hedging", "USD", ("EURUSD",), lots={"EURUSD": (0.1,)})


def graded(checks: tuple[Check, ...], grade: Grade) -> dict[str, str]:
    return {check.name: check.fix for check in checks if check.grade is grade}


def rig_of(tmp_path: Any, *symbols: SymbolSetup, **account: Any) -> Rig:
    return Rig(tmp_path, symbols=symbols or (SymbolSetup("EURUSD"),), **account)


def test_a_sound_account_passes_every_check(tmp_path: Any) -> None:
    checks = examine(connect(rig_of(tmp_path)), SOUND)
    assert worst(checks) is Grade.PASS
    assert [check.name for check in checks] == [
        "login", "money", "trading", "margin mode", "currency", "server clock", "EURUSD: name", "EURUSD: trading",
        "EURUSD: volume", "EURUSD: filling", "EURUSD: stops level", "magic and comment",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("account", "symbol", "name", "grade"),
    [
        ({"demo": False}, {}, "money", Grade.BLOCK),
        ({"margin_mode": 0}, {}, "margin mode", Grade.BLOCK),
        ({"currency": "EUR"}, {}, "currency", Grade.WARN),
        ({}, {"name": "GBPUSD"}, "EURUSD: name", Grade.BLOCK),
        ({}, {"trade_mode": 3}, "EURUSD: trading", Grade.BLOCK),
        ({}, {"volume_min": 0.2, "volume_step": 0.2}, "EURUSD: volume", Grade.BLOCK),
        ({}, {"volume_max": 0.05}, "EURUSD: volume", Grade.BLOCK),
        ({}, {"volume_min": 0.04, "volume_step": 0.04}, "EURUSD: volume", Grade.WARN),
        ({}, {"stops_level": 30}, "EURUSD: stops level", Grade.WARN),
        ({}, {"freeze_level": 30}, "EURUSD: stops level", Grade.WARN),
        ({}, {"filling_mask": 0}, "EURUSD: filling", Grade.WARN),
    ],
)
def test_each_sabotage_is_found_and_has_a_fix(
    tmp_path: Any, account: dict[str, Any], symbol: dict[str, Any], name: str, grade: Grade
) -> None:
    checks = examine(connect(rig_of(tmp_path, SymbolSetup(**{"name": "EURUSD", **symbol}), **account)), SOUND)
    found = graded(checks, grade)
    assert name in found
    assert found[name]
    assert worst(checks) is grade


def test_a_name_that_fits_two_symbols_blocks_and_names_both(tmp_path: Any) -> None:
    rig = rig_of(tmp_path, SymbolSetup("EURUSD.r"), SymbolSetup("EURUSDm"))
    (check,) = [c for c in examine(connect(rig), SOUND) if c.grade is Grade.BLOCK]
    assert (check.name, "EURUSD.r" in check.found, "EURUSDm" in check.found) == ("EURUSD: name", True, True)


def test_what_changes_under_a_connected_gateway_is_found(tmp_path: Any) -> None:
    """Trading that is switched off blocks; another login says nothing about the account, so it is a failed read."""
    rig = rig_of(tmp_path)
    gateway = connect(rig)
    rig.mt5.faults.trading_disabled()
    rig.clock.advance(30)
    assert "Press Algo Trading" in graded(examine(gateway, SOUND), Grade.BLOCK)["trading"]
    rig.mt5.faults.login_changed(4711)
    with pytest.raises(ReadError, match="logged in to 4711 at Sim-Server, not 1001"):
        examine(gateway, SOUND)


def test_the_lots_of_bots_are_those_of_their_configurations(world: World) -> None:
    world.bot(lot_size=0.015)
    world.bot(name="Risk", strategy="signal-trader", sizing="risk")
    world.bot(name="Fixed", strategy="signal-trader", sizing="fixed", lot_size=0.02)
    assert expected_of(world.account).lots == {"EURUSD": (0.015, 0.02)}


def test_an_old_price_leaves_the_servers_clock_unknown(tmp_path: Any) -> None:
    rig = rig_of(tmp_path)
    rig.clock.advance(2 * 86_400 + 200)
    assert "server clock" in graded(examine(connect(rig), SOUND), Grade.WARN)


@pytest.mark.parametrize(("magic", "comment"), [(8, "td:abcdefghjk"), (7, "td:zzzzzzzzzz")])
def test_a_broker_that_changes_magic_or_comment_is_noticed(tmp_path: Any, magic: int, comment: str) -> None:
    rig = rig_of(tmp_path)
    ticket = rig.buy(magic=7, comment="td:abcdefghjk").order
    gateway = connect(rig)
    kept = {ticket: (7, "td:abcdefghjk")}
    assert worst(examine(gateway, Expected(LOGIN, SERVER, True, "hedging", "USD", (), kept))) is Grade.PASS
    sent_as = {ticket: (magic, comment)}
    checks = examine(gateway, Expected(LOGIN, SERVER, True, "hedging", "USD", (), sent_as))
    assert "magic and comment" in graded(checks, Grade.WARN)


def test_real_money_on_a_demo_account_is_never_traded_until_a_person_says_so(world: World) -> None:
    TradingAccount.objects.update(margin_mode="netting")
    world.bot()
    world.run(5)
    assert world.truth.positions == ()
    ((_, cause, reason, _),) = standing_blocks(world.account.pk)
    assert (cause, "Set the account's margin mode to hedging" in reason) == ("doctor", True)
    TradingAccount.objects.update(margin_mode="hedging")
    world.run(65)
    assert standing_blocks(world.account.pk) == ()
    assert len(world.truth.positions) >= 1


def test_findings_and_specifications_are_kept_and_a_change_is_told(world: World) -> None:
    world.bot()
    world.run(2)
    state = EngineState.objects.get()
    assert {check["grade"] for check in state.doctor} == {"pass"}
    assert state.examined_at is not None
    assert (Symbol.objects.get().digits, Symbol.objects.get().volume_min) == (5, 0.01)
    terms = Symbol.objects.get().terms
    Symbol.objects.update(volume_min=0.1, terms={**terms, "stops_level_points": 20, "tradable": False})
    command = ask(account_id=world.account.pk, kind="examine", args={}, by=world.ada, at=world.clock.now())
    world.run(1)
    command.refresh_from_db()
    assert (command.state, command.result) == ("done", "12 pass, 0 warn, 0 block")
    assert Event.objects.get(kind="SYMBOL_CHANGED").text == (
        "The broker changed EURUSD: volume_min 0.1 → 0.01, stops_level_points 20 → 0, tradable False → True"
    )


@pytest.fixture
def doctor(world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    """Run the command at the world's time; give exit code and output."""

    def clock() -> VirtualClock:
        return world.clock

    monkeypatch.setattr(command, "SystemClock", clock)

    def run(*args: str) -> tuple[int, str]:
        out = StringIO()
        try:
            call_command("doctor", *args, stdout=out)
        except SystemExit as end:
            return int(end.code or 0), out.getvalue()
        return 0, out.getvalue()

    return run


def test_the_command_prints_a_table_or_json_and_its_exit_code_says_whether_something_blocks(
    world: World, doctor: Callable[..., tuple[int, str]]
) -> None:
    code, text = doctor()
    assert code == 0
    assert "  pass   money                   demo" in text
    assert json.loads(doctor("Sim", "--json")[1])["Sim"][0]["name"] == "login"
    set_password(account=world.account, password="wrong", at=world.clock.now())
    code, text = doctor("1001")
    assert code == 2
    assert "BLOCK  connection" in text
    assert "Check login, server and password of the account." in text
    with pytest.raises(CommandError, match="no account 'Nope'; known: Sim"):
        doctor("Nope")


def test_a_terminal_that_the_engine_drives_is_examined_by_the_engine(
    world: World, doctor: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """Two processes can't drive one terminal; without an engine that answers, the command says who holds it."""
    world.bot()
    world.run(2)
    TradingAccount.objects.update(broker="mt5")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setitem(sys.modules, "MetaTrader5", as_module(world.by_hand()))
    hold = TerminalHold("the engine of this test")
    hold.take(str(world.state_file))
    monkeypatch.setattr(VirtualClock, "sleep", lambda clock, seconds: world.run(seconds))
    code, text = doctor("Sim")
    assert code == 0
    assert "  pass   EURUSD: stops level" in text
    monkeypatch.setattr(VirtualClock, "sleep", lambda clock, seconds: clock.advance(seconds))
    code, text = doctor("Sim")
    assert code == 2
    assert "is held by the engine of this test (process" in text
    hold.let_go()
    assert doctor("Sim")[0] == 0
