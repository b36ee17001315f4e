"""Routes of orders, intents and deals."""

from typing import Any

from drf_spectacular.utils import OpenApiExample
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.adminkit import CLOCK
from accounts.api.journal import CommandSerializer, accepted
from accounts.apikit.auth import require
from accounts.apikit.exceptions import Conflict
from accounts.apikit.fields import ReasonText, StrictDecimal, StrictSerializer
from accounts.apikit.idempotency import idempotent
from accounts.apikit.reading import Filters, ReadViewSet, WholeFilter, fields_of
from accounts.apikit.schema import documented
from accounts.apikit.times import TimeRangeFilter
from core.ids import Ids, SystemIds
from orders.models import Deal, NotSent, Order, OrderIntent
from orders.requests import request_order_close, request_stops
from orders.services import settle
from orders.tracing import trace_of_decision

IDS: Ids = SystemIds()


class OrderSerializer(serializers.ModelSerializer[Order]):
    class Meta:
        model = Order
        fields = fields_of(Order)


class BookFilters(Filters):
    bot = WholeFilter(field_name="bot_id", label="Number of the bot")
    cycle = WholeFilter(field_name="cycle_id", label="Number of the cycle")


class OrderFilters(BookFilters):
    opened_at = TimeRangeFilter(label="Opened")

    class Meta:
        model = Order
        fields = ("status", "symbol", "side", "ticket", "identifier", "close_reason")


class CloseSerializer(StrictSerializer):
    """Without a volume, all of it is closed, or the resting order taken back."""

    reason = ReasonText()
    volume = StrictDecimal(required=False, help_text="Lots to close, as a text.")


class StopsSerializer(StrictSerializer):
    """Both stops, as texts; "0" means none."""

    sl = StrictDecimal()
    tp = StrictDecimal()
    reason = ReasonText()


CLOSE_EXAMPLE = OpenApiExample("Close a part", {"volume": "0.05", "reason": "Half is enough"}, request_only=True)
STOPS_EXAMPLE = OpenApiExample("Stops", {"sl": "1.0800", "tp": "0", "reason": "Tighter"}, request_only=True)


class OrderViewSet(ReadViewSet):
    """Positions and resting orders as the books know them, newest first."""

    queryset = Order.objects.all()
    serializer_class = OrderSerializer
    filterset_class = OrderFilters
    ordering_fields = ("id", "opened_at")

    @documented(request=CloseSerializer, responses={202: CommandSerializer}, examples=[CLOSE_EXAMPLE])
    @action(detail=True, methods=["post"])
    @idempotent
    def close(self, request: Request, pk: str) -> Response:
        """Ask that a position, or a part of it, is closed, or a resting order taken back."""
        order: Order = self.get_object()
        user = require(request, order.account_id, "trader")
        asked = CloseSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        given = asked.validated_data
        return accepted(
            request_order_close(
                order=order, volume=given.get("volume"), reason=given["reason"], by=user, at=CLOCK.now(), ids=IDS
            )
        )

    @documented(request=StopsSerializer, responses={202: CommandSerializer}, examples=[STOPS_EXAMPLE])
    @action(detail=True, methods=["post"])
    @idempotent
    def modify(self, request: Request, pk: str) -> Response:
        """Ask that both stops of an open position are set at the broker."""
        order: Order = self.get_object()
        user = require(request, order.account_id, "trader")
        asked = StopsSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        return accepted(request_stops(order=order, by=user, at=CLOCK.now(), **asked.validated_data))


class IntentSerializer(serializers.ModelSerializer[OrderIntent]):
    class Meta:
        model = OrderIntent
        fields = fields_of(OrderIntent)


class IntentFilters(BookFilters):
    class Meta:
        model = OrderIntent
        fields = ("state", "kind", "symbol", "side", "token", "correlation")


class SettleSerializer(StrictSerializer):
    """How one knows what came of the request; kept in its history and in the audit."""

    reason = ReasonText()


class TraceStepSerializer(serializers.Serializer[Any]):
    """One step of a decision's trace."""

    at = serializers.DateTimeField()
    what = serializers.ChoiceField(
        ("tick", "signal", "decision", "verdict", "intent", "request", "reply", "deal", "cycle")
    )
    text = serializers.CharField()
    facts = serializers.DictField()


class TraceSerializer(serializers.Serializer[Any]):
    """All that came of one decision, from the tick to the cycle's change."""

    correlation = serializers.CharField()
    steps = TraceStepSerializer(many=True)


class TracedViewSet(ReadViewSet):
    """Rows that came of a decision, each with the decision's trace."""

    @documented(responses=TraceSerializer)
    @action(detail=True, methods=["get"])
    def trace(self, request: Request, pk: str) -> Response:
        """Return every step from tick, signal and verdict to request, reply, deal and the cycle's change."""
        row: Any = self.get_object()
        steps = trace_of_decision(row.account_id, row.correlation)
        return Response(TraceSerializer({"correlation": row.correlation, "steps": steps}).data)


class IntentViewSet(TracedViewSet):
    """Every decision to send something, with its reason and what came of it, newest first."""

    queryset = OrderIntent.objects.all()
    serializer_class = IntentSerializer
    filterset_class = IntentFilters

    @documented(request=SettleSerializer, responses=IntentSerializer)
    @action(detail=True, methods=["post"])
    @idempotent
    def settle(self, request: Request, pk: str) -> Response:
        """End an unknown intent by a manager's word: the search ends, and entries are allowed again.

        409 when it is not unknown. What turns out to be executed after all is still adopted.
        """
        row: OrderIntent = self.get_object()
        user = require(request, row.account_id, "manager")
        asked = SettleSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        won = settle(intent_id=row.pk, reason=asked.validated_data["reason"], by=user, at=CLOCK.now())
        row.refresh_from_db()
        if not won:
            raise Conflict(f"It is not unknown: {row.get_state_display().lower()}.")
        return Response(IntentSerializer(row).data)


class NotSentSerializer(serializers.ModelSerializer[NotSent]):
    class Meta:
        model = NotSent
        fields = fields_of(NotSent)


class NotSentFilters(Filters):
    bot = WholeFilter(field_name="bot_id", label="Number of the bot")

    class Meta:
        model = NotSent
        fields = ("code", "symbol", "side", "correlation")


class NotSentViewSet(TracedViewSet):
    """What might have been sent and was not, with its reason, newest first."""

    queryset = NotSent.objects.all()
    serializer_class = NotSentSerializer
    filterset_class = NotSentFilters


class DealSerializer(serializers.ModelSerializer[Deal]):
    class Meta:
        model = Deal
        fields = fields_of(Deal)


class DealFilters(Filters):
    at = TimeRangeFilter(label="Time")

    class Meta:
        model = Deal
        fields = ("symbol", "kind", "entry", "position_id", "ticket")


class DealViewSet(ReadViewSet):
    """The broker's ledger, newest first."""

    queryset = Deal.objects.all()
    serializer_class = DealSerializer
    filterset_class = DealFilters
    ordering_fields = ("id", "at")
