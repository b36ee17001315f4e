"""Where a person is logged in, and how to end it. Django's session rows name nobody; these rows do."""

from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.db.models import QuerySet
from django.dispatch import receiver
from django.http import HttpRequest

from accounts.models import LoginSession, User
from core.clock import Clock, SystemClock

CLOCK: Clock = SystemClock()
AGENT_LENGTH_MAX = 200


@receiver(user_logged_in)
def _note_login(request: HttpRequest, user: User, **kwargs: Any) -> None:
    if request.session.session_key is None:
        request.session.save()
    LoginSession.objects.update_or_create(
        session_key=request.session.session_key,
        defaults={
            "user": user,
            "address": request.META.get("REMOTE_ADDR") or None,
            "agent": request.headers.get("User-Agent", "")[:AGENT_LENGTH_MAX],
            "since": CLOCK.now(),
        },
    )


@receiver(user_logged_out)
def _note_logout(request: HttpRequest, user: User | None, **kwargs: Any) -> None:
    if request.session.session_key:
        LoginSession.objects.filter(session_key=request.session.session_key).delete()


def moved(old_key: str, new_key: str) -> None:
    """Follow a session that was given another key."""
    LoginSession.objects.filter(session_key=old_key).update(session_key=new_key)


def sessions_of(user: User) -> "QuerySet[LoginSession]":
    """Return where a person is logged in, newest first; rows whose session has expired are removed on the way."""
    store = import_module(settings.SESSION_ENGINE).SessionStore
    for session in LoginSession.objects.filter(user=user):
        if not store().exists(session.session_key):
            session.delete()
    return LoginSession.objects.filter(user=user)


def end_session(session: LoginSession) -> None:
    """Log a session out; its live pages are closed when they next look, within seconds."""
    import_module(settings.SESSION_ENGINE).SessionStore(session.session_key).delete()
    session.delete()


def end_others(user: User, own_key: str | None) -> int:
    """Log a person out everywhere but here; return how many sessions ended."""
    others = list(LoginSession.objects.filter(user=user).exclude(session_key=own_key or ""))
    for session in others:
        end_session(session)
    return len(others)
