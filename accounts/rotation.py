"""Encrypt every stored secret anew with the first key of the ring, while the engine goes on using them."""

from dataclasses import dataclass, field

from django.conf import settings

from accounts.credentials import CredentialError, decrypt, encrypt, key_id_of
from accounts.models import TradingAccount
from accounts.selectors import PAIRING_FIELD, PASSWORD_FIELD

SECRET_FIELDS = (PASSWORD_FIELD, PAIRING_FIELD)


@dataclass(slots=True)
class Rotation:
    """What was found: how many secrets each key encrypts, how many were changed, and which can't be read."""

    by_key: dict[str, int] = field(default_factory=dict)
    changed: int = 0
    unreadable: list[str] = field(default_factory=list)


def look() -> Rotation:
    """Count the stored secrets by the key that encrypts them."""
    found = Rotation()
    for _, _, _, stored in _secrets():
        key_id = key_id_of(stored)
        found.by_key[key_id] = found.by_key.get(key_id, 0) + 1
    return found


def rotate() -> Rotation:
    """Encrypt what isn't yet with the first key. A secret that a person changes meanwhile stays as they set it."""
    newest = next(iter(settings.CREDENTIAL_KEYS))
    table = TradingAccount._meta.db_table
    result = Rotation()
    for pk, name, column, stored in _secrets():
        if key_id_of(stored) == newest:
            continue
        try:
            sealed = encrypt(decrypt(stored, table=table, pk=pk, field=column), table=table, pk=pk, field=column)
        except CredentialError as problem:
            result.unreadable.append(f"{name}: {problem}")
            continue
        result.changed += TradingAccount.objects.filter(pk=pk, **{column: stored}).update(**{column: sealed})
    result.by_key = look().by_key
    return result


def _secrets() -> list[tuple[int, str, str, str]]:
    rows = TradingAccount.objects.order_by("pk").values("pk", "name", *SECRET_FIELDS)
    return [(row["pk"], row["name"], column, row[column]) for row in rows for column in SECRET_FIELDS if row[column]]
