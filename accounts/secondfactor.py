"""Second factors: codes of an authenticator app (RFC 6238), and recovery codes for the day the phone is gone.

Who may move money shows one after the password, where `settings.SECOND_FACTOR` says "traders"; who has set one up shows
it everywhere. The devices are django-otp's, which counts failures and makes every wrong code cost more time.
"""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ValidationError
from django.db import transaction
from django_otp import DEVICE_ID_SESSION_KEY, match_token, user_has_device
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from accounts.models import User
from accounts.permissions import Person, can_anywhere
from core.ids import Ids
from events.audit import name_of, record_change

RECOVERY_CODES = 10
RECOVERY_CODE_LENGTH = 12
APP, RECOVERY = "authenticator app", "recovery codes"


def is_set_up(user: Person) -> bool:
    """Tell whether a person has a confirmed second factor."""
    return bool(user_has_device(user))


def is_asked_of(user: Person) -> bool:
    """Tell whether a person has to show a second factor before anything else."""
    if isinstance(user, AnonymousUser) or not user.is_active:
        return False
    return is_set_up(user) or (settings.SECOND_FACTOR == "traders" and can_anywhere(user, "trader"))


def is_open(user: Any, session: Any) -> bool:
    """Tell whether a session may see and do what its person may: no factor is asked for, or it was shown in it."""
    return bool(session.get(DEVICE_ID_SESSION_KEY)) or not is_asked_of(user)


@transaction.atomic
def begin(user: User) -> TOTPDevice:
    """Return a person's device that waits for its first code; what waited longer than a page is the same one."""
    device = TOTPDevice.objects.select_for_update().filter(user=user, confirmed=False).first()
    return device or TOTPDevice.objects.create(user=user, name=APP, confirmed=False)


@transaction.atomic
def confirm(*, user: User, code: str, ids: Ids, at: datetime) -> tuple[TOTPDevice, list[str]]:
    """Take the waiting device into use, in place of an earlier one, and return it with new recovery codes.

    Raises:
        ValidationError: The code is not the one that the app shows now.
    """
    device = TOTPDevice.objects.select_for_update().filter(user=user, confirmed=False).first()
    if device is None or not device.verify_token(code):
        raise ValidationError("That is not the code that the app shows now. Check the phone's clock and try the next.")
    TOTPDevice.objects.filter(user=user, confirmed=True).delete()
    device.confirmed = True
    device.save(update_fields=["confirmed"])
    codes = _write_codes(user, ids)
    _write_down(user, "set up", at=at, by=user)
    return device, codes


@transaction.atomic
def renew_codes(*, user: User, ids: Ids, at: datetime) -> list[str]:
    """Replace a person's recovery codes; the old ones open nothing any more."""
    codes = _write_codes(user, ids)
    _write_down(user, "given new recovery codes", at=at, by=user)
    return codes


@transaction.atomic
def remove(*, user: User, at: datetime, by: User | None) -> bool:
    """Forget a person's second factor; tell whether there was one."""
    had = is_set_up(user)
    TOTPDevice.objects.filter(user=user).delete()
    StaticDevice.objects.filter(user=user).delete()
    if had:
        _write_down(user, "removed", at=at, by=by)
    return had


def matched(user: User, code: str) -> Any | None:
    """Return the device that a code opens, or None; a recovery code is spent by it.

    After a wrong code, the right one opens nothing either until a pause is over that doubles each time.
    """
    return match_token(user, code.strip().replace(" ", "").lower())


def _write_codes(user: User, ids: Ids) -> list[str]:
    StaticDevice.objects.filter(user=user).delete()
    device = StaticDevice.objects.create(user=user, name=RECOVERY, confirmed=True)
    codes = [ids.token(RECOVERY_CODE_LENGTH) for _ in range(RECOVERY_CODES)]
    StaticToken.objects.bulk_create(StaticToken(device=device, token=code) for code in codes)
    return codes


def _write_down(user: User, what: str, *, at: datetime, by: User | None) -> None:
    record_change(
        kind="SECOND_FACTOR",
        text=f"The second factor of {user.get_username()} was {what} by {name_of(by)}",
        subject=f"user {user.pk}",
        by=by,
        at=at,
    )
