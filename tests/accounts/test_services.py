"""Accounts: creating them, their secrets, their states, who may do what."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ValidationError
from django.db import connection

from accounts import services
from accounts.credentials import CredentialError, UnknownKey
from accounts.models import AccountRole, TradingAccount, User
from accounts.permissions import accounts_of, can, can_anywhere
from accounts.selectors import password_of, wanted_accounts
from events.models import Command, Event

pytestmark = pytest.mark.django_db
AT = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


def make(name: str = "Main", login: int = 1001, **fields: Any) -> TradingAccount:
    return services.create_account(name=name, login=login, server="Sim-Demo", at=AT, **fields)


@pytest.mark.requirement("S1-11")
def test_an_account_starts_stopped_with_an_event_and_no_readable_password() -> None:
    ada = User.objects.create_user("ada")
    account = make(password="s3cret", by=ada)
    account.refresh_from_db()
    assert account.desired_state == "stopped"
    assert password_of(account) == "s3cret"
    assert can(ada, account, "manager")
    assert list(Event.objects.values_list("kind", flat=True)) == ["ACCOUNT_CREATED"]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT row_to_json(a)::text || (SELECT json_agg(e)::text FROM events_event e) "
            "FROM accounts_tradingaccount a"
        )
        assert "s3cret" not in cursor.fetchone()[0]


def test_a_password_copied_to_another_account_does_not_open() -> None:
    first, second = make(password="s3cret"), make("Second", 1002)
    TradingAccount.objects.filter(pk=second.pk).update(password_encrypted=first.password_encrypted)
    second.refresh_from_db()
    with pytest.raises(CredentialError):
        password_of(second)


def test_keys_are_changed_by_putting_a_new_one_first(settings: Any) -> None:
    account = make(password="s3cret")
    settings.CREDENTIAL_KEYS = {"next": b"k" * 32, **settings.CREDENTIAL_KEYS}
    assert password_of(account) == "s3cret"
    services.set_password(account=account, password="s3cret", at=AT)
    settings.CREDENTIAL_KEYS = {"next": b"k" * 32}
    assert password_of(account) == "s3cret"
    settings.CREDENTIAL_KEYS = {"third": b"t" * 32}
    with pytest.raises(UnknownKey, match="next"):
        password_of(account)


def test_an_empty_password_forgets_the_stored_one() -> None:
    account = make(password="s3cret")
    services.set_password(account=account, password="", at=AT)
    account.refresh_from_db()
    assert password_of(account) == ""


@pytest.mark.parametrize("password", ["a\x00b", "new\nline", "\u202eabc", "x" * 129])
def test_passwords_that_no_terminal_can_type_are_refused(password: str) -> None:
    account = make(password="s3cret")
    with pytest.raises(ValidationError):
        services.set_password(account=account, password=password, at=AT)
    assert password_of(account) == "s3cret"


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""},
        {"name": "a\u202eb"},
        {"name": "x" * 61},
        {"login": 0},
        {"login": -1},
        {"login": 2**53},
        {"broker": "paper"},
        {"terminal_path": "C:\\a\x00b"},
        {"placement": "fra\u200b1"},
        {"currency": "USD\n"},
    ],
)
def test_unsound_accounts_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        services.create_account(**{"name": "Main", "login": 1001, "server": "Sim-Demo", "at": AT, **fields})
    assert not TradingAccount.objects.exists()


def test_a_login_is_known_once_a_server() -> None:
    make()
    with pytest.raises(ValidationError):
        make("Second")


def test_a_state_is_set_once_and_the_engine_is_asked() -> None:
    account, ada = make(), User.objects.create_user("ada")
    assert services.set_desired_state(account=account, state="running", by=ada, at=AT)
    assert not services.set_desired_state(account=account, state="running", by=ada, at=AT)
    account.refresh_from_db()
    assert account.desired_state == "running"
    assert Event.objects.get(kind="ACCOUNT_STATE").data == {
        "by": ada.pk,
        "changes": {"desired_state": ["stopped", "running"]},
    }
    command = Command.objects.get(account=account)
    assert (command.kind, command.args, command.requested_by) == ("state_changed", {"state": "running"}, ada)
    assert list(wanted_accounts()) == [account]
    with pytest.raises(ValidationError):
        services.set_desired_state(account=account, state="sleeping", at=AT)


def test_the_commands_asked_for_are_known_to_the_engine() -> None:
    from engine.commands import COMMANDS

    assert {services.STATE_CHANGED, services.FORCE_ORDER_SYNC} <= set(COMMANDS)


@pytest.mark.requirement("S1-05")
def test_roles_say_who_may_do_what_on_which_account() -> None:
    first, second = make(), make("Second", 1002)
    ada, ben, cem = (User.objects.create_user(name) for name in ("ada", "ben", "cem"))
    root = User.objects.create_superuser("root")
    services.grant_role(user=ada, account=first, role="trader", at=AT)
    services.grant_role(user=ben, account=first, role="viewer", at=AT)
    services.grant_role(user=cem, account=second, role="manager", at=AT)
    table = {
        (name, role): can(user, first, role)
        for name, user in (("ada", ada), ("ben", ben), ("cem", cem), ("root", root))
        for role in ("viewer", "trader", "manager")
    }
    allowed = {who for who, may in table.items() if may}
    assert allowed == {
        ("ada", "viewer"),
        ("ada", "trader"),
        ("ben", "viewer"),
        *(("root", r) for r in ("viewer", "trader", "manager")),
    }
    assert list(accounts_of(ben)) == [first]
    assert list(accounts_of(ben, "trader")) == []
    assert set(accounts_of(root, "manager")) == {first, second}
    assert can(cem, second.pk, "manager")
    assert can_anywhere(cem, "manager")
    assert not can_anywhere(ada, "manager")


def test_people_who_left_and_strangers_may_nothing() -> None:
    account = make()
    gone = User.objects.create_superuser("gone", is_active=False)
    for user in (gone, AnonymousUser()):
        assert not can(user, account, "viewer")
        assert not accounts_of(user).exists()
        assert not can_anywhere(user, "viewer")


def test_a_role_is_replaced_and_taken_away() -> None:
    account, ada = make(), User.objects.create_user("ada")
    services.grant_role(user=ada, account=account, role="viewer", at=AT)
    services.grant_role(user=ada, account=account, role="manager", at=AT)
    assert AccountRole.objects.get(user=ada, account=account).role == "manager"
    assert services.revoke_role(user=ada, account=account, at=AT)
    assert not services.revoke_role(user=ada, account=account, at=AT)
    with pytest.raises(ValidationError):
        services.grant_role(user=ada, account=account, role="owner", at=AT)
