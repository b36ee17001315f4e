"""A world with an hour behind it, in which each minute ranged over ten pips."""

from pathlib import Path
from typing import Any

import pytest

from tests.world import BID, World

RANGE = 0.0010


@pytest.fixture
def lively(transactional_db: None, tmp_path: Path, settings: Any) -> World:
    """Give a world whose average true range is ten pips."""
    settings.VAR_DIR = tmp_path
    past = [(minute * 60 + 30 - half * 20, BID + (half - 0.5) * RANGE) for minute in range(60) for half in (0, 1)]
    return World(tmp_path, past=past)
