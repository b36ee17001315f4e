"""Routes of cycles."""

import django_filters
from rest_framework import serializers

from accounts.apikit.reading import Filters, ReadViewSet, WholeFilter, fields_of
from cycles.models import Cycle


class CycleSerializer(serializers.ModelSerializer[Cycle]):
    class Meta:
        model = Cycle
        fields = fields_of(Cycle)


class CycleFilters(Filters):
    bot = WholeFilter(field_name="bot_id", label="Number of the bot")
    opened_at = django_filters.IsoDateTimeFromToRangeFilter(label="Opened")
    closed_at = django_filters.IsoDateTimeFromToRangeFilter(label="Closed")

    class Meta:
        model = Cycle
        fields = ("status", "symbol", "side", "kind")


class CycleViewSet(ReadViewSet):
    """The cycles of one's accounts, newest first."""

    queryset = Cycle.objects.all()
    serializer_class = CycleSerializer
    filterset_class = CycleFilters
    ordering_fields = ("id", "opened_at")
