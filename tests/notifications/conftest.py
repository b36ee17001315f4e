"""The desk of the admin's tests, from which news go out."""

from tests.admin.conftest import desk

__all__ = ["desk"]
