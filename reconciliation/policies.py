"""Carry out what policies say about new divergences, set-based, inside the pass's transaction."""

from collections.abc import Sequence
from datetime import datetime

from events.services import record
from orders.booking import book_figures
from reconciliation.domain import Finding, Kind, Policy, Treatment
from reconciliation.models import Ending
from reconciliation.selectors import adoptive_cycles
from reconciliation.services.claims import Adoption, adopt_positions, why_not_claim
from reconciliation.services.ledger import keep_balance_offset

Opened = Sequence[tuple[Finding, Treatment]]


def carry_out(account_id: int, opened: Opened, *, at: datetime) -> tuple[dict[str, tuple[Ending, str]], dict[str, str]]:
    """Do what the policies allow; return by key how each ended, and why a policy could not be carried out."""
    done: dict[str, tuple[Ending, str]] = {}
    acting = [(f, t.policy) for f, t in opened if t.acts]
    mirrored = [f for f, policy in acting if policy is Policy.MIRROR]
    for finding in mirrored:
        done[finding.key] = (Ending.MIRRORED, "the books followed the broker")
        if finding.kind is Kind.BALANCE:
            keep_balance_offset(account_id, float(finding.theirs["offset"]))
    book_figures(account_id, [f.identifier for f in mirrored if f.kind is Kind.PROFIT])
    adopted, why_not = _adopt(account_id, [f for f, policy in acting if policy is Policy.ADOPT], at=at)
    return done | adopted, why_not


def _adopt(
    account_id: int, findings: Sequence[Finding], *, at: datetime
) -> tuple[dict[str, tuple[Ending, str]], dict[str, str]]:
    """Take positions into the newest open cycle of the bot that their magic number names."""
    if not findings:
        return {}, {}
    cycles = adoptive_cycles(account_id)
    adoptions: list[Adoption] = []
    done: dict[str, tuple[Ending, str]] = {}
    why_not: dict[str, str] = {}
    for finding in findings:
        facts = finding.theirs
        cycle = cycles.get((facts["magic"], str(facts["symbol"]).casefold(), facts["side"]))
        if cycle is None:
            why_not[finding.key] = "none: no bot with this magic number has an open cycle of this symbol and side"
        elif (problem := why_not_claim(facts, cycle)) is not None:
            why_not[finding.key] = f"none: {problem}"
        else:
            adoptions.append(Adoption(finding.identifier, facts, cycle))
            done[finding.key] = (Ending.ADOPTED, f"adopted into {cycle}")
    orders = adopt_positions(adoptions, at=at, why="adopted by policy", by=None)
    if orders:
        record(
            kind="POSITION_CLAIMED",
            level="warning",
            text=f"{len(orders)} foreign position(s) adopted by policy, for example #{adoptions[0].facts['ticket']}",
            account_id=account_id,
            at=at,
        )
    return done, why_not
