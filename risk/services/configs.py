"""Versions of guard settings."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from pydantic import ValidationError as ParamsError

from accounts.models import TradingAccount, User
from events import live
from events.audit import name_of, record_change
from risk.domain.settings import GuardSettings
from risk.models import GuardConfig
from risk.selectors import current_config


def validated(values: Mapping[str, Any]) -> GuardSettings:
    """Return settings from values.

    Raises:
        ValidationError: A value does not hold; each message names its field.
    """
    try:
        return GuardSettings.model_validate(dict(values))
    except ParamsError as error:
        texts = [": ".join([*map(str, part["loc"]), part["msg"]]) for part in error.errors(include_url=False)]
        raise ValidationError(texts, code="guards") from None


def _held(account: TradingAccount | None, newest: GuardConfig | None) -> Mapping[str, Any]:
    """Return the values that hold now; those that are stored when they make no settings any more."""
    try:
        return current_config(account.pk if account else None).model_dump(mode="json")
    except ParamsError:
        return newest.values if newest is not None else {}


@transaction.atomic
def save_guards(
    *,
    account: TradingAccount | None,
    values: Mapping[str, Any],
    at: datetime,
    by: User | None = None,
    note: str = "",
    seen_version: int | None = None,
) -> GuardConfig:
    """Save settings as the next version of an account, or (None) of the default for accounts without their own.

    Values equal to the newest version's make no new one. `seen_version` is what the person was looking at.

    Raises:
        ValidationError: A value does not hold, or somebody saved a version meanwhile.
    """
    wanted = validated(values).model_dump(mode="json")
    if account is not None:
        TradingAccount.objects.select_for_update().get(pk=account.pk)
    newest = GuardConfig.objects.filter(account=account).order_by("-version").first()
    version = newest.version if newest is not None else 0
    if seen_version is not None and seen_version != version:
        raise ValidationError(f"Version {version} was saved meanwhile: look at it before you save.", code="changed")
    if newest is not None and newest.values == wanted:
        return newest
    before = _held(account, newest)
    saved = GuardConfig.objects.create(
        account=account, version=version + 1, values=wanted, note=note, created_by=by, created_at=at
    )
    changed = sorted(name for name, value in wanted.items() if before.get(name) != value)
    record_change(
        kind="GUARDS_CHANGED",
        text=f"Guard settings v{saved.version} of {account.name if account else 'all accounts'} by {name_of(by)}: "
        f"{', '.join(changed) or 'as before'}",
        subject=f"guards v{saved.version}",
        account_id=account.pk if account else None,
        before=before,
        after=wanted,
        reason=note,
        by=by,
        at=at,
    )
    if account is not None:
        live.publish(account.pk, "state", {"guards": saved.version})
    return saved
