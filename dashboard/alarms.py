"""The banner of every admin page: what counts down, closes or waits for a person, and the kill switches that stand."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.functional import SimpleLazyObject
from django.views.decorators.http import require_safe

from accounts.models import TradingAccount, User
from accounts.permissions import accounts_of
from core.clock import Clock, SystemClock
from risk.models import GuardAlarm
from risk.selectors import kills_seen_by
from risk.services.killing import confirmation_of

CLOCK: Clock = SystemClock()
SHOWN = (
    GuardAlarm.Phase.COUNTDOWN,
    GuardAlarm.Phase.CLOSING,
    GuardAlarm.Phase.CLOSED,
    GuardAlarm.Phase.VETOED,
)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the banner; `acts` are the dialogs' addresses and buttons, for who may use them."""

    phase: str
    where: str
    text: str
    page: str
    deadline: datetime | None = None
    acts: tuple[tuple[str, str], ...] = ()
    seen_by: str = ""


def lines_for(user: User) -> list[Line]:
    """Return what a person has to see on every page, countdowns first."""
    mine = {account.pk: account for account in accounts_of(user)}
    if not mine and not user.is_superuser:
        return []
    managed = set(accounts_of(user, "manager").values_list("pk", flat=True))
    traded = set(accounts_of(user, "trader").values_list("pk", flat=True))
    alarms = GuardAlarm.objects.filter(account__in=mine, ended_at__isnull=True, phase__in=SHOWN)
    lines = [
        _alarm(alarm, mine[alarm.account_id], manages=alarm.account_id in managed, trades=alarm.account_id in traded)
        for alarm in alarms.select_related("acknowledged_by").order_by("since")
    ]
    page = reverse("admin:risk_killswitch_changelist")
    lines += [
        Line("kill", confirmation_of(s.account, s.bot), f"{s.get_mode_display()}: {s.reason}", page)
        for s in kills_seen_by(user)
    ]
    return sorted(lines, key=lambda line: (line.deadline is None, line.deadline or CLOCK.now()))


def _alarm(alarm: GuardAlarm, account: TradingAccount, *, manages: bool, trades: bool) -> Line:
    acts = []
    if manages and alarm.phase == GuardAlarm.Phase.COUNTDOWN:
        acts.append((reverse("admin:risk_guardalarm_veto", args=(alarm.pk,)), "Veto"))
    if manages and alarm.phase in (GuardAlarm.Phase.CLOSED, GuardAlarm.Phase.VETOED):
        acts.append((reverse("admin:risk_guardalarm_rearm", args=(alarm.pk,)), "Re-arm"))
    if trades and alarm.acknowledged_at is None:
        acts.append((reverse("admin:risk_guardalarm_acknowledge", args=(alarm.pk,)), "Acknowledge"))
    said = {
        GuardAlarm.Phase.COUNTDOWN: alarm.text,
        GuardAlarm.Phase.CLOSING: f"closing, {alarm.left} still open. {alarm.trouble}".strip(),
        GuardAlarm.Phase.CLOSED: f"closed, no entries until it is re-armed. {alarm.text}",
        GuardAlarm.Phase.VETOED: f"vetoed, exits only until it is re-armed. {alarm.text}",
    }[GuardAlarm.Phase(alarm.phase)]
    page = reverse("admin:risk_guardalarm_change", args=(alarm.pk,))
    where = f"{account.name}: {alarm.guard.replace('_', ' ')}"
    seen_by = alarm.acknowledged_by.get_username() if alarm.acknowledged_by is not None else ""
    return Line(alarm.phase, where, said, page, alarm.deadline, tuple(acts), seen_by)


def banner(request: HttpRequest) -> dict[str, Any]:
    """Give templates the banner's lines; they are read only where a page of the admin shows them."""
    user = getattr(request, "user", None)
    if not isinstance(user, User) or not request.path.startswith("/admin/"):
        return {"alarm_lines": []}
    return {"alarm_lines": SimpleLazyObject(lambda: lines_for(user)), "alarm_now": CLOCK.now()}


@require_safe
def fragment(request: HttpRequest) -> HttpResponse:
    """Give the banner alone; pages fetch it when the live bus tells of an alarm."""
    return render(request, "dashboard/alarms.html", {"fragment": True})
