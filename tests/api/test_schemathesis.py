"""Requests made from the API's own document: none breaks the site, and every answer is one that the document names."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, transaction
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.specs.openapi import checks as openapi
from werkzeug.test import Client as WsgiClient

from accounts.apikit import idempotency
from core.ids import SystemIds
from tests.admin.conftest import Desk
from tests.api.conftest import token_of

# Requests to each route with what it takes, and as many with what it must refuse
EXAMPLES = int(os.environ.get("API_EXAMPLES", "3"))
CHECKS: list[Any] = [
    schemathesis.checks.not_a_server_error,
    openapi.status_code_conformance,
    openapi.content_type_conformance,
    openapi.response_headers_conformance,
    openapi.response_schema_conformance,
    openapi.negative_data_rejection,
]
POSITIVE, NEGATIVE = schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE


@pytest.fixture
def one_connection(db: None) -> Iterator[None]:
    """Let requests leave the test's connection open, as Django's own test client does."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


class Asker:
    """Sends what is generated, to rows that exist, and counts the answers by status."""

    def __init__(self, text: str) -> None:
        self.headers = {"Authorization": f"Bearer {text}"}
        self.application = get_wsgi_application()
        self.keys = SystemIds()
        self.answers: dict[int, int] = {}

    def examine(self, operation: Any, mode: Any) -> None:
        """Send some requests of one kind to a route and check the answers. Raises what the checks find."""
        operation.app = self.application
        known = self._row_of(operation.path) if mode is POSITIVE else {}

        @settings(
            max_examples=EXAMPLES, derandomize=True, database=None, deadline=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: Any) -> None:
            headers = dict(self.headers)
            if mode is POSITIVE:
                headers["Idempotency-Key"] = self.keys.token(20)
            case.path_parameters |= known
            # As in production each request has a transaction to itself: none meets what another one broke or changed
            with transaction.atomic():
                answer = case.call(headers=headers)
                transaction.set_rollback(True)
            self.answers[answer.status_code] = self.answers.get(answer.status_code, 0) + 1
            # The token takes the place of a login that was made to be wrong: then nothing has to be refused
            login_was_wrong = "Authorization" in (case.headers or {})
            checks = [check for check in CHECKS if not (login_was_wrong and check is openapi.negative_data_rejection)]
            case.validate_response(answer, checks=checks)

        ask()

    def _row_of(self, path: str) -> dict[str, Any]:
        """Return the path's parameters of a row that the list in front of them holds."""
        if "{" not in path:
            return {}
        parent, _, rest = path.partition("/{")
        name = rest.partition("}")[0]
        answer = WsgiClient(self.application).get(parent, headers=self.headers)
        rows = answer.json["results"] if answer.status_code == 200 and answer.json else []
        return {name: str(rows[0][name])} if rows and name in rows[0] else {}


@pytest.mark.usefixtures("one_connection")
def test_no_request_made_from_the_document_breaks_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "PER_MINUTE", 10**6)
    _, text = token_of(desk, "root", "control")
    document = schemathesis.openapi.from_dict(SchemaGenerator().get_schema(request=None, public=True))
    asker, problems, asked = Asker(text), [], 0
    found: list[Any] = list(document.get_all_operations())
    for operation in [result.ok() for result in found]:
        for mode in (POSITIVE, NEGATIVE):
            asked += 1
            try:
                asker.examine(operation, mode)
            except BaseExceptionGroup as found:
                problems += [f"{operation.label} ({mode.value}): {problem}" for problem in found.exceptions]
    assert not problems, "\n\n".join(problems)
    assert asked >= 60
    assert asker.answers.get(200, 0) > asked / 4, asker.answers
    assert not [status for status in asker.answers if status >= 500], asker.answers
