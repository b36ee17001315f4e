"""News on their way to local receivers that take them, fail, hang, send us elsewhere or talk nonsense."""

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django_q.models import OrmQ, Schedule

from accounts.models import User
from core.clock import VirtualClock
from events.services import record
from notifications import sending, services
from notifications.domain import TRIES_MAX, URGENT_TRIES_MAX
from notifications.models import Delivery, Target
from tests.admin.conftest import AT, Desk

pytestmark = pytest.mark.django_db


class Receiver:
    """A receiver on this machine that behaves as `mood` says, and keeps what it got."""

    def __init__(self) -> None:
        self.mood = "take"
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.release = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                receiver.got.append((dict(self.headers.items()), body))
                if receiver.mood == "hang":
                    receiver.release.wait(60)
                elif receiver.mood == "nonsense":
                    self.wfile.write(b"nonsense\r\n\r\n")
                elif receiver.mood == "elsewhere":
                    self.send_response(307)
                    self.send_header("Location", self.path)
                    self.end_headers()
                else:
                    self.send_response(500 if receiver.mood == "fail" else 200)
                    self.end_headers()

            do_PUT = do_POST

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.port = self.server.server_address[1]


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    settings.NOTIFY_PRIVATE = True
    made = Receiver()
    yield made
    made.release.set()
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(AT)


def hook(desk: Desk, receiver: Receiver, name: str = "ben", **fields: Any) -> tuple[Target, str]:
    url = f"http://127.0.0.1:{receiver.port}/hook?a=1"
    return services.create_target(
        user=desk.people[name], name="Local", kind="webhook", url=url, account=desk.account, at=AT, **fields
    )


def say(desk: Desk, text: str = "x", kind: str = "ORDER_UNKNOWN", at: Any = AT, level: str = "warning") -> None:
    record(kind=kind, level=level, text=text, account_id=desk.account.pk, at=at)


def states(target: Target) -> list[str]:
    return list(target.deliveries.order_by("id").values_list("state", flat=True))


def test_a_webhook_is_signed_and_sent_once(desk: Desk, receiver: Receiver, clock: VirtualClock) -> None:
    target, secret = hook(desk, receiver)
    say(desk, "where is it")
    assert services.deliver(target.pk, clock=clock) == "1 sent"
    assert services.deliver(target.pk, clock=clock) == "nothing is due"
    ((headers, body),) = receiver.got
    (event,) = json.loads(body)["events"]
    assert (event["kind"], event["text"], event["account"]) == ("ORDER_UNKNOWN", "where is it", desk.account.pk)
    stamp = headers[sending.TIMESTAMP]
    signed = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    assert headers[sending.SIGNATURE] == f"sha256={signed}"
    assert states(target) == ["sent"]
    assert secret not in target.secret_encrypted
    assert "127.0.0.1" not in target.url_encrypted


@pytest.mark.parametrize("mood", ["fail", "hang", "elsewhere", "nonsense"])
def test_what_is_not_taken_is_tried_again_and_given_up_in_the_end(
    mood: str,
    desk: Desk,
    receiver: Receiver,
    clock: VirtualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sending, "SECONDS_MAX", 0.5 if mood == "hang" else 15.0)
    receiver.mood = mood
    target, _ = hook(desk, receiver)
    say(desk)
    for tries in range(1, TRIES_MAX + 1):
        services.sweep(clock=clock)
        delivery = target.deliveries.get()
        assert (delivery.tries, bool(delivery.error)) == (tries, True)
        assert services.sweep(clock=clock) == 0, "not before it is due again"
        clock.advance(3601)
    assert states(target) == ["given_up"]
    assert len(receiver.got) == TRIES_MAX
    assert "127.0.0.1" not in target.deliveries.get().error


