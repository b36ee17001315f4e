"""Pages of errors outside of any view: the API answers in its own shape, the site as Django does."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views import defaults

from accounts.apikit.errors import error_body

API = "/api/"


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer what no route fits."""
    if request.path.startswith(API):
        return JsonResponse(error_body("not_found", "There is no such route; /api/docs/ lists them."), status=404)
    return defaults.page_not_found(request, exception)


def failed(request: HttpRequest) -> HttpResponse:
    """Answer a request that met an error of ours, which the log holds."""
    if request.path.startswith(API):
        text = "This is our fault. The log has it under the number in X-Request-ID."
        return JsonResponse(error_body("internal", text), status=500)
    return defaults.server_error(request)
