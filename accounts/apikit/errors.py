"""One shape of every error: `{"error": {"code", "message", "fields"}}`."""

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import PermissionDenied
from django.core.exceptions import ValidationError as DjangoValidationError
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler as drf_handler

from accounts.apikit.exceptions import Conflict

# Codes of refusals that are about the state of things, not about what was sent: 409 with the code
CONFLICTS = frozenset({"state", "not_running", "changed", "max_bots"})
CODES: Mapping[int, str] = {
    400: "invalid",
    401: "not_authenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    409: "conflict",
    412: "changed",
    413: "too_large",
    415: "unsupported_media_type",
    422: "key_reused",
    429: "too_many_requests",
}


def error_body(code: str, message: str, fields: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the body of an error."""
    return {"error": {"code": code, "message": message, "fields": dict(fields or {})}}


def handle(problem: Exception, context: dict[str, Any]) -> Response | None:
    """Turn an exception of a view into an answer; what is no fault of the asker goes on to be a 500."""
    if isinstance(problem, DjangoValidationError):
        code = str(getattr(problem, "code", None) or "")
        if code in CONFLICTS:
            problem = Conflict(" ".join(problem.messages), code=code)
        else:
            problem = exceptions.ValidationError(_from_django(problem))
    answer = drf_handler(problem, context)
    if answer is None:
        return None
    if isinstance(problem, exceptions.ValidationError):
        fields = _fields(problem.detail)
        answer.data = error_body("invalid", _summary(fields), fields)
        return answer
    if isinstance(problem, Http404):
        problem = exceptions.NotFound()
    elif isinstance(problem, PermissionDenied):
        problem = exceptions.PermissionDenied()
    detail = getattr(problem, "detail", str(problem))
    code = getattr(detail, "code", "") or CODES.get(answer.status_code, "error")
    answer.data = error_body(code, str(detail))
    return answer


def _from_django(problem: DjangoValidationError) -> Any:
    if hasattr(problem, "error_dict"):
        return problem.message_dict
    if getattr(problem.error_list[0], "code", "") == "params":
        # Each message begins with the name of its parameter
        named = [text.partition(": ") for text in problem.messages]
        return {name if rest else "values": [rest or name] for name, _, rest in named}
    return {"non_field_errors": problem.messages}


def _fields(detail: Any, path: str = "") -> dict[str, list[str]]:
    """Return messages by field; a nested field is named by its path, as `symbols.0`."""
    if isinstance(detail, Mapping):
        pairs = list(detail.items())
    elif isinstance(detail, list | tuple) and any(isinstance(part, Mapping | list) for part in detail):
        pairs = list(enumerate(detail))
    else:
        texts = [str(part) for part in detail] if isinstance(detail, list | tuple) else [str(detail)]
        return {path or "non_field_errors": texts}
    found: dict[str, list[str]] = {}
    for name, inner in pairs:
        if inner:
            found |= _fields(inner, f"{path}.{name}" if path else str(name))
    return found


def _summary(fields: Mapping[str, list[str]]) -> str:
    name, messages = next(iter(fields.items()), ("", [""]))
    return messages[0] if name in ("", "non_field_errors") else f"{name}: {messages[0]}"
