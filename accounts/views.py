"""A person's own security page: second factor, recovery codes, and where they are logged in."""

from base64 import b32encode
from typing import Any

import segno
from django import forms
from django.contrib import admin, messages
from django.contrib.auth import authenticate
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_otp import login as remember_device
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminTextInputWidget

from accounts import secondfactor, sessions
from accounts.adminkit import CLOCK, person
from accounts.models import User
from core.ids import Ids, SystemIds

IDS: Ids = SystemIds()


class CodeForm(forms.Form):
    """One code, of the app or of the recovery codes."""

    code = forms.CharField(
        label="Code",
        max_length=20,
        strip=True,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "one-time-code", "autofocus": True}),
    )


class PasswordForm(forms.Form):
    """The person's own password once more, before something that a stolen session must not do."""

    password = forms.CharField(
        label="Your password",
        strip=False,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "current-password"}),
    )

    def __init__(self, *args: Any, request: HttpRequest, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._request = request

    def clean_password(self) -> str:
        """Count a wrong password like one at the log-in."""
        given: str = self.cleaned_data["password"]
        name = person(self._request).get_username()
        if authenticate(self._request, username=name, password=given) is None:
            raise ValidationError("That is not your password.")
        return given


def _page(request: HttpRequest, template: str, title: str, **context: Any) -> HttpResponse:
    return TemplateResponse(
        request, f"accounts/{template}.html", {**admin.site.each_context(request), "title": title, **context}
    )


def _onward(request: HttpRequest) -> str:
    """Return where a person was going, if that is a page of ours."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    safe = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return wanted if safe else reverse("admin:index")


@never_cache
@require_safe
def security(request: HttpRequest) -> HttpResponse:
    """Show how the person's account is protected."""
    user = person(request)
    return _page(
        request,
        "security",
        "Your security",
        is_set_up=secondfactor.is_set_up(user),
        is_asked=secondfactor.is_asked_of(user),
        form=PasswordForm(request=request),
        sessions=sessions.sessions_of(user),
        own_key=request.session.session_key,
    )


@never_cache
@sensitive_post_parameters("code")
@require_http_methods(["GET", "POST"])
def verify(request: HttpRequest) -> HttpResponse:
    """Ask for the second factor, and go on to where the person was going."""
    user = person(request)
    if not secondfactor.is_set_up(user):
        return redirect("security-enrol")
    form = CodeForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        device = secondfactor.matched(user, form.cleaned_data["code"])
        if device is not None:
            _remember(request, device)
            return redirect(_onward(request))
        form.add_error("code", "That code does not open this account now. After a wrong one, wait before the next.")
    return _page(request, "verify", "Second factor", form=form, onward=_onward(request))


def _remember(request: HttpRequest, device: Any) -> None:
    """Give a session that may do more from now on another key, so that a key seen before is worth nothing."""
    old = request.session.session_key or ""
    request.session.cycle_key()
    sessions.moved(old, request.session.session_key or "")
    remember_device(request, device)


@never_cache
@sensitive_post_parameters("code")
@require_http_methods(["GET", "POST"])
def enrol(request: HttpRequest) -> HttpResponse:
    """Set up an authenticator app: a picture to scan, one code to prove it, then the recovery codes, shown once."""
    user = person(request)
    if not secondfactor.is_open(user, request.session) and secondfactor.is_set_up(user):
        return redirect("security-verify")
    form = CodeForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            device, codes = secondfactor.confirm(user=user, code=form.cleaned_data["code"], ids=IDS, at=CLOCK.now())
        except ValidationError as error:
            form.add_error("code", error)
        else:
            _remember(request, device)
            return _page(request, "codes", "Recovery codes", codes=codes)
    waiting = secondfactor.begin(user)
    picture = segno.make(secondfactor.set_up_url(waiting), micro=False).svg_data_uri(scale=5, border=2, light="white")
    return _page(
        request,
        "enrol",
        "Set up a second factor",
        form=form,
        picture=picture,
        key=_readable(secondfactor.key_of(waiting)),
    )


def _readable(key: bytes) -> str:
    """Return a key as authenticator apps take it by hand: base 32, in groups of four."""
    text = b32encode(key).decode().rstrip("=")
    return " ".join(text[i : i + 4] for i in range(0, len(text), 4))


def _with_password(request: HttpRequest) -> User | None:
    """Return the person if they typed their password; say so if not."""
    form = PasswordForm(request.POST, request=request)
    if form.is_valid():
        return person(request)
    messages.error(request, " ".join(str(text) for errors in form.errors.values() for text in errors))
    return None


@never_cache
@sensitive_post_parameters("password")
@require_POST
def renew_codes(request: HttpRequest) -> HttpResponse:
    """Replace the recovery codes, and show the new ones once."""
    user = _with_password(request)
    if user is None:
        return redirect("security")
    codes = secondfactor.renew_codes(user=user, ids=IDS, at=CLOCK.now())
    return _page(request, "codes", "Recovery codes", codes=codes)


@sensitive_post_parameters("password")
@require_POST
def remove(request: HttpRequest) -> HttpResponse:
    """Forget the second factor."""
    user = _with_password(request)
    if user is not None and secondfactor.remove(user=user, at=CLOCK.now(), by=user):
        messages.success(request, "Your second factor was removed.")
    return redirect("security")


@require_POST
def end_session(request: HttpRequest, pk: int) -> HttpResponse:
    """Log one of the person's own sessions out."""
    sessions.end_session(get_object_or_404(person(request).login_sessions, pk=pk))
    messages.success(request, "That session was ended.")
    return redirect("security")


@require_POST
def end_others(request: HttpRequest) -> HttpResponse:
    """Log the person out everywhere but here."""
    ended = sessions.end_others(person(request), request.session.session_key)
    messages.success(request, f"{ended} other sessions were ended.")
    return redirect("security")
