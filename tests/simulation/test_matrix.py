"""The directed matrix: every crash point, every fault, both account modes, every operation."""

import random

import pytest

from tests.simulation import matrix
from tests.simulation.faults import FAULTS
from tests.simulation.guardfaults import GUARD_FAULTS
from tests.simulation.points import SIDES, points
from tests.simulation.situations import die_at
from tests.simulation.test_seeds import run_command

# `make rehearse` runs the whole matrix; here another part of it each time
BUDGET_SECONDS = 20.0
BEYOND_SEND = sorted({p.rpartition(":")[0] for p in points() if p not in matrix.POINTS})


def test_the_matrix_holds() -> None:
    seed = random.SystemRandom().randrange(10**9)
    print(f"\nmatrix in the order of seed {seed}")
    report = run_command("--seed", str(seed), "--matrix", "--workers", "2", "--budget", str(BUDGET_SECONDS))
    print(f"{report['runs']} of {len(list(matrix.cases()))} fields")
    assert report["failures"] == [], "\n".join(f["story"] for f in report["failures"])
    assert report["runs"] > 0


def test_the_matrix_has_every_point_of_the_send_path_and_every_fault() -> None:
    fields = list(matrix.cases())
    assert {c.point for c in fields} == set(matrix.POINTS)
    # What people and guards do to entries has no field; random seeds have it
    beside = {"kill", "kill_at_send", "commit_lost", "pause", *GUARD_FAULTS}
    assert {c.fault for c in fields} - {"none"} | beside == set(FAULTS)
    named = {p for p in points() if "." not in p}
    assert named == set(matrix.POINTS), "a named crash point is missing from the matrix"
    assert sorted(map(str, matrix.in_layers(1))) == sorted(map(str, fields))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("write", BEYOND_SEND)
def test_the_engine_may_die_at_both_sides_of_every_other_write(write: str) -> None:
    result = die_at(write, SIDES)
    assert result.violations == [], result.story()
