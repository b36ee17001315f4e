"""Admin of people, groups and roles."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.http import HttpRequest
from django.urls import reverse
from unfold.admin import ModelAdmin as UnfoldModelAdmin
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from accounts import services
from accounts.adminkit import (
    CLOCK,
    CleanQueries,
    DeskAdmin,
    FactAdmin,
    FactInline,
    ScopedRelatedFilter,
    person,
    post_dialog,
)
from accounts.models import AccountRole, LoginSession, User
from accounts.permissions import is_superuser
from accounts.sessions import end_session

if TYPE_CHECKING:

    class _UserAdmin(DjangoUserAdmin[User]):
        pass

    _GroupAdmin = DjangoGroupAdmin
else:

    class _UserAdmin(DjangoUserAdmin, UnfoldModelAdmin):
        pass

    class _GroupAdmin(DjangoGroupAdmin, UnfoldModelAdmin):
        pass


class SuperusersOnly(CleanQueries):
    """Who may edit people could make themselves superuser, so only superusers may."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return is_superuser(request.user)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_superuser(request.user)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_superuser(request.user)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_superuser(request.user)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_superuser(request.user)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        return {}


class RolesOfUser(FactInline[AccountRole]):
    model = AccountRole
    fields = ("account", "role")
    tab = True


@admin.register(User)
class UserAdmin(SuperusersOnly, _UserAdmin):
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    inlines = (RolesOfUser,)
    list_display = (
        "username",
        "first_name",
        "last_name",
        "email",
        "is_active",
        "is_staff",
        "is_superuser",
        "last_login",
    )
    # Groups and model permissions open nothing here: what a person may do is said by the roles below
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Person", {"fields": ("first_name", "last_name", "email")}),
        ("May", {"fields": ("is_active", "is_staff", "is_superuser")}),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )
    show_full_result_count = False
    ordering = ("username",)


admin.site.unregister(Group)


@admin.register(Group)
class GroupAdmin(SuperusersOnly, _GroupAdmin):
    show_full_result_count = False


@admin.register(AccountRole)
class AccountRoleAdmin(DeskAdmin[AccountRole]):
    """Roles are given and taken by those who manage the account."""

    list_display = ("user", "account", "role")
    list_filter = (("account", ScopedRelatedFilter), ("role", ChoicesDropdownFilter))
    search_fields = ("user__username", "account__name")
    list_select_related = ("user", "account")
    ordering = ("account__name", "user__username")

    def get_readonly_fields(self, request: HttpRequest, obj: AccountRole | None = None) -> tuple[str, ...]:
        return () if obj is None else ("user", "account")

    def has_delete_permission(self, request: HttpRequest, obj: AccountRole | None = None) -> bool:
        return self.may(request, obj, "manager")

    def save_model(
        self, request: HttpRequest, obj: AccountRole, form: "forms.ModelForm[AccountRole]", change: bool
    ) -> None:
        held = services.grant_role(
            user=obj.user, account=obj.account, role=obj.role, by=person(request), at=CLOCK.now()
        )
        obj.pk = held.pk

    def delete_model(self, request: HttpRequest, obj: AccountRole) -> None:
        services.revoke_role(user=obj.user, account=obj.account, by=person(request), at=CLOCK.now())


@admin.register(LoginSession)
class LoginSessionAdmin(FactAdmin[LoginSession]):
    """Where people are logged in; superusers end what looks wrong."""

    account_path = None
    list_display = ("user", "address", "agent", "since")
    list_select_related = ("user",)
    search_fields = ("user__username", "address")
    ordering = ("-since",)
    fields = ("user", "address", "agent", "since")
    actions_detail = ("end",)
    actions_row = ("end",)

    def back_to(self, request: HttpRequest, row: LoginSession | None) -> str:
        """Return to the list: the row's own page is gone."""
        return reverse("admin:accounts_loginsession_changelist")

    @post_dialog(
        label="End the session",
        question="Log this browser out. Its live pages close within seconds.",
        button="End it",
        path="end",
        icon="logout",
    )
    def end(self, request: HttpRequest, session: LoginSession) -> str:
        name = session.user.get_username()
        end_session(session)
        return f"A session of {name} was ended."
