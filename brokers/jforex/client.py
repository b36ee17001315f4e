"""Requests to a JForex bridge: one connection kept alive, every answer bounded in time and size."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from brokers.gateway import ReadError
from core.clock import Clock

CONNECT_SECONDS, READ_SECONDS, CALL_SECONDS = 5.0, 15.0, 30.0
BYTES_MAX = 32 * 1024 * 1024
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class NotSent(Exception):
    """No connection came about: the request provably did not leave."""


class NoAnswer(Exception):
    """The request may have arrived; no readable answer came."""


def parse_address(text: str) -> str:
    """Return a bridge's address without a slash at its end. Raises ValueError in words: the token crosses this line."""
    example = "write it like http://127.0.0.1:7080, or https:// on another machine"
    try:
        found = urlsplit(text.strip())
        host, _ = found.hostname or "", found.port
    except ValueError:
        raise ValueError(f"{text[:60]!r} is no address: {example}") from None
    is_bare = not (found.path.strip("/") or found.query or found.fragment or found.username or found.password)
    if found.scheme not in ("http", "https") or not host or not is_bare:
        raise ValueError(f"{text[:60]!r} is no bridge's address: {example}")
    if found.scheme == "http" and host not in LOOPBACK:
        raise ValueError(f"{host} is another machine, and the token would cross the network in the open: use https://")
    return f"{found.scheme}://{found.netloc}"


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and body; a body that is no JSON object is empty."""

    status: int
    body: Mapping[str, Any]

    @property
    def error(self) -> str:
        """The bridge's code of what is wrong; empty when it named none."""
        found = self.body.get("error")
        return found if isinstance(found, str) else ""

    @property
    def text(self) -> str:
        """What is wrong, in the bridge's words."""
        return str(self.body.get("text") or self.error or f"HTTP {self.status}")[:200]


class Client:
    """Speaks to one bridge. Nothing is repeated here: what a failure means is for the caller to say."""

    def __init__(self, address: str, token: str, *, clock: Clock) -> None:
        self._clock = clock
        timeout = httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)
        limits = httpx.Limits(max_connections=1, max_keepalive_connections=1)
        self._http = httpx.Client(
            base_url=f"{address}/v1", headers={"Authorization": f"Bearer {token}"}, timeout=timeout, limits=limits,
            trust_env=False,
        )  # fmt: skip

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def ask(self, method: str, path: str, *, body: Any = None, **query: Any) -> Answer:
        """Make one request.

        Raises NotSent when no connection came about, NoAnswer when nobody knows what became of it.
        """
        try:
            with self._http.stream(method, path, json=body, params=query or None) as answer:
                return Answer(answer.status_code, self._body(answer))
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as problem:
            raise NotSent(f"{type(problem).__name__}: {problem}") from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as problem:
            raise NoAnswer(f"{type(problem).__name__}: {problem}") from None

    def _body(self, answer: httpx.Response) -> Mapping[str, Any]:
        """Read a body whose every byte may come late, up to the end of the call's time. Raises NoAnswer."""
        until, content = self._clock.ticks() + CALL_SECONDS, bytearray()
        for part in answer.iter_bytes():
            content += part
            if len(content) > BYTES_MAX or self._clock.ticks() > until:
                raise NoAnswer("its answer does not end")
        try:
            found = json.loads(content)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    def read(self, path: str, **query: Any) -> Mapping[str, Any]:
        """Read one thing. Raises ReadError: whatever is not a whole answer is no answer."""
        try:
            answer = self.ask("GET", path, **query)
        except (NotSent, NoAnswer) as problem:
            raise ReadError(f"The bridge does not answer ({problem}).", "It is tried again at once.") from None
        if answer.status != 200 or not answer.body:
            fix = "Set the account's password to the bridge's token." if answer.status == 401 else "It is tried again."
            raise ReadError(f"The bridge answers {answer.status}: {answer.text}.", fix)
        return answer.body
