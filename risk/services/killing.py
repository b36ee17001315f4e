"""The kill switch: one action that stops a bot, an account or everything, whatever the strategies do."""

from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import transaction

from accounts.models import TradingAccount, User
from accounts.services import STATE_CHANGED
from events import live
from events.audit import name_of, record_change
from events.services import ask
from risk.models import KillSwitch
from strategies.models import Bot

EVERYTHING = "everything"


def confirmation_of(account: TradingAccount | None, bot: Bot | None) -> str:
    """Return what a person has to type: the name of what is stopped."""
    return bot.name if bot is not None else account.name if account is not None else EVERYTHING


@transaction.atomic
def kill(
    *,
    mode: str,
    reason: str,
    confirmation: str,
    at: datetime,
    by: User | None = None,
    account: TradingAccount | None = None,
    bot: Bot | None = None,
) -> KillSwitch:
    """Stop a bot, an account, or (without either) everything, until it is released; a standing switch changes its mode.

    Raises:
        ValidationError: The mode is unknown, the reason is missing, or the confirmation is not the typed name.
    """
    if mode not in KillSwitch.Mode.values:
        raise ValidationError(f"{mode!r} is no mode; known: {', '.join(KillSwitch.Mode.values)}", code="mode")
    if not reason.strip():
        raise ValidationError("Say why: everybody who finds it stopped will ask.", code="reason")
    account = bot.account if bot is not None else account
    wanted = confirmation_of(account, bot)
    if confirmation.strip() != wanted:
        raise ValidationError(f"Type {wanted} to confirm.", code="confirmation")
    switch, _ = KillSwitch.objects.select_for_update(of=("self",)).update_or_create(
        account=account,
        bot=bot,
        released_at=None,
        defaults={"mode": mode, "reason": reason[:300], "at": at, "by": by},
    )
    _tell(switch, "KILL_SWITCH", "error", f"{wanted}: {switch.get_mode_display()}, by {name_of(by)}: {reason}", by, at)
    return switch


@transaction.atomic
def release(*, switch_id: int, reason: str, at: datetime, by: User | None = None) -> KillSwitch:
    """Let what was stopped go on.

    Raises:
        ValidationError: The reason is missing, or it was released before.
    """
    if not reason.strip():
        raise ValidationError("Say why it may go on.", code="reason")
    if not KillSwitch.objects.filter(pk=switch_id, released_at=None).update(
        released_at=at, released_by=by, release_reason=reason[:300]
    ):
        raise ValidationError("It was released before.", code="released")
    switch = KillSwitch.objects.select_related("account", "bot").get(pk=switch_id)
    text = f"{confirmation_of(switch.account, switch.bot)}: kill switch released by {name_of(by)}: {reason}"
    _tell(switch, "KILL_RELEASED", "warning", text, by, at)
    return switch


def _tell(switch: KillSwitch, kind: str, level: str, text: str, by: User | None, at: datetime) -> None:
    """Write it down, wake every engine that it concerns, and tell the pages."""
    record_change(
        kind=kind,
        level=level,
        text=text,
        subject=f"kill switch {switch.pk}",
        account_id=switch.account_id,
        bot_id=switch.bot_id,
        after={"mode": switch.mode, "released": switch.released_at is not None},
        reason=switch.release_reason or switch.reason,
        by=by,
        at=at,
    )
    every = TradingAccount.objects.values_list("pk", flat=True)
    for account_id in [switch.account_id] if switch.account_id is not None else list(every):
        ask(account_id=account_id, kind=STATE_CHANGED, args={"kill": switch.mode}, by=by, at=at)
        live.publish(account_id, "alarm", {"kill": switch.pk, "mode": switch.mode})
