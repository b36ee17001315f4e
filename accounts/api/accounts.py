"""Routes of trading accounts, their symbols and snapshots."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, OpenApiParameter
from rest_framework import serializers
from rest_framework.request import Request

from accounts.adminkit import CLOCK
from accounts.apikit.auth import user_of
from accounts.apikit.reading import (
    Filters,
    HowManyFilter,
    ReadViewSet,
    SpanFilters,
    StrictFilters,
    WholeFilter,
    fields_of,
)
from accounts.apikit.schema import OF_SPAN, documented, shaped
from accounts.apikit.times import TimeRangeFilter
from accounts.equity import POINTS_MAX, equity_lines
from accounts.models import AccountSnapshot, Symbol, TradingAccount
from accounts.permissions import accounts_of

POINTS_LIMIT = 2_000


class AccountSerializer(serializers.ModelSerializer[TradingAccount]):
    """An account, without its secrets and its place on the host."""

    class Meta:
        model = TradingAccount
        fields = fields_of(TradingAccount, "terminal_path")


class AccountFilters(StrictFilters):
    class Meta:
        model = TradingAccount
        fields = ("broker", "desired_state", "demo", "currency")


class AccountViewSet(ReadViewSet):
    """The accounts in which one has a role."""

    queryset = TradingAccount.objects.all()
    serializer_class = AccountSerializer
    filterset_class = AccountFilters
    ordering = ("id",)
    ordering_fields = ("id", "name")

    def get_queryset(self) -> QuerySet[Any]:
        return accounts_of(user_of(self.request))


class SymbolSerializer(serializers.ModelSerializer[Symbol]):
    class Meta:
        model = Symbol
        fields = fields_of(Symbol)


class SymbolFilters(Filters):
    class Meta:
        model = Symbol
        fields = ("name",)


class SymbolViewSet(ReadViewSet):
    """Symbols of one's accounts, with the broker's specification last seen."""

    queryset = Symbol.objects.all()
    serializer_class = SymbolSerializer
    filterset_class = SymbolFilters
    ordering = ("id",)
    ordering_fields = ("id", "name")


class SnapshotSerializer(serializers.ModelSerializer[AccountSnapshot]):
    class Meta:
        model = AccountSnapshot
        fields = fields_of(AccountSnapshot)


class SnapshotFilters(Filters):
    at = TimeRangeFilter(label="Time")


class SnapshotViewSet(ReadViewSet):
    """What the broker said one's accounts were worth, newest first."""

    queryset = AccountSnapshot.objects.all()
    serializer_class = SnapshotSerializer
    filterset_class = SnapshotFilters
    ordering_fields = ("id", "at")


class EquityPointSerializer(serializers.Serializer[Any]):
    at = serializers.DateTimeField()
    equity = serializers.DecimalField(max_digits=18, decimal_places=2)
    balance = serializers.DecimalField(max_digits=18, decimal_places=2)


class EquitySerializer(serializers.ModelSerializer[TradingAccount]):
    """The line of one account, oldest point first, in the account's currency."""

    account = serializers.IntegerField(source="pk", read_only=True)
    points = serializers.SerializerMethodField()

    class Meta:
        model = TradingAccount
        fields = ("id", "account", "name", "currency", "points")

    @shaped(EquityPointSerializer(many=True))
    def get_points(self, account: TradingAccount) -> Any:
        asked = self.context["view"].asked()
        span = asked.get("at") or slice(None, None)
        now = CLOCK.now()
        found = equity_lines(
            [account.pk], since=span.start, until=span.stop or now, points=int(asked.get("points") or POINTS_MAX)
        )
        return EquityPointSerializer(found.get(account.pk, []), many=True).data


class EquityFilters(SpanFilters):
    account = WholeFilter(field_name="pk", label="Number of the account")
    points = HowManyFilter(least=2, most=POINTS_LIMIT, label=f"How many points at most ({POINTS_MAX})")


EQUITY_EXAMPLE = OpenApiExample(
    "A day",
    {
        "id": 1, "account": 1, "name": "Main", "currency": "USD",
        "points": [{"at": "2026-03-02T10:00:00Z", "equity": "10012.00", "balance": "10000.00"}],
    },
    response_only=True,
)  # fmt: skip


class EquityViewSet(ReadViewSet):
    """Equity and balance of one's accounts over a span (the last 30 days), thinned out to what a chart can show."""

    queryset = TradingAccount.objects.all()
    serializer_class = EquitySerializer
    filterset_class = EquityFilters
    account_path = "pk"
    ordering = ("id",)
    ordering_fields = ("id", "name")

    @documented(
        responses=EquitySerializer,
        examples=[EQUITY_EXAMPLE],
        parameters=[*OF_SPAN, OpenApiParameter("points", {"type": "integer", "minimum": 2, "maximum": POINTS_LIMIT})],
    )
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Any:
        return super().retrieve(request, *args, **kwargs)
