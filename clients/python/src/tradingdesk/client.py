"""The client: reads with pages, changes each carried out once."""

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx

from tradingdesk.errors import DeskError, Unreachable, error_of
from tradingdesk.resource import Resource
from tradingdesk.routes import Routes

TRIES = 3
OVER = frozenset({"done", "failed", "cancelled"})


class Desk(Routes):
    """One desk, asked with one token. `with Desk(url, token) as desk:` closes its connections.

    Each list of the API is an attribute: `desk.cycles.list(status="open")`. Rows are typed dictionaries; money, prices
    and volumes in them are texts.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        timeout: float = 30.0,
        new_key: Callable[[], str] = lambda: secrets.token_hex(16),
        sleep: Callable[[float], None] = time.sleep,  # clock-ok: a program of its own, without our clock
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("url: give an address like https://desk.example.com.")
        self._new_key, self._sleep = new_key, sleep
        self._http = httpx.Client(
            base_url=f"{url.rstrip('/')}/api/", timeout=timeout, transport=transport, follow_redirects=False,
            headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
        )  # fmt: skip
        super().__init__(lambda path: Resource(self, path))

    def __enter__(self) -> "Desk":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    # Any route

    def read(self, path: str, parameters: Mapping[str, Any] | None = None) -> Any:
        """Return what a GET answers. Raises DeskError."""
        return self._answer("GET", path, params=dict(parameters or {}))

    def post(self, path: str, body: Mapping[str, Any] | None = None, *, key: str | None = None) -> Any:
        """Post to a route and return its answer. It is carried out once, also when it has to be sent again.

        Raises:
            Unreachable: Nobody knows whether it was carried out. Ask again with the same `key`.
            DeskError: The desk refused.
        """
        headers = {"Idempotency-Key": key or self._new_key()}
        for tries in range(1, TRIES + 1):
            try:
                return self._answer("POST", path, json=dict(body or {}), headers=headers)
            except Unreachable:
                if tries == TRIES:
                    raise
                self._sleep(2.0**tries)
        raise AssertionError("unreachable")

    def _answer(self, method: str, path: str, **options: Any) -> Any:
        try:
            answer = self._http.request(method, path, **options)
        except httpx.HTTPError as problem:
            raise Unreachable(f"{method} {path}: {type(problem).__name__}") from None
        try:
            body = answer.json() if answer.content else None
        except ValueError:
            body = None
        if answer.status_code in (502, 503, 504):
            raise Unreachable(f"{method} {path}: the desk is away ({answer.status_code})", status=answer.status_code)
        if not answer.is_success or body is None:
            raise error_of(answer.status_code, body)
        return body

    # What programs do most

    def steer(self, instruction: str, account: int | None = None, **more: Any) -> Any:
        """Start, stop, pause or resume the engine, for one account or all that one trades."""
        body = {} if account is None else {"account": account}
        return self.post(f"trade-engine/{instruction}", {**body, **more})

    def bot_state(self, bot: int, step: str) -> Any:
        """Start, pause or stop a bot."""
        return self.post(f"bots/{bot}/{step}")

    def close_cycle(self, cycle: int, reason: str) -> Any:
        """Ask that a cycle is closed; returns the command, for `wait_for`."""
        return self.post(f"cycles/{cycle}/close", {"reason": reason})

    def close_order(self, order: int, reason: str, volume: str | None = None) -> Any:
        """Ask that a position, or `volume` lots of it, is closed; returns the command, for `wait_for`."""
        body = {"reason": reason} if volume is None else {"reason": reason, "volume": volume}
        return self.post(f"orders/{order}/close", body)

    def backtest(self, bot: int, **options: Any) -> Any:
        """Start a backtest; returns it, for `wait_for`."""
        return self.post("backtests", {"bot": bot, **options})

    def export(self, account: int, kind: str, filetype: str, **span: str) -> bytes:
        """Return an export's file, whether it was there at once or a job wrote it."""
        made = self.post("exports", {"account": account, "kind": kind, "format": filetype, **span})
        made = self.wait_for("exports", made)
        if made["status"] != "done":
            raise DeskError(made["error"] or "the export failed")
        return b"".join(self._file(f"exports/{made['id']}/file"))

    def _file(self, path: str) -> Iterator[bytes]:
        try:
            with self._http.stream("GET", path) as answer:
                if not answer.is_success:
                    raise error_of(answer.status_code, None)
                yield from answer.iter_bytes()
        except httpx.HTTPError as problem:
            raise Unreachable(f"GET {path}: {type(problem).__name__}") from None

    def wait_for(self, path: str, row: Mapping[str, Any], *, seconds: float = 300.0, every: float = 0.5) -> Any:
        """Poll a command, backtest or export until it is over; return it. Raises Unreachable when it takes longer."""
        waited = 0.0
        while str(row.get("state") or row.get("status")) not in OVER:
            if waited >= seconds:
                raise Unreachable(f"{path}/{row['id']} is not over after {seconds:g} s")
            self._sleep(every)
            waited += every
            row = self.read(f"{path}/{row['id']}")
        return row
