"""Routes of trade copy: who copies whom, and what came of each position."""

from django.http import Http404
from drf_spectacular.utils import OpenApiExample
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.adminkit import CLOCK
from accounts.apikit.auth import require, user_of
from accounts.apikit.fields import (
    NoteText,
    StrictBoolean,
    StrictChoice,
    StrictDecimal,
    StrictFloat,
    StrictInteger,
    StrictObject,
    StrictSerializer,
)
from accounts.apikit.idempotency import idempotent
from accounts.apikit.reading import ID_MAX, ReadViewSet, StrictFilters, WholeFilter, fields_of
from accounts.apikit.schema import documented
from accounts.permissions import accounts_of, can_anywhere
from copying.models import SCALINGS, Copy, Subscription
from copying.services import subscribe, unsubscribe
from strategies.models import Bot


class SubscriptionSerializer(serializers.ModelSerializer[Subscription]):
    class Meta:
        model = Subscription
        fields = fields_of(Subscription)


class NewSubscriptionSerializer(StrictSerializer):
    """`bot` has the strategy copier; without `provider_bot` everything of the provider's account is copied."""

    name = NoteText(max_length=60)
    bot = StrictInteger(min_value=1, max_value=ID_MAX)
    provider = StrictInteger(min_value=1, max_value=ID_MAX)
    provider_bot = StrictInteger(required=False, min_value=1, max_value=ID_MAX)
    scaling = StrictChoice(choices=SCALINGS)
    factor = StrictDecimal()
    volume_max = StrictDecimal()
    symbol_map = StrictObject(required=False)
    reverse = StrictBoolean(required=False)
    positions_max = StrictInteger(required=False, min_value=1, max_value=1000)
    age_max_seconds = StrictFloat(required=False, min_value=0.5, max_value=3600)
    deviation_pips_max = StrictFloat(required=False, min_value=0, max_value=100_000)


class Nothing(StrictSerializer):
    """A request whose address says everything."""


EXAMPLE = OpenApiExample(
    "Half the lots",
    {"name": "Main", "bot": 7, "provider": 1, "scaling": "multiplier", "factor": "0.5", "volume_max": "1.00"},
    request_only=True,
)


class SubscriptionFilters(StrictFilters):
    account = WholeFilter(field_name="bot__account_id", label="Number of the copying account")
    provider = WholeFilter(field_name="provider_id", label="Number of the provider's account")
    bot = WholeFilter(field_name="bot_id", label="Number of the copying bot")

    class Meta:
        model = Subscription
        fields = ("is_active",)


class SubscriptionViewSet(ReadViewSet):
    """Whom one's bots copy, and by what rules. Managers of the copying account make and stop them."""

    queryset = Subscription.objects.all()
    serializer_class = SubscriptionSerializer
    filterset_class = SubscriptionFilters
    account_path = "bot__account"

    @documented(request=NewSubscriptionSerializer, responses={201: SubscriptionSerializer}, examples=[EXAMPLE])
    @idempotent
    def create(self, request: Request) -> Response:
        """Copy an account, or one bot of it, that one may look at: positions that are opened from now on."""
        user = user_of(request)
        if not can_anywhere(user, "manager"):
            raise PermissionDenied("This needs the role of a manager in the copying account.")
        asked = NewSubscriptionSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        given = dict(asked.validated_data)
        bots = Bot.objects.select_related("account").filter(account__in=accounts_of(user))
        bot = bots.filter(pk=given.pop("bot")).first()
        provider = accounts_of(user).filter(pk=given.pop("provider")).first()
        number = given.pop("provider_bot", None)
        of_bot = None if number is None else bots.filter(pk=number).first()
        if bot is None or provider is None or (number is not None and of_bot is None):
            raise Http404
        require(request, bot.account_id, "manager")
        made = subscribe(bot=bot, provider=provider, provider_bot=of_bot, by=user, at=CLOCK.now(), **given)
        return Response(SubscriptionSerializer(made).data, status=status.HTTP_201_CREATED)

    @documented(request=Nothing, responses={200: SubscriptionSerializer})
    @action(detail=True, methods=["post"])
    @idempotent
    def stop(self, request: Request, pk: str) -> Response:
        """Copy nothing more; what is open is followed to its end."""
        subscription: Subscription = self.get_object()
        user = require(request, subscription.bot.account_id, "manager")
        Nothing(data=request.data).is_valid(raise_exception=True)
        unsubscribe(subscription=subscription, by=user, at=CLOCK.now())
        subscription.refresh_from_db()
        return Response(SubscriptionSerializer(subscription).data)


class CopySerializer(serializers.ModelSerializer[Copy]):
    """`latency_seconds` is from the provider's opening to our decision; `reason` says why it waits, or was skipped."""

    account = serializers.IntegerField(source="subscription.bot.account_id", read_only=True)
    latency_seconds = serializers.SerializerMethodField()

    class Meta:
        model = Copy
        fields = [*fields_of(Copy), "account", "latency_seconds"]

    def get_latency_seconds(self, copy: Copy) -> float | None:
        return None if copy.latency is None else copy.latency.total_seconds()


class CopyFilters(StrictFilters):
    account = WholeFilter(field_name="subscription__bot__account_id", label="Number of the copying account")
    bot = WholeFilter(field_name="subscription__bot_id", label="Number of the copying bot")

    class Meta:
        model = Copy
        fields = ("subscription", "state")


class CopyViewSet(ReadViewSet):
    """What came of each position of those that one's bots copy, newest first."""

    queryset = Copy.objects.select_related("subscription__bot", "source")
    serializer_class = CopySerializer
    filterset_class = CopyFilters
    account_path = "subscription__bot__account"
