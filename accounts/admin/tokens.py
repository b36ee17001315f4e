"""Admin of the API's tokens: everyone sees, makes and revokes their own, superusers all."""

from datetime import timedelta

from django import forms
from django.contrib import admin
from django.core.validators import MaxValueValidator, MinValueValidator
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from accounts.admincells import NOTHING, STATES, moment
from accounts.adminkit import CLOCK, DialogForm, FactAdmin, display, person, post_dialog
from accounts.adminown import OwnAdmin
from accounts.models import ApiRequest, ApiToken
from accounts.numberfields import StrictIntegerField
from accounts.tokens import create_token, revoke_token
from core.ids import SystemIds


class TokenDialog(DialogForm):
    name = forms.CharField(max_length=60, widget=UnfoldAdminTextInputWidget, help_text="What the token is for.")
    scope = forms.ChoiceField(choices=ApiToken.Scope.choices, widget=UnfoldAdminSelectWidget)
    days = StrictIntegerField(
        initial=90,
        validators=[MinValueValidator(1), MaxValueValidator(366)],
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="Valid for so many days.",
    )
    networks = forms.CharField(
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="Addresses that may use it, comma separated, as 10.0.0.0/8. Empty: any.",
    )


@admin.register(ApiToken)
class ApiTokenAdmin(OwnAdmin):
    owner = "user"
    list_display = ("name", "prefix", "user", "scope", "state_label", "expires", "used")
    list_select_related = ("user",)
    search_fields = ("name", "prefix", "user__username")
    ordering = ("-created_at",)
    fields = ("name", "prefix", "user", "scope", "networks", "created_at", "expires_at", "revoked_at", "last_used_at")
    actions_list = ("make",)
    actions_detail = ("revoke",)

    @display(description="State", label=STATES)
    def state_label(self, token: ApiToken) -> tuple[str, str]:
        if token.revoked_at is not None:
            return "stopped", "Revoked"
        return ("stopped", "Ended") if token.expires_at <= CLOCK.now() else ("running", "Valid")

    @display(description="Ends (UTC)", ordering="expires_at")
    def expires(self, token: ApiToken) -> str:
        return moment(token.expires_at)

    @display(description="Last used (UTC)", ordering="last_used_at")
    def used(self, token: ApiToken) -> str:
        return NOTHING if token.last_used_at is None else moment(token.last_used_at)

    @post_dialog(
        label="Make a token",
        question="The token is shown once, on the next page. It opens what its scope and your roles both allow.",
        button="Make the token",
        path="make",
        role="viewer",
        icon="key",
        form=TokenDialog,
        is_dangerous=True,
    )
    def make(self, request: HttpRequest, row: None, name: str, scope: str, days: int, networks: str) -> str:
        at, user = CLOCK.now(), person(request)
        _, text = create_token(
            user=user,
            name=name,
            scope=scope,
            expires_at=at + timedelta(days=days),
            networks=[part for part in networks.split(",") if part.strip()],
            ids=SystemIds(),
            by=user,
            at=at,
        )
        return f"Copy it now, it is not shown again: {text}"

    @post_dialog(
        label="Revoke",
        question="Programs that use this token are refused from now on.",
        button="Revoke the token",
        path="revoke",
        role="viewer",
        icon="block",
        shown_when=lambda token: token.revoked_at is None,
    )
    def revoke(self, request: HttpRequest, token: ApiToken) -> str:
        done = revoke_token(token=token, by=person(request), at=CLOCK.now())
        return f"{token} is revoked." if done else f"{token} was revoked already."


@admin.register(ApiRequest)
class ApiRequestAdmin(FactAdmin[ApiRequest]):
    """Requests that can lead to an order belong to people, not to accounts: superusers see them."""

    account_path = None
    list_display = ("time", "user", "route", "key", "status")
    list_select_related = ("user",)
    search_fields = ("key", "route", "user__username")
    ordering = ("-id",)

    @display(description="Time (UTC)", ordering="id")
    def time(self, row: ApiRequest) -> str:
        return moment(row.created_at)
