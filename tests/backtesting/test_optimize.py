"""The optimiser: spaces, samplers, verdicts, walking forward, going on after a break, and the command."""

import json
import subprocess
import sys
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from django.core.management import CommandError, call_command
from hypothesis import given, settings

from backtesting.domain import BacktestError
from backtesting.history import History
from backtesting.optimise.outcome import html, outcome_of
from backtesting.optimise.replays import Replays
from backtesting.optimise.results import Results
from backtesting.optimise.samplers import Tpe, sampler_of, shuffled
from backtesting.optimise.search import Search, search_sets, windows_of
from backtesting.optimise.space import Objective, Parameter, Space, objectives_of, space_of
from backtesting.optimise.verdict import Trial, heat_of, pareto, peak_of, ranked
from backtesting.replay import Replay
from strategies import registry
from tests.backtesting.markets import GRID, history, plan
from tests.world import World

SPEC = registry.get("cycle-trader")
NET, FALL = Objective("net", True), Objective("drawdown", False)
PLANE = Space((Parameter("a", tuple(range(9))), Parameter("b", tuple(range(7)))))
ROOT = Path(__file__).resolve().parent.parent.parent
VARY = ("distance=4:8:2", "target_profit=6,10")


def trials_of(table: Any) -> list[Trial]:
    """Trials of the plane, with a net for each place."""
    return [Trial(PLANE.number((a, b)), {"net": float(table[a][b]), "closed": 50}) for a in range(9) for b in range(7)]


# What may be varied


def test_values_are_read_with_their_types_and_steps() -> None:
    space = space_of(["distance=10:11:0.1", "direction=buy,both", "max_levels=2:8:3", "take_profit=none,20"], SPEC, {})
    assert [len(p.values) for p in space.parameters] == [11, 2, 3, 2]
    assert space.parameters[0].values[3] == 10.3
    assert space.parameters[2].values == (2, 5, 8)
    assert space.parameters[3].values == (None, 20.0)
    assert len(space) == 11 * 2 * 3 * 2
    assert space.values(len(space) - 1) == {
        "distance": 11.0, "direction": "both", "max_levels": 8, "take_profit": 20.0
    }  # fmt: skip


@given(st.integers(0, len(PLANE) - 1))
def test_numbers_and_places_name_the_same_set(number: int) -> None:
    assert PLANE.number(PLANE.places(number)) == number


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ([], "--vary: name at least one parameter"),
        (["nothing=1,2"], "--vary nothing=1,2: write name=first:last:step or name=one,two; cycle-trader has lot_size"),
        (["distance"], "--vary distance: write"),
        (["distance=1:2"], "three numbers"),
        (["distance=5:1:1"], "first has to be at most last"),
        (["distance=1:2:0"], "the step above zero"),
        (["distance=1:nan:1"], "first has to be at most last"),
        (["distance=1:1e9:1"], "values are too many"),
        (["distance=-5,10"], "-5 can't be used: Input should be greater than 0"),
        (["direction=sideways"], "sideways can't be used"),
        (["distance=5,5.0"], "stands there twice"),
        (["distance=5", "distance=6"], "a parameter is named twice"),
    ],
)
def test_what_cannot_be_varied_is_said(texts: list[str], said: str) -> None:
    with pytest.raises(BacktestError) as refused:
        space_of(texts, SPEC, {})
    assert said in str(refused.value)


