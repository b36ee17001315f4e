"""What every admin page of the desk shares: role-limited querysets, read-only facts, actions by POST dialogs only.

Roles of accounts (`accounts.permissions`) take the place of Django's model permissions: a viewer sees, a trader starts
and stops, a manager edits. What belongs to another person's account does not exist for them (404).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth import authenticate
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import IntegrityError
from django.db.models import ForeignKey, Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from unfold.admin import ModelAdmin as UnfoldModelAdmin
from unfold.admin import TabularInline as UnfoldTabularInline
from unfold.contrib.filters.admin import RelatedDropdownFilter
from unfold.decorators import action as unfold_action
from unfold.decorators import display as unfold_display
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminTextInputWidget

from accounts.admincells import Labelled
from accounts.adminmenus import switched_off
from accounts.models import User
from accounts.numberfields import STRICT_FORMFIELDS
from accounts.permissions import RoleName, accounts_of, can, can_anywhere, is_superuser
from accounts.validation import plain_text
from core.clock import Clock, SystemClock

M = TypeVar("M", bound=Model)
F = TypeVar("F", bound=Callable[..., Any])
CLOCK: Clock = SystemClock()
OWN_PASSWORD = "own_password"  # noqa: S105 - a field's name
REASON_LENGTH_MAX = 300

# Unfold is untyped: Django's own classes stand in for its bases while types are checked.
if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin
    _TabularInline = admin.TabularInline
    _DialogForm = forms.Form
    _RelatedFilter = admin.RelatedFieldListFilter
    DeskModelForm = forms.ModelForm
else:

    class _Subscriptable:
        """Lets `Base[Model]` be written, which only the type checker reads."""

        def __class_getitem__(cls, _: object) -> type:
            return cls

    class _ModelAdmin(_Subscriptable, UnfoldModelAdmin):
        pass

    class _TabularInline(_Subscriptable, UnfoldTabularInline):
        pass

    _DialogForm = BaseDialogForm
    _RelatedFilter = RelatedDropdownFilter

    class DeskModelForm(_Subscriptable, forms.ModelForm):
        pass


def display(**options: Any) -> Callable[[F], F]:
    """Mark a method as a list column, which a page of one row may show too: Unfold's `display`, typed."""
    marked: Callable[[F], F] = unfold_display(**options)
    if "label" not in options:
        return marked

    def labelled(method: F) -> F:
        @wraps(method)
        def cell(*args: Any) -> Labelled:
            return Labelled(method(*args))

        return marked(cast(F, cell))

    return labelled


def person(request: HttpRequest) -> User:
    """Return who is logged in; pages of the admin have somebody."""
    assert isinstance(request.user, User)
    return request.user


class ScopedRelatedFilter(_RelatedFilter):
    """A filter by a related row that offers only rows that the person may see."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: "admin.ModelAdmin[Any]") -> list[Any]:
        found = scoped(field.remote_field.model._default_manager.all(), request)
        return [(str(row.pk), str(row)) for row in found[:500]]


def has_anywhere(request: HttpRequest, role: RoleName) -> bool:
    """Tell whether a person has a role in some account; the sidebar asks that for every page, so ask once a request."""
    known: dict[str, bool] = request.__dict__.setdefault("_roles_anywhere", {})
    return known[role] if role in known else known.setdefault(role, can_anywhere(request.user, role))


def account_path(model: type[Model]) -> str | None:
    """Return the lookup from a model to its account ("pk" for the account itself); None when it belongs to none."""
    registered = admin.site._registry.get(model)
    path: str | None = getattr(registered, "account_path", None)
    return path


def scoped(queryset: QuerySet[M], request: HttpRequest, role: RoleName = "viewer") -> QuerySet[M]:
    """Limit rows of any registered model to accounts in which the person has at least `role`."""
    path = account_path(queryset.model)
    if path is None or is_superuser(request.user):
        return queryset
    return queryset.filter(**{f"{path}__in": accounts_of(request.user, role)})


@dataclass(frozen=True, slots=True)
class DialogOptions:
    """What a dialog action asks of a person and of the row; without `shown_when` it is off, and says `otherwise`."""

    role: RoleName
    shown_when: Callable[[Any], bool]
    otherwise: str


class DialogForm(_DialogForm):
    """A dialog's form. What the service refuses is shown in the dialog itself."""

    form_before_template = "desk/dialog_errors.html"

    def get_before_template_context(self, request: HttpRequest, object_id: str | None = None) -> dict[str, Any]:
        return {"errors": self.non_field_errors(), "lines": self.preview(object_id) if object_id else []}

    def preview(self, object_id: str) -> list[str]:
        """Say what would happen to the row, a line each."""
        return []

    def input(self) -> dict[str, Any]:
        """Return the cleaned fields that the action is about."""
        return {
            name: value for name, value in self.cleaned_data.items() if name not in ("_form_submitted", OWN_PASSWORD)
        }


