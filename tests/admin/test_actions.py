"""Actions: every one, on every model, changes something only by a confirmed POST with a CSRF token."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.urls import reverse

from accounts.models import ApiToken, LoginSession, TradingAccount
from accounts.selectors import password_of
from backtesting.models import Backtest
from copying.models import Subscription
from events.models import Command, Event
from notifications.models import Delivery, Target
from orders.models import IntentHistory, OrderIntent
from reconciliation.models import Claim, Divergence
from risk.models import Block, GuardAlarm, KillSwitch, LiveRequest
from signals.models import Signal, SignalSource
from telegram.models import Chat
from tests.admin.conftest import Desk, make_bot

CONFIRMED = {"_form_submitted": "1"}
# Answers that each dialog needs besides the confirmation
ANSWERS: dict[str, dict[str, Any]] = {
    "accounts_apitoken_make": {"name": "t", "scope": "read", "days": "9", "own_password": "correct horse"},
    "accounts_tradingaccount_change_password": {"password": "new secret", "own_password": "correct horse"},
    "risk_block_approve": {"why": "looked at it"},
    "risk_block_lift": {"why": "the news is out"},
    "risk_block_raise_block": {"reason": "news"},
    "orders_orderintent_settle": {"reason": "the broker says: never executed", "own_password": "correct horse"},
    "risk_guardalarm_acknowledge": {"reason": "I look at it"},
    "risk_guardalarm_rearm": {"reason": "looked at it"},
    "risk_guardalarm_veto": {"reason": "it will come back"},
    "risk_killswitch_release": {"reason": "it works again"},
    "risk_killswitch_throw": {"reason": "odd", "mode": "exits_only", "confirmation": "Main"},
    "risk_liverequest_ask": {"reason": "it ran well"},
    "risk_liverequest_agree": {"reason": "looked at every day"},
    "risk_liverequest_end": {"reason": "not now"},
    "risk_newsevent_take": {"text": "time,currency,impact,title\n2026-03-06T13:30:00Z,USD,high,Payrolls"},
    "strategies_botconfig_revert": {"seen_version": "1"},
    "signals_signalsource_make": {
        "bot": "MyBot_EURUSD",
        "name": "TV",
        "volume": "0.01",
        "volume_max": "0.1",
        "max_age_seconds": "30",
        "own_password": "correct horse",
    },
    "copying_subscription_make": {
        "name": "All",
        "bot": "Copies",
        "provider": "Elsewhere",
        "scaling": "fixed",
        "factor": "0.1",
        "volume_max": "1",
        "positions_max": "5",
        "age_max_seconds": "10",
        "deviation_pips_max": "5",
        "own_password": "correct horse",
    },
    "telegram_chat_link": {"name": "Phone", "chat_id": "77", "own_password": "correct horse"},
    "notifications_target_make": {
        "name": "New",
        "kind": "webhook",
        "url": "https://example.com/",
        "level_min": "warning",
        "digest_minutes": "0",
    },
    "cycles_cycle_close_now": {"reason": "enough"},
    "orders_order_close_now": {"reason": "enough"},
    "orders_order_set_stops": {"sl": "1.00000", "tp": "0", "reason": "the news"},
}


def actions() -> Iterator[tuple[str, str, bool]]:
    """List all actions that are registered: (model, URL name, does it act on one row)."""
    for model, registered in admin.site._registry.items():
        for kind in ("list", "row", "detail", "submit_line"):
            finder = getattr(registered, f"_get_base_actions_{kind}", None)
            for action in finder() if finder else ():
                assert kind != "submit_line", "a submit-line action would act without a dialog"
                yield model._meta.label, action.action_name, kind != "list"


WITH_ACCOUNT = ("risk_block_raise_block", "risk_killswitch_throw", "risk_liverequest_ask")
FOR_SUPERUSERS = {"accounts.LoginSession", "risk.NewsEvent"}
ALL = sorted(set(actions()))


def state() -> dict[str, list[Any]]:
    """Read everything that an action could change, from every table of ours."""
    tables = [t for t in connection.introspection.table_names() if not t.startswith(("django_session", "django_migr"))]
    found = {}
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f'SELECT * FROM "{table}"')
            found[table] = sorted(map(repr, cursor.fetchall()))
    return found


def address(desk: Desk, label: str, name: str, on_row: bool) -> str:
    if label == "orders.OrderIntent":
        OrderIntent.objects.filter(pk=desk.intent.pk).update(state="unknown", done_at=None)
    rows = {
        "orders.OrderIntent": desk.intent.pk,
        "orders.Order": desk.order.pk,
        "cycles.Cycle": desk.cycle.pk,
        "accounts.TradingAccount": desk.account.pk,
        "strategies.Bot": desk.bot.pk,
        "strategies.BotConfig": desk.bot.config_id,
        "risk.Block": desk.block.pk,
        "accounts.ApiToken": ApiToken.objects.values_list("pk", flat=True).first(),
        "risk.GuardAlarm": GuardAlarm.objects.filter(account=desk.account).values_list("pk", flat=True).first(),
        "risk.LiveRequest": LiveRequest.objects.filter(account=desk.account).values_list("pk", flat=True).first(),
        "risk.KillSwitch": KillSwitch.objects.filter(account=desk.account).values_list("pk", flat=True).first(),
        "reconciliation.Divergence": Divergence.objects.get(account=desk.account).pk,
        "reconciliation.ManualPosition": Divergence.objects.get(account=desk.account).pk,
        "reconciliation.Claim": Claim.objects.get(account=desk.account).pk,
        "backtesting.Backtest": Backtest.objects.values_list("pk", flat=True).get(config__bot__account=desk.account),
        "copying.Subscription": Subscription.objects.get(bot=desk.bot).pk,
        "signals.SignalSource": SignalSource.objects.get(bot=desk.bot).pk,
        "signals.Signal": Signal.objects.get(source__bot=desk.bot).pk,
        "telegram.Chat": Chat.objects.get(user=desk.people["ben"]).pk,
        "notifications.Target": Target.objects.get(user=desk.people["ben"]).pk,
        "notifications.Delivery": Delivery.objects.get(target__user=desk.people["ben"]).pk,
        "accounts.LoginSession": LoginSession.objects.filter(session_key="k").values_list("pk", flat=True).first(),
    }
    return reverse(f"admin:{name}", args=(rows[label],) if on_row else ())


def answers(desk: Desk, name: str) -> dict[str, Any]:
    extra = {"account": desk.account.pk} if name in WITH_ACCOUNT else {}
    return {**CONFIRMED, **ANSWERS.get(name, {}), **extra}


def test_there_are_actions_to_walk() -> None:
    assert len(ALL) >= 13


@pytest.mark.parametrize(("label", "name", "on_row"), ALL, ids=[name for _, name, _ in ALL])
def test_get_shows_a_dialog_and_changes_nothing(
    label: str, name: str, on_row: bool, desk: Desk, as_: Callable[..., Client]
) -> None:
    client, url, before = as_("root"), address(desk, label, name, on_row), state()
    for method in (client.get, client.head, client.options, client.put, client.delete, client.patch):
        assert method(url, answers(desk, name)).status_code in (200, 405)
    assert "_form_submitted" in client.get(url, answers(desk, name)).content.decode()
    assert state() == before


@pytest.mark.parametrize(("label", "name", "on_row"), ALL, ids=[name for _, name, _ in ALL])
def test_post_needs_the_csrf_token_and_the_confirmation(
    label: str, name: str, on_row: bool, desk: Desk, as_: Callable[..., Client]
) -> None:
    strict, client = as_("root", enforce_csrf_checks=True), as_("root")
    url, before = address(desk, label, name, on_row), state()
    assert strict.post(url, answers(desk, name)).status_code == 403
    assert client.post(url, {}).status_code == 200
    assert state() == before


OF_PEOPLE = {"accounts.ApiToken", "notifications.Target", "notifications.Delivery", "telegram.Chat"}
OF_ACCOUNTS = [entry for entry in ALL if entry[0] not in OF_PEOPLE]


@pytest.mark.parametrize(("label", "name", "on_row"), OF_ACCOUNTS, ids=[name for _, name, _ in OF_ACCOUNTS])
def test_a_viewer_is_refused_and_an_outsider_finds_nothing(
    label: str, name: str, on_row: bool, desk: Desk, as_: Callable[..., Client]
) -> None:
    ben, cem = as_("ben"), as_("cem")
    url, before = address(desk, label, name, on_row), state()
    for method in ("get", "post"):
        assert getattr(ben, method)(url, answers(desk, name)).status_code == 403
        answer = getattr(cem, method)(url, answers(desk, name))
        assert answer.status_code == (403 if label in FOR_SUPERUSERS else 404 if on_row else 200)
    assert Client().post(url, answers(desk, name)).status_code == 302
    assert state() == before


def test_tokens_are_made_for_oneself_and_those_of_others_do_not_exist(desk: Desk, as_: Callable[..., Client]) -> None:
    ben = as_("ben")
    foreign = ApiToken.objects.get()
    address_of = reverse("admin:accounts_apitoken_revoke", args=(foreign.pk,))
    assert ben.post(address_of, CONFIRMED).status_code == 404
    made = ben.post(reverse("admin:accounts_apitoken_make"), answers(desk, "accounts_apitoken_make"))
    assert made.headers["HX-Redirect"]
    own = ApiToken.objects.exclude(pk=foreign.pk).get()
    assert own.user == desk.people["ben"]
    ben.post(reverse("admin:accounts_apitoken_revoke", args=(own.pk,)), CONFIRMED)
    own.refresh_from_db()
    foreign.refresh_from_db()
    assert own.revoked_at is not None
    assert foreign.revoked_at is None


def test_what_was_given_up_is_tried_again_by_its_own_person(desk: Desk, as_: Callable[..., Client]) -> None:
    mine = Delivery.objects.filter(target__user=desk.people["ben"])
    Target.objects.update(is_active=True)
    mine.update(state="given_up", tries=6, error="the receiver answered 500")
    again = reverse("admin:notifications_delivery_again", args=(mine.get().pk,))
    assert as_("cem").post(again, CONFIRMED).status_code == 404
    assert (
        "the receiver answered 500"
        in as_("ben").get(reverse("admin:notifications_delivery_changelist")).content.decode()
    )
    assert as_("ben").post(again, CONFIRMED).status_code == 200
    assert mine.values_list("state", "tries", "done_at").get() == ("waiting", 0, None)


def test_a_signal_is_approved_once_with_its_reason(desk: Desk, as_: Callable[..., Client]) -> None:
    signal = Signal.objects.get(source__bot=desk.bot)
    approve, reject = (reverse(f"admin:signals_signal_{name}", args=(signal.pk,)) for name in ("approve", "reject"))
    assert as_("ada").post(approve, {**CONFIRMED, "reason": "looks right"}).headers["HX-Redirect"]
    assert "HX-Redirect" not in as_("ada").post(reject, CONFIRMED).headers
    signal.refresh_from_db()
    assert (signal.state, signal.decided_by, signal.result) == ("approved", desk.people["ada"], "looks right")
    assert Command.objects.filter(kind="follow_signal", args={"signal": signal.pk}).count() == 1


def test_a_copy_is_subscribed_to_by_a_manager_who_sees_both_accounts(desk: Desk, as_: Callable[..., Client]) -> None:
    make_bot(desk.account, "Copies", strategy="copier")
    make, form = reverse("admin:copying_subscription_make"), answers(desk, "copying_subscription_make")
    assert "none that is called" in as_("mia").post(make, form).content.decode().replace("have no account", "none")
    for wrong in ({"symbol_map": "[]"}, {"symbol_map": "{"}, {"bot": "MyBot_EURUSD"}, {"bot": "?"}, {"scaling": "x"}):
        assert "HX-Redirect" not in as_("root").post(make, {**form, **wrong}).headers
    assert as_("root").post(make, {**form, "symbol_map": '{"EURUSD.r": "EURUSD"}'}).headers["HX-Redirect"]
    made = Subscription.objects.get(name="All")
    assert (made.provider, made.bot.name, made.symbol_map) == (desk.other, "Copies", {"EURUSD.r": "EURUSD"})


DANGEROUS = [
    "accounts_apitoken_make",
    "accounts_tradingaccount_change_password",
    "orders_orderintent_settle",
    "signals_signalsource_make",
    "telegram_chat_link",
]


@pytest.mark.parametrize("name", DANGEROUS)
def test_a_stolen_session_does_nothing_dangerous(name: str, desk: Desk, as_: Callable[..., Client]) -> None:
    client = as_("root")
    label, on_row = next((label, on_row) for label, known, on_row in ALL if known == name)
    url = address(desk, label, name, on_row)
    assert "Your own password" in client.get(url).content.decode()
    for own in ("", "guessed"):
        before = state()
        answer = client.post(url, {**answers(desk, name), "own_password": own})
        after = {table: rows for table, rows in state().items() if not table.startswith("axes_")}
        assert "HX-Redirect" not in answer.headers
        assert after == {table: rows for table, rows in before.items() if not table.startswith("axes_")}
    assert client.post(url, answers(desk, name)).headers["HX-Redirect"]


def test_what_has_no_meaning_now_is_off_and_says_why(desk: Desk, as_: Callable[..., Client]) -> None:
    page = as_("root").get(reverse("admin:strategies_bot_change", args=(desk.bot.pk,)))
    shown = {action["title"]: action for action in page.context["actions_detail"]}
    assert shown["Stop"]["attrs"] == {"aria-disabled": "true", "title": "The bot is stopped already"}
    assert shown["Stop"]["dialog"] is None
    assert shown["Start"]["dialog"] is not None
    assert 'title="The bot is stopped already"' in page.content.decode()


@pytest.mark.parametrize("name", ["cycles_cycle_close_now", "orders_order_close_now", "orders_order_set_stops"])
def test_a_double_click_asks_the_engine_once_and_the_dialog_says_what_would_happen(
    name: str, desk: Desk, as_: Callable[..., Client]
) -> None:
    client, label = as_("ada"), next(label for label, known, _ in ALL if known == name)
    TradingAccount.objects.filter(pk=desk.account.pk).update(desired_state="running")
    url, before = address(desk, label, name, True), Command.objects.count()
    assert "What will happen" in client.get(url).content.decode()
    for _ in range(2):
        assert client.post(url, answers(desk, name)).headers["HX-Redirect"]
    assert Command.objects.count() == before + 1


def test_a_stop_on_the_wrong_side_of_the_price_is_refused(desk: Desk, as_: Callable[..., Client]) -> None:
    url, before = address(desk, "orders.Order", "orders_order_set_stops", True), Command.objects.count()
    answer = as_("ada").post(url, {**CONFIRMED, "sl": "1.10000", "tp": "0", "reason": "oops"})
    assert "The stop loss of a buy is below the price, which is 1.09" in answer.content.decode()
    assert Command.objects.count() == before


def test_an_outsider_cannot_name_a_foreign_account_in_a_dialog(desk: Desk, as_: Callable[..., Client]) -> None:
    answer = as_("cem").post(reverse("admin:risk_block_raise_block"), answers(desk, "risk_block_raise_block"))
    assert "HX-Redirect" not in answer.headers
    assert Block.objects.filter(account=desk.account).count() == 1


def test_only_a_manager_sets_the_password(desk: Desk, as_: Callable[..., Client]) -> None:
    url = reverse("admin:accounts_tradingaccount_change_password", args=(desk.account.pk,))
    data = {**CONFIRMED, **ANSWERS["accounts_tradingaccount_change_password"]}
    assert as_("ada").post(url, data).status_code == 403
    answer = as_("mia").post(url, data)
    assert answer.headers["HX-Redirect"].endswith(f"/{desk.account.pk}/change/")
    desk.account.refresh_from_db()
    assert password_of(desk.account) == "new secret"
    assert "new secret" not in desk.account.password_encrypted


def test_a_trader_starts_pauses_resumes_and_stops_an_account(desk: Desk, as_: Callable[..., Client]) -> None:
    client = as_("ada")
    for action, wanted in (("start", "running"), ("pause", "paused"), ("resume", "running"), ("stop", "stopped")):
        url = reverse(f"admin:accounts_tradingaccount_{action}", args=(desk.account.pk,))
        assert client.post(url, CONFIRMED).headers["HX-Redirect"]
        desk.account.refresh_from_db()
        assert desk.account.desired_state == wanted
    assert Event.objects.filter(account=desk.account, kind="ACCOUNT_STATE").count() == 4
    asked = Command.objects.filter(account=desk.account, kind="state_changed", requested_by__isnull=False)
    assert [c.requested_by for c in asked] == [desk.people["ada"]] * 4


def test_a_trader_starts_pauses_resumes_and_stops_a_bot(desk: Desk, as_: Callable[..., Client]) -> None:
    client = as_("ada")
    for action, wanted in (("start", "running"), ("pause", "paused"), ("resume", "running"), ("stop", "stopped")):
        client.post(reverse(f"admin:strategies_bot_{action}", args=(desk.bot.pk,)), CONFIRMED)
        desk.bot.refresh_from_db()
        assert desk.bot.desired_state == wanted
    assert Event.objects.filter(bot=desk.bot, kind="BOT_STATE").count() == 4


def test_what_the_service_refuses_is_said_in_the_dialog(desk: Desk, as_: Callable[..., Client], settings: Any) -> None:
    settings.MAX_BOTS = 0
    answer = as_("ada").post(reverse("admin:strategies_bot_start", args=(desk.bot.pk,)), CONFIRMED)
    assert "HX-Redirect" not in answer.headers
    assert "MAX_BOTS" in answer.content.decode()


def test_an_examination_goes_to_the_inbox(desk: Desk, as_: Callable[..., Client]) -> None:
    as_("ada").post(reverse("admin:accounts_tradingaccount_examine", args=(desk.account.pk,)), CONFIRMED)
    assert Command.objects.filter(kind="examine", requested_by=desk.people["ada"]).count() == 1


def test_force_order_sync_goes_to_the_inbox(desk: Desk, as_: Callable[..., Client]) -> None:
    # What waits already is not asked for again
    Command.objects.all().delete()
    as_("ada").post(reverse("admin:accounts_tradingaccount_force_order_sync", args=(desk.account.pk,)), CONFIRMED)
    assert Command.objects.filter(kind="force_order_sync", requested_by=desk.people["ada"]).count() == 1


@pytest.mark.requirement("S1-72")
def test_real_money_starts_only_with_the_typed_login(desk: Desk, as_: Callable[..., Client]) -> None:
    TradingAccount.objects.filter(pk=desk.account.pk).update(demo=False)
    client, url = as_("ada"), reverse("admin:accounts_tradingaccount_start", args=(desk.account.pk,))
    assert "real money" in client.get(url).content.decode()
    for typed in ("", "1002", "yes"):
        answer = client.post(url, {**CONFIRMED, "confirm_login": typed})
        assert "HX-Redirect" not in answer.headers
    desk.account.refresh_from_db()
    assert desk.account.desired_state == "stopped"
    client.post(url, {**CONFIRMED, "confirm_login": "1001"})
    desk.account.refresh_from_db()
    assert desk.account.desired_state == "running"


def test_blocks_are_raised_and_lifted_by_people(desk: Desk, as_: Callable[..., Client]) -> None:
    client = as_("ada")
    client.post(reverse("admin:risk_block_lift", args=(desk.block.pk,)), {**CONFIRMED, "why": "the news is out"})
    desk.block.refresh_from_db()
    assert desk.block.lifted_by == desk.people["ada"]
    assert desk.block.lifted_why == "the news is out"
    data = {**CONFIRMED, "account": desk.account.pk, "bot": "", "reason": "holiday"}
    assert client.post(reverse("admin:risk_block_raise_block"), data).headers["HX-Redirect"].endswith("/risk/block/")
    raised = Block.objects.get(account=desk.account, lifted_at=None)
    assert (raised.cause, raised.reason, raised.raised_by, raised.bot) == (
        "person",
        "holiday",
        desk.people["ada"],
        None,
    )


def test_buttons_show_what_the_role_allows_and_press_only_what_has_a_meaning_now(
    desk: Desk, as_: Callable[..., Client]
) -> None:
    page = reverse("admin:accounts_tradingaccount_change", args=(desk.account.pk,))

    def shown(name: str) -> dict[str, bool]:
        text = as_(name).get(page).content.decode()
        every = ("start", "pause", "resume", "stop", "set-password", "force-order-sync")
        tags = {path: re.search(rf"<a[^>]*/{desk.account.pk}/{path}/[^>]*>", text) for path in every}
        return {path: 'aria-disabled="true"' not in tag[0] for path, tag in tags.items() if tag is not None}

    off = dict.fromkeys(("pause", "resume", "stop", "force-order-sync"), False)
    assert shown("ben") == {}
    assert shown("ada") == off | {"start": True}
    assert shown("mia") == off | {"start": True, "set-password": True}
    TradingAccount.objects.filter(pk=desk.account.pk).update(desired_state="running")
    on = dict.fromkeys(("pause", "stop", "force-order-sync"), True)
    assert shown("ada") == on | {"start": False, "resume": False}


def test_a_dialog_never_leads_to_another_site(desk: Desk, as_: Callable[..., Client]) -> None:
    url = reverse("admin:strategies_bot_start", args=(desk.bot.pk,))
    answer = as_("ada").post(url, CONFIRMED, headers={"HX-Current-URL": "https://evil.example/"})
    assert answer.headers["HX-Redirect"] == reverse("admin:strategies_bot_change", args=(desk.bot.pk,))


def test_an_unknown_outcome_is_settled_by_a_manager_with_a_reason_once(desk: Desk, as_: Callable[..., Client]) -> None:
    url = address(desk, "orders.OrderIntent", "orders_orderintent_settle", True)
    answer = {**CONFIRMED, **ANSWERS["orders_orderintent_settle"]}
    assert as_("ada").post(url, answer).status_code == 403, "a trader may not"
    as_("mia").post(url, {**answer, "reason": ""})
    desk.intent.refresh_from_db()
    assert desk.intent.state == "unknown", "not without a reason"
    as_("mia").post(url, answer)
    desk.intent.refresh_from_db()
    assert desk.intent.state == "settled"
    step = IntentHistory.objects.filter(intent=desk.intent).latest("id")
    assert (step.from_state, step.to_state) == ("unknown", "settled")
    assert step.why == f"mia: {answer['reason']}"
    assert Event.objects.filter(kind="ORDER_SETTLED", data__by=desk.people["mia"].pk).count() == 1
    as_("mia").post(url, answer)
    assert IntentHistory.objects.filter(intent=desk.intent, to_state="settled").count() == 1