def test_objectives_know_their_way() -> None:
    assert objectives_of([]) == (NET, FALL)
    assert objectives_of(["exposure:max"]) == (Objective("exposure", True),)
    assert Objective("profit_factor", True).score({"profit_factor": None, "won": 3, "closed": 3}) == float("inf")
    assert Objective("profit_factor", True).score({"profit_factor": None, "won": 0, "closed": 0}) is None
    for wrong in ("profit", "net:up"):
        with pytest.raises(BacktestError, match="--objective"):
            objectives_of([wrong])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"sampler": "luck"}, "--sampler"), ({"count": 0}, "--count"), ({"folds": 1}, "--folds"),
        ({"train": 0.99}, "--train"), ({"closed_min": 0}, "--min-cycles"),
    ],
)  # fmt: skip
def test_a_search_that_makes_no_sense_names_its_option(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(BacktestError, match=said):
        Search(PLANE, (NET,), **wrong)


# Which sets are tried


@given(st.integers(0, 10_000), st.integers(1, 80))
def test_random_sets_differ_and_follow_from_the_seed(seed: int, count: int) -> None:
    found = list(shuffled(PLANE, count, seed))
    assert found == list(shuffled(PLANE, count, seed))
    assert len(found) == len(set(found)) == min(count, len(PLANE))
    assert set(found) <= set(range(len(PLANE)))


def walked(sampler: Any, height: Any) -> list[int]:
    """Ask a sampler until it has no more; return what it asked."""
    asked: list[int] = []
    while numbers := sampler.next_round():
        for number in numbers:
            asked.append(number)
            sampler.tell(number, [height(number)])
    return asked


def test_tpe_finds_a_hill_sooner_than_chance_and_repeats_itself() -> None:
    space = Space(tuple(Parameter(name, tuple(range(30))) for name in "xyz"))

    def height(number: int) -> float:
        return -float(sum((place - 21) ** 2 for place in space.places(number)))

    asked = walked(Tpe(space, [NET], 120, 5), height)
    assert len(asked) == len(set(asked)) == 120
    assert asked == walked(Tpe(space, [NET], 120, 5), height)
    by_chance = [height(n) for n in shuffled(space, 120, 5)]
    assert sum(map(height, asked[60:])) / 60 > sum(by_chance) / 120
    assert max(map(height, asked)) >= max(by_chance)


def test_the_grid_is_everything_once() -> None:
    assert walked(sampler_of("grid", PLANE, [NET], count=3, seed=1), lambda n: 0.0) == list(range(len(PLANE)))


# What they say


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=40))
def test_the_front_is_what_nothing_beats(points: list[tuple[int, int]]) -> None:
    trials = [Trial(n, {"net": float(x), "drawdown": float(y), "closed": 9}) for n, (x, y) in enumerate(points)]
    front = {t.number for t, _ in pareto(ranked(trials, (NET, FALL), 1))}
    for n, (x, y) in enumerate(points):
        is_beaten = any(u >= x and v <= y and (u, v) != (x, y) for u, v in points)
        assert (n in front) is not is_beaten


def test_sets_with_too_few_cycles_or_no_figure_do_not_count() -> None:
    trials = [
        Trial(0, {"net": 900.0, "closed": 2}), Trial(1, {"net": 5.0, "closed": 20}),
        Trial(2, {"net": None, "closed": 20}), Trial(3, {"problem": "no"}),
    ]  # fmt: skip
    assert [t.number for t, _ in ranked(trials, (NET,), 10)] == [1]


def test_a_plateau_is_believed_and_a_lonely_peak_is_not() -> None:
    a, b = np.meshgrid(np.arange(9), np.arange(7), indexing="ij")
    hill = 100.0 - 4 * (a - 4) ** 2 - 4 * (b - 3) ** 2
    plateau = peak_of(ranked(trials_of(hill), (NET,), 1), PLANE)
    assert plateau.warning == ""
    assert plateau.neighbours == 4
    assert plateau.kept is not None
    assert plateau.kept > 0.8
    spike = np.zeros((9, 7))
    spike[4][3] = 100.0
    alone = peak_of(ranked(trials_of(spike), (NET,), 1), PLANE)
    assert "lonely peak" in alone.warning
    assert alone.kept == 0.0
    flat = peak_of(ranked(trials_of(np.ones((9, 7))), (NET,), 1), PLANE)
    assert "hardly matter" in flat.warning
    few = peak_of(ranked(trials_of(hill)[:1], (NET,), 1), PLANE)
    assert "Too few sets" in few.warning
    assert "No set can be judged" in peak_of([], PLANE).warning


def test_where_the_steps_are_too_many_the_nearest_sets_stand_for_the_neighbours() -> None:
    space = Space((Parameter("x", tuple(range(1000))), Parameter("y", tuple(range(1000)))))
    places = [(500, 500), *((500 + 60 * n, 500 - 40 * n) for n in range(1, 12))]
    trials = [
        Trial(space.number(p), {"net": 100.0 if n == 0 else 1.0 + n * 0.01, "closed": 9}) for n, p in enumerate(places)
    ]
    assert "lonely peak" in peak_of(ranked(trials, (NET,), 1), space).warning


