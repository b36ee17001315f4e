"""Requests to OANDA's v20 interface: one connection kept alive, one budget a token, answers as plain values.

Facts: developer.oanda.com, development guide and best practices: 120 requests a second and address at most, 2 new
connections a second; requests beyond are answered 429.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from brokers.budget import budget_of
from brokers.gateway import ReadError
from core.clock import Clock

HOSTS = {
    "practice": ("https://api-fxpractice.oanda.com", "https://stream-fxpractice.oanda.com"),
    "live": ("https://api-fxtrade.oanda.com", "https://stream-fxtrade.oanda.com"),
}
ACCOUNT_ID = re.compile(r"[0-9]{3}-[0-9]{3}-([0-9]{1,12})-[0-9]{3}\Z")
REQUESTS_PER_SECOND = 100
CONNECT_SECONDS, READ_SECONDS = 5.0, 15.0


class NotSent(Exception):
    """No connection came about: the request provably did not leave."""


class NoAnswer(Exception):
    """The request may have arrived; no readable answer came."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and body; a body that is no JSON object is empty."""

    status: int
    body: Mapping[str, Any]
    is_readable: bool

    @property
    def error(self) -> str:
        """The server's own words for what is wrong."""
        return str(self.body.get("errorMessage") or f"HTTP {self.status}")


class Client:
    """Speaks to one account. Nothing is repeated here: what a failure means is for the caller to say."""

    def __init__(self, base: str, account: str, token: str, *, clock: Clock) -> None:
        self._clock = clock
        self._budget = budget_of(token, REQUESTS_PER_SECOND)
        self.account_path = f"/v3/accounts/{account}"
        headers = {"Authorization": f"Bearer {token}", "Accept-Datetime-Format": "RFC3339"}
        timeout = httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)
        limits = httpx.Limits(max_connections=1, max_keepalive_connections=1)
        self._http = httpx.Client(base_url=base, headers=headers, timeout=timeout, limits=limits, trust_env=False)

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def ask(self, method: str, path: str, *, body: Any = None, **query: Any) -> Answer:
        """Make one request under the account's path; a path that begins with / stands for itself.

        Raises NotSent when no connection came about, NoAnswer when nobody knows what became of it.
        """
        self._budget.take(self._clock)
        url = path if path.startswith(("/", "http")) else f"{self.account_path}/{path}".rstrip("/")
        try:
            answer = self._http.request(method, url, json=body, params=query or None)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as problem:
            raise NotSent(f"{type(problem).__name__}: {problem}") from None
        except (httpx.HTTPError, httpx.InvalidURL) as problem:
            raise NoAnswer(f"{type(problem).__name__}: {problem}") from None
        try:
            found = answer.json()
        except ValueError:
            found = None
        return Answer(answer.status_code, found if isinstance(found, dict) else {}, isinstance(found, dict))

    def read(self, path: str, **query: Any) -> Mapping[str, Any]:
        """Read one thing. Raises ReadError: whatever is not a whole answer is no answer."""
        try:
            answer = self.ask("GET", path, **query)
        except (NotSent, NoAnswer) as problem:
            raise ReadError(f"OANDA does not answer ({problem}).", "It is tried again at once.") from None
        if answer.status != 200 or not answer.is_readable:
            fix = "Set the account's token anew." if answer.status in (401, 403) else "It is tried again at once."
            raise ReadError(f"OANDA answers {answer.status}: {answer.error}.", fix)
        return answer.body
