"""The parser of request bodies: one strict JSON object of moderate size."""

from collections.abc import Mapping
from typing import IO, Any

from rest_framework.exceptions import ValidationError
from rest_framework.parsers import BaseParser

from accounts.apikit.exceptions import TooLarge
from core import strictjson

BYTES_MAX = 64 * 1024


class StrictJSONParser(BaseParser):
    """Takes JSON objects, as core.strictjson does."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return the object. Raises ValidationError, naming the field where there is one; TooLarge."""
        body = stream.read(BYTES_MAX + 1)
        if len(body) > BYTES_MAX:
            raise TooLarge(f"The body is larger than {BYTES_MAX // 1024} KiB.")
        return parse_object(body)


def parse_object(body: bytes) -> dict[str, Any]:
    """Parse one JSON object strictly. Raises ValidationError."""
    try:
        return strictjson.parse_object(body)
    except strictjson.StrictJsonError as problem:
        raise ValidationError({problem.field or "non_field_errors": [problem.text]}) from None
