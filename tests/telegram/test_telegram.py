"""Commands by Telegram: only linked chats, only with a code, once each, whatever the server does."""

import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import AccountRole, TradingAccount
from core.clock import VirtualClock
from core.ids import SeededIds
from events.models import AuditEntry
from risk.models import KillSwitch
from telegram import services
from telegram.client import TelegramApi
from telegram.domain import TEXT_MAX, message_of, request_of, shortened, update_number
from telegram.models import Bookmark, Chat, Pending
from telegram.polling import LOCK, PAUSE_LONGEST_SECONDS, Poller
from tests.admin.conftest import AT, Desk
from tests.telegram.conftest import TOKEN, Telegram

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada(desk: Desk) -> Chat:
    TradingAccount.objects.update(desired_state="running")
    return services.link_chat(user=desk.people["ada"], name="Phone", chat_id=4711, at=AT)


def said(telegram: Telegram, poller: Poller, text: str, **fields: Any) -> str:
    """Write something and return the answer; "" where there is none."""
    telegram.sent.clear()
    telegram.write(text, **fields)
    poller.step()
    return telegram.sent[0][1] if telegram.sent else ""


def code_in(text: str) -> str:
    found = re.search(r"Answer (\w{6}) within 60 s", text)
    assert found is not None, text
    return found[1]


def state(desk: Desk) -> tuple[str, str]:
    return TradingAccount.objects.values_list("desired_state", "winding_down").get(pk=desk.account.pk)


def test_reading_commands_tell_of_own_accounts_only(ada: Chat, desk: Desk, telegram: Telegram, poller: Poller) -> None:
    for command, wanted in (
        ("/status", "Main: "), ("/profit", "Main: closed today"), ("/bots", "Main / MyBot_EURUSD: stopped"),
        ("/cycles@desk_bot", "Main / MyBot_EURUSD #1: buy EURUSD, open"), ("/divergences", "#5008 EURUSD"),
        ("/help", "/status"), ("hello", "/status"),
    ):  # fmt: skip
        answer = said(telegram, poller, command)
        assert wanted in answer, answer
        assert "Elsewhere" not in answer
        assert "Foreign" not in answer
    assert "12.30" not in said(telegram, poller, "/profit", chat=4712)


@pytest.mark.parametrize(
    ("command", "after"),
    [("pause", ("paused", "")), ("drain", ("paused", "drain")), ("resume", ("running", ""))],
)
def test_a_change_needs_its_code_and_is_written_down(
    command: str, after: tuple[str, str], ada: Chat, desk: Desk, telegram: Telegram, poller: Poller
) -> None:
    if command == "resume":
        TradingAccount.objects.update(desired_state="paused")
    before = state(desk)
    question = said(telegram, poller, f"/{command} Main")
    assert state(desk) == before, "nothing happens before the code"
    assert "Main" in said(telegram, poller, code_in(question).upper())
    assert state(desk) == after
    entry = AuditEntry.objects.filter(account=desk.account, action="ACCOUNT_STATE").latest("id")
    assert (entry.actor_name, entry.via) == ("ada", "telegram")
    assert "/status" in said(telegram, poller, code_in(question)), "a code holds once"


def test_halt_throws_the_kill_switch_of_every_account_that_one_trades(
    ada: Chat, desk: Desk, telegram: Telegram, poller: Poller
) -> None:
    KillSwitch.objects.all().delete()
    said(telegram, poller, code_in(said(telegram, poller, "/halt")))
    switch = KillSwitch.objects.get()
    assert (switch.account, switch.mode, switch.by) == (desk.account, "exits_only", desk.people["ada"])
    assert "KILL SWITCH Main" in said(telegram, poller, "/status")


