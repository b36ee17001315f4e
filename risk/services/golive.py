"""Going live: a real account trades only after a second person agreed, on a passing doctor and a finished paper run."""

from datetime import datetime, timedelta

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction

from accounts.models import TradingAccount, User
from events.audit import record_change
from orders.selectors import paper_run
from risk.models import LiveRequest
from risk.services.blocks import lift_cause, raise_block

CAUSE = "not approved for real money"
DOCTOR_AGE_MAX = timedelta(days=1)


def doctor_objection(account: TradingAccount, at: datetime) -> str | None:
    """Say what the doctor has against an account, or None when it looked within a day and nothing blocks."""
    state = getattr(account, "engine_state", None)
    if state is None or state.examined_at is None or at - state.examined_at > DOCTOR_AGE_MAX:
        return "the doctor has not looked at it within a day: start it, it will be examined and hold back entries"
    blocking = [check for check in state.doctor if check["grade"] == "block" and ":" not in check["name"]]
    return f"the doctor blocks: {blocking[0]['name']}: {blocking[0]['found']}" if blocking else None


def _check_paper(account: TradingAccount, paper: TradingAccount | None) -> str:
    """Refuse a paper run that is of another account, too short, or without a trade; say in words what it has shown."""
    needed = settings.LIVE_PAPER_DAYS
    if needed == 0 and paper is None:
        return "no paper run"
    if paper is None or not paper.demo:
        raise ValidationError(f"Name the paper or demo account of the paper run of {needed} days.", code="paper")
    if paper.is_paper and paper.source_id != account.pk:
        raise ValidationError(f"{paper.name} ran at the prices of another account than {account.name}.", code="paper")
    run = paper_run(paper.pk)
    if run.days < needed:
        raise ValidationError(f"{paper.name} has run on {run.days} days; {needed} are needed first.", code="paper")
    if needed and not run.trades:
        raise ValidationError(f"{paper.name} has closed no trade: its run has shown nothing.", code="paper")
    return f"{run.days} days and {run.trades} closed trades on {paper.name}"


@transaction.atomic
def ask_live(
    *, account: TradingAccount, paper: TradingAccount | None, reason: str, by: User, at: datetime
) -> LiveRequest:
    """Ask that a real account may trade.

    Raises:
        ValidationError: It is a demo account, the paper run is too short, it was asked before, or a reason is missing.
    """
    if account.demo:
        raise ValidationError("A demo account needs no approval; what it is pinned to never changes.", code="demo")
    if not reason.strip():
        raise ValidationError("Say what the paper run has shown.", code="reason")
    shown = _check_paper(account, paper)
    if LiveRequest.objects.filter(account=account, ended_at=None).exists():
        raise ValidationError("It was asked before and waits for an answer, or is approved.", code="again")
    request = LiveRequest.objects.create(account=account, paper=paper, reason=reason[:300], asked_by=by, asked_at=at)
    text = f"{by.get_username()} asks to trade real money on {account.name} after {shown}: {reason}"
    _tell(request, "LIVE_ASKED", text, by, at)
    return request


@transaction.atomic
def approve_live(*, request_id: int, reason: str, by: User, at: datetime) -> LiveRequest:
    """Agree that a real account may trade.

    Raises:
        ValidationError: The person asked for it, the doctor objects, the paper run does not hold, or it is over.
    """
    request = LiveRequest.objects.select_for_update(of=("self",)).select_related("account", "paper").get(pk=request_id)
    if request.approved_at is not None or request.ended_at is not None:
        raise ValidationError("It was answered before.", code="answered")
    if settings.LIVE_SECOND_PERSON and request.asked_by_id == by.pk:
        raise ValidationError("Who asks can't agree: a second person has to look at it.", code="person")
    if not reason.strip():
        raise ValidationError("Say what you have looked at.", code="reason")
    objection = doctor_objection(request.account, at)
    if objection is not None:
        raise ValidationError(f"{request.account.name}: {objection}.", code="doctor")
    shown = _check_paper(request.account, request.paper)
    request.approved_at, request.approved_by, request.approve_reason = at, by, reason[:300]
    request.save(update_fields=["approved_at", "approved_by", "approve_reason"])
    lift_cause(account_id=request.account_id, cause=CAUSE, why=f"approved by {by.get_username()}", at=at)
    text = f"{by.get_username()} agreed that {request.account.name} trades real money after {shown}: {reason}"
    _tell(request, "LIVE_APPROVED", text, by, at)
    return request


@transaction.atomic
def end_live(*, request_id: int, reason: str, by: User, at: datetime) -> LiveRequest:
    """Withdraw a request, or take an approval back: entries are held back at the engine's next look.

    Raises:
        ValidationError: It is over, or the reason is missing.
    """
    if not reason.strip():
        raise ValidationError("Say why.", code="reason")
    if not LiveRequest.objects.filter(pk=request_id, ended_at=None).update(ended_at=at, end_reason=reason[:300]):
        raise ValidationError("It is over already.", code="over")
    request = LiveRequest.objects.select_related("account").get(pk=request_id)
    text = f"{by.get_username()} ended the approval of {request.account.name}: {reason}"
    _tell(request, "LIVE_ENDED", text, by, at)
    return request


def hold_back_unapproved(account: TradingAccount, *, at: datetime) -> None:
    """Let a block stand on a real account exactly while nobody has approved it; inside the caller's transaction."""
    approved = LiveRequest.objects.filter(account=account, approved_at__isnull=False, ended_at=None).exists()
    if account.demo or approved:
        lift_cause(account_id=account.pk, cause=CAUSE, why="approved for real money", at=at)
    else:
        reason = "a real account trades after a second person agreed: Risk → Going live"
        raise_block(account_id=account.pk, cause=CAUSE, reason=reason, at=at)


def _tell(request: LiveRequest, kind: str, text: str, by: User, at: datetime) -> None:
    record_change(
        kind=kind,
        level="warning",
        text=text,
        subject=f"live request {request.pk}",
        account_id=request.account_id,
        after={"approved": request.approved_at is not None, "ended": request.ended_at is not None},
        reason=request.end_reason or request.approve_reason or request.reason,
        by=by,
        at=at,
    )
