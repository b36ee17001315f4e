"""Every route that changes something, asked by every kind of person with every scope of a token."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction

from accounts.apikit import idempotency
from accounts.models import TradingAccount
from tests.admin.conftest import Desk
from tests.api.conftest import Api
from tests.api.matrix import WRITES, Needs, lines_without_a_route, routes, writes_without_a_line

Ask = Callable[..., Api]
ROLES = ("nobody", "viewer", "trader", "manager", "superuser")
SCOPES = ("read", "propose", "control")
PEOPLE = {"ben": "viewer", "ada": "trader", "mia": "manager", "root": "superuser", "cem": "nobody"}


def test_every_write_has_its_expectation() -> None:
    assert writes_without_a_line() == []
    assert lines_without_a_route() == []
    assert len(list(routes())) >= 30


def expected(needs: Needs, name: str | None, scope: str) -> int | None:
    """Return the status of the refusal; None where the request is let through."""
    if name is None or needs.role == "signature":
        return 401
    if SCOPES.index(scope) < SCOPES.index(needs.scope):
        return 403
    if needs.role == "ben":
        return None if name in ("ben", "root") else 404
    role = PEOPLE[name]
    if role == "nobody" and needs.role != "anyone":
        return 404 if needs.role != "superuser" else 403
    if needs.role == "anyone":
        return None
    return None if ROLES.index(role) >= ROLES.index(needs.role) else 403


def path_of(route: str, asked: Api) -> str:
    """Put the number of a row of the desk's own account into a route."""
    if "{" not in route:
        return route
    if "{prefix}" in route:
        return route.replace("{prefix}", "0123456789")
    parent, _, rest = route.partition("/{")
    name, _, after = rest.partition("}")
    (row, *_) = asked.get(parent).json()["results"]
    return f"{parent}/{row['id' if name == 'pk' else name]}{after}"


@pytest.mark.requirement("S1-70")
@pytest.mark.parametrize("write", sorted(WRITES))
def test_a_write_is_for_whom_it_is_for(write: str, api: Ask, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "PER_MINUTE", 10**6)
    method, route = write.split()
    if WRITES[write].running:
        TradingAccount.objects.update(desired_state="running")
    needs, path, seen = WRITES[write], path_of(route, api("ben")), {}
    for name, scope in [(None, ""), *((name, scope) for name in PEOPLE for scope in SCOPES)]:
        asked = api(name, scope) if name else api(None)
        with transaction.atomic():
            needs.prepare(desk)
            answer: Any = asked.send(method, path, needs.body(desk))
            transaction.set_rollback(True)
        wanted = expected(needs, name, scope)
        if wanted is None:
            assert answer.status_code in (200, 201, 202, 204), (name, scope, answer.status_code, answer.content)
        else:
            assert answer.status_code == wanted, (name, scope, answer.content)
        seen[name, scope] = answer.status_code
    assert 401 in seen.values()
    assert 404 in seen.values() or needs.role in ("signature", "anyone")