def test_wrong_late_and_stolen_codes_do_nothing(
    ada: Chat, desk: Desk, telegram: Telegram, poller: Poller, clock: VirtualClock
) -> None:
    other = services.link_chat(user=desk.people["root"], name="Root", chat_id=4712, at=AT)
    code = code_in(said(telegram, poller, "/pause Main"))
    assert said(telegram, poller, code, chat=other.chat_id).startswith("/status"), "another chat's code"
    for _ in range(2):
        assert "is not the code" in said(telegram, poller, "zzzzzz")
    assert "ask again" in said(telegram, poller, "zzzzzz")
    assert "/status" in said(telegram, poller, code)
    code = code_in(said(telegram, poller, "/pause Main"))
    clock.advance(60)
    assert "time for the code is over" in said(telegram, poller, code)
    code = code_in(said(telegram, poller, "/pause Main"))
    AccountRole.objects.filter(user=desk.people["ada"]).update(role="viewer")
    assert said(telegram, poller, code).startswith("Nothing was done"), "the role went meanwhile"
    assert state(desk)[0] == "running"
    assert "You trade no account 'Main'" in said(telegram, poller, "/pause Main")
    assert not Pending.objects.exists()


def test_what_the_service_refuses_is_told(ada: Chat, desk: Desk, telegram: Telegram, poller: Poller) -> None:
    assert "no account 'Elsewhere'; you trade Main" in said(telegram, poller, "/halt Elsewhere")
    TradingAccount.objects.update(desired_state="stopped")
    assert "nothing to change" in said(telegram, poller, code_in(said(telegram, poller, "/resume Main")))


@pytest.mark.parametrize(
    "fields",
    [
        {"chat": 999},
        {"chat": 4711, "from": {"id": 999}},
        {"chat": 4711, "from": {"id": 4711, "is_bot": True}},
        {"chat": 4711, "forward_origin": {"type": "user"}},
    ],
)
def test_nobody_else_is_answered(
    fields: dict[str, Any], ada: Chat, desk: Desk, telegram: Telegram, poller: Poller
) -> None:
    assert said(telegram, poller, "/status", **fields) == ""
    assert said(telegram, poller, "/halt", **fields) == ""
    assert not Pending.objects.exists()


def test_groups_stopped_chats_and_gone_people_are_not_answered(
    ada: Chat, desk: Desk, telegram: Telegram, poller: Poller
) -> None:
    telegram.updates.append(
        {"update_id": 1, "message": {"text": "/status", "chat": {"id": -4711, "type": "group"}, "from": {"id": 4711}}}
    )
    poller.step()
    desk.people["ada"].is_active = False
    desk.people["ada"].save()
    assert said(telegram, poller, "/status") == ""
    assert said(telegram, poller, "/start", chat=999) == (
        "This chat's number is 999. Link it in the desk under Telegram chats."
    )


def test_an_update_is_carried_out_once_however_often_it_comes(
    ada: Chat, desk: Desk, telegram: Telegram, poller: Poller
) -> None:
    telegram.write("/pause Main")
    poller.step()
    telegram.write(code_in(telegram.sent[0][1]))
    telegram.mood = "deaf"
    poller.step()
    before = AuditEntry.objects.count()
    TradingAccount.objects.update(desired_state="running")
    assert poller.step() > 0, "a server that repeats itself is not asked in a circle"
    assert AuditEntry.objects.count() == before
    assert state(desk)[0] == "running"
    assert not Pending.objects.exists()


