"""Named writes of signals: sources, what they send, what people say to it, and what the session made of it."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.core.exceptions import ValidationError
from django.db import transaction

from accounts.credentials import decrypt, encrypt
from accounts.models import DesiredState, User
from core.ids import Ids
from events import live
from events.audit import name_of, record_change
from events.services import ask, record
from signals.domain import age_objection
from signals.models import Signal, SignalSource
from strategies.models import Bot

FOLLOW = "follow_signal"
PREFIX_LENGTH = 10
SECRET_BYTES = 32
TABLE, FIELD = SignalSource._meta.db_table, "secret_encrypted"
State = Signal.State


@dataclass(frozen=True, slots=True)
class Alert:
    """What a source sent. Volume in lots, None where it names none; prices in quote currency, 0 for none."""

    key: str
    action: str
    symbol: str
    sent_at: datetime
    volume: Decimal | None = None
    sl: Decimal = Decimal(0)
    tp: Decimal = Decimal(0)


@transaction.atomic
def create_source(
    *,
    bot: Bot,
    name: str,
    volume: Decimal,
    volume_max: Decimal,
    by: User,
    at: datetime,
    ids: Ids,
    max_age_seconds: float = 30.0,
    approval_seconds: float | None = None,
) -> tuple[SignalSource, str]:
    """Make a source and return it with its secret, which can't be shown again.

    Raises:
        ValidationError: A field does not hold, or the bot has a source of that name.
    """
    source = SignalSource(
        bot=bot, name=name, prefix=ids.token(PREFIX_LENGTH), secret_encrypted="-", volume=volume,  # noqa: S106
        volume_max=volume_max, max_age_seconds=max_age_seconds, approval_seconds=approval_seconds, created_by=by,
        created_at=at,
    )  # fmt: skip
    source.full_clean()
    source.save()
    secret = secrets.token_urlsafe(SECRET_BYTES)
    source.secret_encrypted = encrypt(secret, table=TABLE, pk=source.pk, field=FIELD)
    source.save(update_fields=[FIELD])
    rules = {"volume": str(volume), "volume_max": str(volume_max), "approval_seconds": approval_seconds}
    _tell_source(source, f"Signals of {name} trade {bot.name}, by {name_of(by)}", rules, by, at)
    return source, secret


@transaction.atomic
def stop_source(*, source: SignalSource, by: User, at: datetime) -> bool:
    """Take nothing more from a source; tell whether that is new."""
    if not SignalSource.objects.filter(pk=source.pk, is_active=True).update(is_active=False):
        return False
    _tell_source(source, f"Signals of {source.name} are not taken any more, by {name_of(by)}", {}, by, at)
    return True


def _tell_source(source: SignalSource, text: str, rules: Mapping[str, object], by: User, at: datetime) -> None:
    record_change(
        kind="SIGNAL_SOURCE",
        text=text,
        subject=f"signal source {source.pk}",
        account_id=source.bot.account_id,
        bot_id=source.bot_id,
        after=rules,
        by=by,
        at=at,
    )


def secret_of(source: SignalSource) -> str:
    """Return a source's secret. Raises CredentialError."""
    return decrypt(source.secret_encrypted, table=TABLE, pk=source.pk, field=FIELD)


