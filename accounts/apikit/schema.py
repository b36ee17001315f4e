"""The OpenAPI document: every operation names the errors that it can answer with, all in the one shape."""

from collections.abc import Callable
from typing import Any, TypeVar

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import extend_schema, extend_schema_field, extend_schema_serializer

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
IDEMPOTENCY_KEY = {
    "in": "header",
    "name": "Idempotency-Key",
    "required": True,
    "schema": {"type": "string", "pattern": "^[!-~]{8,80}$"},
    "description": "New for each request. The same key again gets the same answer, and nothing is done twice.",
}
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


def shaped(schema: dict[str, Any]) -> Callable[[F], F]:
    """Give the JSON Schema of what a field or a filter takes: drf-spectacular's `extend_schema_field`, typed."""
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
        if getattr(handler, "takes_key", False):
            operation.setdefault("parameters", []).append(IDEMPOTENCY_KEY)
        wanted = dict(ALWAYS)
        if "{" in self.path or self.method != "GET":
            wanted |= OF_ROWS
        if self.method != "GET":
            wanted |= OF_WRITES
        content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
        for status, text in wanted.items():
            operation["responses"].setdefault(status, {"description": text, "content": content})
        return operation


def add_error_schema(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Put the error's shape into the document (a post-processing hook)."""
    result["components"].setdefault("schemas", {})["Error"] = ERROR
    return result
