"""The conformance table: `python -m tests.brokers.conformance` runs every behaviour on every fake and prints it."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.brokers.conformance.behaviours import BEHAVIOURS
from tests.brokers.conformance.bench import Bench
from tests.brokers.conformance.crypto import CryptoBench
from tests.brokers.conformance.jforex import JForexBench
from tests.brokers.conformance.mt5 import AgentBench, Mt5Bench
from tests.brokers.conformance.oanda import OandaBench
from tests.brokers.conformance.paper import PaperBench

BENCHES: tuple[Callable[[Path], Bench], ...] = (Mt5Bench, AgentBench, OandaBench, JForexBench, CryptoBench, PaperBench)
DOCUMENT = Path(__file__).parents[3] / "docs" / "brokers.md"
BEGIN, END = "<!-- conformance -->\n", "<!-- /conformance -->\n"


def titles() -> list[str]:
    return [made.title for made in BENCHES]  # type: ignore[attr-defined]


def without(made: Callable[[Path], Bench], name: str) -> str | None:
    """Return why a broker has no such behaviour, when it has none."""
    reasons: dict[str, str] = made.without  # type: ignore[attr-defined]
    return reasons.get(name)


def run(made: Callable[[Path], Bench], name: str) -> str:
    """Try one behaviour on one fake: yes, the reason why it is not there, or what went wrong."""
    reason = without(made, name)
    if reason is not None:
        return f"— {reason}"
    with TemporaryDirectory() as folder:
        bench = made(Path(folder))
        try:
            BEHAVIOURS[name](bench)
        except AssertionError as problem:
            return f"NO: {str(problem).splitlines()[0][:60] if str(problem) else 'assertion'}"
        finally:
            bench.close()
    return "yes"


def table(answer: Callable[[Callable[[Path], Bench], str], str]) -> str:
    """Return gateways against behaviours as a Markdown table."""
    lines = ["| behaviour | " + " | ".join(titles()) + " |", "|---" * (len(BENCHES) + 1) + "|"]
    lines += [f"| {name} | " + " | ".join(answer(made, name) for made in BENCHES) + " |" for name in BEHAVIOURS]
    return "\n".join(lines) + "\n"


def promised() -> str:
    """Return the table that holds when every test of the suite passes."""
    return table(lambda made, name: "yes" if (reason := without(made, name)) is None else f"— {reason}")


def documented() -> str:
    """Return the table that the documentation shows."""
    return DOCUMENT.read_text("utf-8").partition(BEGIN)[2].partition(END)[0]


def document(text: str) -> None:
    """Put a table into the documentation."""
    before, _, rest = DOCUMENT.read_text("utf-8").partition(BEGIN)
    DOCUMENT.write_text(before + BEGIN + text + END + rest.partition(END)[2], "utf-8")
