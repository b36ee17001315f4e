"""The door of WebSockets for programs: a token in the header, as with the API, in place of a session."""

from functools import partial
from typing import Any

from channels.db import database_sync_to_async
from django.contrib.auth.models import AnonymousUser

from accounts.models import User
from accounts.tokens import find_token
from core.clock import Clock, SystemClock
from events.consumers import TOKEN_CHECK

CLOCK: Clock = SystemClock()


class TokenDoor:
    """Sends connections with an Authorization header one way, pages of a browser the other.

    A page can't set that header, so no other site's page comes this way, and the origin needn't be asked for.
    """

    def __init__(self, for_programs: Any, for_pages: Any) -> None:
        self._for_programs = for_programs
        self._for_pages = for_pages

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> Any:
        header = dict(scope.get("headers", ())).get(b"authorization")
        if header is None:
            return await self._for_pages(scope, receive, send)
        word, _, text = header.decode("latin-1").partition(" ")
        address = (scope.get("client") or ("", 0))[0]
        check = database_sync_to_async(partial(_user_of, text if word.lower() == "bearer" else "", address))
        user = await check() or AnonymousUser()
        return await self._for_programs({**scope, "user": user, TOKEN_CHECK: check}, receive, send)


def _user_of(text: str, address: str) -> User | None:
    token = find_token(text, address=address, at=CLOCK.now())
    return None if token is None else token.user
