"""A broker password is found nowhere but in its encrypted column, and a rotation disturbs nobody."""

import logging
import traceback
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import reverse

from accounts.credentials import decrypt
from accounts.models import TradingAccount, User
from accounts.rotation import SECRETS, look, rotate
from accounts.selectors import password_of
from accounts.services import create_account, set_password
from brokers.gateway import BrokerError
from engine.opening import gateway_of
from tests.world import START, World

CANARY = "Tw33t-canary-91c4"
OLD, NEW = b"o" * 31 + b"1", b"n" * 31 + b"2"


def whole_database() -> str:
    """Return every row of every table as text."""
    found = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names():
            cursor.execute(f'SELECT t::text FROM "{table}" t')
            found += [row[0] for row in cursor.fetchall()]
    return "\n".join(found)


def every_admin_page(client: Client) -> str:
    found = []
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        paths = [reverse(f"{name}_changelist")]
        for row in model._default_manager.all()[:3]:
            paths += [reverse(f"{name}_{page}", args=(row.pk,)) for page in ("change", "history")]
        for path in paths:
            answer = client.get(path)
            assert answer.status_code == 200, path
            found.append(answer.content.decode())
    return "\n".join(found)


def test_the_canary_is_found_nowhere(world: World, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    caplog.set_level(logging.DEBUG)
    world.bot()
    world.run(3)
    set_password(account=world.account, password=CANARY, by=world.ada, at=START)
    assert password_of(world.account) == CANARY
    gateway = gateway_of(world.account, world.clock)
    with pytest.raises(BrokerError) as caught:
        gateway.connect()
    root = User.objects.create_superuser("root")
    client = Client()
    client.force_login(root)
    client.post(
        reverse("admin:accounts_tradingaccount_change_password", args=(world.account.pk,)),
        {"_form_submitted": "1", "password": CANARY, "own_password": "wrong"},
    )
    places = {
        "database": whole_database(),
        "admin": every_admin_page(client),
        "log": caplog.text,
        "repr": repr([gateway, world.account, vars(world.account), world.session]),
        "error": "".join(traceback.format_exception(caught.value)),
        "files": "".join(p.read_bytes().decode("latin-1") for p in tmp_path.rglob("*") if p.is_file()),
    }
    assert [place for place, text in places.items() if CANARY in text] == []
    assert all(places.values()), "every place has something in it"


@pytest.fixture
def accounts(db: None, settings: Any) -> list[TradingAccount]:
    settings.CREDENTIAL_KEYS = {"old": OLD}
    return [create_account(name=f"A{n}", login=n, server="S", password=f"secret {n}", at=START) for n in range(1, 21)]


def test_rotation_encrypts_everything_with_the_first_key(accounts: list[TradingAccount], settings: Any) -> None:
    settings.CREDENTIAL_KEYS = {"new": NEW, "old": OLD}
    assert look().by_key == {"old": 20}
    result = rotate()
    assert (result.changed, result.by_key, result.unreadable) == (20, {"new": 20}, [])
    settings.CREDENTIAL_KEYS = {"new": NEW}
    for account in accounts:
        account.refresh_from_db()
        assert password_of(account) == f"secret {account.login}"
    assert rotate().changed == 0


def test_a_password_that_is_set_meanwhile_stays(
    accounts: list[TradingAccount], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.CREDENTIAL_KEYS = {"new": NEW, "old": OLD}
    from accounts import rotation

    def overtaken(*args: Any, **kwargs: Any) -> str:
        if kwargs["pk"] == accounts[0].pk:
            set_password(account=accounts[0], password="set meanwhile", at=START)
        return decrypt(*args, **kwargs)

    monkeypatch.setattr(rotation, "decrypt", overtaken)
    assert rotate().changed == 19
    accounts[0].refresh_from_db()
    assert password_of(accounts[0]) == "set meanwhile"


def test_what_cannot_be_read_is_named_and_the_rest_is_rotated(accounts: list[TradingAccount], settings: Any) -> None:
    TradingAccount.objects.filter(pk=accounts[3].pk).update(password_encrypted=accounts[4].password_encrypted)
    settings.CREDENTIAL_KEYS = {"new": NEW, "old": OLD}
    with pytest.raises(SystemExit, match="2"):
        call_command("credentials", "rotate")
    assert look().by_key == {"new": 19, "old": 1}


def test_every_sealed_column_of_every_app_is_rotated() -> None:
    sealed = {
        (model, column.name)
        for model in apps.get_models()
        for column in model._meta.concrete_fields
        if column.name.endswith("_encrypted")
    }
    assert len(sealed) > 4
    assert {(model, column) for model, column, _ in SECRETS} == sealed
