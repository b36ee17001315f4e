"""Routes of bots, their configurations, and the strategies that can be traded."""

from typing import Any

from django.http import Http404
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.adminkit import CLOCK
from accounts.apikit.auth import user_of
from accounts.apikit.fields import StrictSerializer
from accounts.apikit.idempotency import idempotent
from accounts.apikit.reading import Filters, ReadViewSet, StrictFilters, WholeFilter, fields_of
from accounts.apikit.schema import documented, one_answer, shaped
from accounts.permissions import can
from strategies import registry
from strategies.models import Bot, BotConfig
from strategies.services import set_bot_state


class BotSerializer(serializers.ModelSerializer[Bot]):
    class Meta:
        model = Bot
        fields = fields_of(Bot)


class BotFilters(Filters):
    class Meta:
        model = Bot
        fields = ("strategy", "desired_state", "name")


class NothingMore(StrictSerializer):
    """A request whose address says everything."""


class BotViewSet(ReadViewSet):
    """The bots of one's accounts. Traders start, pause and stop them."""

    queryset = Bot.objects.all()
    serializer_class = BotSerializer
    filterset_class = BotFilters
    ordering = ("id",)
    ordering_fields = ("id", "name")

    def _set_state(self, request: Request, state: str) -> Response:
        bot: Bot = self.get_object()
        user = user_of(request)
        if not can(user, bot.account_id, "trader"):
            raise PermissionDenied("This needs the role of a trader in the bot's account.")
        NothingMore(data=request.data).is_valid(raise_exception=True)
        set_bot_state(bot=bot, state=state, by=user, at=CLOCK.now())
        return Response(BotSerializer(bot).data, status=status.HTTP_202_ACCEPTED)

    @documented(request=NothingMore, responses={202: BotSerializer})
    @action(detail=True, methods=["post"])
    @idempotent
    def start(self, request: Request, pk: str) -> Response:
        """Let a bot run: it may open positions."""
        return self._set_state(request, "running")

    @documented(request=NothingMore, responses={202: BotSerializer})
    @action(detail=True, methods=["post"])
    @idempotent
    def pause(self, request: Request, pk: str) -> Response:
        """Hold back a bot's entries; its cycles are still looked after."""
        return self._set_state(request, "paused")

    @documented(request=NothingMore, responses={202: BotSerializer})
    @action(detail=True, methods=["post"])
    @idempotent
    def stop(self, request: Request, pk: str) -> Response:
        """Stop a bot. Its open cycles stay as they are and nobody manages them."""
        return self._set_state(request, "stopped")


class ConfigSerializer(serializers.ModelSerializer[BotConfig]):
    class Meta:
        model = BotConfig
        fields = fields_of(BotConfig)


class ConfigFilters(StrictFilters):
    account = WholeFilter(field_name="bot__account_id", label="Number of the account")
    bot = WholeFilter(field_name="bot_id", label="Number of the bot")


class ConfigViewSet(ReadViewSet):
    """Every version of the bots' configurations, newest first."""

    queryset = BotConfig.objects.all()
    serializer_class = ConfigSerializer
    filterset_class = ConfigFilters
    account_path = "bot__account"
    ordering_fields = ("id", "version")


class StrategySerializer(serializers.Serializer[Any]):
    """A strategy with the JSON Schema of its parameters."""

    slug = serializers.CharField()
    version = serializers.IntegerField()
    title = serializers.CharField()
    description = serializers.CharField(source="doc")
    schema = serializers.SerializerMethodField()

    @shaped({"type": "object", "additionalProperties": True})
    def get_schema(self, spec: registry.StrategySpec) -> dict[str, Any]:
        return spec.params.model_json_schema()


@one_answer
class StrategiesSerializer(serializers.Serializer[Any]):
    results = StrategySerializer(many=True)


class StrategyViewSet(viewsets.ViewSet):
    """The strategies that bots can trade."""

    lookup_field = "slug"
    lookup_value_regex = "[a-z0-9-]{1,60}"

    @documented(responses=StrategiesSerializer)
    def list(self, request: Request) -> Response:
        return Response(StrategiesSerializer({"results": registry.all_strategies()}).data)

    @documented(responses=StrategySerializer, parameters=[OpenApiParameter("slug", str, OpenApiParameter.PATH)])
    def retrieve(self, request: Request, slug: str) -> Response:
        try:
            return Response(StrategySerializer(registry.get(slug)).data)
        except KeyError:
            raise Http404 from None
