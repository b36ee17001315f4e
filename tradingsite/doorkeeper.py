"""Lets nobody further who comes from elsewhere than the admin may be seen from, or has to show a second factor."""

import ipaddress
from collections.abc import Callable
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseNotFound, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse

from accounts.apikit.errors import error_body
from accounts.secondfactor import is_open

OPEN_NAMES = frozenset({"security-verify", "security-enrol", "logout", "login", "jsi18n", "healthz", "readyz"})


def admin_networks_middleware(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Answer as if there were no admin to who comes from outside of `settings.ADMIN_NETWORKS`."""

    def answer(request: HttpRequest) -> HttpResponse:
        if request.path.startswith("/admin/") and not _may_see_admin(str(request.META.get("REMOTE_ADDR") or "")):
            return HttpResponseNotFound("Not Found", content_type="text/plain")
        return get_response(request)

    return answer


def _may_see_admin(address: str) -> bool:
    try:
        asking = ipaddress.ip_address(address)
    except ValueError:
        # A socket of the host itself has no address
        return address == ""
    asking = getattr(asking, "ipv4_mapped", None) or asking
    return any(asking in network for network in settings.ADMIN_NETWORKS)


class SecondFactorMiddleware:
    """Sends a session without its second factor to the page that asks for it, and answers its API calls with 403."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self._get_response(request)

    def process_view(self, request: HttpRequest, *_: object) -> HttpResponse | None:
        """Look before the view, when it is known which one it is."""
        name = request.resolver_match.url_name if request.resolver_match else None
        user = request.user
        if name in OPEN_NAMES or not user.is_authenticated or is_open(user, request.session):
            return None
        if request.path.startswith("/api/"):
            text = "This session has still to show its second factor: open /admin/security/verify/."
            return JsonResponse(error_body("second_factor", text), status=403)
        return redirect(f"{reverse('security-verify')}?{urlencode({'next': request.get_full_path()})}")
