"""Every gateway passes every behaviour against its fake, and the documentation shows exactly that."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.brokers.conformance.behaviours import BEHAVIOURS
from tests.brokers.conformance.bench import Bench
from tests.brokers.conformance.table import BENCHES, documented, promised, titles, without

CASES = [
    pytest.param(made, name, id=f"{title}: {name}")
    for title, made in zip(titles(), BENCHES, strict=True)
    for name in BEHAVIOURS
    if without(made, name) is None
]


@pytest.mark.requirement("S2-31", "S2-32", "S2-33", "S2-35", "S2-41", "S2-42", "S2-43")
@pytest.mark.parametrize(("made", "name"), CASES)
def test_gateway(tmp_path: Path, made: Callable[[Path], Bench], name: str) -> None:
    bench = made(tmp_path)
    try:
        BEHAVIOURS[name](bench)
    finally:
        bench.close()


def test_the_documentation_shows_what_is_true() -> None:
    assert documented() == promised()
