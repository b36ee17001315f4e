"""Routes of cycles."""

from drf_spectacular.utils import OpenApiExample
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.adminkit import CLOCK
from accounts.api.journal import CommandSerializer, accepted
from accounts.apikit.auth import require
from accounts.apikit.fields import ReasonText, StrictSerializer
from accounts.apikit.idempotency import idempotent
from accounts.apikit.reading import Filters, ReadViewSet, WholeFilter, fields_of
from accounts.apikit.schema import documented
from accounts.apikit.times import TimeRangeFilter
from cycles.models import Cycle
from cycles.requests import request_cycle_close


class CycleSerializer(serializers.ModelSerializer[Cycle]):
    class Meta:
        model = Cycle
        fields = fields_of(Cycle)


class CycleFilters(Filters):
    bot = WholeFilter(field_name="bot_id", label="Number of the bot")
    opened_at = TimeRangeFilter(label="Opened")
    closed_at = TimeRangeFilter(label="Closed")

    class Meta:
        model = Cycle
        fields = ("status", "symbol", "side", "kind")


CLOSE_EXAMPLE = OpenApiExample("Close it", {"reason": "News at 14:30"}, request_only=True)


class CloseCycleSerializer(StrictSerializer):
    reason = ReasonText()


class CycleViewSet(ReadViewSet):
    """The cycles of one's accounts, newest first."""

    queryset = Cycle.objects.all()
    serializer_class = CycleSerializer
    filterset_class = CycleFilters
    ordering_fields = ("id", "opened_at")

    @documented(request=CloseCycleSerializer, responses={202: CommandSerializer}, examples=[CLOSE_EXAMPLE])
    @action(detail=True, methods=["post"])
    @idempotent
    def close(self, request: Request, pk: str) -> Response:
        """Ask that every leg of a cycle is closed, largest loss first; it takes no more legs."""
        cycle: Cycle = self.get_object()
        user = require(request, cycle.account_id, "trader")
        asked = CloseCycleSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        return accepted(
            request_cycle_close(cycle=cycle, reason=asked.validated_data["reason"], by=user, at=CLOCK.now())
        )