def test_the_heat_map_is_the_median_over_the_rest() -> None:
    space = Space((Parameter("a", (1, 2)), Parameter("b", (3, 4, 5)), Parameter("c", (6, 7, 8, 9))))
    trials = [Trial(n, {"net": float(n), "closed": 9}) for n in range(len(space))]
    heat = heat_of(ranked(trials, (NET,), 1), space, ("a", "c"))
    assert heat is not None
    assert (heat.down, heat.across) == ("a", "c")
    assert heat.cells == ((4.0, 5.0, 6.0, 7.0), (16.0, 17.0, 18.0, 19.0))
    by_size = heat_of([], space)
    assert by_size is not None
    assert {by_size.down, by_size.across} == {"b", "c"}
    assert heat_of([], Space(space.parameters[:1])) is None


# The search


def searched(folder: Path, prices: History, processes: int = 1, **fields: Any) -> tuple[Search, list[Any], int]:
    base = plan("cycle-trader", **GRID)
    search = Search(space_of(VARY, SPEC, base.values), (NET, FALL), closed_min=1, **fields)
    with Results(folder, "x") as results:
        known = len(results)
        folds = search_sets(search, base, prices, results, processes=processes)
        return search, folds, len(results) - known


def test_a_set_gets_the_figures_of_its_backtest(tmp_path: Path) -> None:
    prices = history(11, 500)
    search, (fold,), replayed = searched(tmp_path, prices)
    assert replayed == len(fold.trials) == len(search.space) == 6
    for trial in fold.trials:
        values = {**GRID, **search.space.values(trial.number)}
        found = Replay(plan("cycle-trader", **values), prices).run()
        assert trial.figures["net"] == round(found.equity - found.balance_begin, 2)
    assert len({t.figures["net"] for t in fold.trials}) > 3


def test_what_was_replayed_is_not_replayed_again(tmp_path: Path) -> None:
    prices = history(11, 400)
    _, first, replayed = searched(tmp_path, prices)
    assert replayed == 6
    path = tmp_path / "x.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    # Broken off in the middle of writing the fourth line
    path.write_bytes(b"".join(lines[:3]) + lines[3][:20])
    _, second, replayed = searched(tmp_path, prices)
    assert replayed == 3
    assert first == second
    assert searched(tmp_path, prices)[2] == 0


def test_one_process_at_a_time(tmp_path: Path) -> None:
    other = (
        "import sys; from pathlib import Path; from backtesting.optimise.results import Results\n"
        "with Results(Path(sys.argv[1]), 'x'): print('in')"
    )
    command = [sys.executable, "-c", other, str(tmp_path)]
    with Results(tmp_path, "x"):
        refused = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
    assert refused.returncode == 1
    assert "the same is being optimised at this moment" in refused.stderr
    allowed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900, check=True)
    assert allowed.stdout.strip() == "in"


def test_processes_change_nothing(tmp_path: Path) -> None:
    prices = history(11, 300)
    _, alone, _ = searched(tmp_path / "one", prices, sampler="random", count=4)
    _, together, _ = searched(tmp_path / "two", prices, processes=2, sampler="random", count=4)
    assert alone == together


def test_values_that_contradict_each_other_are_told_not_raised() -> None:
    base = plan("cycle-trader", **GRID)
    with Replays(base, history(3, 60), 1) as replays:
        ((found,),) = replays.run([(7, (0.0, 1e12), {"trail_start": 0.2, "trail_lock": 5.0})])
    assert found[0] == 7
    assert "trail_lock" in found[1]["problem"]


def test_folds_are_tested_after_what_they_were_trained_on() -> None:
    search = Search(PLANE, (NET,), folds=4, train=0.75)
    windows = windows_of(search, 0.0, 700.0)
    assert windows[0] == (0.0, 300.0, 400.0)
    assert windows[-1][2] == pytest.approx(700.0)
    for (begin, tested, end), (later, next_tested, _) in pairwise(windows):
        assert next_tested == pytest.approx(end)
        assert (tested - begin) / (end - begin) == pytest.approx(0.75)
        assert later > begin


