"""The Content-Security-Policy of every answer: nothing comes from another host, no script stands in a page."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

HEADER = "Content-Security-Policy"
_COMMON = (
    "default-src 'none'; connect-src 'self'; img-src 'self' data:; font-src 'self'; manifest-src 'self'; "
    # Charts and progress bars set the size of elements
    "style-src 'self' 'unsafe-inline'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'; object-src 'none'; "
)
STRICT = f"{_COMMON}script-src 'self'"
# Unfold's build of Alpine evaluates the expressions in its attributes
ADMIN = f"{_COMMON}script-src 'self' 'unsafe-eval'"


def policy_middleware(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Set the policy, unless the view gave its answer one of its own."""

    def answer(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response.headers.setdefault(HEADER, ADMIN if request.path.startswith("/admin/") else STRICT)
        return response

    return answer
