"""Named writes of accounts: one transaction each; what a person could see changes together with its event."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction

from accounts.credentials import encrypt
from accounts.models import (
    AccountRole,
    BrokerKind,
    DesiredState,
    MarginMode,
    RestartPolicy,
    ServerOffset,
    TradingAccount,
    User,
    WindingDown,
)
from accounts.selectors import INVESTOR_FIELD, PAIRING_FIELD, PASSWORD_FIELD, password_of
from accounts.validation import check_account, pairing_code, plain_text, taken_over
from brokers.gateway import ClockOffset
from events import live
from events.audit import name_of, record_change
from events.models import AuditEntry, Command
from events.services import ask, record

PASSWORD_LENGTH_MAX = 128
STATE_CHANGED = "state_changed"
FORCE_ORDER_SYNC = "force_order_sync"
EXAMINE = "examine"
# What the audit trail keeps of an account
WRITTEN_FIELDS = (
    "name", "broker", "login", "server", "terminal_path", "margin_mode", "currency", "demo", "restart_policy",
    "placement", "source", "paper_deposit",
)  # fmt: skip


@transaction.atomic
def create_account(
    *,
    name: str,
    login: int,
    server: str,
    at: datetime,
    by: User | None = None,
    broker: str = BrokerKind.SIMULATOR,
    password: str = "",
    terminal_path: str = "",
    pairing: str = "",
    margin_mode: str = MarginMode.HEDGING,
    currency: str = "USD",
    demo: bool = True,
    restart_policy: str = RestartPolicy.RESUME,
    placement: str = "",
    source: TradingAccount | None = None,
    paper_deposit: Decimal | None = None,
) -> TradingAccount:
    """Create a stopped account; whoever creates it manages it.

    A paper account names its `source`, whose server, currency, margin mode and (unless given) placement it takes over.

    Raises:
        ValidationError: A field does not hold, or the account exists.
    """
    account = TradingAccount(
        name=name,
        broker=broker,
        login=login,
        server=server,
        terminal_path=terminal_path,
        margin_mode=margin_mode,
        currency=currency,
        demo=demo,
        restart_policy=restart_policy,
        placement=placement,
        source=source,
        paper_deposit=paper_deposit,
    )
    taken_over(account)
    account.full_clean()
    check_account(account)
    account.save()
    if password:
        _keep_password(account, password)
    register_account(account=account, by=by, at=at)
    if pairing:
        set_pairing(account=account, pairing=pairing, by=by, at=at)
    return account


@transaction.atomic
def register_account(*, account: TradingAccount, by: User | None, at: datetime) -> None:
    """Write down that an account was created, and let a creator who is no superuser manage it."""
    if by is not None and not by.is_superuser:
        AccountRole.objects.get_or_create(user=by, account=account, defaults={"role": AccountRole.Role.MANAGER})
    record_change(
        kind="ACCOUNT_CREATED",
        text=f"Account {account.name} created: {account.get_broker_display()}, {account.login} at {account.server}",
        subject=f"account {account.pk}",
        account_id=account.pk,
        after=settings_of(account.pk) | {"password": _password_word(account)},
        by=by,
        at=at,
    )


@transaction.atomic
def set_password(*, account: TradingAccount, password: str, at: datetime, by: User | None = None) -> None:
    """Encrypt and keep the broker password of a saved account; an empty one forgets it.

    Raises:
        ValidationError: It is too long or holds control characters, which no terminal can type.
        CredentialError: No key is configured.
    """
    _keep_password(account, password)
    record_change(
        kind="ACCOUNT_PASSWORD",
        text=f"The broker password of {account.name} was {'changed' if password else 'removed'} by {name_of(by)}",
        subject=f"account {account.pk}",
        account_id=account.pk,
        by=by,
        at=at,
    )


@transaction.atomic
def set_investor_password(*, account: TradingAccount, password: str, at: datetime, by: User | None = None) -> None:
    """Encrypt and keep the password that only reads; it is used wherever nothing is sent. An empty one forgets it.

    Raises:
        ValidationError: It is too long, holds control characters, is the one that trades, or the broker has no such.
        CredentialError: No key is configured.
    """
    objection = investor_objection(account.broker, password, password_of(account)) if password else None
    if objection is not None:
        raise ValidationError(objection, code="investor")
    _keep_password(account, password, INVESTOR_FIELD)
    record_change(
        kind="ACCOUNT_PASSWORD",
        text=f"The investor password of {account.name} was {'changed' if password else 'removed'} by {name_of(by)}",
        subject=f"account {account.pk}",
        account_id=account.pk,
        by=by,
        at=at,
    )


def investor_objection(broker: str, password: str, master: str) -> str | None:
    """Say what is wrong with an investor password beside the one that trades; None when it may be kept."""
    if broker in (BrokerKind.OANDA, BrokerKind.JFOREX, BrokerKind.CRYPTO):
        return f"{BrokerKind(broker).label} has no password that only reads: each token may trade."
    return "That is the password that trades: the investor password is another one." if password == master else None


def _keep_password(account: TradingAccount, password: str, field: str = PASSWORD_FIELD) -> None:
    if len(password) > PASSWORD_LENGTH_MAX:
        raise ValidationError(f"A password has at most {PASSWORD_LENGTH_MAX} characters.", code="password")
    plain_text(password)
    _keep_secret(account, field, password)


@transaction.atomic
def set_pairing(*, account: TradingAccount, pairing: str, at: datetime, by: User | None = None) -> None:
    """Encrypt and keep the pairing code of a remote terminal's agent; an empty one forgets it.

    Raises:
        ValidationError: It is not a whole pairing code.
        CredentialError: No key is configured.
    """
    if pairing:
        pairing_code(pairing)
    _keep_secret(account, PAIRING_FIELD, pairing.strip())
    record_change(
        kind="ACCOUNT_PAIRING",
        text=f"The pairing code of {account.name} was {'changed' if pairing else 'removed'} by {name_of(by)}",
        subject=f"account {account.pk}",
        account_id=account.pk,
        by=by,
        at=at,
    )


def _keep_secret(account: TradingAccount, field: str, secret: str) -> None:
    sealed = encrypt(secret, table=TradingAccount._meta.db_table, pk=account.pk, field=field) if secret else ""
    TradingAccount.objects.filter(pk=account.pk).update(**{field: sealed})
    setattr(account, field, sealed)


def _password_word(account: TradingAccount) -> str:
    return "set" if account.password_encrypted else "none"


@transaction.atomic
def set_desired_state(
    *, account: TradingAccount, state: str, at: datetime, by: User | None = None, reason: str = ""
) -> bool:
    """Say whether an account shall run, hold back entries or stop, and ask its engine to look; tell if that is new.

    Raises:
        ValidationError: There is no such state.
    """
    if state not in DesiredState.values:
        raise ValidationError(f"{state!r} is no state; known: {', '.join(DesiredState.values)}", code="state")
    current = TradingAccount.objects.select_for_update().get(pk=account.pk)
    before = current.desired_state
    account.desired_state, account.winding_down = state, WindingDown.NO
    if before == state and not current.winding_down:
        return False
    TradingAccount.objects.filter(pk=account.pk).update(desired_state=state, winding_down=WindingDown.NO)
    record_change(
        kind="ACCOUNT_STATE",
        text=f"{account.name}: {before} → {state}, by {name_of(by)}",
        subject=f"account {account.pk}",
        account_id=account.pk,
        before={"desired_state": before},
        after={"desired_state": state},
        reason=reason,
        by=by,
        at=at,
    )
    ask(account_id=account.pk, kind=STATE_CHANGED, args={"state": state}, by=by, at=at)
    live.publish(account.pk, "state", {"desired_state": state})
    return True


@transaction.atomic
def wind_down(*, account: TradingAccount, close: bool, at: datetime, by: User | None = None, reason: str = "") -> bool:
    """Hold back entries, and stop the account once nothing of it is open; tell whether that is new.

    With `close` the engine closes everything at once, else it waits until the bots have closed it.
    """
    how = WindingDown.CLOSE if close else WindingDown.DRAIN
    current = TradingAccount.objects.select_for_update().get(pk=account.pk)
    account.desired_state, account.winding_down = current.desired_state, current.winding_down
    if current.desired_state == DesiredState.STOPPED or current.winding_down == how:
        return False
    account.desired_state, account.winding_down = DesiredState.PAUSED, how
    TradingAccount.objects.filter(pk=account.pk).update(desired_state=DesiredState.PAUSED, winding_down=how)
    record_change(
        kind="ACCOUNT_STATE",
        text=f"{account.name}: {how.label.lower()}, by {name_of(by)}",
        subject=f"account {account.pk}",
        account_id=account.pk,
        before={"desired_state": current.desired_state, "winding_down": current.winding_down},
        after={"desired_state": DesiredState.PAUSED, "winding_down": how},
        reason=reason,
        by=by,
        at=at,
    )
    ask(account_id=account.pk, kind=STATE_CHANGED, args={"winding_down": how}, by=by, at=at)
    live.publish(account.pk, "state", {"desired_state": DesiredState.PAUSED})
    return True


def _ask_once(account: TradingAccount, kind: str, what: str, *, by: User | None, at: datetime, reason: str) -> bool:
    """Put a command into the account's inbox unless it waits there: a double click asks once."""
    TradingAccount.objects.select_for_update().get(pk=account.pk)
    if Command.objects.filter(account=account, kind=kind, state=Command.State.WAITING).exists():
        return False
    ask(account_id=account.pk, kind=kind, args={}, by=by, at=at)
    record_change(
        kind="COMMAND",
        text=f"{name_of(by)} asked for {what} of {account.name}",
        subject=f"account {account.pk}",
        account_id=account.pk,
        after={"command": kind},
        reason=reason,
        by=by,
        at=at,
    )
    return True


