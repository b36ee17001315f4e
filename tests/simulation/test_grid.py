"""A grid of twelve levels with two hedges comes to the same tree wherever the engine dies."""

import os

import pytest

from tests.simulation import grid

# `make soak` rehearses every point at every level at which it is passed; another level of each in every round
ROUNDS = int(os.environ.get("GRID_ROUNDS", "2"))
TRIES_MAX = 4


@pytest.mark.django_db(transaction=True)
def test_a_grid_killed_at_every_write_point_comes_to_the_same_tree_and_no_extra_order() -> None:
    calm = grid.run()
    assert calm.violations == []
    (_, ((_, status, _, legs),)), (_, ((_, hedged, _, hedges),)) = calm.tree
    assert (status, len(legs), hedged, len(hedges)) == ("closed", grid.LEVELS, "open", grid.HEDGES)
    for number in range(ROUNDS):
        due, tries = grid.spread(calm.reached, number), 0
        while due and tries < TRIES_MAX:
            killer = grid.Killer(due)
            killed = grid.run(killer)
            assert killed.violations == [], killer.killed
            assert killed.tree == calm.tree, killer.killed
            assert killed.orders == calm.orders, killer.killed
            # What was not passed again at its stage dies at its next pass
            due, tries = dict.fromkeys(killer.left, 0), tries + 1
        assert due == {}
