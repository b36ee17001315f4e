"""Alarms: what the session writes about them, and what people may do with them."""

from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F

from accounts.models import User
from events import live
from events.audit import record_change
from events.services import record
from risk.domain.alarms import CONDITIONS, Alarm, Phase
from risk.domain.readings import Level, Tier
from risk.models import DayStart, EquityPeak, GuardAlarm
from risk.services.blocks import GUARD, lift_cause, raise_block

# What comes and goes by the minute is kept as alarms, and the journal shows it as detail
QUIET = CONDITIONS - {"errors", "broken"}
KINDS = {
    Phase.STANDING: "GUARD_WARNED",
    Phase.COUNTDOWN: "GUARD_COUNTDOWN",
    Phase.CLOSING: "GUARD_CLOSING",
    Phase.CLOSED: "GUARD_CLOSED",
    Phase.VETOED: "GUARD_VETOED",
    Phase.ENDED: "GUARD_ENDED",
}
WORDS = {
    Phase.CLOSING: "closing now, largest risk first",
    Phase.CLOSED: "closed; no entries until a person re-arms it",
    Phase.VETOED: "vetoed; exits only until a person re-arms it",
    Phase.ENDED: "over",
}
FIELDS = ("tier", "phase", "figure", "limit", "text", "deadline", "calm_since", "vetoed_figure")


def as_alarm(row: GuardAlarm) -> Alarm:
    """Return an alarm's row as the value that the guards work with."""
    return Alarm(
        row.guard,
        Level(row.level),
        row.subject,
        Tier(row.tier),
        Phase(row.phase),
        row.figure,
        row.limit,
        row.text,
        row.since,
        row.bot_id,
        row.deadline,
        row.vetoed_figure,
        row.calm_since,
    )


def write_alarm(
    account_id: int, before: GuardAlarm | None, alarm: Alarm, *, left: int, trouble: str, at: datetime
) -> GuardAlarm | None:
    """Write an alarm's step and the block that goes with it, inside the caller's fenced transaction.

    Returns None, changing nothing, when a person vetoed or re-armed it since it was read.
    """
    values = {name: getattr(alarm, name) for name in FIELDS} | {"left": left, "trouble": trouble[:300]}
    values["text"] = alarm.text[:300]
    if alarm.phase is Phase.ENDED:
        values |= {"ended_at": at, "end_reason": "calm again"}
    counts_anew = before is not None and alarm.phase is Phase.COUNTDOWN and before.phase != Phase.COUNTDOWN
    if before is not None and (alarm.tier > before.tier or counts_anew):
        # Whoever saw the milder alarm has not seen this
        values |= {"acknowledged_at": None, "acknowledged_by": None}
    if before is None:
        row = GuardAlarm.objects.create(
            account_id=account_id, guard=alarm.guard, level=alarm.level, subject=alarm.subject[:40],
            bot_id=alarm.bot_id, since=alarm.since, **values,
        )  # fmt: skip
    else:
        if not GuardAlarm.objects.filter(pk=before.pk, phase=before.phase, ended_at=None).update(**values):
            return None
        row = GuardAlarm.objects.get(pk=before.pk)
    if before is None or (before.phase, before.tier) != (row.phase, row.tier):
        _tell(row, at)
    _block(row, at)
    return row


def _tell(row: GuardAlarm, at: datetime) -> None:
    quiet = row.guard in QUIET and row.tier < Tier.CLOSE
    loud = "info" if row.phase == Phase.ENDED else "warning" if row.tier < Tier.CLOSE else "error"
    words = WORDS.get(Phase(row.phase), GuardAlarm.Tier(row.tier).label.lower())
    if row.phase == Phase.COUNTDOWN and row.deadline is not None:
        words = f"closes at {row.deadline:%H:%M:%S} UTC unless a manager vetoes"
    record(
        kind=KINDS[Phase(row.phase)],
        level="debug" if quiet else loud,
        text=f"{row.guard}: {row.text} ({words})",
        account_id=row.account_id,
        bot_id=row.bot_id,
        at=at,
        data={"alarm": row.pk, "tier": row.tier, "figure": round(row.figure, 4), "limit": row.limit},
    )
    live.publish(row.account_id, "alarm", {"id": row.pk, "phase": row.phase, "tier": row.tier})


def _block(row: GuardAlarm, at: datetime) -> None:
    """Let the block stand exactly while the alarm forbids entries."""
    cause, symbol = cause_of(row), row.subject if row.level == Level.SYMBOL else ""
    level = "debug" if row.guard in QUIET else "warning"
    if as_alarm(row).forbids_entries:
        raise_block(
            account_id=row.account_id,
            bot_id=row.bot_id,
            symbol=symbol,
            cause=cause,
            reason=row.text,
            at=at,
            level=level,
        )
    else:
        lift_cause(
            account_id=row.account_id, bot_id=row.bot_id, symbol=symbol, cause=cause,
            why=row.end_reason or "the guard is calm", at=at, level="debug" if level == "debug" else "info",
        )  # fmt: skip