@transaction.atomic
def request_order_sync(*, account: TradingAccount, at: datetime, by: User | None = None, reason: str = "") -> bool:
    """Ask the engine to compare books and broker now (S0: `force_order_sync()`); tells if that is new."""
    return _ask_once(account, FORCE_ORDER_SYNC, "a full order sync", by=by, at=at, reason=reason)


@transaction.atomic
def request_examination(*, account: TradingAccount, at: datetime, by: User | None = None, reason: str = "") -> bool:
    """Ask the engine to let the doctor look at the account now; tells if that is new."""
    return _ask_once(account, EXAMINE, "an examination", by=by, at=at, reason=reason)


@transaction.atomic
def grant_role(*, user: User, account: TradingAccount, role: str, at: datetime, by: User | None = None) -> AccountRole:
    """Give a person a role in an account, in place of an earlier one.

    Raises:
        ValidationError: There is no such role.
    """
    if role not in AccountRole.Role.values:
        raise ValidationError(f"{role!r} is no role; known: {', '.join(AccountRole.Role.values)}", code="role")
    before = AccountRole.objects.filter(user=user, account=account).values_list("role", flat=True).first()
    held, _ = AccountRole.objects.update_or_create(user=user, account=account, defaults={"role": role})
    record_change(
        kind="ACCOUNT_ROLE",
        text=f"{user.get_username()} is {role} of {account.name}, by {name_of(by)}",
        subject=f"user {user.pk}",
        account_id=account.pk,
        before={"role": before},
        after={"role": role},
        by=by,
        at=at,
    )
    return held


