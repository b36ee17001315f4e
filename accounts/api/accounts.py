"""Routes of trading accounts, their symbols and snapshots."""

from typing import Any

from django.db.models import QuerySet
from rest_framework import serializers

from accounts.apikit.auth import user_of
from accounts.apikit.reading import Filters, ReadViewSet, StrictFilters, fields_of
from accounts.apikit.times import TimeRangeFilter
from accounts.models import AccountSnapshot, Symbol, TradingAccount
from accounts.permissions import accounts_of


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
