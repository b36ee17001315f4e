"""A plug-in: its strategies are found and trade; a broken one is told of by `manage.py check`."""

import shutil
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from django.core.management import call_command

from strategies import registry
from tests.strategies.contract import check
from tests.world import World

PLUGIN = Path(__file__).resolve().parent.parent / "plugin"


@pytest.fixture(scope="module")
def site_packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lay the sample out as an installer does: its package, and what it says of itself beside it."""
    project = tomllib.loads((PLUGIN / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    target = tmp_path_factory.mktemp("site")
    shutil.copytree(PLUGIN / "desk_plugin", target / "desk_plugin")
    info = target / f"desk_plugin-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups = project["entry-points"].items()
    lines = [line for group, points in groups for line in (f"[{group}]", *(f"{k} = {v}" for k, v in points.items()))]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return target


@pytest.fixture
def fresh_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the registry look again, and forget afterwards what it found."""
    registry.load()
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))
    monkeypatch.setattr(registry, "_problems", [])
    registry.load.cache_clear()
    yield
    registry.load.cache_clear()
    for name in [n for n in sys.modules if n.startswith("desk_plugin")]:
        del sys.modules[name]


@pytest.fixture
def plugin(site_packages: Path, fresh_registry: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(site_packages))


@pytest.mark.requirement("S1-06", "S1-30")
def test_its_strategies_are_found_and_keep_the_contract(plugin: None) -> None:
    assert registry.problems() == []
    assert {"breakout", "ticker"} <= {spec.slug for spec in registry.all_strategies()}
    breakout, ticker = registry.get("breakout"), registry.get("ticker")
    drawn: dict[str, Any] = {
        "lot_size": st.sampled_from([0.02, 0.005]), "side": st.sampled_from(["signal", "buy", "sell"]),
        "max_cycles": st.integers(1, 3), "entry_cooldown": st.sampled_from([0.0, 10.0]),
        "hedge_atr": st.sampled_from([2.0, 9.0]), "target_profit": st.sampled_from([5.0, 50.0]),
    }  # fmt: skip
    check(breakout, st.builds(breakout.params, **drawn))
    check(ticker, st.builds(ticker.params, last_digit=st.integers(0, 9)))


@pytest.mark.requirement("S1-06", "S1-26", "S1-28", "S1-29")
def test_its_strategies_trade(plugin: None, lively: World) -> None:
    lively.bot("Ticks", "ticker", last_digit=0, target_profit=2.0)
    lively.bot("Out", "breakout", side="buy", target_profit=5.0, entry_cooldown=3600.0)
    lively.run(4)
    assert {o.bot.name for o in lively.open_orders() if o.bot} == {"Ticks", "Out"}
    lively.move(+40.3, run=4)
    assert {c.status for c in lively.cycles()} == {"closed"}
    lively.assert_equal()


def test_a_broken_plugin_is_told_of_by_check_and_keeps_no_other_from_loading(
    plugin: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    info = tmp_path / "bad_plugin-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bad-plugin\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[trading.strategies]\nmissing = no_such_module_anywhere\n"
        "twice = bad_twice\nbare = bad_bare\nnothing = bad_nothing\n"
    )
    head = "from strategies.registry import strategy\nfrom strategies.params import StrategyParams\n"
    (tmp_path / "bad_twice.py").write_text(
        f"{head}@strategy(slug='ticker', version=9, params=StrategyParams)\ndef mine(view, params):\n    'Mine.'\n"
    )
    (tmp_path / "bad_bare.py").write_text(
        f"{head}class Bare(StrategyParams):\n    lots: float = 'much'\n"
        "@strategy(slug='bare', version=1, params=Bare)\ndef bare(view, params):\n    'Bare.'\n"
    )
    (tmp_path / "bad_nothing.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    told = "\n".join(registry.problems())
    assert "missing (no_such_module_anywhere): ModuleNotFoundError" in told
    assert "strategy 'ticker' is registered twice" in told
    assert "bare: its defaults do not hold: lots" in told
    assert "bare: parameter 'lots' has no help or group" in told
    assert "nothing (bad_nothing): registers no strategy" in told
    assert {"cycle-trader", "ticker", "breakout"} <= {spec.slug for spec in registry.all_strategies()}
    call_command("check")
    said = capsys.readouterr().err
    assert "trading.W020" in said
    assert "no_such_module_anywhere" in said