@transaction.atomic
def receive(*, source: SignalSource, alert: Alert, at: datetime) -> Signal:
    """Keep an alert; without approvals it goes to the session at once.

    Raises:
        ValidationError: It is too old (code `stale`), came before (`duplicate`), nobody would follow it
            (`not_running`), or it breaks one of the source's rules.
    """
    held = SignalSource.objects.select_for_update(of=("self",)).select_related("bot__account").get(pk=source.pk)
    bot = held.bot
    held.signals.filter(state=State.WAITING, follow_until__lte=at).update(state=State.EXPIRED)
    if Signal.objects.filter(source=held, key=alert.key).exists():
        raise ValidationError(f"{alert.key} came before; every alert needs an id of its own.", "duplicate")
    objection = age_objection(alert.sent_at, at, held.max_age_seconds)
    if objection is not None:
        raise ValidationError(f"Not followed: {objection}.", "stale")
    if alert.symbol not in bot.symbols:
        raise ValidationError({"symbol": f"{bot.name} trades {', '.join(bot.symbols)}."})
    volume = held.volume if alert.volume is None else alert.volume
    if not 0 < volume <= held.volume_max:
        raise ValidationError({"volume": f"At most {held.volume_max.normalize():f} lots, and more than 0."})
    if DesiredState.STOPPED in (bot.desired_state, bot.account.desired_state):
        raise ValidationError(f"{bot.name} is stopped, or its account is.", "not_running")
    waits = held.approval_seconds is not None
    span = held.approval_seconds if held.approval_seconds is not None else held.max_age_seconds
    signal = Signal.objects.create(
        source=held, key=alert.key, action=alert.action, symbol=alert.symbol, volume=volume, sl=alert.sl, tp=alert.tp,
        sent_at=alert.sent_at, received_at=at, follow_until=at + timedelta(seconds=span),
        state=State.WAITING if waits else State.APPROVED,
    )  # fmt: skip
    record(
        kind="SIGNAL_RECEIVED",
        text=f"{held.name}: {signal}" + (", waits for approval" if waits else ""),
        account_id=bot.account_id,
        bot_id=bot.pk,
        at=at,
        data={"signal": signal.pk},
    )
    live.publish(bot.account_id, "state", {"signal": signal.pk})
    if not waits:
        ask(account_id=bot.account_id, kind=FOLLOW, args={"signal": signal.pk}, by=None, at=at)
    return signal


def note_refusal(*, source: SignalSource, key: str, why: str, at: datetime) -> None:
    """Write down that an alert of a known sender was not taken, and why."""
    record(
        kind="SIGNAL_REFUSED", level="warning", text=f"{source.name}: alert {key} was refused: {why}",
        account_id=source.bot.account_id, bot_id=source.bot_id, at=at, data={"source": source.pk, "key": key},
    )  # fmt: skip


def approve(*, signal: Signal, by: User, at: datetime, reason: str = "") -> Signal:
    """Let a waiting signal be traded. Raises ValidationError (code `state`) when it does not wait (any more)."""
    with transaction.atomic():
        decided = _decide(signal, State.APPROVED, by, at, reason)
        account_id = decided.source.bot.account_id
        ask(account_id=account_id, kind=FOLLOW, args={"signal": decided.pk}, by=by, at=at)
    return decided


def reject(*, signal: Signal, by: User, at: datetime, reason: str = "") -> Signal:
    """End a waiting signal. Raises ValidationError (code `state`) when it does not wait (any more)."""
    with transaction.atomic():
        return _decide(signal, State.REJECTED, by, at, reason)


def _decide(signal: Signal, to: Signal.State, by: User, at: datetime, reason: str) -> Signal:
    won = Signal.objects.filter(pk=signal.pk, state=State.WAITING, follow_until__gt=at).update(
        state=to, decided_by=by, decided_at=at, result=reason[:300]
    )
    found = Signal.objects.select_related("source__bot").get(pk=signal.pk)
    if not won:
        raise ValidationError(f"It does not wait: {State(found.state_at(at)).label.lower()}.", "state")
    record_change(
        kind="SIGNAL_DECIDED",
        text=f"{by.get_username()}: {found} {to.label.lower()}",
        subject=f"signal {found.pk}",
        account_id=found.source.bot.account_id,
        bot_id=found.source.bot_id,
        before={"state": State.WAITING},
        after={"state": to},
        reason=reason,
        by=by,
        at=at,
    )
    live.publish(found.source.bot.account_id, "state", {"signal": found.pk})
    return found


def end(*, signal_id: int, state: Signal.State, result: str, cycle_id: int | None = None) -> bool:
    """Write what became of an approved signal, inside the session's transaction; False when it has an end already."""
    approved = Signal.objects.filter(pk=signal_id, state=State.APPROVED)
    return bool(approved.update(state=state, result=result[:300], cycle_id=cycle_id))
