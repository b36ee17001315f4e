"""Send one message to one place, in bounded time, and nowhere inside our own network."""

import hashlib
import hmac
import ipaddress
import json
import socket
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx
from django.conf import settings

SECONDS_MAX = 15.0
SIGNATURE, TIMESTAMP = "X-Desk-Signature", "X-Desk-Timestamp"
# Services whose messages carry words only; what posts to any address is the signed webhook's work
# Those of them that run on anybody's host
ANYWHERE = frozenset({"gotify", "gotifys", "mailto", "mailtos", "matrix", "matrixs", "ntfy", "ntfys"})
SERVICES = ANYWHERE | {"discord", "msteams", "pover", "slack", "tgram"}


class NotSent(Exception):
    """The message did not arrive for sure; the text says why and holds no address."""


def check_address(kind: str, url: str) -> None:
    """Refuse an address that we would never send to. Raises ValueError with what is wrong."""
    scheme = urlsplit(url).scheme.lower()
    if kind == "webhook":
        if scheme not in ("https", "http") or not urlsplit(url).hostname:
            raise ValueError("Give an address like https://example.com/hook.")
        if scheme == "http" and not settings.NOTIFY_PRIVATE:
            raise ValueError("A webhook's address begins with https://.")
        return
    if scheme not in SERVICES:
        raise ValueError(f"Give an apprise address of one of {', '.join(sorted(SERVICES))}.")
    _apprise(url)


def public_address(host: str, port: int) -> str:
    """Return an address of a host that is not inside our network. Raises NotSent when there is none."""
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)}
    except OSError:
        raise NotSent("the host's name is not known") from None
    inside = [text for text in found if not _is_public(text)]
    if (inside and not settings.NOTIFY_PRIVATE) or not found:
        raise NotSent("the host lies inside a private network; TRADING_NOTIFY_PRIVATE allows that")
    return min(found)


def _is_public(text: str) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None) or getattr(address, "sixtofour", None)
    return (mapped or address).is_global and not address.is_multicast


def send_webhook(url: str, secret: str, message: dict[str, Any], *, at: int) -> None:
    """Post a message as JSON, signed: HMAC-SHA256 of `<seconds since 1970>.<body>`. Raises NotSent."""
    parts = urlsplit(url)
    host, port = str(parts.hostname), parts.port or (443 if parts.scheme == "https" else 80)
    body = json.dumps(message, separators=(",", ":")).encode()
    signed = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    headers = {
        "Content-Type": "application/json", "Host": parts.netloc.rpartition("@")[2], TIMESTAMP: str(at),
        SIGNATURE: f"sha256={signed}",
    }  # fmt: skip

    def post() -> None:
        # The address that was judged is the one that is spoken to: the name is not looked up a second time
        address = public_address(host, port)
        literal = f"[{address}]" if ":" in address else address
        path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
        place = f"{parts.scheme}://{literal}:{port}{path}"
        with (
            httpx.Client(timeout=5.0, follow_redirects=False, trust_env=False) as client,
            client.stream("POST", place, content=body, headers=headers, extensions={"sni_hostname": host}) as answer,
        ):
            if not answer.is_success:
                raise NotSent(f"the receiver answered {answer.status_code}")

    _within(SECONDS_MAX, post)


def send_words(url: str, title: str, text: str) -> None:
    """Send words through one of apprise's services. Raises NotSent."""
    service = _apprise(url)

    def notify() -> None:
        port = int(getattr(service, "port", None) or 443)
        hosts = [getattr(service, "host", None), getattr(service, "smtp_host", None)]
        for host in hosts if urlsplit(url).scheme.lower() in ANYWHERE else ():
            if host:
                public_address(str(host), port)
        if not service.notify(title=title, body=text):
            raise NotSent("the service did not take it")

    _within(SECONDS_MAX, notify)


def _apprise(url: str) -> Any:
    # apprise reads a hundred services: only who sends words pays for that
    from apprise import Apprise

    made = Apprise.instantiate(url, suppress_exceptions=True)
    if made is None:
        raise ValueError("apprise can't read this address.")
    # The host was judged; one that it points to was not. After the address, which could ask for redirects
    made.redirects = False
    return made


def _within(seconds: float, work: Callable[[], None]) -> None:
    """Do work in a thread of its own and wait so long at most: a receiver that drips can't hold us. Raises NotSent."""
    failures: list[str] = []
    done = threading.Event()

    def run() -> None:
        try:
            work()
        except NotSent as problem:
            failures.append(str(problem))
        except Exception as problem:  # noqa: BLE001 - whatever a receiver does is its failure, and is told as one
            failures.append(type(problem).__name__)
        done.set()

    threading.Thread(target=run, daemon=True, name="notification").start()
    if not done.wait(seconds):
        raise NotSent(f"no answer within {seconds:g} s")
    if failures:
        raise NotSent(failures[0])
