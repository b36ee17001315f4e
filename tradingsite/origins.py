"""Names the door of every request and of every command, for the audit trail and the log."""

import getpass
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from django.http import HttpRequest, HttpResponse

from core.ids import SystemIds
from events.origin import ENGINE, Origin, coming_from

REQUEST_ID_LENGTH = 16
HEADER = "X-Request-ID"
# Not typed by a person about something: they run what the engine and its workers do
ENGINE_COMMANDS = frozenset({"runengine", "qcluster"})


def origin_middleware(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Give each request a number of its own, which its audit entries and its answer carry."""
    ids = SystemIds()

    def answer(request: HttpRequest) -> HttpResponse:
        found = re.match(r"/(api|admin)/", request.path)
        origin = Origin(found[1] if found else "web", ids.token(REQUEST_ID_LENGTH))
        with coming_from(origin):
            response = get_response(request)
        response[HEADER] = origin.request_id
        return response

    return answer


@contextmanager
def typed(arguments: Sequence[str]) -> Iterator[None]:
    """Say who typed a command on the host."""
    name = arguments[1] if len(arguments) > 1 else ""
    if name in ENGINE_COMMANDS:
        origin = ENGINE
    else:
        origin = Origin("command line", SystemIds().token(REQUEST_ID_LENGTH), _login_name())
    with coming_from(origin):
        yield


def _login_name() -> str:
    """Return the name of whoever is logged in on the host; in a container there may be none."""
    try:
        return f"{getpass.getuser()} on the host"
    except (OSError, KeyError, ImportError):
        return "somebody on the host"
