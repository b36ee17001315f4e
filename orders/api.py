"""Routes of orders, intents and deals."""

import django_filters
from rest_framework import serializers

from accounts.apikit.reading import Filters, ReadViewSet, WholeFilter, fields_of
from orders.models import Deal, Order, OrderIntent


class OrderSerializer(serializers.ModelSerializer[Order]):
    class Meta:
        model = Order
        fields = fields_of(Order)


class BookFilters(Filters):
    bot = WholeFilter(field_name="bot_id", label="Number of the bot")
    cycle = WholeFilter(field_name="cycle_id", label="Number of the cycle")


class OrderFilters(BookFilters):
    opened_at = django_filters.IsoDateTimeFromToRangeFilter(label="Opened")

    class Meta:
        model = Order
        fields = ("status", "symbol", "side", "ticket", "identifier", "close_reason")


class OrderViewSet(ReadViewSet):
    """Positions and resting orders as the books know them, newest first."""

    queryset = Order.objects.all()
    serializer_class = OrderSerializer
    filterset_class = OrderFilters
    ordering_fields = ("id", "opened_at")


class IntentSerializer(serializers.ModelSerializer[OrderIntent]):
    class Meta:
        model = OrderIntent
        fields = fields_of(OrderIntent)


class IntentFilters(BookFilters):
    class Meta:
        model = OrderIntent
        fields = ("state", "kind", "symbol", "side", "token")


class IntentViewSet(ReadViewSet):
    """Every decision to send something, with its reason and what came of it, newest first."""

    queryset = OrderIntent.objects.all()
    serializer_class = IntentSerializer
    filterset_class = IntentFilters


class DealSerializer(serializers.ModelSerializer[Deal]):
    class Meta:
        model = Deal
        fields = fields_of(Deal)


class DealFilters(Filters):
    at = django_filters.IsoDateTimeFromToRangeFilter(label="Time")

    class Meta:
        model = Deal
        fields = ("symbol", "kind", "entry", "position_id", "ticket")


class DealViewSet(ReadViewSet):
    """The broker's ledger, newest first."""

    queryset = Deal.objects.all()
    serializer_class = DealSerializer
    filterset_class = DealFilters
    ordering_fields = ("id", "at")
