"""Routes of candles: what is kept on this host of the symbols of one's accounts."""

from typing import Any

import django_filters
from drf_spectacular.utils import OpenApiExample, OpenApiParameter
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.apikit.reading import Filters, HowManyFilter, ReadViewSet
from accounts.apikit.schema import documented, shaped
from accounts.apikit.times import MomentFilter
from accounts.models import Symbol
from marketdata.bars import TIMEFRAMES, Bar, exact_bars, kept_spans

BARS, BARS_MAX = 500, 2_000
LENGTHS = [str(seconds) for seconds in TIMEFRAMES]


class KeptSerializer(serializers.Serializer[Any]):
    """What is kept of one length of candles."""

    seconds = serializers.IntegerField()
    first = serializers.DateTimeField()
    last = serializers.DateTimeField()
    candles = serializers.IntegerField()


class BarSerializer(serializers.Serializer[Bar]):
    """One candle; prices are bids."""

    at = serializers.DateTimeField(help_text="When it starts.")
    open = serializers.CharField()
    high = serializers.CharField()
    low = serializers.CharField()
    close = serializers.CharField()
    volume = serializers.IntegerField(help_text="Ticks.")


class SeriesSerializer(serializers.ModelSerializer[Symbol]):
    """A symbol, and the candles of it that are kept; one symbol's own address gives them."""

    kept = serializers.SerializerMethodField()

    class Meta:
        model = Symbol
        fields = ("id", "account", "name", "kept")

    @shaped(KeptSerializer(many=True))
    def get_kept(self, symbol: Symbol) -> Any:
        spans = kept_spans(symbol.account.server, symbol.name)
        rows = [
            {"seconds": seconds, "first": first, "last": last, "candles": count}
            for seconds, (first, last, count) in spans.items()
        ]
        return KeptSerializer(rows, many=True).data


class CandlesSerializer(SeriesSerializer):
    """The newest candles of a symbol, oldest first. `before` is what to ask for as `before` to get older ones."""

    seconds = serializers.IntegerField()
    candles = BarSerializer(many=True)
    before = serializers.DateTimeField(allow_null=True, help_text="Null: there are no older ones.")

    class Meta(SeriesSerializer.Meta):
        fields = ("id", "account", "name", "kept", "seconds", "candles", "before")  # type: ignore[assignment]


@shaped({"type": "integer", "enum": list(TIMEFRAMES)})
class LengthFilter(django_filters.ChoiceFilter):  # type: ignore[misc]
    """Takes one of the lengths of candles that are kept."""


class CandleFilters(Filters):
    seconds = LengthFilter(choices=[(n, n) for n in LENGTHS], label="Length of a candle (60)", method="all_rows")
    count = HowManyFilter(least=1, most=BARS_MAX, label=f"How many candles at most ({BARS})")
    before = MomentFilter(label="Only candles that start before this", method="all_rows")

    class Meta:
        model = Symbol
        fields = ("name",)

    def all_rows(self, rows: Any, name: str, value: Any) -> Any:
        return rows


CANDLES_EXAMPLE = OpenApiExample(
    "An hour's candle",
    {
        "id": 7, "account": 1, "name": "EURUSD", "seconds": 3600, "before": "2026-03-02T10:00:00Z",
        "kept": [
            {"seconds": 3600, "first": "2026-01-05T00:00:00Z", "last": "2026-03-02T10:00:00Z", "candles": 980},
        ],
        "candles": [
            {
                "at": "2026-03-02T10:00:00Z", "open": "1.08421", "high": "1.08500", "low": "1.08390",
                "close": "1.08444", "volume": 5120,
            },
        ],
    },
    response_only=True,
)  # fmt: skip


class CandleViewSet(ReadViewSet):
    """The candles that are kept of the symbols of one's accounts."""

    queryset = Symbol.objects.select_related("account")
    serializer_class = SeriesSerializer
    filterset_class = CandleFilters
    ordering = ("id",)
    ordering_fields = ("id", "name")

    @documented(
        responses=CandlesSerializer,
        examples=[CANDLES_EXAMPLE],
        parameters=[
            OpenApiParameter("seconds", {"type": "integer", "enum": list(TIMEFRAMES)}),
            OpenApiParameter("count", {"type": "integer", "minimum": 1, "maximum": BARS_MAX}),
            OpenApiParameter("before", {"type": "string", "format": "date-time"}),
        ],
    )
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Give the newest candles of a symbol, or those before a moment."""
        self.refuse_unknown_parameters(request)
        symbol, asked = self.get_object(), self.asked()
        seconds = int(asked.get("seconds") or 60)
        bars, has_older = exact_bars(
            symbol.account.server, symbol.name, seconds, count=int(asked.get("count") or BARS),
            before=asked.get("before"),
        )  # fmt: skip
        told = {"seconds": seconds, "candles": bars, "before": bars[0].at if has_older else None}
        vars(symbol).update(told)
        return Response(self.get_serializer(symbol).data)

    def get_serializer_class(self) -> Any:
        return CandlesSerializer if self.action == "retrieve" else SeriesSerializer
