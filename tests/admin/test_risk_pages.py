"""The pages of guards and kill switches: who may do what there."""

from collections.abc import Callable
from datetime import timedelta

from django.test import Client
from django.urls import reverse

from accounts.adminkit import CLOCK
from accounts.models import AccountSnapshot
from events.models import Event
from risk.models import GuardAlarm, KillSwitch
from risk.selectors import current_config
from tests.admin.conftest import Desk
from tests.admin.test_actions import ANSWERS, CONFIRMED


def test_a_manager_vetoes_and_re_arms_and_a_trader_may_not(desk: Desk, as_: Callable[..., Client]) -> None:
    alarm = GuardAlarm.objects.get(account=desk.account)
    GuardAlarm.objects.filter(pk=alarm.pk).update(phase="countdown", deadline=CLOCK.now() + timedelta(seconds=60))
    veto = reverse("admin:risk_guardalarm_veto", args=(alarm.pk,))
    said = {**CONFIRMED, **ANSWERS["risk_guardalarm_veto"]}
    assert as_("ada").post(veto, said).status_code == 403
    assert "HX-Redirect" not in as_("mia").post(veto, {**CONFIRMED, "reason": " "}).headers
    assert as_("mia").post(veto, said).headers["HX-Redirect"]
    alarm.refresh_from_db()
    assert (alarm.phase, alarm.vetoed_by, alarm.veto_reason) == ("vetoed", desk.people["mia"], "it will come back")
    rearm = reverse("admin:risk_guardalarm_rearm", args=(alarm.pk,))
    assert as_("ada").post(rearm, {**CONFIRMED, **ANSWERS["risk_guardalarm_rearm"]}).status_code == 403
    assert as_("mia").post(rearm, {**CONFIRMED, **ANSWERS["risk_guardalarm_rearm"]}).headers["HX-Redirect"]
    alarm.refresh_from_db()
    assert (alarm.phase, alarm.ended_by) == ("ended", desk.people["mia"])


def test_a_trader_acknowledges_what_the_page_shows_and_it_still_stands(desk: Desk, as_: Callable[..., Client]) -> None:
    alarm = GuardAlarm.objects.get(account=desk.account)
    GuardAlarm.objects.filter(pk=alarm.pk).update(phase="countdown", deadline=CLOCK.now() + timedelta(seconds=60))
    url = reverse("admin:risk_guardalarm_acknowledge", args=(alarm.pk,))
    said = {**CONFIRMED, **ANSWERS["risk_guardalarm_acknowledge"]}
    assert as_("cem").post(url, said).status_code in (403, 404)
    assert as_("ben").post(url, said).status_code == 403
    assert url not in as_("ben").get(reverse("alarms")).content.decode()
    assert url in as_("ada").get(reverse("alarms")).content.decode()
    assert "HX-Redirect" not in as_("ada").post(url, {**CONFIRMED, "reason": " "}).headers
    alarm.refresh_from_db()
    assert alarm.acknowledged_at is None
    assert as_("ada").post(url, said).headers["HX-Redirect"]
    alarm.refresh_from_db()
    assert (alarm.phase, alarm.acknowledged_by) == ("countdown", desk.people["ada"])
    told = Event.objects.get(kind="GUARD_ACKNOWLEDGED")
    assert (told.account_id, "I look at it" in told.text) == (desk.account.pk, True)
    banner = as_("mia").get(reverse("alarms")).content.decode()
    assert "seen by ada" in banner
    assert url not in banner


def test_a_trader_throws_the_kill_switch_by_typing_the_name(desk: Desk, as_: Callable[..., Client]) -> None:
    client, url = as_("ada"), reverse("admin:risk_killswitch_throw")
    answers_given = {**CONFIRMED, "account": desk.account.pk, "bot": "", "mode": "flatten", "reason": "odd"}
    wrong = client.post(url, {**answers_given, "confirmation": "main"})
    assert "Type Main to confirm" in wrong.content.decode()
    assert client.post(url, {**answers_given, "confirmation": "Main"}).headers["HX-Redirect"]
    switch = KillSwitch.objects.get(account=desk.account, bot=None)
    assert (switch.mode, switch.by) == ("flatten", desk.people["ada"])
    # Everything at once is for superusers
    everything = {**answers_given, "account": "", "confirmation": "everything"}
    assert "HX-Redirect" not in client.post(url, everything).headers
    assert as_("root").post(url, everything).headers["HX-Redirect"]
    assert KillSwitch.objects.filter(account=None, released_at=None).count() == 1


def test_guard_settings_are_saved_as_versions_by_managers(desk: Desk, as_: Callable[..., Client]) -> None:
    url = reverse("admin:risk_guards", args=(desk.account.pk,))
    values = {k: "" if v is None else v for k, v in current_config(desk.account.pk).model_dump().items()}
    data = {k: v for k, v in values.items() if v is not False} | {"note": "tighter", "seen_version": "1"}
    assert as_("ben").get(url).status_code == 200
    assert as_("ben").post(url, data).status_code == 403
    assert as_("cem").get(url).status_code == 404
    client = as_("mia")
    bad = client.post(url, {**data, "drawdown_warn": "30"}).content.decode()
    assert "the milder tier must come first" in bad
    assert client.post(url, {**data, "drawdown_close": "18"}).status_code == 302
    assert current_config(desk.account.pk).drawdown_close == 18
    assert "saved meanwhile" in client.post(url, {**data, "drawdown_close": "17"}).content.decode()
    assert "drawdown_close: 25.0 → 18.0" in client.get(url).content.decode()
    assert as_("mia").get(reverse("admin:risk_guards", args=("default",))).status_code == 404
    assert as_("root").get(reverse("admin:risk_guards", args=("default",))).status_code == 200


