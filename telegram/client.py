"""Telegram's Bot API, as far as we speak it (source: https://core.telegram.org/bots/api), in bounded time and size."""

import json
from typing import Any

import httpx

API = "https://api.telegram.org"
WAIT_SECONDS = 25
CONNECT_SECONDS = 10.0
BYTES_MAX = 2**20
UPDATES_MAX = 20


class TelegramError(Exception):
    """Telegram was not reached, or answered nonsense. The text never holds the token."""


class TelegramApi:
    """One bot. Redirects are not followed: its token is part of the address."""

    def __init__(self, token: str, *, base: str = API, wait_seconds: float = WAIT_SECONDS) -> None:
        self.bot = token.partition(":")[0][:20]
        self._root = f"{base}/bot{token}"
        self._wait = wait_seconds
        timeout = httpx.Timeout(CONNECT_SECONDS, read=wait_seconds + CONNECT_SECONDS)
        self._client = httpx.Client(timeout=timeout, follow_redirects=False, trust_env=False)

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def updates(self, after: int) -> list[Any]:
        """Wait for updates from number `after` on, and return them. Raises TelegramError."""
        asked = {"offset": after, "limit": UPDATES_MAX, "timeout": int(self._wait), "allowed_updates": ["message"]}
        found = self._call("getUpdates", asked)
        if not isinstance(found, list):
            raise TelegramError("getUpdates: the result is no list")
        return found[:UPDATES_MAX]

    def send(self, chat_id: int, text: str) -> None:
        """Send a text. Raises TelegramError."""
        self._call("sendMessage", {"chat_id": chat_id, "text": text, "disable_web_page_preview": True})

    def _call(self, method: str, body: dict[str, Any]) -> Any:
        status = 0
        try:
            with self._client.stream("POST", f"{self._root}/{method}", json=body) as answer:
                status, content = answer.status_code, b""
                for piece in answer.iter_bytes():
                    content += piece
                    if len(content) > BYTES_MAX:
                        raise TelegramError(f"{method}: the answer is too long")
            said = json.loads(content)
        except httpx.HTTPError as problem:
            raise TelegramError(f"{method}: {type(problem).__name__}") from None
        except (ValueError, RecursionError):
            raise TelegramError(f"{method}: the answer is no JSON ({status})") from None
        if not isinstance(said, dict) or said.get("ok") is not True:
            raise TelegramError(f"{method}: refused with {status}")
        return said.get("result")
