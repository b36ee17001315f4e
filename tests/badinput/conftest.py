"""The desk and its people, as the admin's tests see them."""

from tests.admin.conftest import as_, desk

__all__ = ["as_", "desk"]
