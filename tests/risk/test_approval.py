"""Only the review approves, only what it approved is planned, and only what was planned is sent."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest

from orders.approval import Approved, NotApproved, Planned
from orders.gate import fenced
from orders.models import OrderIntent
from orders.sending import send_intent
from orders.services import Proposal, plan_intent
from risk.domain import Ask, review_exit
from tests.world import START, World

ROOT = Path(__file__).resolve().parents[2]
# Who may call the makers of the two types, and the gateway
# For scripts and tools, by S2's names
TOOLS = "brokers/instances.py"
ALLOWED = {"approve": {"risk/domain/review.py"}, "planned": {"orders/services.py"}}


def approved(volume: float = 0.1) -> Approved:
    made = review_exit(Ask(None, False, volume, symbol="EURUSD"), START)
    assert isinstance(made, Approved)
    return made


def proposal(kind: str = "close", **changes: Any) -> Proposal:
    values = {"symbol": "EURUSD", "side": "buy", "volume": 0.1, "magic": 1, "why": "test", "ticket": 5, **changes}
    return Proposal(kind=kind, cause_key=f"t{values['ticket']}:0:close", **values)


def test_neither_type_can_be_made_by_hand() -> None:
    for made in (Approved, Planned):
        with pytest.raises(NotApproved):
            made()


@pytest.mark.parametrize("other", [{"kind": "open"}, {"volume": 0.2}, {"symbol": "GBPUSD"}, {"bot_id": 7}])
def test_an_approval_is_for_one_request_as_it_was_asked(world: World, other: dict[str, Any]) -> None:
    gate, ids, at = world.session.gate, world.ids, world.clock.now()
    wanted = proposal(**({"kind": "close"} | other))
    with pytest.raises(NotApproved), fenced(gate):
        plan_intent(wanted, approved(), account_id=world.account.pk, ids=ids, at=at)
    once = approved()
    with fenced(gate):
        plan_intent(proposal(), once, account_id=world.account.pk, ids=ids, at=at)
    with pytest.raises(NotApproved), fenced(gate):
        plan_intent(proposal(ticket=6), once, account_id=world.account.pk, ids=ids, at=at)
    assert OrderIntent.objects.count() == 1


def test_a_row_that_nobody_approved_is_not_sent(world: World) -> None:
    session = world.session
    row = OrderIntent.objects.create(
        account=world.account, kind="open", cause_key="x", token="t", symbol="EURUSD", side="buy", volume="0.1",
        magic=1, comment="t", why="by hand", created_at=world.clock.now(),
    )  # fmt: skip
    with pytest.raises(NotApproved):
        send_intent(row, gateway=session.gateway, gate=session.gate, clock=world.clock)  # type: ignore[arg-type]
    assert not world.truth.positions


def test_nobody_else_calls_the_makers_or_the_gateways_send() -> None:
    found: dict[str, set[str]] = {name: set() for name in (*ALLOWED, "gateway.send")}
    for path in ROOT.rglob("*.py"):
        name = path.relative_to(ROOT).as_posix()
        if name.startswith(("tests/", ".venv/", "var/", "benchmarks/", "tools/")) or "/migrations/" in name:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ALLOWED:
                found[node.func.id].add(name)
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "send"
                and ast.unparse(node.func.value).endswith("gateway")
            ):
                found["gateway.send"].add(name)
    assert found["approve"] == ALLOWED["approve"]
    assert found["planned"] == ALLOWED["planned"]
    assert found["gateway.send"] == {"orders/sending.py", TOOLS}


def test_what_tools_send_with_is_out_of_the_products_reach() -> None:
    """`brokers.instances` sends for scripts without review and intent: nothing of the product may import it."""
    sources = (
        path for path in ROOT.rglob("*.py") if not path.relative_to(ROOT).parts[0].startswith((".", "var", "tests"))
    )
    users = [
        path for path in sources if re.search(r"\bbrokers\.instances|brokers import .*instances", path.read_text())
    ]
    assert users == []
