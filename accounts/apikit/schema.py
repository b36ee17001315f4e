"""The OpenAPI document: every operation names the errors that it can answer with, all in the one shape."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field, extend_schema_serializer

F = TypeVar("F", bound=Callable[..., Any])
S = TypeVar("S", bound=type[Any])

ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "fields"],
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "fields": {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "string"}}},
            },
        }
    },
}
IDEMPOTENCY_KEY: dict[str, object] = {
    "in": "header",
    "name": "Idempotency-Key",
    "required": True,
    "schema": {"type": "string", "pattern": "^[!-~]{8,80}$"},
    "description": "New for each request. The same key again gets the same answer, and nothing is done twice.",
}
FIELDS: dict[str, object] = {
    "in": "query",
    "name": "fields",
    "schema": {"type": "string", "pattern": "^[a-z_]+(,[a-z_]+)*$"},
    "description": "Names of the fields to answer with, with commas between; the others are left out.",
}
IF_NONE_MATCH: dict[str, object] = {
    "in": "header",
    "name": "If-None-Match",
    "schema": {"type": "string"},
    "description": "The ETag of an answer that one has.",
}
IF_MATCH: dict[str, object] = {
    "in": "header",
    "name": "If-Match",
    "schema": {"type": "string"},
    "description": "The ETag of the row as one read it: when it is another one now, nothing is done.",
}
OF_SPAN = [
    OpenApiParameter(f"at_{side}", datetime, description=text)
    for side, text in (("after", "Begin of the span, inclusive."), ("before", "End of the span, inclusive."))
]
UNCHANGED = "Nothing changed since the answer with this ETag"
OF_MATCHES = {"412": "The row is not what If-Match says any more"}
ALWAYS = {"400": "What is wrong, by field", "401": "No login", "403": "The role or the token's scope is too low"}
OF_ROWS = {"404": "There is no such row, or it is another person's"}
OF_WRITES = {
    "409": "It does not fit the state of things, or the first request with this key is under way",
    "413": "The body is too large",
    "415": "The body is not JSON",
    "422": "The Idempotency-Key was used for another request",
    "429": "Too many requests",
}


def documented(**options: Any) -> Callable[[F], F]:
    """Say what a method takes and answers: drf-spectacular's `extend_schema`, typed."""
    decorate: Callable[[F], F] = extend_schema(**options)
    return decorate


def shaped(schema: Any) -> Callable[[F], F]:
    """Give the JSON Schema (or serializer) of what a field or filter takes: `extend_schema_field`, typed."""
    decorate: Callable[[F], F] = extend_schema_field(schema)
    return decorate


def one_answer(serializer: S) -> S:
    """Say that a list's answer is this serializer, not an array of it: drf-spectacular's own decorator, typed."""
    marked: S = extend_schema_serializer(many=False)(serializer)
    return marked


class DeskSchema(AutoSchema):  # type: ignore[misc]
    """Adds the errors to each operation."""

    def get_operation(self, *args: Any, **kwargs: Any) -> Any:
        operation = super().get_operation(*args, **kwargs)
        if operation is None:
            return None
        handler = getattr(self.view, getattr(self.view, "action", None) or self.method.lower(), None)
        more, wanted, reads = [], ALWAYS | OF_ROWS, self.method == "GET"
        if getattr(handler, "takes_key", False):
            more.append(IDEMPOTENCY_KEY)
        if not reads:
            wanted |= OF_WRITES
        if getattr(self.view, "has_etags", False):
            more += [FIELDS, IF_NONE_MATCH] if reads else [IF_MATCH] if "{" in self.path else []
            wanted |= {"304": UNCHANGED} if reads else OF_MATCHES
        operation.setdefault("parameters", []).extend(more)
        for status, text in wanted.items():
            operation["responses"].setdefault(status, _refusal(int(status), text))
        return operation


def _refusal(status: int, text: str) -> dict[str, Any]:
    """Describe an answer that is not what was asked for, with an example."""
    # REST framework's views ask for the schema's class, so its error handling can't be imported before
    from accounts.apikit.errors import CODES, error_body

    if status not in CODES:
        return {"description": text}
    example = error_body(CODES[status], text)
    content = {"schema": {"$ref": "#/components/schemas/Error"}, "example": example}
    return {"description": text, "content": {"application/json": content}}


def add_error_schema(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Put the error's shape into the document (a post-processing hook)."""
    result["components"].setdefault("schemas", {})["Error"] = ERROR
    return result
