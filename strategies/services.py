"""Named writes of bots and their configurations: one transaction each, with the event that tells of it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.db.models import Q
from pydantic import ValidationError as ParamsError

from accounts.models import DesiredState, Symbol, TradingAccount, User
from accounts.validation import plain_text, symbol_list
from events import live
from events.audit import name_of, record_change
from events.services import ask
from strategies import registry
from strategies.models import Bot, BotConfig
from strategies.registry import StrategySpec
from strategies.selectors import active_bots, differences, next_magic

STATE_CHANGED = "state_changed"
NOTE_LENGTH_MAX = 200
# Any constant: one number for everyone who looks which bots are active before one more is
ACTIVE_BOTS_LOCK = 0x626F7473


class ChangedMeanwhile(ValidationError):
    """Somebody else saved a version since the form was opened."""


def _strategy(slug: str) -> StrategySpec:
    try:
        return registry.get(slug)
    except KeyError:
        known = ", ".join(sorted(spec.slug for spec in registry.all_strategies()))
        raise ValidationError(f"{slug!r} is no strategy; known: {known}", code="strategy") from None


def validated(spec: StrategySpec, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as the strategy's parameters understand them, complete with defaults, ready for JSON.

    Raises:
        ValidationError: A value does not hold; each message names its parameter.
    """
    try:
        params = spec.params.model_validate(dict(values))
    except ParamsError as error:
        texts = [": ".join([*map(str, part["loc"]), part["msg"]]) for part in error.errors(include_url=False)]
        raise ValidationError([ValidationError(text, code="params") for text in texts]) from None
    dumped: dict[str, Any] = params.model_dump(mode="json")
    return dumped


def room_for_one_more(but: int | None = None) -> None:
    """Refuse when MAX_BOTS bots are running or paused (S1); inside a transaction, two can't take the last place.

    Raises:
        ValidationError: There is no room.
    """
    _lock_active_bots()
    others = active_bots() if but is None else active_bots().exclude(pk=but)
    active = others.count()
    if active >= settings.MAX_BOTS:
        raise ValidationError(
            f"{active} bots are running or paused and MAX_BOTS is {settings.MAX_BOTS}: "
            "stop one first, or raise MAX_BOTS.",
            code="max_bots",
        )


def _lock_active_bots() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [ACTIVE_BOTS_LOCK])


def _refuse_rivals(bot: Bot, symbols: Sequence[str]) -> None:
    """Refuse a second bot on a symbol where all positions of a symbol are one: each would trade the other's legs.

    Raises:
        ValidationError: Another bot that is not stopped, or has open cycles, names one of the symbols.
    """
    if not bot.account.merges_positions:
        return
    _lock_active_bots()
    at_work = ~Q(desired_state=DesiredState.STOPPED) | Q(cycles__status="open")
    others = Bot.objects.filter(at_work, account_id=bot.account_id, symbols__overlap=list(symbols)).exclude(pk=bot.pk)
    rival = others.order_by("name").first()
    if rival is not None:
        shared = ", ".join(name for name in symbols if name in rival.symbols)
        raise ValidationError(
            f"{rival.name} trades {shared}, and {bot.account} nets: it has one position a symbol. Stop that bot and "
            f"close its cycles first, or take {shared} out of the symbols of one of them.",
            code="symbols",
        )


@transaction.atomic
def create_bot(
    *,
    account: TradingAccount,
    name: str,
    strategy: str,
    symbols: Sequence[str],
    at: datetime,
    values: Mapping[str, Any] | None = None,
    magic: int | None = None,
    by: User | None = None,
    interval_seconds: float = 1.0,
    restart_policy: str = "",
) -> Bot:
    """Create a stopped bot; with `values`, also its first configuration. The magic defaults to the next free one.

    Raises:
        ValidationError: A field does not hold, the strategy is unknown, MAX_BOTS bots are active, or the name or magic
            is taken in the account.
    """
    spec = _strategy(strategy)
    room_for_one_more()
    TradingAccount.objects.select_for_update().get(pk=account.pk)
    bot = Bot(
        account=account,
        name=name,
        strategy=spec.slug,
        symbols=symbol_list(symbols),
        magic=next_magic(account.pk) if magic is None else magic,
        interval_seconds=interval_seconds,
        restart_policy=restart_policy,
    )
    bot.full_clean()
    bot.save()
    register_bot(bot=bot, by=by, at=at)
    if values is not None:
        save_config(bot=bot, values=values, note="First configuration", by=by, at=at)
    return bot


