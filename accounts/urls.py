"""Addresses of a person's own security pages."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.urls import URLPattern, path

from accounts import views


def _own(address: str, view: Callable[..., Any], name: str) -> URLPattern:
    return path(f"admin/security/{address}", admin.site.admin_view(view), name=name)


urlpatterns = [
    _own("", views.security, "security"),
    _own("verify/", views.verify, "security-verify"),
    _own("enrol/", views.enrol, "security-enrol"),
    _own("codes/", views.renew_codes, "security-codes"),
    _own("remove/", views.remove, "security-remove"),
    _own("sessions/<int:pk>/end/", views.end_session, "security-end-session"),
    _own("sessions/end-others/", views.end_others, "security-end-others"),
]
