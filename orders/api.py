"""Routes of orders, intents, deals, and of what closed trades came to."""

from collections.abc import Mapping
from typing import Any

import django_filters
from drf_spectacular.utils import OpenApiExample, OpenApiParameter
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.adminkit import CLOCK
from accounts.api.journal import CommandSerializer, accepted
from accounts.apikit.auth import require
from accounts.apikit.exceptions import Conflict
from accounts.apikit.fields import Money, ReasonText, StrictDecimal, StrictSerializer
from accounts.apikit.idempotency import idempotent
from accounts.apikit.reading import ID_MAX, Filters, ReadViewSet, SpanFilters, WholeFilter, fields_of
from accounts.apikit.schema import OF_SPAN, documented, shaped
from accounts.apikit.times import TimeRangeFilter
from accounts.models import TradingAccount
from core.ids import Ids, SystemIds
from orders.models import Deal, NotSent, Order, OrderIntent
from orders.requests import request_order_close, request_stops
from orders.selectors import closed_trades, money_flows
from orders.services import settle
from orders.statistics import Figures, Trade, curve, figures, grouped
from orders.tracing import trace_of_decision
from strategies.models import Bot

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


# What trading came to


class TradeFiguresSerializer(serializers.Serializer[Figures]):
    """Figures of a set of closed trades; money in the account's currency, null where there is nothing to divide by."""

    trades = serializers.IntegerField()
    wins = serializers.IntegerField()
    losses = serializers.IntegerField()
    net = Money()
    gross_profit = Money()
    gross_loss = Money()
    best = Money()
    worst = Money()
    mean_win = Money(allow_null=True)
    mean_loss = Money(allow_null=True)
    expectancy = Money(allow_null=True)
    profit_factor = serializers.FloatField(allow_null=True)
    win_rate = serializers.FloatField(allow_null=True, help_text="From 0 to 1.")
    volume_lots = serializers.FloatField()
    longest_win_streak = serializers.IntegerField()
    longest_loss_streak = serializers.IntegerField()
    mean_hours = serializers.FloatField(allow_null=True)


class GroupSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    figures = TradeFiguresSerializer()


class BalanceSerializer(serializers.Serializer[Any]):
    """How the balance moved since the account's first deal, whatever span is asked for; gains are time-weighted."""

    gain = serializers.FloatField(allow_null=True, help_text="A share: 0.1 is 10 %.")
    drawdown = Money()
    drawdown_share = serializers.FloatField(allow_null=True)
    by_month = serializers.DictField(child=serializers.FloatField(), help_text="Gains, as 2026-03.")


class StatisticsSerializer(serializers.ModelSerializer[TradingAccount]):
    """What the trades brought that were closed in the span; those of one symbol or bot where that is asked for."""

    account = serializers.IntegerField(source="pk", read_only=True)
    figures = serializers.SerializerMethodField()
    by_bot = serializers.SerializerMethodField()
    by_symbol = serializers.SerializerMethodField()
    balance = serializers.SerializerMethodField()

    class Meta:
        model = TradingAccount
        fields = ("id", "account", "name", "currency", "figures", "by_bot", "by_symbol", "balance")

    def to_representation(self, instance: TradingAccount) -> Any:
        asked = self.context["view"].asked()
        span = asked.get("at") or slice(None, None)
        self._trades = closed_trades([instance.pk], since=span.start, until=span.stop)
        if asked.get("symbol"):
            self._trades = [trade for trade in self._trades if trade.symbol == asked["symbol"]]
        if asked.get("bot"):
            magics = set(Bot.objects.filter(pk=asked["bot"], account=instance).values_list("magic", flat=True))
            self._trades = [trade for trade in self._trades if trade.magic in magics]
        return super().to_representation(instance)

    @shaped(TradeFiguresSerializer)
    def get_figures(self, account: TradingAccount) -> Any:
        return TradeFiguresSerializer(figures(self._trades)).data

    @shaped(GroupSerializer(many=True))
    def get_by_bot(self, account: TradingAccount) -> Any:
        names = dict(Bot.objects.filter(account=account).values_list("magic", "name"))

        def bot_of(trade: Trade) -> str:
            return names.get(trade.magic) or (f"magic {trade.magic}" if trade.magic else "by hand")

        return _groups(grouped(self._trades, bot_of))

    @shaped(GroupSerializer(many=True))
    def get_by_symbol(self, account: TradingAccount) -> Any:
        return _groups(grouped(self._trades, lambda trade: trade.symbol))

    @shaped(BalanceSerializer)
    def get_balance(self, account: TradingAccount) -> Any:
        moved = curve(closed_trades([account.pk], since=None, until=None), money_flows([account.pk]))
        months = {f"{year}-{month:02d}": gain for (year, month), gain in sorted(moved.by_month.items())}
        found = {
            "gain": moved.gain, "drawdown": moved.drawdown, "drawdown_share": moved.drawdown_share, "by_month": months,
        }  # fmt: skip
        return BalanceSerializer(found).data


def _groups(groups: Mapping[str, Figures]) -> Any:
    return GroupSerializer([{"name": name, "figures": seen} for name, seen in groups.items()], many=True).data


class StatisticsFilters(SpanFilters):
    account = WholeFilter(field_name="pk", label="Number of the account")
    symbol = django_filters.CharFilter(label="Only trades in this symbol", max_length=29, method="all_rows")
    bot = WholeFilter(label="Only trades of the bot with this number", method="all_rows")


class StatisticsViewSet(ReadViewSet):
    """What trading on one's accounts brought: as a whole, by bot, by symbol, and how the balance moved."""

    queryset = TradingAccount.objects.all()
    serializer_class = StatisticsSerializer
    filterset_class = StatisticsFilters
    account_path = "pk"
    ordering = ("id",)
    ordering_fields = ("id", "name")

    @documented(
        responses=StatisticsSerializer,
        parameters=[
            *OF_SPAN,
            OpenApiParameter("symbol", {"type": "string", "minLength": 1, "maxLength": 29}),
            OpenApiParameter("bot", {"type": "integer", "minimum": 0, "maximum": ID_MAX}),
        ],
    )
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Any:
        return super().retrieve(request, *args, **kwargs)
