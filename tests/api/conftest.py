"""The desk of the admin's tests, asked through the API."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from accounts.adminkit import CLOCK
from accounts.models import ApiToken
from accounts.tokens import create_token
from core.ids import SystemIds
from tests.admin.conftest import Desk, desk  # noqa: F401 - a fixture


class Api:
    """One person's or program's way to the API."""

    def __init__(self, **headers: str) -> None:
        self.client = Client(enforce_csrf_checks=True)
        self.headers = headers
        self._keys = SystemIds()

    def get(self, path: str, **parameters: Any) -> Any:
        return self.client.get(f"/api/{path}", parameters, headers=self.headers)

    def post(self, path: str, body: Any = None, *, key: str | None = "", **headers: str) -> Any:
        """Post JSON (bytes as they are) with a new Idempotency-Key, the one given, or (None) without one."""
        return self.send("POST", path, body, key=key, **headers)

    def send(self, method: str, path: str, body: Any = None, *, key: str | None = "", **headers: str) -> Any:
        """Send JSON by any method, as `post` does."""
        given = {} if key is None else {"Idempotency-Key": key or self._keys.token(20)}
        data = body if isinstance(body, bytes) else json.dumps({} if body is None else body)
        return self.client.generic(
            method, f"/api/{path}", data, "application/json", headers={**self.headers, **given, **headers}
        )


@pytest.fixture
def api(desk: Desk) -> Callable[..., Api]:  # noqa: F811
    """Ask as a person by a token of the scope given, or as nobody."""

    def ask(name: str | None, scope: str = "control", *, now: datetime | None = None, **fields: Any) -> Api:
        if name is None:
            return Api()
        _, text = token_of(desk, name, scope, now=now, **fields)
        return Api(Authorization=f"Bearer {text}")

    return ask


def token_of(
    desk: Desk,  # noqa: F811
    name: str,
    scope: str = "control",
    *,
    now: datetime | None = None,
    **fields: Any,
) -> tuple[ApiToken, str]:
    at = now or CLOCK.now()
    return create_token(
        user=desk.people[name], name="test", scope=scope, expires_at=at + timedelta(days=1), ids=SystemIds(), at=at,
        **fields,
    )  # fmt: skip
