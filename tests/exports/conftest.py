"""The desk of the admin's tests, from which files go out, and its API."""

from tests.admin.conftest import as_, desk
from tests.api.conftest import api

__all__ = ["api", "as_", "desk"]
