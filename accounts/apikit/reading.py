"""Read routes: rows of the asker's accounts only, by allow-listed filters and orders, page after page by cursor."""

import re
from collections.abc import Sequence
from hashlib import md5
from typing import Any, ClassVar

import django_filters
from django import forms
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import DataError, models
from django.db.models import Model, QuerySet
from django.utils.decorators import method_decorator
from django.utils.http import quote_etag
from django.views.decorators.http import conditional_page
from django_filters.rest_framework import DjangoFilterBackend
from rest_framework import mixins, viewsets
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.filters import OrderingFilter
from rest_framework.pagination import CursorPagination
from rest_framework.permissions import SAFE_METHODS
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request

from accounts.apikit.auth import user_of
from accounts.apikit.exceptions import Changed
from accounts.apikit.schema import shaped
from accounts.apikit.times import TimeRangeFilter
from accounts.models import ApiToken
from accounts.permissions import accounts_of, is_superuser

PAGE_SIZE_MAX = 200
ID_MAX = 2**53 - 1
WHOLE = re.compile(r"\A(?:0|[1-9]\d{0,15})\Z", re.ASCII)
WHOLE_FIELDS = (
    models.AutoField, models.BigAutoField, models.BigIntegerField, models.IntegerField, models.PositiveIntegerField,
    models.PositiveSmallIntegerField, models.SmallIntegerField, models.PositiveBigIntegerField,
)  # fmt: skip
SEALED = "_encrypted"
PARAMETERS = frozenset({"cursor", "page_size", "ordering", "format", "fields"})


@shaped({"type": "integer", "minimum": 0, "maximum": ID_MAX})
class WholeFilter(django_filters.NumberFilter):  # type: ignore[misc]
    """Takes plain whole numbers: no sign, no exponent, no blanks."""

    field_class = forms.RegexField

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.pop("min_value", None), kwargs.pop("max_value", None)
        message = f"Give a whole number from 0 to {ID_MAX}."
        kwargs |= {"regex": WHOLE, "strip": False, "error_messages": {"invalid": message}}
        super().__init__(*args, **kwargs)

    def get_max_validator(self) -> None:
        return None


class HowManyFilter(WholeFilter):
    """Takes how much of something each row tells, in its bounds; it chooses no rows."""

    def __init__(self, *args: Any, least: int, most: int, **kwargs: Any) -> None:
        def within(text: str) -> None:
            # Validators run all, also on what the pattern refuses
            if WHOLE.match(text) and not least <= int(text) <= most:
                raise DjangoValidationError(f"Give a whole number from {least} to {most}.")

        super().__init__(*args, validators=[within], **kwargs)
        shaped({"type": "integer", "minimum": least, "maximum": most})(self)

    def filter(self, rows: "QuerySet[Any]", value: Any) -> "QuerySet[Any]":
        return rows


@shaped({"type": "boolean"})
class TrueOrFalseFilter(django_filters.ChoiceFilter):  # type: ignore[misc]
    """Takes true and false, not 1 or yes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs, choices=(("true", "true"), ("false", "false")))

    def filter(self, rows: "QuerySet[Any]", value: str) -> "QuerySet[Any]":
        return rows.filter(**{str(self.field_name): value == "true"}) if value else rows


class StrictFilters(django_filters.FilterSet):  # type: ignore[misc]
    """Filters that refuse what is almost what they take, and parameters that are given without a value or twice."""

    FILTER_DEFAULTS = {
        **django_filters.FilterSet.FILTER_DEFAULTS,
        **{field: {"filter_class": WholeFilter} for field in WHOLE_FIELDS},
        models.BooleanField: {"filter_class": TrueOrFalseFilter},
    }


class Filters(StrictFilters):
    """Filters of rows that belong to an account; a foreign account's number is like one that does not exist."""

    account = WholeFilter(field_name="account_id", label="Number of the account")


class SpanFilters(StrictFilters):
    """Of rows each of which tells of a span of time: the span chooses what they tell, not which rows there are."""

    at = TimeRangeFilter(label="Time", method="all_rows")

    def all_rows(self, rows: "QuerySet[Any]", name: str, value: Any) -> "QuerySet[Any]":
        return rows


class StrictOrdering(OrderingFilter):
    """An allow-list of orders (`ordering_fields`); what is not on it is refused. The row's number decides ties."""

    def get_ordering(self, request: Request, queryset: "QuerySet[Any]", view: Any) -> Sequence[str]:
        asked = request.query_params.get(self.ordering_param)
        allowed = list(getattr(view, "ordering_fields", ()))
        if not asked:
            return list(view.ordering)
        if asked.lstrip("-") not in allowed:
            raise ValidationError({self.ordering_param: [f"Choose one of {', '.join(allowed)}, with - to turn it."]})
        return [asked] if asked.lstrip("-") == "id" else [asked, "-id" if asked.startswith("-") else "id"]


