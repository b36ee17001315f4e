"""What the desk refuses, as exceptions."""

from collections.abc import Mapping, Sequence
from typing import Any


class DeskError(Exception):
    """The desk refused. `code` says in a word why, `fields` what is wrong, by name; `status` is HTTP's, 0 for none."""

    def __init__(
        self, message: str, *, status: int = 0, code: str = "", fields: Mapping[str, Sequence[str]] | None = None
    ):
        super().__init__(message)
        self.status = status
        self.code = code
        self.fields = dict(fields or {})


class Unreachable(DeskError):
    """Nobody knows whether the desk got the request. Send it again with the same key."""


class Invalid(DeskError):
    """What was sent does not hold (400, 413, 415, 422)."""


class Forbidden(DeskError):
    """The token, its scope or one's role does not allow it (401, 403)."""


class NotFound(DeskError):
    """There is no such row, or it is another person's (404)."""


class Conflict(DeskError):
    """It does not fit the state of things (409, 412)."""


class TooMany(DeskError):
    """Too many requests (429)."""


OF_STATUS: Mapping[int, type[DeskError]] = {
    400: Invalid, 413: Invalid, 415: Invalid, 422: Invalid, 401: Forbidden, 403: Forbidden, 404: NotFound,
    409: Conflict, 412: Conflict, 429: TooMany,
}  # fmt: skip


def error_of(status: int, body: Any) -> DeskError:
    """Return the exception for an answer, whatever its body is."""
    said = body.get("error") if isinstance(body, dict) else None
    said = said if isinstance(said, dict) else {}
    kind = OF_STATUS.get(status, DeskError)
    fields = said.get("fields")
    return kind(
        str(said.get("message") or f"the desk answered {status}"), status=status, code=str(said.get("code", "")),
        fields=fields if isinstance(fields, dict) else None,
    )  # fmt: skip