def _with_own_password(form: type[DialogForm]) -> type[DialogForm]:
    """Return a dialog that asks for the person's own password too; a wrong one counts like one at the log-in."""

    class Dangerous(form):  # type: ignore[misc, valid-type]
        own_password = forms.CharField(
            label="Your own password",
            strip=False,
            widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "current-password"}),
        )

    Dangerous.__name__ = f"Dangerous{form.__name__}"
    return Dangerous


def _typed_own_password(request: HttpRequest, bound: DialogForm) -> bool:
    who, given = person(request).get_username(), str(bound.cleaned_data.get(OWN_PASSWORD, ""))
    return authenticate(request, username=who, password=given) is not None


def reason_field(label: str, *, required: bool = True) -> forms.CharField:
    """Make a field for a reason in words."""
    limits: dict[str, Any] = {"max_length": REASON_LENGTH_MAX, "validators": [plain_text], "required": required}
    return forms.CharField(label=label, widget=UnfoldAdminTextInputWidget, **limits)


class ReasonDialog(DialogForm):
    """Asks why, if the person cares to say; the audit trail keeps it."""

    reason = reason_field("Reason (kept in the audit trail)", required=False)


def post_dialog(
    *,
    label: str,
    question: str,
    button: str,
    path: str,
    role: RoleName = "trader",
    icon: str = "",
    form: type[DialogForm] = DialogForm,
    shown_when: Callable[[Any], bool] = lambda row: True,
    otherwise: str = "This has no meaning as it is now",
    is_dangerous: bool = False,
) -> Callable[[Callable[..., str]], Callable[..., HttpResponse]]:
    """Turn `method(self, request, row, **fields) -> message` into an action that only a confirmed POST carries out.

    Unfold calls plain actions on GET, so every action of ours is a dialog, and this decorator refuses any other method
    than POST once more. A row of another person's account is 404, a role that is too low 403, a service's
    ValidationError is shown in the dialog. What was done is kept in the row's history. An action of the list, not of a
    row, gets None for the row and returns its message; the role must then be held in some account. What a stolen
    session must not do is `is_dangerous`: it asks for the person's own password each time.
    """
    form = _with_own_password(form) if is_dangerous else form
    dialog = {"title": label, "description": question, "form_class": form, "form_submit_text": button}

    def decorate(method: Callable[..., str]) -> Callable[..., HttpResponse]:
        def carry_out(
            model_admin: "DeskAdmin[Any]", request: HttpRequest, bound: DialogForm, object_id: str | None = None
        ) -> HttpResponse:
            if request.method != "POST":
                return HttpResponseNotAllowed(["POST"])
            row = None if object_id is None else model_admin.visible_row(request, object_id)
            try:
                if is_dangerous and not _typed_own_password(request, bound):
                    raise ValidationError("Your own password: that is not it. Nothing was done.")
                message = method(model_admin, request, row, **bound.input())
            except ValidationError as error:
                bound.add_error(None, ValidationError(error.messages))
                context = {"dialog": dialog, "form": bound, "form_submit_text": button}
                return render(request, "unfold/helpers/dialog.html", context)
            if row is not None:
                model_admin.log_action(request, row, message)
            messages.success(request, message)
            return HttpResponse(headers={"HX-Redirect": model_admin.back_to(request, row)})

        carry_out.__name__ = method.__name__
        inner = unfold_action(description=label, url_path=path, icon=icon or None, dialog=dialog)(carry_out)

        @wraps(inner)
        def guarded(model_admin: "DeskAdmin[Any]", request: HttpRequest, object_id: str | None = None) -> HttpResponse:
            row = None if object_id is None else model_admin.visible_row(request, object_id)
            if not model_admin.may(request, row, role):
                raise PermissionDenied
            which = {} if object_id is None else {"object_id": object_id}
            answer: HttpResponse = inner(model_admin, request, **which)
            return answer

        guarded.desk = DialogOptions(role, shown_when, otherwise)  # type: ignore[attr-defined]
        return guarded

    return decorate


class CleanQueries:
    """Sends addresses with NUL characters, which PostgreSQL refuses as text, to the plain list."""

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if any("\0" in text for values in request.GET.lists() for text in (values[0], *values[1])):
            return redirect(request.path)
        answer: HttpResponse = super().changelist_view(request, extra_context)  # type: ignore[misc]
        return answer


