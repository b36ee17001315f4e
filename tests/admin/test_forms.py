"""Forms: what people may type, and what comes of anything else."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import AccountRole, Symbol, TradingAccount, User
from accounts.selectors import password_of, reading_password_of
from events.models import AuditEntry, Event
from strategies.models import Bot
from tests.admin.conftest import Desk

NASTY = (
    "\x00",
    "a\x00b",
    "line\nbreak",
    "tab\there",
    "\u202egnihtemos",
    "zero\u200bwidth",
    "\u2066isolate",
    "\ufeff",
    "x" * 100_000,
    "' OR 1=1 --",
    "<script>alert(1)</script>",
    "{{ 7*7 }}",
    "%s%n",
    "-1",
    "0",
    "1e309",
    "NaN",
    "9" * 400,
    "١٢٣",
    "[]",
    "{}",
    "null",
)
BAD_NAMES = tuple(text for text in NASTY if not text.isdigit() and text not in {"-1", "NaN", "null", "1e309"})

ACCOUNT = {
    "name": "Fresh",
    "broker": "simulator",
    "login": "2001",
    "server": "Sim-Demo",
    "margin_mode": "hedging",
    "currency": "USD",
    "demo": "on",
    "restart_policy": "resume",
    "password": "s3cret",
}
BOT = {"name": "Second", "strategy": "cycle-trader", "symbols": "EURUSD, GBPUSD", "magic": "", "interval_seconds": "1"}
INLINES = {
    f"{prefix}-{field}": "0"
    for prefix in ("symbols", "roles")
    for field in ("TOTAL_FORMS", "INITIAL_FORMS", "MIN_NUM_FORMS", "MAX_NUM_FORMS")
}


def account_url(desk: Desk) -> str:
    return reverse("admin:accounts_tradingaccount_change", args=(desk.account.pk,))


@pytest.mark.requirement("S1-05", "S1-11")
def test_a_manager_adds_an_account_and_manages_it(desk: Desk, as_: Callable[..., Client]) -> None:
    answer = as_("mia").post(reverse("admin:accounts_tradingaccount_add"), {**ACCOUNT, **INLINES})
    assert answer.status_code == 302
    account = TradingAccount.objects.get(name="Fresh")
    assert password_of(account) == "s3cret"
    assert account.desired_state == "stopped"
    assert AccountRole.objects.get(account=account, user=desk.people["mia"]).role == "manager"


def test_a_manager_adds_a_paper_account_of_one_they_manage(desk: Desk, as_: Callable[..., Client]) -> None:
    client, url = as_("mia"), reverse("admin:accounts_tradingaccount_add")
    wanted = {
        "name": "On paper", "broker": "paper", "source": str(desk.account.pk), "paper_deposit": "2500",
        "margin_mode": "netting", "currency": "EUR", "restart_policy": "resume", **INLINES,
    }  # fmt: skip
    for missing in (
        {"source": ""},
        {"source": "999999"},
        {"paper_deposit": "0"},
        {"broker": "simulator", "login": "5"},
    ):
        assert client.post(url, wanted | missing).status_code == 200
    assert client.post(url, wanted).status_code == 302
    made = TradingAccount.objects.get(name="On paper")
    source = desk.account
    assert (made.server, made.currency, made.margin_mode, made.demo, made.money) == (
        source.server, source.currency, source.margin_mode, True, "paper",
    )  # fmt: skip
    assert made.login == source.login
    page = reverse("admin:accounts_tradingaccount_change", args=(made.pk,))
    kept = wanted | {"login": str(made.login), "server": made.server, "currency": made.currency, "demo": "on"}
    kept |= {"margin_mode": made.margin_mode, "paper_deposit": "2500.00"}
    for change in ({"broker": "simulator", "source": "", "paper_deposit": ""}, {"source": ""}, {"paper_deposit": "9"}):
        assert client.post(page, kept | change).status_code == 200
    assert client.post(page, kept | {"name": "Renamed"}).status_code == 302
    assert "PAPER" in client.get(reverse("admin:accounts_tradingaccount_changelist")).content.decode()
    assert client.post(url, wanted).status_code == 302
    assert TradingAccount.objects.get(name="On paper").login == source.login + 1


def test_the_password_goes_in_and_never_comes_out(desk: Desk, as_: Callable[..., Client]) -> None:
    client, url = as_("mia"), account_url(desk)
    sealed = desk.account.password_encrypted
    page = client.get(url).content.decode()
    assert "broker-secret-1" not in page
    assert sealed not in page
    data = {**ACCOUNT, "name": "Main", "login": "1001", "server": "Sim-Demo", **INLINES}
    assert client.post(url, {**data, "password": ""}).status_code == 302
    desk.account.refresh_from_db()
    assert desk.account.password_encrypted == sealed
    refused = client.post(url, {**data, "name": "", "password": "typed-but-refused"})
    assert refused.status_code == 200
    assert "typed-but-refused" not in refused.content.decode()
    assert client.post(url, {**data, "password": "zebra-crossing-9"}).status_code == 302
    desk.account.refresh_from_db()
    assert password_of(desk.account) == "zebra-crossing-9"
    said = [*Event.objects.values_list("text", "data"), *client.get(url).content.decode().split("\n")]
    assert not any("zebra-crossing-9" in str(part) for part in said)


def test_the_investor_password_is_another_one(desk: Desk, as_: Callable[..., Client]) -> None:
    client, url = as_("mia"), account_url(desk)
    data = {**ACCOUNT, "name": "Main", "login": "1001", "server": "Sim-Demo", "password": "", **INLINES}
    refused = client.post(url, {**data, "investor_password": "broker-secret-1"})
    assert "investor_password" in refused.context["adminform"].form.errors
    assert client.post(url, {**data, "investor_password": "look only"}).status_code == 302
    desk.account.refresh_from_db()
    assert (reading_password_of(desk.account), password_of(desk.account)) == ("look only", "broker-secret-1")
    assert "look only" not in client.get(url).content.decode()


def test_what_a_session_pins_changes_only_while_it_is_stopped(desk: Desk, as_: Callable[..., Client]) -> None:
    client, url = as_("mia"), account_url(desk)
    TradingAccount.objects.filter(pk=desk.account.pk).update(desired_state="running")
    data = {**ACCOUNT, "name": "Main", "password": "", **INLINES}
    answer = client.post(url, {**data, "login": "1009"})
    assert "stop the account before you change this" in answer.content.decode()
    assert client.post(url, {**data, "login": "1001", "placement": "fra-1"}).status_code == 302
    desk.account.refresh_from_db()
    assert (desk.account.login, desk.account.placement) == (1001, "fra-1")


@pytest.mark.parametrize("field", ["name", "login", "server", "terminal_path", "currency", "placement", "broker"])
def test_account_forms_never_fall_over(field: str, desk: Desk, as_: Callable[..., Client]) -> None:
    client, url = as_("mia"), reverse("admin:accounts_tradingaccount_add")
    for number, text in enumerate(NASTY):
        data = {**ACCOUNT, **INLINES, "name": f"N{number}", "login": str(9000 + number), field: text}
        assert client.post(url, data).status_code in (200, 302), repr(text)[:40]


@pytest.mark.parametrize("text", [t for t in BAD_NAMES if len(t) < 1000], ids=ascii)
def test_names_with_odd_characters_are_refused(text: str, desk: Desk, as_: Callable[..., Client]) -> None:
    before = TradingAccount.objects.count(), Bot.objects.count()
    client = as_("mia")
    client.post(reverse("admin:accounts_tradingaccount_add"), {**ACCOUNT, **INLINES, "name": text})
    client.post(reverse("admin:strategies_bot_add"), {**BOT, "account": desk.account.pk, "name": text})
    assert (TradingAccount.objects.count(), Bot.objects.count()) == before


@pytest.mark.parametrize("login", ["0", "-5", str(2**53), "1.5", "x", "", "9" * 60])
def test_logins_have_a_range(login: str, desk: Desk, as_: Callable[..., Client]) -> None:
    answer = as_("mia").post(reverse("admin:accounts_tradingaccount_add"), {**ACCOUNT, **INLINES, "login": login})
    assert answer.status_code == 200
    assert answer.context["adminform"].form.errors["login"]


@pytest.mark.requirement("S1-12", "S1-40", "S1-41", "S1-42", "S1-43")
def test_a_new_bot_gets_the_next_magic_and_leads_to_its_parameters(desk: Desk, as_: Callable[..., Client]) -> None:
    answer = as_("mia").post(reverse("admin:strategies_bot_add"), {**BOT, "account": desk.account.pk})
    bot = Bot.objects.get(name="Second")
    assert answer.headers["Location"] == reverse("admin:strategies_bot_config", args=(bot.pk,))
    assert (bot.account, bot.strategy, bot.symbols) == (desk.account, "cycle-trader", ["EURUSD", "GBPUSD"])
    assert bot.magic == desk.bot.magic + 1
    assert set(Symbol.objects.filter(account=desk.account).values_list("name", flat=True)) >= {"EURUSD", "GBPUSD"}


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("magic", "0"),
        ("magic", "-1"),
        ("magic", str(2**53)),
        ("magic", "abc"),
        ("symbols", ""),
        ("symbols", " , ,"),
        ("symbols", "EUR USD"),
        ("symbols", "EURUSD, EURUSD"),
        ("symbols", "ЕURUSD"),
        ("symbols", "EURUSD;DROP TABLE"),
        ("symbols", ",".join(f"S{n}" for n in range(21))),
        ("strategy", "no-such"),
        ("interval_seconds", "0.05"),
        ("interval_seconds", "nan"),
        ("interval_seconds", "inf"),
        ("name", ""),
    ],
)
def test_a_bot_needs_sound_fields(field: str, text: str, desk: Desk, as_: Callable[..., Client]) -> None:
    data = {**BOT, "account": desk.account.pk, field: text}
    answer = as_("mia").post(reverse("admin:strategies_bot_add"), data)
    assert answer.status_code == 200
    assert field in answer.context["adminform"].form.errors
    assert not Bot.objects.filter(name="Second").exists()


@pytest.mark.parametrize("field", ["name", "magic", "symbols", "strategy", "interval_seconds", "account"])
def test_bot_forms_never_fall_over(field: str, desk: Desk, as_: Callable[..., Client]) -> None:
    client, url = as_("mia"), reverse("admin:strategies_bot_add")
    for number, text in enumerate(NASTY):
        data = {**BOT, "account": desk.account.pk, "name": f"N{number}", field: text}
        assert client.post(url, data).status_code in (200, 302), repr(text)[:40]


def test_a_bot_on_a_foreign_account_is_refused(desk: Desk, as_: Callable[..., Client]) -> None:
    answer = as_("mia").post(reverse("admin:strategies_bot_add"), {**BOT, "account": desk.other.pk})
    assert "account" in answer.context["adminform"].form.errors


def test_a_magic_or_name_is_taken_once_an_account(desk: Desk, as_: Callable[..., Client]) -> None:
    client, url = as_("mia"), reverse("admin:strategies_bot_add")
    data = {**BOT, "account": desk.account.pk}
    assert client.post(url, {**data, "magic": str(desk.bot.magic)}).status_code == 200
    assert client.post(url, {**data, "name": desk.bot.name}).status_code == 200
    assert Bot.objects.filter(account=desk.account).count() == 1


@pytest.mark.requirement("S1-20")
def test_the_form_says_that_max_bots_is_reached(desk: Desk, as_: Callable[..., Client], settings: Any) -> None:
    settings.MAX_BOTS = 1
    Bot.objects.filter(pk=desk.bot.pk).update(desired_state="paused")
    answer = as_("mia").post(reverse("admin:strategies_bot_add"), {**BOT, "account": desk.account.pk})
    assert "MAX_BOTS is 1" in answer.content.decode()


def test_a_bot_in_use_keeps_its_symbols(desk: Desk, as_: Callable[..., Client]) -> None:
    url = reverse("admin:strategies_bot_change", args=(desk.bot.pk,))
    client = as_("mia")
    Bot.objects.filter(pk=desk.bot.pk).update(desired_state="running")
    answer = client.post(url, {"name": "MyBot_EURUSD", "symbols": "GBPUSD", "interval_seconds": "1"})
    assert "Stop the bot before" in answer.content.decode()
    assert client.post(url, {"name": "Renamed", "symbols": "EURUSD", "interval_seconds": "2"}).status_code == 302
    desk.bot.refresh_from_db()
    assert (desk.bot.name, desk.bot.symbols, desk.bot.interval_seconds) == ("Renamed", ["EURUSD"], 2.0)
    assert Event.objects.filter(bot=desk.bot, kind="BOT_CHANGED").count() == 1


def test_a_race_past_the_form_is_said_and_not_an_error(
    desk: Desk, as_: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    from strategies.admin.forms import BotForm

    monkeypatch.setattr(BotForm, "validate_constraints", lambda self: None, raising=False)
    monkeypatch.setattr(Bot, "validate_unique", lambda self, exclude=None: None)
    monkeypatch.setattr(Bot, "validate_constraints", lambda self, exclude=None: None)
    data = {**BOT, "account": desk.account.pk, "name": desk.bot.name}
    answer = as_("mia").post(reverse("admin:strategies_bot_add"), data, follow=True)
    assert answer.status_code == 200
    assert "at this moment" in answer.content.decode()


def test_symbols_are_named_in_a_shape_that_brokers_have(desk: Desk, as_: Callable[..., Client]) -> None:
    client, url = as_("mia"), reverse("admin:accounts_symbol_add")
    for text in NASTY:
        for data in ({"name": text, "broker_name": ""}, {"name": "USDJPY", "broker_name": text}):
            assert client.post(url, {"account": desk.account.pk, **data}).status_code in (200, 302)
    client.post(url, {"account": desk.account.pk, "name": "XAUUSD", "broker_name": "GOLD.r+"})
    assert Symbol.objects.get(name="XAUUSD").broker_name == "GOLD.r+"
    stored = Symbol.objects.values_list("name", "broker_name")
    assert all(text.isascii() and text.isprintable() and " " not in text for pair in stored for text in pair)


def test_roles_are_given_and_taken_by_managers(desk: Desk, as_: Callable[..., Client]) -> None:
    client, url = as_("mia"), reverse("admin:accounts_accountrole_add")
    cem = desk.people["cem"]
    assert client.post(url, {"user": cem.pk, "account": desk.other.pk, "role": "viewer"}).status_code == 200
    assert client.post(url, {"user": cem.pk, "account": desk.account.pk, "role": "viewer"}).status_code == 302
    role = AccountRole.objects.get(user=cem, account=desk.account)
    gone = client.post(reverse("admin:accounts_accountrole_delete", args=(role.pk,)), {"post": "yes"})
    assert gone.status_code == 302
    assert not AccountRole.objects.filter(pk=role.pk).exists()
    assert AuditEntry.objects.filter(action="ACCOUNT_ROLE", subject=f"user {cem.pk}", account=desk.account).count() == 2


@pytest.mark.requirement("S1-10")
def test_people_are_added_with_the_themed_forms(desk: Desk, as_: Callable[..., Client]) -> None:
    client, url = as_("root"), reverse("admin:accounts_user_add")
    data = {"username": "fay", "password1": "a-Long-pass-12", "password2": "a-Long-pass-12", "usable_password": "true"}
    data |= {f"account_roles-{f}_FORMS": "0" for f in ("TOTAL", "INITIAL", "MIN_NUM", "MAX_NUM")}
    assert client.post(url, data).status_code == 302
    assert User.objects.get(username="fay").check_password("a-Long-pass-12")
    for text in NASTY:
        assert client.post(url, {**data, "username": text}).status_code in (200, 302)
    assert client.get(reverse("admin:auth_group_add")).status_code == 200