@transaction.atomic
def revoke_role(*, user: User, account: TradingAccount, at: datetime, by: User | None = None) -> bool:
    """Take a person's role in an account away; tell whether there was one."""
    held = AccountRole.objects.select_for_update().filter(user=user, account=account).first()
    if held is None:
        return False
    held.delete()
    record_change(
        kind="ACCOUNT_ROLE",
        text=f"{user.get_username()} has no role in {account.name} any more, by {name_of(by)}",
        subject=f"user {user.pk}",
        account_id=account.pk,
        before={"role": held.role},
        after={"role": None},
        by=by,
        at=at,
    )
    return True


def settings_of(account_id: int) -> dict[str, Any]:
    """Return what the audit trail keeps of an account, as it is stored now."""
    return dict(TradingAccount.objects.values(*WRITTEN_FIELDS).get(pk=account_id))


@transaction.atomic
def note_changes(
    *, account: TradingAccount, before: Mapping[str, Any], at: datetime, by: User | None = None
) -> AuditEntry | None:
    """Write down which settings of an account a person changed; `before` holds them as they were."""
    after = TradingAccount.objects.values(*before).get(pk=account.pk)
    changed = [name for name in before if before[name] != after[name]]
    if not changed:
        return None
    return record_change(
        kind="ACCOUNT_CHANGED",
        text=f"{account.name}: {', '.join(changed)} changed by {name_of(by)}",
        subject=f"account {account.pk}",
        account_id=account.pk,
        before=before,
        after=after,
        by=by,
        at=at,
    )


@transaction.atomic
def note_server_offset(*, account_id: int, clock: ClockOffset, at: datetime) -> bool:
    """Keep the offset of a broker's clock when it is proved and new; a change (DST) is an event. Tell if it is new."""
    last = ServerOffset.objects.filter(account_id=account_id).order_by("-since").first()
    seconds = int(clock.offset.total_seconds())
    if not clock.is_confirmed or (last is not None and (last.seconds == seconds or last.since >= clock.since)):
        return False
    ServerOffset.objects.create(account_id=account_id, since=clock.since, seconds=seconds)
    hours = f"UTC{seconds / 3600:+g} h"
    record(
        kind="SERVER_CLOCK",
        level="info" if last is None else "warning",
        text=f"The broker's clock is at {hours}"
        if last is None
        else f"The broker's clock changed from UTC{last.seconds / 3600:+g} h to {hours}",
        account_id=account_id,
        data={"seconds": seconds, "before": None if last is None else last.seconds, "since": clock.since.isoformat()},
        at=at,
    )
    return True