class Pages(CursorPagination):
    """Pages by cursor: rows that come in while one reads are neither skipped nor seen twice."""

    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = PAGE_SIZE_MAX

    def get_page_size(self, request: Request) -> int | None:
        text = request.query_params.get("page_size")
        if text is None:
            return self.page_size
        if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= PAGE_SIZE_MAX):
            raise ValidationError({"page_size": [f"Give a whole number from 1 to {PAGE_SIZE_MAX}."]})
        return int(text)

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any] | None:
        try:
            return super().paginate_queryset(queryset, request, view)
        except (ValueError, DjangoValidationError, DataError, NotFound):
            raise ValidationError({"cursor": ["It is none that a page of this list gave."]}) from None


def parameters_of(filters: Any) -> set[str]:
    """Name the parameters of a filter set, or of None; a range has two, as `at_after` and `at_before`."""
    return {
        f"{name}_{suffix}" if suffix else name
        for name, one in (filters.base_filters.items() if filters is not None else ())
        for suffix in getattr(one.field_class.widget, "suffixes", None) or ("",)
    }


@method_decorator(conditional_page, name="dispatch")
class ReadViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Any]):
    """A list and its rows, limited to accounts that the asker has a role in; other rows do not exist (404).

    `fields=id,name` leaves out the others. Answers carry an ETag: If-None-Match gets a 304 while nothing changed, and
    If-Match on an action gets a 412, and nothing done, when the row is not what was read any more.
    """

    has_etags = True
    # An action may ask for less of a token
    write_scope: str = ApiToken.Scope.CONTROL
    account_path: ClassVar[str] = "account"
    filter_backends = (DjangoFilterBackend, StrictOrdering)
    pagination_class = Pages
    ordering: ClassVar[Sequence[str]] = ("-id",)
    ordering_fields: ClassVar[Sequence[str]] = ("id",)
    lookup_value_regex = "[0-9]{1,18}"

    def get_queryset(self) -> QuerySet[Any]:
        found = super().get_queryset()
        user = self.request.user
        if is_superuser(user):
            return found
        return found.filter(**{f"{self.account_path}__in": accounts_of(user_of(self.request))})

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Any:
        self.refuse_unknown_parameters(request)
        return super().list(request, *args, **kwargs)

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Any:
        self.refuse_unknown_parameters(request)
        return super().retrieve(request, *args, **kwargs)

    def asked(self) -> dict[str, Any]:
        """Return what the filters of a request that they have let through hold, by name."""
        chosen = getattr(self, "filterset_class")(self.request.query_params, self.get_queryset())  # noqa: B009 - not every view has filters
        return dict(chosen.form.cleaned_data) if chosen.is_valid() else {}

    def get_object(self) -> Any:
        row = super().get_object()
        wanted = self.request.headers.get("If-Match")
        if wanted is not None and self.request.method not in SAFE_METHODS:
            now = etag_of(self.get_serializer(row).data)
            if now not in [part.strip() for part in wanted.split(",")]:
                raise Changed
        return row

    def get_serializer(self, *args: Any, **kwargs: Any) -> Any:
        """Return the serializer, with the fields that were asked for."""
        made: Any = super().get_serializer(*args, **kwargs)
        text = self.request.query_params.get("fields") if self.request.method in SAFE_METHODS else None
        if text is not None:
            shown = made.child.fields if hasattr(made, "child") else made.fields
            asked = set(text.split(","))
            if not asked <= set(shown):
                raise ValidationError({"fields": [f"Choose from {', '.join(shown)}, with commas between."]})
            for name in set(shown) - asked:
                shown.pop(name)
        return made

    def refuse_unknown_parameters(self, request: Request) -> None:
        """Refuse parameters that the view does not know, and those given twice or empty. Raises ValidationError."""
        filters = getattr(self, "filterset_class", None)
        known = PARAMETERS | parameters_of(filters)
        unknown = sorted(set(request.query_params) - known)
        if unknown:
            names = ", ".join(sorted(known - {"format"}))
            raise ValidationError({name: [f"Unknown parameter; known: {names}."] for name in unknown})
        given = self.request.query_params.lists()
        odd = [name for name, values in given if len(values) > 1 or not values[0]]
        if odd:
            raise ValidationError({name: ["Give it once, with a value, or leave it out."] for name in odd})


def etag_of(data: Any) -> str:
    """Return the ETag that the answer with this data has."""
    return quote_etag(md5(JSONRenderer().render(data), usedforsecurity=False).hexdigest())


def fields_of(model: type[Model], *but: str) -> list[str]:
    """Name a model's columns, for a serializer that shows all `but` some; a sealed secret is never one of them."""
    names = [field.name for field in model._meta.concrete_fields]
    return [name for name in names if name not in but and not name.endswith(SEALED)]
