"""Second factors and log-ins: who is asked, what a session without one may see, recovery, sessions, lock-out."""

from base64 import b32decode, b32encode
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django_otp.oath import totp

from accounts import secondfactor, services
from accounts.models import AppDevice, LoginSession, RecoveryDevice, User
from accounts.rotation import look, rotate
from events.models import AuditEntry
from tradingsite.asgi import application

pytestmark = pytest.mark.django_db
AT = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
PASSWORD = "correct horse"
PAGES = ("/admin/", "/admin/live/", "/admin/accounts/tradingaccount/", "/admin/security/")


@pytest.fixture
def ada() -> User:
    return User.objects.create_superuser("ada", password=PASSWORD)


def logged_in(name: str = "ada") -> Client:
    client = Client()
    client.post("/admin/login/", {"username": name, "password": PASSWORD, "next": "/admin/"})
    return client


def code_of(user: User, steps_later: int = 0) -> str:
    key, step = secondfactor.key_of(AppDevice.objects.filter(user=user).latest("pk")), secondfactor.STEP_SECONDS
    # A code opens once: the next one is of the next half minute, which the device takes too
    return f"{totp(key, step=step, t0=-steps_later * step):06d}"


def with_factor(user: User) -> tuple[Client, list[str]]:
    """Log in and set up a second factor; return the session and the recovery codes."""
    client = logged_in(user.get_username())
    client.get("/admin/security/enrol/")
    page = client.post("/admin/security/enrol/", {"code": code_of(user)})
    return client, page.context["codes"]


def test_enrolling_shows_a_picture_a_key_and_once_the_recovery_codes(ada: User) -> None:
    client = logged_in()
    page = client.get("/admin/security/enrol/")
    assert b32decode(page.context["key"].replace(" ", "")) == secondfactor.key_of(AppDevice.objects.get())
    assert page.context["picture"].startswith("data:image/svg+xml")
    wrong = client.post("/admin/security/enrol/", {"code": "000000"})
    assert "code" in wrong.context["form"].errors
    assert not AppDevice.objects.get().confirmed
    AppDevice.objects.update(throttling_failure_timestamp=None, throttling_failure_count=0)
    page = client.post("/admin/security/enrol/", {"code": code_of(ada)})
    assert len(page.context["codes"]) == 10
    assert client.get("/admin/").status_code == 200
    assert AuditEntry.objects.get(action="SECOND_FACTOR").actor_name == "ada"


def test_a_session_with_only_the_password_sees_nothing(ada: User) -> None:
    with_factor(ada)
    client = logged_in()
    for path in PAGES:
        answer = client.get(path)
        assert answer.status_code == 302
        assert answer.headers["Location"].startswith("/admin/security/verify/?next=")
        assert client.post(path).status_code == 302
    assert client.get("/api/schema/").status_code == 403
    assert client.get("/admin/security/enrol/").headers["Location"] == "/admin/security/verify/"
    assert client.post("/admin/security/remove/", {"password": PASSWORD}).status_code == 302
    assert AppDevice.objects.filter(user=ada, confirmed=True).exists()


def test_the_code_opens_the_session_under_another_key_and_leads_on(ada: User) -> None:
    with_factor(ada)
    client = logged_in()
    before = client.session.session_key
    answer = client.post("/admin/security/verify/", {"code": code_of(ada, 1), "next": "/admin/live/"})
    assert answer.headers["Location"] == "/admin/live/"
    assert client.session.session_key != before
    assert client.get("/admin/live/").status_code == 200
    assert LoginSession.objects.filter(session_key=client.session.session_key).exists()


def test_a_code_opens_once_and_nobody_is_led_elsewhere(ada: User) -> None:
    with_factor(ada)
    code = code_of(ada, 1)
    answer = logged_in().post("/admin/security/verify/", {"code": code, "next": "https://evil.example/"})
    assert answer.headers["Location"] == "/admin/"
    again = logged_in().post("/admin/security/verify/", {"code": code})
    assert "code" in again.context["form"].errors


def test_guessing_codes_is_slowed_down(ada: User) -> None:
    with_factor(ada)
    client = logged_in()
    client.post("/admin/security/verify/", {"code": "000000"})
    right = client.post("/admin/security/verify/", {"code": code_of(ada, 1)})
    assert "code" in right.context["form"].errors


def test_a_recovery_code_opens_once(ada: User) -> None:
    _, codes = with_factor(ada)
    assert logged_in().post("/admin/security/verify/", {"code": codes[0].upper()}).status_code == 302
    assert len(RecoveryDevice.objects.get().digests) == 9
    again = logged_in().post("/admin/security/verify/", {"code": codes[0]})
    assert "code" in again.context["form"].errors


def test_new_codes_and_removal_ask_for_the_password(ada: User) -> None:
    client, codes = with_factor(ada)
    for path in ("codes", "remove"):
        client.post(f"/admin/security/{path}/", {"password": "wrong"})
    assert AppDevice.objects.filter(confirmed=True).exists()
    kept = RecoveryDevice.objects.get().digests
    assert len(kept) == 10
    fresh = client.post("/admin/security/codes/", {"password": PASSWORD}).context["codes"]
    assert not set(fresh) & set(codes)
    assert not set(RecoveryDevice.objects.get().digests) & set(kept)
    client.post("/admin/security/remove/", {"password": PASSWORD})
    assert not AppDevice.objects.exists()
    assert not RecoveryDevice.objects.exists()


