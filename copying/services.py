"""Named writes of copies: subscriptions, and the life of each copy inside the session's fenced transactions."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from django.core.exceptions import ValidationError
from django.db import transaction

from accounts.models import TradingAccount, User
from copying.models import Copy, Subscription
from copying.selectors import COPIER
from cycles.services import mark_closing
from events import live
from events.audit import name_of, record_change
from events.services import record
from orders.models import Order
from strategies.models import Bot

SYMBOLS_MAX = 100
SYMBOL_LENGTH_MAX = 29
State = Copy.State


@transaction.atomic
def subscribe(
    *,
    name: str,
    provider: TradingAccount,
    bot: Bot,
    scaling: str,
    factor: Decimal,
    volume_max: Decimal,
    by: User,
    at: datetime,
    provider_bot: Bot | None = None,
    symbol_map: Mapping[str, str] | None = None,
    reverse: bool = False,
    positions_max: int = 10,
    age_max_seconds: float = 10.0,
    deviation_pips_max: float = 5.0,
) -> Subscription:
    """Let a copier bot copy an account, or one bot of it, from now on.

    Raises:
        ValidationError: A field does not hold, with its name and the fix.
    """
    subscription = Subscription(
        name=name, provider=provider, provider_bot=provider_bot, bot=bot, scaling=scaling, factor=factor,
        symbol_map=dict(symbol_map or {}), reverse=reverse, volume_max=volume_max, positions_max=positions_max,
        age_max_seconds=age_max_seconds, deviation_pips_max=deviation_pips_max, since=at, created_by=by,
    )  # fmt: skip
    _check(subscription)
    subscription.full_clean()
    subscription.save()
    what = provider_bot.name if provider_bot is not None else provider.name
    terms = {"scaling": scaling, "factor": str(factor), "volume_max": str(volume_max), "reverse": reverse}
    _tell(subscription, f"{bot.name} copies {what}, by {name_of(by)}", terms, by, at)
    return subscription


def _check(subscription: Subscription) -> None:
    bot, provider = subscription.bot, subscription.provider
    if bot.strategy != COPIER:
        raise ValidationError({"bot": f"{bot.name} trades {bot.strategy}; make a bot with the strategy {COPIER}."})
    if provider.pk == bot.account_id:
        raise ValidationError({"provider": "An account can't copy itself."})
    of_bot = subscription.provider_bot
    if of_bot is not None and of_bot.account_id != provider.pk:
        raise ValidationError({"provider_bot": f"{of_bot.name} is not a bot of {provider.name}."})
    if subscription.scaling == "equity" and provider.currency != bot.account.currency:
        raise ValidationError(
            {"scaling": f"{provider.currency} and {bot.account.currency} can't be compared: use a multiplier or lots."}
        )
    pairs = subscription.symbol_map
    names = [text for pair in pairs.items() for text in pair]
    if len(pairs) > SYMBOLS_MAX or any(not isinstance(n, str) or not 0 < len(n) <= SYMBOL_LENGTH_MAX for n in names):
        raise ValidationError({"symbol_map": 'Give names of symbols, as {"EURUSD.r": "EURUSD"}, 100 at most.'})
    strange = sorted(set(pairs.values()) - set(bot.symbols))
    if strange:
        raise ValidationError({"symbol_map": f"{', '.join(strange)}: {bot.name} trades {', '.join(bot.symbols)}."})


@transaction.atomic
def unsubscribe(*, subscription: Subscription, by: User, at: datetime) -> bool:
    """Copy nothing more; what is open is still followed to its end. Tell whether that is new."""
    if not Subscription.objects.filter(pk=subscription.pk, is_active=True).update(is_active=False):
        return False
    _tell(subscription, f"{subscription.bot.name} copies {subscription.name} no more, by {name_of(by)}", {}, by, at)
    return True


def _tell(subscription: Subscription, text: str, terms: Mapping[str, object], by: User, at: datetime) -> None:
    record_change(
        kind="COPY_SUBSCRIPTION", text=text, subject=f"copy subscription {subscription.pk}",
        account_id=subscription.bot.account_id, bot_id=subscription.bot_id, after=terms, by=by, at=at,
    )  # fmt: skip


# The life of a copy; the caller's transaction is fenced


def see(*, subscription: Subscription, order: Order, at: datetime) -> Copy:
    """Return the copy of a provider's position, written down at the first look."""
    return Copy.objects.get_or_create(subscription=subscription, source=order, defaults={"seen_at": at})[0]


def wait(*, copy: Copy, why: str) -> None:
    """Note why a copy waits."""
    if copy.reason != why[:300]:
        Copy.objects.filter(pk=copy.pk, state=State.WAITING).update(reason=why[:300])


def skip(*, copy: Copy, why: str, at: datetime) -> bool:
    """End a copy that was never opened; tell whether it was waiting."""
    won = Copy.objects.filter(pk=copy.pk, state=State.WAITING).update(
        state=State.SKIPPED, reason=why[:300], decided_at=at, ended_at=at
    )
    if won:
        bot = copy.subscription.bot
        record(
            kind="COPY_SKIPPED", level="warning", text=f"{bot.name} skips #{copy.source.ticket}: {why}", at=at,
            account_id=bot.account_id, bot_id=bot.pk, data={"copy": copy.pk},
        )  # fmt: skip
        live.publish(bot.account_id, "state", {"copy": copy.pk})
    return bool(won)


def claim(*, copy: Copy, cycle_id: int, volume: float, sl: float, tp: float, at: datetime) -> bool:
    """Take a waiting copy in the transaction that opens its cycle; False when another pass took it."""
    waiting = Copy.objects.filter(pk=copy.pk, state=State.WAITING)
    return bool(
        waiting.update(
            state=State.OPEN, cycle_id=cycle_id, volume=Decimal(str(volume)), asked_sl=sl, asked_tp=tp, decided_at=at,
            reason="",
        )
    )  # fmt: skip


def follow_end(*, copy: Copy, why: str, at: datetime) -> bool:
    """Close what a copy opened, because the provider's position is over; tell whether that is new."""
    won = Copy.objects.filter(pk=copy.pk, state=State.OPEN).update(state=State.CLOSING, reason=why[:300])
    if copy.cycle_id is not None:
        mark_closing(copy.cycle_id, reason=why, at=at)
    return bool(won)


def end(*, copy: Copy, why: str, at: datetime) -> bool:
    """Write that what a copy opened is over."""
    under_way = Copy.objects.filter(pk=copy.pk, state__in=(State.OPEN, State.CLOSING))
    return bool(under_way.update(state=State.CLOSED, reason=why[:300], ended_at=at))


def note_stops(*, copy: Copy, sl: float, tp: float) -> None:
    """Remember which stops were asked for."""
    Copy.objects.filter(pk=copy.pk).update(asked_sl=sl, asked_tp=tp)
