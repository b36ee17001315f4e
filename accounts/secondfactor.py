"""Second factors: codes of an authenticator app (RFC 6238), and recovery codes for the day the phone is gone.

Who may move money shows one after the password, where `settings.SECOND_FACTOR` says "traders"; who has set one up shows
it everywhere. django-otp counts failures and makes every wrong code cost more time. An app's key is sealed in the
database, recovery codes are there as digests: a copy of the tables opens nothing.
"""

import hashlib
import logging
import os
from base64 import b32encode
from datetime import datetime
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ValidationError
from django.db import transaction
from django_otp import DEVICE_ID_SESSION_KEY, match_token, user_has_device
from django_otp.oath import TOTP

from accounts.credentials import CredentialError, decrypt, encrypt
from accounts.models import AppDevice, RecoveryDevice, User
from accounts.permissions import Person, can_anywhere
from core.clock import SystemClock
from core.ids import Ids
from events.audit import name_of, record_change

KEY_FIELD = "key_encrypted"
KEY_BYTES = 20
STEP_SECONDS = 30
CODE_DIGITS = 6
# One step to either side: phones are rarely further off, and a wider window would help whoever guesses
TOLERANCE_STEPS = 1
RECOVERY_CODES = 10
RECOVERY_CODE_LENGTH = 16
SALT_BYTES = 16
APP, RECOVERY = "authenticator app", "recovery codes"
CLOCK = SystemClock()

log = logging.getLogger("trading.accounts")


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
def begin(user: User) -> AppDevice:
    """Return a person's device that waits for its first code; what waited longer than a page is the same one."""
    waiting: AppDevice | None = AppDevice.objects.select_for_update().filter(user=user, confirmed=False).first()
    if waiting is not None and _opens(waiting):
        return waiting
    device: AppDevice = waiting or AppDevice.objects.create(user=user, name=APP, confirmed=False)
    device.key_encrypted = encrypt(
        os.urandom(KEY_BYTES).hex(), table=AppDevice._meta.db_table, pk=device.pk, field=KEY_FIELD
    )
    device.save(update_fields=[KEY_FIELD])
    return device


def _opens(device: AppDevice) -> bool:
    try:
        return bool(key_of(device))
    except CredentialError as problem:
        log.error("second factor of %s: %s; a recovery code still works", device.user.get_username(), problem)
        return False


def key_of(device: AppDevice) -> bytes:
    """Open a device's key. Raises CredentialError, UnknownKey."""
    opened = decrypt(device.key_encrypted, table=AppDevice._meta.db_table, pk=device.pk, field=KEY_FIELD)
    return bytes.fromhex(opened)


def set_up_url(device: AppDevice) -> str:
    """Return what an authenticator app reads from the picture (the key URI format of Google Authenticator)."""
    secret = b32encode(key_of(device)).decode()
    issuer, name = quote(settings.OTP_TOTP_ISSUER), quote(device.user.get_username())
    return (
        f"otpauth://totp/{issuer}:{name}?secret={secret}&issuer={issuer}&algorithm=SHA1&digits={CODE_DIGITS}"
        f"&period={STEP_SECONDS}"
    )


def verify_code(device: AppDevice, code: str) -> bool:
    """Tell whether a code is the app's, now or one step off, and was not used before.

    A device whose key can't be opened any more takes no code; the log says so.
    """
    if not device.verify_is_allowed()[0] or not _opens(device):
        return False
    if len(code) != CODE_DIGITS or not (code.isascii() and code.isdigit()):
        device.throttle_increment()
        return False
    totp = TOTP(key_of(device), STEP_SECONDS, 0, CODE_DIGITS, device.drift_steps)
    totp.time = CLOCK.now().timestamp()
    if not totp.verify(int(code), TOLERANCE_STEPS, device.last_step + 1):
        device.throttle_increment()
        return False
    device.last_step, device.drift_steps = totp.t(), totp.drift
    device.throttle_reset(commit=False)
    device.set_last_used_timestamp(commit=False)
    device.save()
    return True


def spend_code(device: RecoveryDevice, code: str) -> bool:
    """Tell whether a code is one of the recovery codes, and remove it."""
    if not device.verify_is_allowed()[0]:
        return False
    digest = _digest(bytes(device.salt), code)
    if digest not in device.digests:
        device.throttle_increment()
        return False
    device.digests = [kept for kept in device.digests if kept != digest]
    device.throttle_reset(commit=False)
    device.set_last_used_timestamp(commit=False)
    device.save()
    return True


def _digest(salt: bytes, code: str) -> str:
    """Return a digest that is slow enough for a random code of 80 bits."""
    return hashlib.sha256(salt + code.encode()).hexdigest()


@transaction.atomic
def confirm(*, user: User, code: str, ids: Ids, at: datetime) -> tuple[AppDevice, list[str]]:
    """Take the waiting device into use, in place of an earlier one, and return it with new recovery codes.

    Raises:
        ValidationError: The code is not the one that the app shows now.
    """
    device = AppDevice.objects.select_for_update().filter(user=user, confirmed=False).first()
    if device is None or not device.verify_token(code):
        raise ValidationError("That is not the code that the app shows now. Check the phone's clock and try the next.")
    AppDevice.objects.filter(user=user, confirmed=True).delete()
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
    AppDevice.objects.filter(user=user).delete()
    RecoveryDevice.objects.filter(user=user).delete()
    if had:
        _write_down(user, "removed", at=at, by=by)
    return had


def matched(user: User, code: str) -> Any | None:
    """Return the device that a code opens, or None; a recovery code is spent by it.

    After a wrong code, the right one opens nothing either until a pause is over that doubles each time.
    """
    return match_token(user, code.strip().replace(" ", "").lower())


def _write_codes(user: User, ids: Ids) -> list[str]:
    RecoveryDevice.objects.filter(user=user).delete()
    codes, salt = [ids.token(RECOVERY_CODE_LENGTH) for _ in range(RECOVERY_CODES)], os.urandom(SALT_BYTES)
    RecoveryDevice.objects.create(
        user=user, name=RECOVERY, confirmed=True, salt=salt, digests=[_digest(salt, code) for code in codes]
    )
    return codes


def _write_down(user: User, what: str, *, at: datetime, by: User | None) -> None:
    record_change(
        kind="SECOND_FACTOR",
        text=f"The second factor of {user.get_username()} was {what} by {name_of(by)}",
        subject=f"user {user.pk}",
        by=by,
        at=at,
    )