def test_whoever_may_move_money_must_set_one_up_where_that_is_asked(settings: Any) -> None:
    settings.SECOND_FACTOR = "traders"
    account = services.create_account(name="Main", login=1, server="S", at=AT)
    for name, role, free in (("tom", "trader", False), ("vera", "viewer", True)):
        user = User.objects.create_user(name, password=PASSWORD, is_staff=True)
        services.grant_role(user=user, account=account, role=role, at=AT)
        client = logged_in(name)
        assert (client.get("/admin/live/").status_code == 200) is free
        if not free:
            assert client.get("/admin/live/", follow=True).redirect_chain[-1][0] == "/admin/security/enrol/"


async def first_frame(session_key: str) -> Any:
    cookie = f"sessionid={session_key}".encode()
    headers = [(b"cookie", cookie), (b"origin", b"http://localhost"), (b"host", b"localhost")]
    socket = WebsocketCommunicator(application, "/ws/live/", headers=headers)
    assert (await socket.connect())[0]
    frame = await socket.receive_output(5)
    await socket.disconnect()
    return frame


@pytest.mark.django_db(transaction=True)
async def test_the_live_socket_waits_for_the_second_factor() -> None:
    def two_sessions() -> list[str]:
        ada = User.objects.create_superuser("ada", password=PASSWORD)
        with_factor(ada)
        half, whole = logged_in(), logged_in()
        whole.post("/admin/security/verify/", {"code": code_of(ada, 1)})
        return [str(client.session.session_key) for client in (half, whole)]

    half, whole = await sync_to_async(two_sessions)()
    assert await first_frame(half) == {"type": "websocket.close", "code": 4401}
    assert (await first_frame(whole))["type"] == "websocket.send"


def test_sessions_are_listed_and_ended(ada: User) -> None:
    here, there, third = logged_in(), logged_in(), logged_in()
    page = here.get("/admin/security/")
    assert len(page.context["sessions"]) == 3
    other = LoginSession.objects.get(session_key=there.session.session_key)
    here.post(f"/admin/security/sessions/{other.pk}/end/")
    assert there.get("/admin/").status_code == 302
    assert third.get("/admin/").status_code == 200
    here.post("/admin/security/sessions/end-others/")
    assert third.get("/admin/").status_code == 302
    assert here.get("/admin/").status_code == 200
    assert Session.objects.count() == LoginSession.objects.count() == 1


def test_nobody_ends_another_persons_session(ada: User) -> None:
    User.objects.create_superuser("eve", password=PASSWORD)
    logged_in()
    eve = logged_in("eve")
    foreign = LoginSession.objects.get(user=ada)
    assert eve.post(f"/admin/security/sessions/{foreign.pk}/end/").status_code == 404
    assert LoginSession.objects.filter(pk=foreign.pk).exists()


def test_the_host_resets_a_lost_factor_and_that_is_written_down(ada: User) -> None:
    with_factor(ada)
    call_command("secondfactor", "reset", "ada", stdout=StringIO())
    assert logged_in().get("/admin/").status_code == 200
    assert AuditEntry.objects.filter(action="SECOND_FACTOR", text__contains="removed").count() == 1
    for name in ("ada", "nobody"):
        with pytest.raises(CommandError):
            call_command("secondfactor", "reset", name)


def test_wrong_passwords_lock_a_name_out_from_an_address(ada: User) -> None:
    client = Client()
    for _ in range(5):
        client.post("/admin/login/", {"username": "ada", "password": "wrong"})
    refused = client.post("/admin/login/", {"username": "ada", "password": PASSWORD})
    assert refused.status_code == 429
    assert "Too many wrong passwords" in refused.content.decode()
    elsewhere = Client(REMOTE_ADDR="192.0.2.7")
    elsewhere.post("/admin/login/", {"username": "ada", "password": PASSWORD})
    assert elsewhere.get("/admin/").status_code == 200


def test_a_copy_of_the_tables_opens_nothing(ada: User, settings: Any) -> None:
    _, codes = with_factor(ada)
    key = secondfactor.key_of(AppDevice.objects.get())
    with connection.cursor() as cursor:
        cursor.execute("SELECT t::text FROM accounts_appdevice t UNION SELECT r::text FROM accounts_recoverydevice r")
        stored = "\n".join(row for (row,) in cursor.fetchall())
    assert not [text for text in (key.hex(), b32encode(key).decode(), *codes) if text in stored]
    settings.CREDENTIAL_KEYS = {"new": b"n" * 32, **settings.CREDENTIAL_KEYS}
    assert rotate().changed == 1
    assert look().by_key == {"new": 1}
    assert secondfactor.key_of(AppDevice.objects.get()) == key


def test_when_the_key_ring_lost_a_key_a_recovery_code_still_opens(ada: User, settings: Any) -> None:
    _, codes = with_factor(ada)
    settings.CREDENTIAL_KEYS = {"other": b"x" * 32}
    assert logged_in().post("/admin/security/verify/", {"code": codes[0]}).status_code == 302
    refused = logged_in().post("/admin/security/verify/", {"code": "123456"})
    assert (refused.status_code, "code" in refused.context["form"].errors) == (200, True)
