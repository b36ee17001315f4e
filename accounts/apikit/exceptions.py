"""Errors of the API that REST framework has no class for."""

from rest_framework import exceptions, status


class Conflict(exceptions.APIException):
    """What was asked does not fit the state of things; `code` says in a word why."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "conflict"
    default_detail = "What was asked does not fit the state of things."


class TooLarge(exceptions.APIException):
    """The body is longer than any request of ours needs."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "too_large"
    default_detail = "The body is too large."


class KeyReused(exceptions.APIException):
    """An Idempotency-Key came again with another request."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_code = "key_reused"
    default_detail = "This Idempotency-Key was used for another request. Use a new key."


class Changed(exceptions.APIException):
    """The row is not what If-Match says any more."""

    status_code = status.HTTP_412_PRECONDITION_FAILED
    default_code = "changed"
    default_detail = "It was changed since you read it. Nothing was done; read it again."
