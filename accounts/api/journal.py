"""Routes of the journal and of the command inbox."""

import django_filters
from rest_framework import serializers

from accounts.apikit.reading import Filters, ReadViewSet, WholeFilter, fields_of
from events.models import Command, Event


class EventSerializer(serializers.ModelSerializer[Event]):
    class Meta:
        model = Event
        fields = fields_of(Event)


class EventFilters(Filters):
    bot = WholeFilter(field_name="bot_id", label="Number of the bot")
    cycle = WholeFilter(field_name="cycle_id", label="Number of the cycle")
    at = django_filters.IsoDateTimeFromToRangeFilter(label="Time")

    class Meta:
        model = Event
        fields = ("kind", "level")


class EventViewSet(ReadViewSet):
    """What happened on one's accounts, newest first. Superusers also see what belongs to no account."""

    queryset = Event.objects.all()
    serializer_class = EventSerializer
    filterset_class = EventFilters


class CommandSerializer(serializers.ModelSerializer[Command]):
    class Meta:
        model = Command
        fields = fields_of(Command)


class CommandFilters(Filters):
    class Meta:
        model = Command
        fields = ("kind", "state")


class CommandViewSet(ReadViewSet):
    """What was asked of the engine, and what it answered, newest first."""

    queryset = Command.objects.all()
    serializer_class = CommandSerializer
    filterset_class = CommandFilters