def test_walking_forward_tests_the_best_of_each_fold_on_what_came_after(tmp_path: Path) -> None:
    prices = history(11, 900)
    search, folds, _ = searched(tmp_path, prices, folds=3)
    assert len(folds) == 3
    for fold in folds:
        best = max(fold.trials, key=lambda t: (t.figures["net"], -t.figures["drawdown"]))
        assert fold.best is not None
        assert fold.best.figures["net"] == best.figures["net"]
        values = {**GRID, **search.space.values(fold.best.number)}
        unseen = History.of(prices.ticks, begin=fold.tested_from, end=fold.end)
        alone = Replay(plan("cycle-trader", **values), unseen).run()
        assert fold.tested["net"] == round(alone.equity - alone.balance_begin, 2)
    outcome = json.loads(json.dumps(outcome_of(search, folds)))
    assert outcome["walk_forward"]["net_tested"] == pytest.approx(sum(f.tested["net"] for f in folds), abs=0.01)
    page = html(outcome, title="<b>", about={"Bot": "x"})
    for said in ("Walking forward", "Heat map", "Pareto view", "efficiency", "&lt;b&gt;"):
        assert said in page
    assert "<script" not in page


# The command


def optimize(*args: str) -> dict[str, Any]:
    out = StringIO()
    call_command("optimize", "Grid", "--processes", "1", *args, "--json", stdout=out)
    found: dict[str, Any] = json.loads(out.getvalue())
    return found


PRICES = ("--seed", "1", "--from", "2026-03-03", "--to", "2026-03-03 01:00")


@pytest.fixture
def bot(world: World, settings: Any, tmp_path: Path) -> None:
    settings.VAR_DIR = tmp_path
    world.bot(direction="both", max_cycles=2)


def test_figures_of_other_code_are_not_taken(bot: None, monkeypatch: pytest.MonkeyPatch) -> None:
    args = (*PRICES, "--vary", "distance=4,6")
    assert optimize(*args)["Replayed"] == 2
    assert optimize(*args)["Replayed"] == 0
    monkeypatch.setattr("backtesting.management.commands.optimize.code_hash", lambda spec: "changed since")
    assert optimize(*args)["Replayed"] == 2


def test_the_command_searches_and_goes_on_where_it_was(bot: None, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    args = (*PRICES, "--vary", "distance=4:8:2", "--vary", "target_profit=3,6", "--min-cycles", "1")
    first = optimize(*args, "--html", str(page))
    assert (first["sets"], first["Replayed"], first["Kept from before"]) == (6, 6, 0)
    assert first["heat"]["down"] == "distance"
    assert "Heat map" in page.read_text("utf-8")
    again = optimize(*args)
    assert (again["Replayed"], again["Kept from before"]) == (0, 6)
    assert again["best"] == first["best"]
    assert optimize(*args, "--fresh")["Replayed"] == 6
    assert optimize(*args, "--sampler", "tpe", "--count", "4")["Replayed"] == 0
    out = StringIO()
    call_command("optimize", "Grid", "--processes", "1", *args, stdout=out)
    assert "6 of 6 sets (grid)" in out.getvalue()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--vary", "distance=5,6"), "--history, --seed"),
        ((*PRICES,), "--vary: name at least one"),
        ((*PRICES, "--vary", "distance=5,6", "--sampler", "luck"), "--sampler: choose one of grid, random, tpe"),
        ((*PRICES, "--vary", "distance=5,6", "--processes", "0"), "--processes"),
        ((*PRICES, "--vary", "distance=5,6", "--heat", "distance", "lot_size"), "--heat lot_size: it is not varied"),
        ((*PRICES, "--vary", "distance=5,6", "--objective", "luck"), "--objective luck"),
        ((*PRICES, "--vary", "distance=5,6", "--balance", "0"), "--balance"),
    ],
)
def test_what_is_wrong_is_said_by_option(bot: None, args: tuple[str, ...], said: str) -> None:
    with pytest.raises(CommandError) as refused:
        call_command("optimize", "Grid", *args)
    assert said in str(refused.value)