@transaction.atomic
def register_bot(*, bot: Bot, at: datetime, by: User | None = None) -> None:
    """Write down that a bot was created, and make its symbols known to the account."""
    for symbol in bot.symbols:
        Symbol.objects.get_or_create(account_id=bot.account_id, name=symbol)
    record_change(
        kind="BOT_CREATED",
        text=f"Bot {bot.name} ({bot.strategy}) on {', '.join(bot.symbols)}, magic {bot.magic}, by {name_of(by)}",
        subject=f"bot {bot.pk}",
        account_id=bot.account_id,
        bot_id=bot.pk,
        after={
            "name": bot.name,
            "strategy": bot.strategy,
            "symbols": bot.symbols,
            "interval_seconds": bot.interval_seconds,
            "restart_policy": bot.restart_policy,
            "version": bot.config.version if bot.config else None,
        },
        by=by,
        at=at,
    )


@transaction.atomic
def save_config(
    *,
    bot: Bot,
    values: Mapping[str, Any],
    at: datetime,
    note: str = "",
    by: User | None = None,
    seen_version: int | None = None,
) -> BotConfig:
    """Store values as the bot's next version and ask the engine to use it; values that say the same make no version.

    `seen_version` is the version that the person looked at (0 for none): when another one was saved since, nothing is.

    Raises:
        ChangedMeanwhile: With who saved the newer version, and when.
        ValidationError: A value or the note does not hold.
    """
    plain_text(note)
    # Joined rows would be those from before the wait for the lock, so the configuration is read after it
    locked = Bot.objects.select_for_update(of=("self",)).get(pk=bot.pk)
    current = BotConfig.objects.select_related("created_by").filter(pk=locked.config_id or 0).first()
    _refuse_if_changed(current, seen_version)
    spec = _strategy(locked.strategy)
    complete = validated(spec, values)
    if current is not None and (current.values, current.strategy_version) == (complete, spec.version):
        return current
    newest = locked.configs.order_by("-version").values_list("version", flat=True).first() or 0
    config = BotConfig.objects.create(
        bot=locked,
        version=newest + 1,
        strategy=spec.slug,
        strategy_version=spec.version,
        values=complete,
        note=note[:NOTE_LENGTH_MAX],
        created_by=by,
    )
    Bot.objects.filter(pk=bot.pk).update(config=config)
    bot.config = config
    changes = differences(current.values if current else {}, complete)
    said = ", ".join(f"{c.name} {c.before} → {c.after}" for c in changes) if current else "first configuration"
    record_change(
        kind="BOT_CONFIG",
        text=f"{locked.name} v{config.version} by {name_of(by)}: {said}",
        subject=f"bot {locked.pk}",
        account_id=locked.account_id,
        bot_id=locked.pk,
        before={"version": current.version if current else None} | (current.values if current else {}),
        after={"version": config.version} | complete,
        reason=note,
        by=by,
        at=at,
    )
    _wake(locked, {"config": config.version}, by, at)
    return config


def _refuse_if_changed(current: BotConfig | None, seen_version: int | None) -> None:
    version = current.version if current else 0
    if seen_version is None or seen_version == version or current is None:
        return
    raise ChangedMeanwhile(
        f"Changed by {name_of(current.created_by)} at {current.created_at:%H:%M} UTC: version {current.version} is "
        "newer than the one you edited. Nothing was saved; reload the page to see it.",
        code="changed",
    )


@transaction.atomic
def revert(
    *, bot: Bot, version: int, at: datetime, by: User | None = None, seen_version: int | None = None
) -> BotConfig:
    """Make the values of an older version the newest version.

    Raises:
        ValidationError: There is no such version, or its values do not hold for the strategy as it is now.
    """
    old = BotConfig.objects.filter(bot=bot, version=version).first()
    if old is None:
        raise ValidationError(f"{bot.name} has no version {version}.", code="version")
    return save_config(
        bot=bot, values=old.values, note=f"Back to version {version}", by=by, at=at, seen_version=seen_version
    )


