"""Who asks: a session of the site, or a token in the Authorization header."""

from typing import Any

from django.http import HttpRequest
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from accounts.adminkit import CLOCK
from accounts.models import ApiToken, User
from accounts.permissions import RoleName, can
from accounts.tokens import find_token

SCOPES = tuple(ApiToken.Scope.values)


class TokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer td_…`. A token is never taken from a cookie or from the address."""

    keyword = "Bearer"

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        parts = get_authorization_header(request).split()
        if not parts or parts[0].lower() != self.keyword.lower().encode():
            return None
        text = parts[1].decode("ascii", "replace") if len(parts) == 2 else ""
        token = find_token(text, address=str(request.META.get("REMOTE_ADDR", "")), at=CLOCK.now())
        if token is None:
            raise AuthenticationFailed("This token is unknown, ended, or not for this address.")
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return self.keyword


class ScopeAllows(BasePermission):
    """Reading is for everyone with a login; a token changes only what its scope allows (`write_scope` of the view)."""

    message = "The token's scope does not allow this."

    def has_permission(self, request: Request, view: Any) -> bool:
        if not request.user.is_authenticated:
            return False
        if not isinstance(request.auth, ApiToken) or request.method in SAFE_METHODS:
            return True
        needed = getattr(view, "write_scope", ApiToken.Scope.CONTROL)
        return SCOPES.index(request.auth.scope) >= SCOPES.index(needed)


def user_of(request: Request | HttpRequest) -> User:
    """Return who asks; permissions have refused everyone else."""
    assert isinstance(request.user, User)
    return request.user


def require(request: Request, account_id: int, role: RoleName) -> User:
    """Return who asks when they have a role in an account that they may see. Raises PermissionDenied."""
    user = user_of(request)
    if not can(user, account_id, role):
        raise PermissionDenied(f"This needs the role of a {role} in the account.")
    return user


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[misc]
    """Tells the OpenAPI document about the tokens."""

    target_class = "accounts.apikit.auth.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "A token: `td_` and two parts. Shown once."}