class DeskAdmin(CleanQueries, _ModelAdmin[M]):
    """An admin whose rows belong to trading accounts; `account_path` leads from the row to its account."""

    account_path: str | None = "account"
    edit_role: RoleName = "manager"
    list_per_page, show_full_result_count = 50, False
    list_filter_submit = compressed_fields = warn_unsaved_form = True
    formfield_overrides = STRICT_FORMFIELDS
    actions_detail: Sequence[str] = ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[M]:
        return scoped(super().get_queryset(request), request)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Offer no bulk actions: what changes trading is confirmed row by row."""
        return {}

    def account_of(self, row: M) -> int | None:
        """Return the primary key of the row's account; None for a row of no account, which only superusers see."""
        found: Any = row
        for step in (self.account_path or "").split("__"):
            found = getattr(found, f"{step}_id" if step == "account" else step)
        return None if found is None else int(found)

    def visible_row(self, request: HttpRequest, object_id: str) -> M:
        """Return a row that the person may see.

        Raises:
            Http404: There is none; whether it exists elsewhere is not said.
        """
        row = self.get_object(request, object_id)
        if row is None:
            raise Http404
        return row

    def back_to(self, request: HttpRequest, row: M | None) -> str:
        """Return where a dialog leads: the page that it was opened on, else the row's own page or the list."""
        page = request.headers.get("HX-Current-URL", "")
        if page and url_has_allowed_host_and_scheme(page, {request.get_host()}):
            return page
        name = f"admin:{self.model._meta.label_lower.replace('.', '_')}"
        return reverse(f"{name}_changelist") if row is None else reverse(f"{name}_change", args=(row.pk,))

    def log_action(self, request: HttpRequest, row: M, message: str) -> None:
        """Keep what a person did in the row's history."""
        LogEntry.objects.log_actions(person(request).pk, [row], CHANGE, change_message=message, single_object=True)

    def _get_obj_does_not_exist_redirect(self, request: HttpRequest, opts: Any, object_id: str) -> HttpResponse:
        raise Http404

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """Show or save a row. What only another person's change at the same moment can break is said, not an error."""
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except ValidationError as error:
            messages.error(request, " ".join(error.messages))
        except IntegrityError:
            messages.error(request, "Somebody saved the same at this moment. Look at it and try again.")
        return redirect(request.get_full_path())

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def may(self, request: HttpRequest, obj: Any, role: RoleName) -> bool:
        """Tell whether a person has a role in the row's account; without a row, in some account."""
        if self.account_path is None:
            return is_superuser(request.user)
        if not isinstance(obj, self.model):
            return has_anywhere(request, role)
        account = self.account_of(obj)
        return is_superuser(request.user) if account is None else can(request.user, account, role)

    def has_view_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        return self.may(request, obj, "viewer")

    def has_change_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        return self.may(request, obj, self.edit_role)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.may(request, None, self.edit_role)

    def has_delete_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        """Delete nothing: facts refer to accounts and bots, which are stopped instead."""
        return False

    def _filter_unfold_actions_by_permissions(
        self, request: HttpRequest, actions: Sequence[Any], object_id: str | None = None
    ) -> list[Any]:
        """Show the actions that the person's role allows."""
        row = self.get_object(request, str(object_id)) if object_id else None
        return [
            action
            for action in actions
            if (desk := getattr(action.method, "desk", None)) is None or self.may(request, row, desk.role)
        ]

    def _get_actions_navigation(
        self, provided_actions: Sequence[Any], allowed_actions: Sequence[Any], object_id: str | None = None
    ) -> list[Any]:
        """Switch off, and say why, what has no meaning for the row as it is."""
        found: list[Any] = super()._get_actions_navigation(*(provided_actions, allowed_actions, object_id))  # type: ignore[misc]
        row = self.model._default_manager.filter(pk=object_id).first() if (object_id or "").isdigit() else None
        for action in allowed_actions if row is not None else ():
            desk, path = getattr(action.method, "desk", None), reverse(f"admin:{action.action_name}", args=(object_id,))
            if desk is not None and not desk.shown_when(row):
                found = switched_off(found, path, desk.otherwise)
        return found

    def formfield_for_foreignkey(self, db_field: "ForeignKey[Any, Any]", request: HttpRequest, **kwargs: Any) -> Any:
        """Offer only related rows of accounts that the person may edit."""
        related = db_field.remote_field.model
        kwargs.setdefault("queryset", scoped(related._default_manager.all(), request, self.edit_role))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)


class FactAdmin(DeskAdmin[M]):
    """An admin of what happened: seen, searched and filtered, never added, changed or deleted."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        return False


class FactInline(_TabularInline[Model, M]):
    """Rows of facts on another row's page; the page's own permission covers them."""

    extra, per_page, can_delete, show_change_link = 0, 50, False, True

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return [str(name) for name in self.fields or ()]

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    has_change_permission = has_delete_permission = has_add_permission