@transaction.atomic
def set_bot_state(*, bot: Bot, state: str, at: datetime, by: User | None = None, reason: str = "") -> bool:
    """Say whether a bot shall run, hold back entries or stop, and ask the engine to look; tell if that is new.

    Raises:
        ValidationError: There is no such state, no configuration to run with, no room under MAX_BOTS, or another bot
            at work on one of its symbols of an account that nets.
    """
    if state not in DesiredState.values:
        raise ValidationError(f"{state!r} is no state; known: {', '.join(DesiredState.values)}", code="state")
    locked = Bot.objects.select_for_update(of=("self",)).get(pk=bot.pk)
    before = locked.desired_state
    if before == state:
        bot.desired_state = state
        return False
    if state == DesiredState.RUNNING:
        if locked.config is None:
            raise ValidationError(f"{locked.name} has no configuration yet: save one first.", code="config")
        validated(_strategy(locked.strategy), locked.config.values)
    if before == DesiredState.STOPPED:
        room_for_one_more(but=locked.pk)
        _refuse_rivals(locked, locked.symbols)
    Bot.objects.filter(pk=bot.pk).update(desired_state=state)
    bot.desired_state = state
    record_change(
        kind="BOT_STATE",
        text=f"{locked.name}: {before} → {state}, by {name_of(by)}",
        subject=f"bot {locked.pk}",
        account_id=locked.account_id,
        bot_id=locked.pk,
        before={"desired_state": before},
        after={"desired_state": state},
        reason=reason,
        by=by,
        at=at,
    )
    _wake(locked, {"state": state}, by, at)
    return True


@transaction.atomic
def change_bot(
    *,
    bot: Bot,
    at: datetime,
    name: str | None = None,
    symbols: Sequence[str] | None = None,
    interval_seconds: float | None = None,
    restart_policy: str | None = None,
    by: User | None = None,
) -> bool:
    """Change what is not versioned of a bot: name, symbols, interval in seconds, restart policy (empty: the account's).

    Tells if anything changed.

    Raises:
        ValidationError: A field does not hold, a symbol is taken away while the bot is not stopped, or it is at work
            on an account that nets and another bot at work names one of the symbols.
    """
    locked = Bot.objects.select_for_update(of=("self",)).get(pk=bot.pk)
    kept = locked.symbols if symbols is None else symbol_list(symbols)
    wanted = {
        "name": locked.name if name is None else name,
        "symbols": kept,
        "interval_seconds": locked.interval_seconds if interval_seconds is None else interval_seconds,
        "restart_policy": locked.restart_policy if restart_policy is None else restart_policy,
    }
    before = {field: getattr(locked, field) for field in wanted}
    changed = {field: value for field, value in wanted.items() if before[field] != value}
    gone = sorted(set(locked.symbols) - set(kept))
    if gone and locked.desired_state != DesiredState.STOPPED:
        raise ValidationError(f"Stop the bot before you take {', '.join(gone)} away from it.", code="symbols")
    if not changed:
        return False
    if locked.desired_state != DesiredState.STOPPED:
        _refuse_rivals(locked, kept)
    for field, value in changed.items():
        setattr(locked, field, value)
        setattr(bot, field, value)
    locked.full_clean()
    locked.save(update_fields=list(changed))
    for symbol in locked.symbols:
        Symbol.objects.get_or_create(account_id=locked.account_id, name=symbol)
    record_change(
        kind="BOT_CHANGED",
        text=f"{locked.name}: {', '.join(changed)} changed by {name_of(by)}",
        subject=f"bot {locked.pk}",
        account_id=locked.account_id,
        bot_id=locked.pk,
        before=before,
        after=wanted,
        by=by,
        at=at,
    )
    _wake(locked, {"changed": sorted(changed)}, by, at)
    return True


def _wake(bot: Bot, args: dict[str, Any], by: User | None, at: datetime) -> None:
    """Ask the account's engine to look at its bots now, and tell who watches."""
    ask(account_id=bot.account_id, kind=STATE_CHANGED, args={"bot": bot.pk, **args}, by=by, at=at)
    live.publish(bot.account_id, "state", {"bot": bot.pk, **args})
