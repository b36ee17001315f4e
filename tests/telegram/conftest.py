"""The desk of the admin's tests, and a Telegram of our own to lie to it."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from core.clock import VirtualClock
from core.ids import SeededIds
from telegram.client import TelegramApi
from telegram.polling import Poller
from tests.admin.conftest import AT, as_, desk

__all__ = ["as_", "desk"]
TOKEN = "123456:a-secret-of-BotFather"


class Telegram:
    """A server that keeps what it was sent; `says` makes it answer getUpdates otherwise, `mood` any method."""

    def __init__(self) -> None:
        self.updates: list[Any] = []
        self.asked: list[tuple[str, Any]] = []
        self.sent: list[tuple[int, str]] = []
        self.mood = "true"
        self.release = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
                method = self.path.rpartition("/")[2]
                server.asked.append((self.path, body))
                if server.mood == "hang":
                    server.release.wait(60)
                if method == "sendMessage" and server.mood == "true":
                    server.sent.append((body["chat_id"], body["text"]))
                status, content = server.answer(method, body)
                self.send_response(status)
                if status == 307:
                    self.send_header("Location", "/elsewhere")
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, method: str, body: Any) -> tuple[int, bytes]:
        match self.mood:
            case "fail":
                return 500, b"no"
            case "refuse":
                return 200, b'{"ok": false, "error_code": 409, "description": "Conflict"}'
            case "nonsense":
                return 200, b"nonsense"
            case "deep":
                return 200, b"[" * 100_000
            case "long":
                return 200, b'{"ok": true, "result": "' + b"x" * 2**21 + b'"}'
            case "object":
                return 200, b'{"ok": true, "result": {"update_id": 1}}'
            case "elsewhere":
                return 307, b""
        found = self.updates if self.mood == "deaf" else [u for u in self.updates if self._is_new(u, body)]
        return 200, json.dumps({"ok": True, "result": found if method == "getUpdates" else {}}).encode()

    def _is_new(self, update: Any, body: Any) -> bool:
        return not isinstance(update, dict) or update.get("update_id", 0) >= body.get("offset", 0)

    def write(self, text: str, *, chat: int = 4711, **fields: Any) -> None:
        """Put a message into the chat of a person."""
        message = {"text": text, "chat": {"id": chat, "type": "private"}, "from": {"id": chat}, **fields}
        self.updates.append({"update_id": len(self.updates) + 100, "message": message})


@pytest.fixture
def telegram() -> Iterator[Telegram]:
    made = Telegram()
    yield made
    made.release.set()
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(AT)


@pytest.fixture
def poller(telegram: Telegram, clock: VirtualClock) -> Iterator[Poller]:
    base = f"http://127.0.0.1:{telegram.server.server_address[1]}"
    api = TelegramApi(TOKEN, base=base, wait_seconds=0.0)
    yield Poller(api, clock=clock, ids=SeededIds(3))
    api.close()
