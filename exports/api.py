"""Routes of exports: asked for, polled where they are large, and fetched."""

from typing import Any

from django.db.models import QuerySet
from django.http import Http404, HttpResponseBase
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.adminkit import CLOCK
from accounts.apikit.auth import require, user_of
from accounts.apikit.fields import StrictChoice, StrictInteger, StrictMoment, StrictSerializer
from accounts.apikit.idempotency import idempotent
from accounts.apikit.reading import ID_MAX, Filters, ReadViewSet, fields_of
from accounts.apikit.schema import documented
from accounts.models import ApiToken
from accounts.permissions import accounts_of, is_superuser
from exports.answers import file_answer
from exports.models import Export
from exports.services import ask
from exports.writing import TYPES


class ExportSerializer(serializers.ModelSerializer[Export]):
    """`file` is where the file is, once the status is done."""

    file = serializers.SerializerMethodField()

    class Meta:
        model = Export
        fields = [*fields_of(Export, "heard_at"), "file"]

    def get_file(self, export: Export) -> str | None:
        return reverse("api-export-file", args=[export.pk]) if export.status == Export.Status.DONE else None


class WantedExportSerializer(StrictSerializer):
    """Both ends of the span are inclusive, without them all is meant. Charts (png) are of statement and equity."""

    account = StrictInteger(min_value=1, max_value=ID_MAX)
    kind = StrictChoice(choices=Export.Kind.choices)
    format = StrictChoice(choices=Export.Format.choices)
    since = StrictMoment(required=False)
    until = StrictMoment(required=False)


EXAMPLE = OpenApiExample(
    "A month's statement",
    {
        "account": 1,
        "kind": "statement",
        "format": "xlsx",
        "since": "2026-02-01T00:00:00Z",
        "until": "2026-03-01T00:00:00Z",
    },
    request_only=True,
)


class ExportFilters(Filters):
    class Meta:
        model = Export
        fields = ("kind", "format", "status")


class ExportViewSet(ReadViewSet):
    """One's own exports, newest first (superusers see everybody's); kept for a week."""

    queryset = Export.objects.all()
    serializer_class = ExportSerializer
    filterset_class = ExportFilters
    write_scope = ApiToken.Scope.READ

    def get_queryset(self) -> QuerySet[Any]:
        user = user_of(self.request)
        found = Export.objects.select_related("account")
        return found if is_superuser(user) else found.filter(user=user, account__in=accounts_of(user))

    @documented(
        request=WantedExportSerializer, responses={201: ExportSerializer, 202: ExportSerializer}, examples=[EXAMPLE]
    )
    @idempotent
    def create(self, request: Request) -> Response:
        """Export something one may read. 201: the file is there. 202: a job writes it, poll the address in Location."""
        asked = WantedExportSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        given = asked.validated_data
        account = accounts_of(user_of(request)).filter(pk=given["account"]).first()
        if account is None:
            raise Http404
        user = require(request, account.pk, "viewer")
        export = ask(
            account=account, kind=given["kind"], filetype=given["format"], since=given.get("since"),
            until=given.get("until"), by=user, clock=CLOCK,
        )  # fmt: skip
        is_over = export.status in (Export.Status.DONE, Export.Status.FAILED)
        where = reverse("api-export-detail", args=[export.pk])
        return Response(
            ExportSerializer(export).data, status=status.HTTP_201_CREATED if is_over else status.HTTP_202_ACCEPTED,
            headers={"Location": where},
        )  # fmt: skip

    @documented(responses={(200, kind.partition(";")[0]): OpenApiTypes.BINARY for kind in TYPES.values()})
    @action(detail=True, methods=["get"])
    def file(self, request: Request, pk: str) -> HttpResponseBase:
        """Fetch the file. 404 before it is done."""
        export: Export = self.get_object()
        if export.status != Export.Status.DONE:
            raise NotFound("It has no file.")
        return file_answer(export)
