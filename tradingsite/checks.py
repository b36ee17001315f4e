"""System checks: what would go wrong later is said at start and by `manage.py check --deploy`."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as CheckWarning
from django.db import DatabaseError

from accounts.credentials import CredentialError, decrypt, encrypt, key_id_of
from strategies import registry

CANARY = "canary"
KEY_BYTES_DIFFERENT_MIN = 8  # 32 random bytes never have fewer


@register(Tags.compatibility)
def queues_are_bounded(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Refuse queue settings with which a task would run twice at once, or for ever."""
    del app_configs, kwargs
    problems: list[CheckMessage] = []
    common = settings.Q_CLUSTER
    for name, own in common.get("ALT_CLUSTERS", {}).items():
        cluster = {**common, **own}
        timeout, retry = cluster.get("timeout"), cluster.get("retry", 60)
        if not timeout:
            problems.append(
                Error(f"Cluster {name!r} has no timeout.", hint="Set `timeout` in seconds.", id="trading.E001")
            )
        elif retry <= timeout:
            hint = "Set `retry` above `timeout`, or a task is delivered again while it still runs."
            problems.append(
                Error(f"Cluster {name!r} has retry {retry} and timeout {timeout}.", hint=hint, id="trading.E002")
            )
        if cluster.get("max_attempts") != 1 or not cluster.get("ack_failures"):
            hint = "Set max_attempts=1 and ack_failures=True, or a failing task is delivered for ever."
            problems.append(Error(f"Cluster {name!r} repeats failing tasks.", hint=hint, id="trading.E003"))
    return problems


@register(Tags.security)
def local_site_stays_local(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Warn when a site with local settings answers to names of the outside."""
    del app_configs, kwargs
    own = {"localhost", "127.0.0.1", "[::1]", ".localhost", "testserver"}
    outside = sorted(set(settings.ALLOWED_HOSTS) - own)
    if settings.TRADING_ENV == "local" and outside:
        hint = "Set TRADING_ENV=production and its secrets before others can reach the site."
        return [CheckWarning(f"A local site answers to {', '.join(outside)}.", hint=hint, id="trading.W001")]
    return []


@register(Tags.security, deploy=True)
def credential_keys_work(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Encrypt and decrypt a canary with every key, and refuse keys that are the same or obviously not random."""
    del app_configs, kwargs
    problems: list[CheckMessage] = []
    hint = "Make one with `manage.py credentialkey` and put it first into TRADING_CREDENTIAL_KEYS."
    for key_id, key in settings.CREDENTIAL_KEYS.items():
        try:
            works = _round_trip({key_id: key})
        except CredentialError:
            works = False
        if not works or len(set(key)) < KEY_BYTES_DIFFERENT_MIN:
            problems.append(Error(f"Credential key {key_id!r} can't be used.", hint=hint, id="trading.E004"))
    if len(set(settings.CREDENTIAL_KEYS.values())) < len(settings.CREDENTIAL_KEYS):
        problems.append(Error("TRADING_CREDENTIAL_KEYS holds the same key twice.", id="trading.E005"))
    return problems


def _round_trip(keys: dict[str, bytes]) -> bool:
    sealed = encrypt(CANARY, table="check", pk=0, field="canary", keys=keys)
    return decrypt(sealed, table="check", pk=0, field="canary", keys=keys) == CANARY


@register(Tags.compatibility)
def plugins_load(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Tell of strategies of plug-ins that can't be used; the others trade all the same."""
    del app_configs, kwargs
    hint = "Mend or uninstall the plug-in; bots of its strategies hold back entries until then."
    return [CheckWarning(problem, hint=hint, id="trading.W020") for problem in registry.problems()]


@register(Tags.database)
def stored_passwords_have_their_key(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Name accounts whose stored password no key of the ring opens."""
    del app_configs
    if "default" not in (kwargs.get("databases") or ()):
        return []
    from accounts.models import TradingAccount

    try:
        stored = TradingAccount.objects.exclude(password_encrypted="").values_list("name", "password_encrypted")
        lost = sorted(name for name, value in stored if key_id_of(value) not in settings.CREDENTIAL_KEYS)
    except DatabaseError:  # before the first migration there is nothing stored
        return []
    hint = "Add the key that was removed to TRADING_CREDENTIAL_KEYS, after the first one."
    return [
        CheckWarning(
            f"The password of account {name!r} can't be read: its key is missing.", hint=hint, id="trading.W003"
        )
        for name in lost
    ]


@register(Tags.security, deploy=True)
def production_is_production(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Refuse to call a local site ready for deployment."""
    del app_configs, kwargs
    if settings.TRADING_ENV == "production":
        return []
    return [CheckWarning("TRADING_ENV is not production.", hint="Set TRADING_ENV=production.", id="trading.W002")]
