"""Routes of one's own notification targets, and of what was sent to them."""

from typing import Any

from django.db.models import QuerySet
from django.http import Http404
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.adminkit import CLOCK
from accounts.apikit.auth import user_of
from accounts.apikit.fields import NoteText, StrictChoice, StrictInteger, StrictSerializer, StrictText
from accounts.apikit.idempotency import idempotent
from accounts.apikit.reading import ID_MAX, ReadViewSet, StrictFilters, fields_of
from accounts.apikit.schema import documented
from accounts.permissions import accounts_of, is_superuser
from events.models import Level
from notifications.models import Delivery, Target, TargetKind
from notifications.services import create_target, stop_target


class TargetSerializer(serializers.ModelSerializer[Target]):
    class Meta:
        model = Target
        fields = fields_of(Target, "url_encrypted", "secret_encrypted")


class MadeTargetSerializer(TargetSerializer):
    """With the secret that signs a webhook, once."""

    secret = serializers.CharField(allow_blank=True)

    class Meta(TargetSerializer.Meta):
        fields = [*TargetSerializer.Meta.fields, "secret"]


class StrictTime(serializers.TimeField):
    """Takes HH:MM as a text, UTC."""

    def to_internal_value(self, value: Any) -> Any:
        if not isinstance(value, str):
            raise serializers.ValidationError('Give a text like "22:00".')
        return super().to_internal_value(value)


class NewTargetSerializer(StrictSerializer):
    name = NoteText(max_length=60)
    kind = StrictChoice(choices=TargetKind.choices)
    url = StrictText(max_length=500)
    account = StrictInteger(required=False, min_value=1, max_value=ID_MAX)
    kinds = serializers.ListField(child=StrictText(max_length=40), max_length=40, required=False)
    level_min = StrictChoice(choices=Level.choices, required=False)
    quiet_from = StrictTime(required=False, input_formats=["%H:%M"])
    quiet_until = StrictTime(required=False, input_formats=["%H:%M"])
    digest_minutes = StrictInteger(required=False, min_value=0, max_value=1440)


class Nothing(StrictSerializer):
    """A request whose address says everything."""


class TargetFilters(StrictFilters):
    class Meta:
        model = Target
        fields = ("kind", "is_active")


class TargetViewSet(ReadViewSet):
    """Where one's own news go (superusers see everybody's). Addresses are never shown again."""

    queryset = Target.objects.all()
    serializer_class = TargetSerializer
    filterset_class = TargetFilters

    def get_queryset(self) -> QuerySet[Any]:
        user = user_of(self.request)
        return Target.objects.all() if is_superuser(user) else Target.objects.filter(user=user)

    @documented(request=NewTargetSerializer, responses={201: MadeTargetSerializer})
    def create(self, request: Request) -> Response:
        """Make a target. The answer holds a webhook's secret, shown once, so no Idempotency-Key repeats it."""
        asked = NewTargetSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        given, user = dict(asked.validated_data), user_of(request)
        if "account" in given:
            given["account"] = accounts_of(user).filter(pk=given["account"]).first()
            if given["account"] is None:
                raise Http404
        target, secret = create_target(user=user, at=CLOCK.now(), **given)
        target.secret = secret  # type: ignore[attr-defined]
        return Response(MadeTargetSerializer(target).data, status=status.HTTP_201_CREATED)

    @documented(request=Nothing, responses={200: TargetSerializer})
    @action(detail=True, methods=["post"])
    @idempotent
    def stop(self, request: Request, pk: str) -> Response:
        """Send nothing more to a target."""
        target: Target = self.get_object()
        Nothing(data=request.data).is_valid(raise_exception=True)
        stop_target(target=target, by=user_of(request), at=CLOCK.now())
        target.refresh_from_db()
        return Response(TargetSerializer(target).data)


class DeliverySerializer(serializers.ModelSerializer[Delivery]):
    text = serializers.CharField(source="event.text")

    class Meta:
        model = Delivery
        fields = [*fields_of(Delivery), "text"]


class DeliveryFilters(StrictFilters):
    class Meta:
        model = Delivery
        fields = ("state", "target")


class DeliveryViewSet(ReadViewSet):
    """What was sent to one, what waits and what was given up, newest first."""

    queryset = Delivery.objects.select_related("event")
    serializer_class = DeliverySerializer
    filterset_class = DeliveryFilters

    def get_queryset(self) -> QuerySet[Any]:
        user, found = user_of(self.request), Delivery.objects.select_related("event")
        return found if is_superuser(user) else found.filter(target__user=user)
