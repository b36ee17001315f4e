"""Encrypt every stored secret anew with the first key of the ring, while the engine goes on using them."""

from dataclasses import dataclass, field

from django.conf import settings
from django.db.models import Model

from accounts.credentials import CredentialError, decrypt, encrypt, key_id_of
from accounts.models import AppDevice, TradingAccount
from accounts.secondfactor import KEY_FIELD
from accounts.selectors import INVESTOR_FIELD, PAIRING_FIELD, PASSWORD_FIELD

# Each sealed column with the name that a message gives to its rows; apps to the right add theirs when they are ready
SECRETS: list[tuple[type[Model], str, str]] = [
    (TradingAccount, PASSWORD_FIELD, "name"),
    (TradingAccount, INVESTOR_FIELD, "name"),
    (TradingAccount, PAIRING_FIELD, "name"),
    (AppDevice, KEY_FIELD, "user__username"),
]


@dataclass(slots=True)
class Rotation:
    """What was found: how many secrets each key encrypts, how many were changed, and which can't be read."""

    by_key: dict[str, int] = field(default_factory=dict)
    changed: int = 0
    unreadable: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Secret:
    model: type[Model]
    pk: int
    name: str
    column: str
    stored: str


def look() -> Rotation:
    """Count the stored secrets by the key that encrypts them."""
    found = Rotation()
    for secret in _secrets():
        key_id = key_id_of(secret.stored)
        found.by_key[key_id] = found.by_key.get(key_id, 0) + 1
    return found


def rotate() -> Rotation:
    """Encrypt what isn't yet with the first key. A secret that a person changes meanwhile stays as they set it."""
    newest = next(iter(settings.CREDENTIAL_KEYS))
    result = Rotation()
    for secret in _secrets():
        if key_id_of(secret.stored) == newest:
            continue
        table = secret.model._meta.db_table
        try:
            opened = decrypt(secret.stored, table=table, pk=secret.pk, field=secret.column)
            sealed = encrypt(opened, table=table, pk=secret.pk, field=secret.column)
        except CredentialError as problem:
            result.unreadable.append(f"{secret.name}: {problem}")
            continue
        rows = secret.model._default_manager.filter(pk=secret.pk, **{secret.column: secret.stored})
        result.changed += rows.update(**{secret.column: sealed})
    result.by_key = look().by_key
    return result


def _secrets() -> list[_Secret]:
    return [
        _Secret(model, pk, name, column, stored)
        for model, column, called in SECRETS
        for pk, name, stored in model._default_manager.order_by("pk").values_list("pk", called, column)
        if stored
    ]