def test_a_crash_leaves_neither_the_change_nor_the_bookmark(
    ada: Chat, desk: Desk, telegram: Telegram, poller: Poller, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = code_in(said(telegram, poller, "/pause Main"))
    number = Bookmark.objects.get().next_update

    def dies(**_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr("telegram.services.coordinate", dies)
        telegram.write(code)
        with pytest.raises(KeyboardInterrupt):
            poller.step()
    assert (Bookmark.objects.get().next_update, state(desk)[0]) == (number, "running")
    poller.step()
    assert (Bookmark.objects.get().next_update, state(desk)[0]) == (number + 1, "paused")


def test_one_message_that_breaks_us_does_not_stop_the_others(
    ada: Chat, desk: Desk, telegram: Telegram, poller: Poller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: Any, **__: Any) -> str:
        raise ZeroDivisionError

    monkeypatch.setattr(services, "reply_to", breaks)
    telegram.write("/status")
    telegram.write("/help")
    poller.step()
    assert [text[:7] for _, text in telegram.sent] == ["/status"]
    assert poller.step() == 0.0


@pytest.mark.parametrize("mood", ["fail", "refuse", "nonsense", "deep", "long", "object", "elsewhere"])
def test_a_server_that_fails_and_lies_is_asked_less_and_less(
    mood: str, ada: Chat, telegram: Telegram, poller: Poller, caplog: pytest.LogCaptureFixture
) -> None:
    telegram.mood = mood
    waits = [poller.step() for _ in range(7)]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (4.0, PAUSE_LONGEST_SECONDS)
    assert not [path for path, _ in telegram.asked if "elsewhere" in path]
    assert TOKEN not in caplog.text
    telegram.mood = "true"
    assert "Main" in said(telegram, poller, "/status")
    assert poller.failures == 0


def test_a_server_that_hangs_is_left(ada: Chat, telegram: Telegram, poller: Poller) -> None:
    telegram.mood = "hang"
    poller.api._client.timeout = httpx.Timeout(5.0, read=0.3)
    assert poller.step() == 4.0


def test_an_answer_that_is_lost_takes_nothing_back(
    ada: Chat, desk: Desk, telegram: Telegram, poller: Poller, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = code_in(said(telegram, poller, "/pause Main"))
    telegram.write(code)
    update = telegram.updates[-1]
    monkeypatch.setattr(poller.api, "updates", lambda after: [update])
    telegram.mood = "fail"
    poller.step()
    assert state(desk)[0] == "paused"


@pytest.mark.django_db(transaction=True)
def test_of_several_processes_one_polls(poller: Poller) -> None:
    assert poller.holds_lock()
    second = connection.copy()
    with second.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", [LOCK, poller.api.bot])
        assert cursor.fetchone()[0] is False
    second.close()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_unlock_all()")


def test_a_chat_is_linked_by_its_person_with_the_own_password(desk: Desk, as_: Callable[[str], Client]) -> None:
    link = reverse("admin:telegram_chat_link")
    form = {"_form_submitted": "1", "name": "Phone", "chat_id": "77"}
    as_("ben").post(link, {**form, "own_password": "wrong"})
    assert not Chat.objects.filter(chat_id=77).exists()
    assert as_("ben").post(link, {**form, "own_password": "correct horse"}).headers["HX-Redirect"]
    chat = Chat.objects.get(chat_id=77)
    assert (chat.user, chat.chat_id) == (desk.people["ben"], 77)
    with pytest.raises(ValidationError, match="linked already"):
        services.link_chat(user=desk.people["ada"], name="Mine", chat_id=77, at=AT)
    unlink = reverse("admin:telegram_chat_unlink", args=(chat.pk,))
    assert as_("ada").post(unlink, {"_form_submitted": "1"}).status_code == 404
    assert as_("ben").post(unlink, {"_form_submitted": "1"}).status_code == 200
    assert not Chat.objects.filter(chat_id=77).exists()


def test_the_command_wants_a_token(settings: Any) -> None:
    settings.TELEGRAM_TOKEN = ""
    with pytest.raises(CommandError, match="TRADING_TELEGRAM_TOKEN"):
        call_command("telegram")


FIELDS = ("update_id", "message", "chat", "from", "id", "type", "text")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=5),
    max_leaves=12,
)


@given(JSON)
def test_whatever_comes_is_read_or_passed_over(raw: Any) -> None:
    number, message = update_number(raw), message_of(raw)
    assert number is None or 0 <= number < 2**53
    if message is not None:
        assert raw["message"]["chat"]["id"] == raw["message"]["from"]["id"] == message.chat_id
        request_of(message.text)


@given(st.lists(st.text(max_size=3_000), max_size=8))
def test_answers_fit_into_a_message(lines: list[str]) -> None:
    assert len(shortened(lines)) <= TEXT_MAX


def test_the_token_is_in_no_name_of_the_bot() -> None:
    api = TelegramApi(TOKEN)
    assert api.bot == "123456"
    api.close()
    assert SeededIds(1).token(6) != SeededIds(2).token(6)