def test_the_banner_stands_on_every_page_for_those_whom_it_concerns(desk: Desk, as_: Callable[..., Client]) -> None:
    alarm = GuardAlarm.objects.get(account=desk.account)
    GuardAlarm.objects.filter(pk=alarm.pk).update(phase="countdown", deadline=CLOCK.now() + timedelta(seconds=60))
    pages = [reverse(f"admin:{name}") for name in ("index", "orders_order_changelist", "risk_guardconfig_changelist")]
    pages += [reverse("live"), reverse("alarms"), reverse("admin:strategies_bot_change", args=(desk.bot.pk,))]
    pages += [reverse("admin:strategies_bot_config", args=(desk.bot.pk,))]
    for page in pages:
        text = as_("mia").get(page).content.decode()
        assert "Main: drawdown" in text, page
        assert f"/risk/guardalarm/{alarm.pk}/veto/" in text, page
        assert f"{desk.bot.name}</a>" in text, "the kill switch of the bot"
        assert "Elsewhere: drawdown" not in text
        seen = as_("ada").get(page).content.decode()
        assert "Main: drawdown" in seen
        assert f"/risk/guardalarm/{alarm.pk}/veto/" not in seen, "a trader may not"
    assert "Main: drawdown" not in as_("cem").get(reverse("alarms")).content.decode()
    assert Client().get(reverse("alarms")).status_code == 302


def test_limits_are_tried_on_recorded_equity_before_they_are_saved(desk: Desk, as_: Callable[..., Client]) -> None:
    for n, equity in enumerate((10_000, 9_400, 8_700, 9_900)):
        AccountSnapshot.objects.create(
            account=desk.account, at=CLOCK.now() - timedelta(hours=9 - n), balance=equity, equity=equity, margin=0,
            margin_level=0, positions=0, total_open_volume=0,
        )  # fmt: skip
    url = reverse("admin:risk_guards", args=(desk.account.pk,))
    values = {k: "" if v is None else v for k, v in current_config(desk.account.pk).model_dump().items()}
    data = {k: v for k, v in values.items() if v is not False} | {"seen_version": "1", "whatif": "1"}
    shown = as_("mia").post(url, {**data, "drawdown_warn": "5"}).content.decode()
    assert "What if these limits had held" in shown
    assert "6.00 %" in shown
    assert "4 recorded readings of the last 30 days." in shown
    assert "0 minutes by the ticks that the engine saw, 0 by the worst prices of candles" in shown
    assert "Nothing was saved." in shown
    assert "readings of the last 7 days." in as_("mia").post(url, {**data, "days": "7"}).content.decode()
    for wrong in ("0", "91", "x"):
        refused = as_("mia").post(url, {**data, "days": wrong}).content.decode()
        assert "What if these limits had held" not in refused
        assert "errornote" in refused or "correct the error" in refused
    assert current_config(desk.account.pk).drawdown_warn == 10
    assert as_("ben").post(url, data).status_code == 403


def test_distance_to_the_stop_out_and_cost_of_closing_are_live_on_account_bot_and_cycle(
    desk: Desk, as_: Callable[..., Client]
) -> None:
    account = f'data-account="{desk.account.pk}"'
    for name, row, part in (
        ("accounts_tradingaccount", desk.account, 'data-bot="" data-cycle=""'),
        ("strategies_bot", desk.bot, f'data-bot="{desk.bot.pk}" data-cycle=""'),
        ("cycles_cycle", desk.cycle, f'data-bot="" data-cycle="{desk.cycle.pk}"'),
    ):
        page = as_("ben").get(reverse(f"admin:{name}_change", args=(row.pk,))).content.decode()
        for figure in ("to-stop-out", "cost-to-close", "worst"):
            assert f'data-risk="{figure}" {account} {part}' in page, (name, figure)
        assert "9,500.00 USD above 50 % of the margin in use; EURUSD at 1.0211 (631 pips)" in page, name
        assert "dashboard/riskfigures.js" in page


def test_the_worst_case_is_told_in_words_to_whom_it_concerns(desk: Desk, as_: Callable[..., Client]) -> None:
    url = reverse("worst-cases", args=(desk.account.pk,))
    told = as_("ben").get(url, {"bot": ["999999"], "cycle": [str(desk.cycle.pk), "<b>"]}).json()
    page = as_("ben").get(reverse("admin:accounts_tradingaccount_change", args=(desk.account.pk,))).content.decode()
    assert told["account"].startswith("equity ")
    assert told["account"] in page
    assert told["bots"] == {"999999": "Nothing is open, or no engine has looked yet."}
    of_cycle = reverse("admin:cycles_cycle_change", args=(desk.cycle.pk,))
    assert told["cycles"][str(desk.cycle.pk)] in as_("ben").get(of_cycle).content.decode()
    assert as_("cem").get(url).status_code == 404
    assert as_("ben").post(url).status_code == 405
    assert Client().get(url).status_code == 302