def test_what_a_dead_worker_had_taken_is_sent_again(desk: Desk, receiver: Receiver, clock: VirtualClock) -> None:
    target, _ = hook(desk, receiver)
    say(desk)
    target.deliveries.update(state="sending", done_at=AT)
    assert services.sweep(clock=clock) == 0
    clock.advance(301)
    assert services.sweep(clock=clock) == 1
    assert states(target) == ["sent"]


def test_the_same_words_come_once_and_digests_come_together(
    desk: Desk,
    receiver: Receiver,
    clock: VirtualClock,
) -> None:
    target, _ = hook(desk, receiver, digest_minutes=5)
    for text in ("a", "a", "b"):
        say(desk, text)
    say(desk, "a", at=AT + timedelta(minutes=11))
    assert services.sweep(clock=clock) == 0
    clock.advance(301)
    assert services.sweep(clock=clock) == 1
    assert [event["text"] for event in json.loads(receiver.got[0][1])["events"]] == ["a", "b"]
    assert states(target) == ["sent", "repeated", "sent", "waiting"]


@pytest.mark.django_db(transaction=True)
def test_the_alert_before_an_automatic_closing_passes_no_queue(
    desk: Desk,
    receiver: Receiver,
    clock: VirtualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(services, "CLOCK", clock)
    started: list[threading.Thread] = []
    at_once = services.deliver_at_once
    monkeypatch.setattr(services, "deliver_at_once", lambda pk: started.append(at_once(pk)))
    target, _ = hook(desk, receiver, level_min="error", digest_minutes=60, kinds=["CYCLE_CLOSED"])
    queued = OrmQ.objects.count()
    say(desk, "closes at 10:05", kind="GUARD_COUNTDOWN")
    (thread,) = started
    thread.join(60)
    assert states(target) == ["sent"]
    assert len(receiver.got) == 1
    assert OrmQ.objects.count() == queued
    assert Schedule.objects.filter(name="notifications", cluster="jobs").exists()


@pytest.mark.django_db(transaction=True)
def test_an_urgent_alert_that_fails_is_tried_again_within_the_countdown(
    desk: Desk, receiver: Receiver, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once, started = services.deliver_at_once, list[threading.Thread]()
    monkeypatch.setattr(services, "CLOCK", clock)
    monkeypatch.setattr(services, "deliver_at_once", lambda pk: started.append(at_once(pk)))
    target, _ = hook(desk, receiver)
    receiver.mood = "fail"
    heal = iter((False, False, True))
    sleep = clock.sleep

    def sleeping(seconds: float) -> None:
        sleep(seconds)
        receiver.mood = "take" if next(heal) else "fail"

    monkeypatch.setattr(clock, "sleep", sleeping)
    say(desk, "closes at 10:05", kind="GUARD_COUNTDOWN")
    started[0].join(60)
    assert states(target) == ["sent"]
    assert len(receiver.got) == 4
    assert clock.now() - AT == timedelta(seconds=7), "well before ten seconds are over"


@pytest.mark.django_db(transaction=True)
def test_an_urgent_alert_that_never_arrives_waits_longer_and_ends_like_others(
    desk: Desk, receiver: Receiver, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once, started = services.deliver_at_once, list[threading.Thread]()
    monkeypatch.setattr(services, "CLOCK", clock)
    monkeypatch.setattr(services, "deliver_at_once", lambda pk: started.append(at_once(pk)))
    target, _ = hook(desk, receiver)
    receiver.mood = "fail"
    say(desk, "closes at 10:05", kind="GUARD_COUNTDOWN")
    started[0].join(60)
    assert not started[0].is_alive()
    delivery = target.deliveries.get()
    assert (delivery.state, delivery.tries) == ("waiting", 4)
    assert delivery.due_at - clock.now() == timedelta(minutes=1)
    for _ in range(URGENT_TRIES_MAX - 4):
        clock.advance(3601)
        services.sweep(clock=clock)
    assert states(target) == ["given_up"]


@pytest.mark.django_db(transaction=True)
def test_other_news_go_through_the_jobs_queue_by_number_only(desk: Desk, receiver: Receiver) -> None:
    target, _ = hook(desk, receiver)
    queued = OrmQ.objects.count()
    say(desk)
    assert OrmQ.objects.count() == queued + 1
    task = OrmQ.objects.latest("id").task
    assert (task["func"], task["args"]) == ("notifications.tasks.deliver", (target.pk,))


def test_nobody_hears_of_accounts_that_are_not_theirs(
    desk: Desk,
    receiver: Receiver,
    clock: VirtualClock,
) -> None:
    url = f"http://127.0.0.1:{receiver.port}/"
    cem, _ = services.create_target(user=desk.people["cem"], name="All", kind="webhook", url=url, at=AT)
    ben, _ = hook(desk, receiver)
    say(desk)
    record(kind="SYSTEM", level="error", text="of no account", at=AT)
    assert (cem.deliveries.count(), ben.deliveries.count()) == (0, 1)
    User.objects.filter(pk=ben.user_id).update(is_active=False)
    assert services.deliver(ben.pk, clock=clock) == "nothing is due"
    assert (states(ben), receiver.got) == (["given_up"], [])


def test_words_go_out_by_apprise(desk: Desk, receiver: Receiver, clock: VirtualClock) -> None:
    url = f"ntfy://localhost:{receiver.port}/desk"
    target, secret = services.create_target(user=desk.people["ben"], name="Phone", kind="apprise", url=url, at=AT)
    say(desk, "where is it")
    assert services.deliver(target.pk, clock=clock) == "1 sent"
    assert b"where is it" in receiver.got[0][1]
    assert secret == ""
    receiver.mood = "fail"
    say(desk, "and now")
    assert services.deliver(target.pk, clock=clock).startswith("not sent")


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "10.0.0.1", "192.168.1.1", "169.254.169.254", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0",  # noqa: S104
     "[fd00::1]", "224.0.0.1"],
)  # fmt: skip
def test_nothing_is_sent_into_our_own_network(host: str, settings: Any) -> None:
    settings.NOTIFY_PRIVATE = False
    with pytest.raises(sending.NotSent, match="private network"):
        sending.send_webhook(f"https://{host}:1/", "s", {}, at=0)
    # apprise takes no mapped addresses: it looks for a host of such a name
    with pytest.raises(sending.NotSent, match=r"private network|name is not known"):
        sending.send_words(f"ntfy://{host}:1/topic", "t", "x")


@pytest.mark.parametrize(
    ("kind", "url"),
    [
        ("webhook", "http://example.com/"), ("webhook", "file:///etc/passwd"), ("webhook", "https://"),
        ("apprise", "json://example.com/"), ("apprise", "file:///tmp/x"), ("apprise", "nonsense"), ("apprise", "tgram://"),
    ],
)  # fmt: skip
def test_addresses_that_we_never_send_to_are_refused(kind: str, url: str, desk: Desk, settings: Any) -> None:
    settings.NOTIFY_PRIVATE = False
    before = Target.objects.count()
    with pytest.raises(ValidationError) as caught:
        services.create_target(user=desk.people["ben"], name="N", kind=kind, url=url, at=AT)
    assert list(caught.value.message_dict) == ["url"]
    assert Target.objects.count() == before


def test_news_that_fail_never_keep_an_event_from_being_written(
    desk: Desk,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    target, _ = hook(desk, receiver)
    monkeypatch.setattr(services, "wants", lambda *args: 1 / 0)
    say(desk, "still written")
    assert desk.account.events.filter(text="still written").exists()
    assert not Delivery.objects.filter(target=target).exists()


def test_a_service_that_points_elsewhere_is_not_followed(receiver: Receiver) -> None:
    receiver.mood = "elsewhere"
    with pytest.raises(sending.NotSent):
        sending.send_words(f"ntfy://127.0.0.1:{receiver.port}/topic?redirect=yes", "t", "x")
    assert len(receiver.got) == 1
