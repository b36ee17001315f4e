"""Tokens of the API: made and shown once, recognised by prefix and HMAC, ended by time or by a person."""

import hashlib
import hmac
import ipaddress
import re
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q

from accounts.models import ApiToken, User
from core.ids import Ids
from events.audit import name_of, record_change

PREFIX = "td"
PREFIX_LENGTH = 10
SECRET_BYTES = 32
LONGEST = timedelta(days=366)
# Written at most once a minute: a busy client must not write a row with each read
USED_NOTED_AFTER = timedelta(minutes=1)
SHAPE = re.compile(rf"{PREFIX}_([0-9a-z]{{{PREFIX_LENGTH}}})_([A-Za-z0-9_-]{{43}})")
# Compared with when the prefix is unknown, so that both answers take the same time
NOBODY = "0" * 64


def digest_of(secret: str, pepper: str) -> str:
    """Return the HMAC-SHA256 of a token's secret under a key of the ring. Raises KeyError for a key that is gone."""
    key = hmac.digest(settings.CREDENTIAL_KEYS[pepper], b"api token pepper", "sha256")
    return hmac.new(key, secret.encode(), hashlib.sha256).hexdigest()


@transaction.atomic
def create_token(
    *,
    user: User,
    name: str,
    scope: str,
    expires_at: datetime,
    ids: Ids,
    at: datetime,
    networks: Sequence[str] = (),
    by: User | None = None,
) -> tuple[ApiToken, str]:
    """Make a token and return it with its text, which is stored nowhere and can't be shown again.

    Raises:
        ValidationError: A field does not hold: an unknown scope, an end in the past or beyond a year, a bad network.
    """
    if not at < expires_at <= at + LONGEST:
        raise ValidationError({"expires_at": "Choose an end within the next 366 days."})
    secret, prefix = secrets.token_urlsafe(SECRET_BYTES), ids.token(PREFIX_LENGTH)
    pepper = next(iter(settings.CREDENTIAL_KEYS))
    token = ApiToken(
        user=user,
        name=name,
        prefix=prefix,
        digest=digest_of(secret, pepper),
        pepper=pepper,
        scope=scope,
        networks=[_network(text) for text in networks],
        created_at=at,
        expires_at=expires_at,
    )
    token.full_clean()
    token.save()
    record_change(
        kind="API_TOKEN",
        text=f"Token {token} of {user.get_username()} made by {name_of(by)}",
        subject=f"user {user.pk}",
        after={"token": prefix, "scope": scope, "expires_at": expires_at, "networks": token.networks},
        by=by,
        at=at,
    )
    return token, f"{PREFIX}_{prefix}_{secret}"


@transaction.atomic
def revoke_token(*, token: ApiToken, at: datetime, by: User | None = None) -> bool:
    """End a token now; tell whether it was still valid."""
    if not ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=at):
        return False
    record_change(
        kind="API_TOKEN",
        text=f"Token {token} of {token.user.get_username()} revoked by {name_of(by)}",
        subject=f"user {token.user_id}",
        before={"token": token.prefix},
        after={"token": None},
        by=by,
        at=at,
    )
    return True


def find_token(text: str, *, address: str, at: datetime) -> ApiToken | None:
    """Return the token that a text is, with its user, when it may be used now from this address; else None."""
    shape = SHAPE.fullmatch(text)
    if shape is None:
        return None
    prefix, secret = shape.groups()
    token = ApiToken.objects.select_related("user").filter(prefix=prefix).first()
    pepper = token.pepper if token is not None else next(iter(settings.CREDENTIAL_KEYS))
    if pepper not in settings.CREDENTIAL_KEYS:
        return None
    same = hmac.compare_digest(digest_of(secret, pepper), token.digest if token is not None else NOBODY)
    if token is None or not same or not token.user.is_active:
        return None
    if token.revoked_at is not None or token.expires_at <= at or not _is_inside(address, token.networks):
        return None
    unnoted = Q(last_used_at=None) | Q(last_used_at__lt=at - USED_NOTED_AFTER)
    ApiToken.objects.filter(unnoted, pk=token.pk).update(last_used_at=at)
    return token


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text.strip()))
    except ValueError:
        raise ValidationError({"networks": f"{text[:43]!r} is no network, for example 10.0.0.0/8."}) from None


def _is_inside(address: str, networks: Sequence[str]) -> bool:
    if not networks:
        return True
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(found in ipaddress.ip_network(network) for network in networks)
