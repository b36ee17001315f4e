"""Routes of the journal and of the command inbox."""

from django.http import Http404
from django.urls import reverse
from drf_spectacular.utils import OpenApiExample
from rest_framework import serializers, status
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.adminkit import CLOCK
from accounts.apikit.auth import require, user_of
from accounts.apikit.fields import (
    StrictBoolean,
    StrictChoice,
    StrictInteger,
    StrictObject,
    StrictSerializer,
    StrictText,
)
from accounts.apikit.idempotency import idempotent
from accounts.apikit.reading import ID_MAX, Filters, ReadViewSet, WholeFilter, fields_of
from accounts.apikit.schema import documented
from accounts.apikit.times import TimeRangeFilter
from accounts.permissions import accounts_of, can_anywhere
from accounts.requests import request_command
from events.models import Command, Event

EXAMPLE = OpenApiExample(
    "Compare books and broker", {"account": 1, "kind": "reconcile", "args": {"dry_run": True}}, request_only=True
)


class EventSerializer(serializers.ModelSerializer[Event]):
    class Meta:
        model = Event
        fields = fields_of(Event)


class EventFilters(Filters):
    bot = WholeFilter(field_name="bot_id", label="Number of the bot")
    cycle = WholeFilter(field_name="cycle_id", label="Number of the cycle")
    at = TimeRangeFilter(label="Time")

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


class NoArguments(StrictSerializer):
    """A command that says everything by its name."""


class ReconcileArguments(StrictSerializer):
    dry_run = StrictBoolean(required=False)


class IntegrityArguments(StrictSerializer):
    checks = serializers.ListField(child=StrictText(max_length=40), max_length=20, required=False)
    fix = StrictBoolean(required=False)


# What people may ask a session for by name, with the arguments; orders and cycles have routes of their own
ASKABLE: dict[str, type[StrictSerializer]] = {
    "examine": NoArguments,
    "force_order_sync": NoArguments,
    "get_cycle_statistics": NoArguments,
    "get_order_statistics": NoArguments,
    "integrity": IntegrityArguments,
    "reconcile": ReconcileArguments,
    "validate_cycles": NoArguments,
}


class AskSerializer(StrictSerializer):
    """A command for an account's session. `args` depend on the kind: `integrity` takes `checks` and `fix`, `reconcile`
    takes `dry_run`, the others take none."""

    account = StrictInteger(min_value=1, max_value=ID_MAX)
    kind = StrictChoice(choices=sorted(ASKABLE))
    args = StrictObject(required=False)


def accepted(command: Command) -> Response:
    """Answer that a command waits in the inbox, and where to see what came of it."""
    where = reverse("api-command-detail", args=[command.pk])
    return Response(CommandSerializer(command).data, status=status.HTTP_202_ACCEPTED, headers={"Location": where})


class CommandViewSet(ReadViewSet):
    """What was asked of the engine, and what it answered, newest first."""

    queryset = Command.objects.all()
    serializer_class = CommandSerializer
    filterset_class = CommandFilters

    @documented(request=AskSerializer, responses={202: CommandSerializer}, examples=[EXAMPLE])
    @idempotent
    def create(self, request: Request) -> Response:
        """Ask an account's session for something; poll the address in Location until the state is done or failed."""
        if not can_anywhere(user_of(request), "trader"):
            raise PermissionDenied("This needs the role of a trader in some account.")
        asked = AskSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        wanted = asked.validated_data
        if not accounts_of(user_of(request)).filter(pk=wanted["account"]).exists():
            raise Http404
        user = require(request, wanted["account"], "trader")
        args = ASKABLE[wanted["kind"]](data=wanted.get("args", {}))
        if not args.is_valid():
            raise ValidationError({"args": args.errors})
        command = request_command(
            account_id=wanted["account"], kind=wanted["kind"], args=args.validated_data, by=user, at=CLOCK.now(),
            subject=f"account {wanted['account']}",
        )  # fmt: skip
        return accepted(command)
