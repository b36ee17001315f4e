"""The life of an alarm: warn, count down, close, and stay closed until a person says otherwise.

```
        ┌──────────── calm for a while ─────────────┐
STANDING ─► COUNTDOWN ─► CLOSING ─► CLOSED          ▼
   │            │  ▲         ▲        │ │        ENDED
   │            ▼  │ deeper  └────────┘ └─ re-armed ▲
   │         VETOED ┘      opened again             │
   └────────────────────────────── re-armed ────────┘
```

A countdown goes on when the figure recovers: a guard that hovers at its limit would never act. Only a person stops it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from risk.domain.guards import marked_by
from risk.domain.readings import Finding, Held, Level, Tier
from risk.domain.settings import GuardSettings

CALM = timedelta(seconds=10)
# Conditions of market and broker, which hold exactly as long as they are seen
CONDITIONS = frozenset({"stale_data", "spread", "thin_book", "session", "news", "order_rate", "errors", "broken"})
NEEDS_A_PERSON = frozenset({Level.BOT, Level.ACCOUNT, Level.PORTFOLIO})


class Phase(StrEnum):
    STANDING = "standing"
    COUNTDOWN = "countdown"
    VETOED = "vetoed"
    CLOSING = "closing"
    CLOSED = "closed"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Alarm:
    """What a guard raised about one thing. `deadline`: when the countdown ends; `calm_since`: when it last was fine."""

    guard: str
    level: Level
    subject: str
    tier: Tier
    phase: Phase
    figure: float
    limit: float
    text: str
    since: datetime
    bot_id: int | None = None
    deadline: datetime | None = None
    vetoed_figure: float | None = None
    calm_since: datetime | None = None

    @property
    def closes(self) -> bool:
        """Tell whether what it is about has to be closed, now and whatever opens again."""
        return self.phase in (Phase.CLOSING, Phase.CLOSED)

    @property
    def forbids_entries(self) -> bool:
        """Tell whether nothing may raise exposure; a veto stops the closing, not this."""
        return self.phase is not Phase.ENDED and self.tier >= Tier.REDUCE


def follow(
    alarm: Alarm | None, finding: Finding | None, settings: GuardSettings, now: datetime, *, left: int
) -> Alarm | None:
    """Take the alarm's next step; `left` counts what is still open of what it is about. None: there is nothing."""
    if alarm is None or alarm.phase is Phase.ENDED:
        return None if finding is None else _raised(finding, settings, now)
    match alarm.phase:
        case Phase.STANDING:
            return _standing(alarm, finding, settings, now)
        case Phase.COUNTDOWN:
            late = alarm.deadline is None or now >= alarm.deadline
            return replace(alarm, phase=Phase.CLOSING) if late else _figure(alarm, finding)
        case Phase.VETOED:
            return _vetoed(alarm, finding, settings, now)
        case Phase.CLOSING:
            return _closing(alarm, finding, left)
        case Phase.CLOSED:
            return replace(alarm, phase=Phase.CLOSING) if left else alarm
    raise ValueError(f"an alarm has no phase {alarm.phase}")


def concerned(alarm: Alarm | None, finding: Finding | None, held: Iterable[Held], *, foreign: bool) -> list[Held]:
    """Return what is held of what an alarm is about; what nobody's books know goes with a whole account, if `foreign`.

    An alarm whose guard finds nothing any more is still about the same.
    """
    if finding is None and alarm is not None:
        finding = Finding(alarm.guard, alarm.level, alarm.subject, Tier.CLOSE, 0.0, 0.0, "", alarm.bot_id)
    if finding is None:
        return []
    whole = finding.level in (Level.ACCOUNT, Level.PORTFOLIO)
    return [h for h in held if (h.order_id is not None or (whole and foreign)) and marked_by(finding, h)]


def _raised(finding: Finding, settings: GuardSettings, now: datetime) -> Alarm:
    alarm = Alarm(
        finding.guard,
        finding.level,
        finding.subject,
        finding.tier,
        Phase.STANDING,
        finding.figure,
        finding.limit,
        finding.text,
        now,
        finding.bot_id,
    )
    return _fired(alarm, finding, settings, now) if finding.tier is Tier.CLOSE else alarm


def _fired(alarm: Alarm, finding: Finding, settings: GuardSettings, now: datetime) -> Alarm:
    """Begin to close, after the countdown where a person may object."""
    alarm = replace(
        alarm, tier=Tier.CLOSE, figure=finding.figure, limit=finding.limit, text=finding.text, calm_since=None
    )
    if not finding.countdown or settings.countdown_seconds <= 0:
        return replace(alarm, phase=Phase.CLOSING)
    return replace(alarm, phase=Phase.COUNTDOWN, deadline=now + timedelta(seconds=settings.countdown_seconds))


def _standing(alarm: Alarm, finding: Finding | None, settings: GuardSettings, now: datetime) -> Alarm:
    if finding is not None and finding.tier is Tier.CLOSE:
        return _fired(alarm, finding, settings, now)
    if finding is not None and finding.tier >= alarm.tier:
        return replace(_figure(alarm, finding), tier=finding.tier, text=finding.text, calm_since=None)
    calm_since = alarm.calm_since or now
    if alarm.guard not in CONDITIONS and now - calm_since < CALM:
        return replace(alarm, calm_since=calm_since)
    if finding is None:
        return replace(alarm, phase=Phase.ENDED)
    return replace(_figure(alarm, finding), tier=finding.tier, text=finding.text, calm_since=None)


def _vetoed(alarm: Alarm, finding: Finding | None, settings: GuardSettings, now: datetime) -> Alarm:
    deeper = finding is not None and finding.figure >= (alarm.vetoed_figure or 0.0) + settings.veto_step
    if finding is not None and finding.tier is Tier.CLOSE and deeper:
        return replace(_fired(alarm, finding, settings, now), vetoed_figure=None)
    return alarm


def _closing(alarm: Alarm, finding: Finding | None, left: int) -> Alarm:
    if left:
        return alarm
    if alarm.level in NEEDS_A_PERSON:
        return replace(alarm, phase=Phase.CLOSED)
    return alarm if finding is not None else replace(alarm, phase=Phase.ENDED)


def _figure(alarm: Alarm, finding: Finding | None) -> Alarm:
    """Show the newest figure, when it moved by what a person would see."""
    if finding is None or abs(finding.figure - alarm.figure) < 0.1 or finding.guard != alarm.guard:
        return alarm
    return replace(alarm, figure=finding.figure, limit=finding.limit, text=finding.text)