def cause_of(row: GuardAlarm) -> str:
    """Name the block of an alarm."""
    about = "" if row.level in (Level.SYMBOL, Level.ACCOUNT, Level.PORTFOLIO) and not row.subject else f" {row.subject}"
    return f"{GUARD} {row.guard}{'' if row.level == Level.SYMBOL else about}"[:60]


@transaction.atomic
def veto_alarm(*, alarm_id: int, reason: str, by: User, at: datetime) -> GuardAlarm:
    """Stop a countdown. Entries stay forbidden until the alarm is re-armed; a much deeper figure counts down again.

    Raises:
        ValidationError: There is no reason, or no countdown to stop any more.
    """
    if not reason.strip():
        raise ValidationError("Say why: a veto keeps the reason.", code="reason")
    won = GuardAlarm.objects.filter(pk=alarm_id, phase=Phase.COUNTDOWN, deadline__gt=at).update(
        phase=Phase.VETOED,
        vetoed_figure=F("figure"),
        vetoed_at=at,
        vetoed_by=by,
        veto_reason=reason[:300],
        deadline=None,
    )
    row = GuardAlarm.objects.select_related("account").get(pk=alarm_id)
    if not won:
        raise ValidationError(
            f"There is no countdown to veto any more: {row.get_phase_display().lower()}.", code="late"
        )
    record_change(
        kind="GUARD_VETOED",
        level="warning",
        text=f"{row.guard}: {by.get_username()} vetoed the closing of {row.account.name}: {reason}",
        account_id=row.account_id,
        bot_id=row.bot_id,
        at=at,
        subject=f"alarm {row.pk}",
        after={"phase": row.phase},
        reason=reason,
        by=by,
    )
    live.publish(row.account_id, "alarm", {"id": row.pk, "phase": row.phase, "tier": row.tier})
    return row


@transaction.atomic
def rearm_alarm(*, alarm_id: int, reason: str, by: User, at: datetime) -> GuardAlarm:
    """End a fired or vetoed alarm: entries are allowed again, and the guard begins anew from what is there now.

    Raises:
        ValidationError: There is no reason, it has not fired, or it is closing right now.
    """
    if not reason.strip():
        raise ValidationError("Say why entries may go on.", code="reason")
    row = GuardAlarm.objects.select_for_update(of=("self",)).select_related("account").get(pk=alarm_id)
    if row.phase not in (Phase.CLOSED, Phase.VETOED):
        raise ValidationError(
            f"Only a fired or vetoed guard is re-armed; this one is {row.get_phase_display().lower()}.", code="phase"
        )
    row.phase, row.ended_at, row.ended_by, row.end_reason = GuardAlarm.Phase.ENDED, at, by, reason[:300]
    row.save(update_fields=["phase", "ended_at", "ended_by", "end_reason"])
    _begin_anew(row)
    _block(row, at)
    record_change(
        kind="GUARD_REARMED",
        level="warning",
        text=f"{row.guard}: {by.get_username()} re-armed it on {row.account.name}: {reason}",
        account_id=row.account_id,
        bot_id=row.bot_id,
        at=at,
        subject=f"alarm {row.pk}",
        after={"phase": row.phase},
        reason=reason,
        by=by,
    )
    live.publish(row.account_id, "alarm", {"id": row.pk, "phase": row.phase, "tier": row.tier})
    return row


@transaction.atomic
def acknowledge_alarm(*, alarm_id: int, reason: str, by: User, at: datetime) -> GuardAlarm:
    """Write down that a person has seen an alarm; the first one's name is kept. It changes nothing else.

    Raises:
        ValidationError: There is no remark, or the alarm is over.
    """
    if not reason.strip():
        raise ValidationError("Say what you have seen: the next one will read it.", code="reason")
    open_alarm = GuardAlarm.objects.filter(pk=alarm_id, ended_at=None)
    won = open_alarm.filter(acknowledged_at=None).update(acknowledged_at=at, acknowledged_by=by)
    row = GuardAlarm.objects.select_related("account", "acknowledged_by").get(pk=alarm_id)
    if row.ended_at is not None:
        raise ValidationError("It is over.", code="over")
    if won:
        record_change(
            kind="GUARD_ACKNOWLEDGED",
            text=f"{row.guard}: {by.get_username()} has seen it on {row.account.name}: {reason}",
            account_id=row.account_id,
            bot_id=row.bot_id,
            at=at,
            subject=f"alarm {row.pk}",
            after={"acknowledged": True},
            reason=reason,
            by=by,
        )
        live.publish(row.account_id, "alarm", {"id": row.pk, "phase": row.phase, "tier": row.tier})
    return row


def _begin_anew(row: GuardAlarm) -> None:
    """Forget the peak, or the day's start, that fired: the session takes the next figures as the new ones."""
    if row.guard in ("drawdown", "portfolio"):
        EquityPeak.objects.filter(account_id=row.account_id).delete()
    if row.guard == "daily_loss":
        newest = DayStart.objects.filter(account_id=row.account_id).order_by("-day").values("pk")[:1]
        DayStart.objects.filter(pk__in=newest).update(equity=None, balance=None)
