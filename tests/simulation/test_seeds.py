"""Random seeds hold every promise; a seed replays to the same byte; what breaks is found, shrunk and told."""

import json
import random
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from orders import unknowns
from orders.models import Deal, Order, OrderIntent
from tests.simulation import checkers
from tests.simulation.database import replaying_environment
from tests.simulation.run import Result, run_seed, shrink, simulate
from tests.simulation.scenario import Happening, make

SEEDS_MAX = 100
# `make rehearse` runs a hundred; here as many as fit, other ones each time
BUDGET_SECONDS = 20.0


def run_command(*options: str, hash_seed: str = "random") -> dict[str, Any]:
    """Run `manage.py simulate` in a process of its own and return its report."""
    done = subprocess.run(
        [sys.executable, "manage.py", "simulate", "--json", *options],
        env=replaying_environment() | {"PYTHONHASHSEED": hash_seed}, text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 2), done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_random_seeds_hold_every_promise() -> None:
    first = random.SystemRandom().randrange(10**9)
    print(f"\nseeds from {first}")
    report = run_command(
        "--seed", str(first), "--count", str(SEEDS_MAX), "--workers", "2", "--budget", str(BUDGET_SECONDS)
    )
    print({name: report[name] for name in ("runs", "figures")})
    assert report["failures"] == [], "\n".join(f["story"] for f in report["failures"])
    assert report["runs"] > 0
    assert report["figures"]["sends"] > 0


@pytest.mark.parametrize("seed", [3, 203])
def test_a_seed_replays_to_the_same_end_state_byte_for_byte(seed: int) -> None:
    once, again = (run_command("--seed", str(seed), "--seconds", "120", hash_seed=h) for h in ("1", "2"))
    assert once["digests"] == again["digests"]
    other = run_command("--seed", str(seed + 1), "--seconds", "120")
    assert set(other["digests"].values()) != set(once["digests"].values())


@pytest.fixture
def failing(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Result:
    """A run that fails: absence is believed at once, and an execution comes late; much else happens beside it."""
    monkeypatch.setattr(unknowns, "SETTLE", timedelta(0))
    calm = make(1, (), seconds=60.0)
    noise = (Happening(5.0, "requotes"), Happening(20.0, "other_login", 0.1), Happening(1.0, "late_execution", 0.5))
    scenario = type(calm)(calm.seed, calm.seconds, calm.ticks, calm.bots, noise)
    result = simulate(scenario)
    assert result.violations
    return result


def test_a_failure_is_shrunk_and_its_story_names_the_seed(failing: Result) -> None:
    shrunk = shrink(failing)
    assert [h.name for h in shrunk.scenario.happenings] == ["late_execution"]
    assert "seed 1:" in shrunk.story()
    assert "late_execution" in shrunk.story()
    assert "P3" in shrunk.story()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("promise", ["P1", "P2", "P3", "P6", "P8"])
def test_the_checkers_see_a_promise_that_is_broken(promise: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def tampered(truth: Any) -> list[str]:
        if honest(truth) == [] and not seen:
            _tamper(promise)
            seen.extend(honest(truth))
        return []

    honest = checkers.broken
    monkeypatch.setattr(checkers, "broken", tampered)
    simulate(make(7, (), seconds=60.0))
    assert any(violation.startswith(promise) for violation in seen), seen


def _tamper(promise: str) -> None:
    order = Order.objects.order_by("id")[0]
    assert order.intent is not None
    intents = OrderIntent.objects.filter(pk=order.intent.pk)
    match promise:
        case "P1":
            other = OrderIntent.objects.filter(kind="open").exclude(pk=order.intent.pk)[0]
            OrderIntent.objects.filter(pk=other.pk).update(
                cause_key=order.intent.cause_key, generation=9, supersedes=order.intent
            )
        case "P2":
            assert order.intent.sent_at is not None
            intents.update(sent_at=order.intent.sent_at + timedelta(seconds=9))
        case "P3":
            intents.update(state="absent")
        case "P6":
            Order.objects.filter(pk=order.pk).update(volume=9, status="open", closed_at=None)
        case "P8":
            intents.update(state="adopted")
    assert Deal.objects.exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"faults": "gremlins"}, "--faults: there is no 'gremlins'; known: reply_lost_after"),
        ({"count": 0}, "--count"),
        ({"seconds": 1.0}, "--seconds"),
        ({"workers": 0}, "--workers"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], said: str) -> None:
    with pytest.raises(CommandError, match=said):
        call_command("simulate", seed=1, **options)


@pytest.mark.django_db(transaction=True)
def test_a_calm_run_trades() -> None:
    result = run_seed(11, (), seconds=60.0)
    assert result.violations == []
    assert result.figures["sends"] > 0
