"""Routes of bots, their configurations, and the strategies that can be traded."""

from typing import Any

from django.http import Http404
from drf_spectacular.utils import OpenApiExample, OpenApiParameter
from rest_framework import serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.adminkit import CLOCK
from accounts.apikit.auth import require
from accounts.apikit.fields import NoteText, StrictInteger, StrictObject, StrictSerializer
from accounts.apikit.idempotency import idempotent
from accounts.apikit.reading import Filters, ReadViewSet, StrictFilters, WholeFilter, fields_of
from accounts.apikit.schema import documented, one_answer, shaped
from accounts.models import ApiToken
from strategies import registry
from strategies.models import Bot, BotConfig
from strategies.selectors import differences
from strategies.services import revert, save_config, set_bot_state, validated


class BotSerializer(serializers.ModelSerializer[Bot]):
    class Meta:
        model = Bot
        fields = fields_of(Bot)


class BotFilters(Filters):
    class Meta:
        model = Bot
        fields = ("strategy", "desired_state", "name")


class ConfigSerializer(serializers.ModelSerializer[BotConfig]):
    class Meta:
        model = BotConfig
        fields = fields_of(BotConfig)


class TriedSerializer(StrictSerializer):
    """Values of the strategy's parameters; what is left out takes its default."""

    values = StrictObject()


class ValuesSerializer(TriedSerializer):
    """`seen_version` is the version that one looked at (0: none): when another was saved since, nothing is."""

    note = NoteText(required=False)
    seen_version = StrictInteger(required=False, min_value=0, max_value=2**31 - 1)


class ChangeSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    before = serializers.JSONField()
    after = serializers.JSONField()


class JudgedSerializer(serializers.Serializer[Any]):
    values = serializers.DictField()
    changes = ChangeSerializer(many=True)


CONFIG_EXAMPLE = OpenApiExample("Half the size", {"values": {"lot_size": 0.05}}, request_only=True)


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
        user = require(request, bot.account_id, "trader")
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

    @documented(request=ValuesSerializer, responses={201: ConfigSerializer}, examples=[CONFIG_EXAMPLE])
    @action(detail=True, methods=["post"])
    @idempotent
    def configure(self, request: Request, pk: str) -> Response:
        """Save values as the bot's next version; the engine uses them at once. Equal values make no new version."""
        bot: Bot = self.get_object()
        user = require(request, bot.account_id, "manager")
        asked = ValuesSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        given = asked.validated_data
        saved = save_config(
            bot=bot, values=given["values"], note=given.get("note", ""), seen_version=given.get("seen_version"),
            by=user, at=CLOCK.now(),
        )  # fmt: skip
        return Response(ConfigSerializer(saved).data, status=status.HTTP_201_CREATED)

    @documented(request=TriedSerializer, responses={200: JudgedSerializer}, examples=[CONFIG_EXAMPLE])
    @action(detail=True, methods=["post"], write_scope=ApiToken.Scope.READ)
    def validate(self, request: Request, pk: str) -> Response:
        """Judge values without saving them: complete with defaults, and what would change."""
        bot: Bot = self.get_object()
        require(request, bot.account_id, "viewer")
        asked = TriedSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        complete = validated(registry.get(bot.strategy), asked.validated_data["values"])
        changes = differences(bot.config.values if bot.config else {}, complete)
        return Response(JudgedSerializer({"values": complete, "changes": changes}).data)


class RevertSerializer(StrictSerializer):
    seen_version = StrictInteger(required=False, min_value=0, max_value=2**31 - 1)


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

    @documented(request=RevertSerializer, responses={201: ConfigSerializer})
    @action(detail=True, methods=["post"])
    @idempotent
    def revert(self, request: Request, pk: str) -> Response:
        """Make the values of this version the bot's newest version."""
        config: BotConfig = self.get_object()
        user = require(request, config.bot.account_id, "manager")
        asked = RevertSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        saved = revert(
            bot=config.bot, version=config.version, seen_version=asked.validated_data.get("seen_version"), by=user,
            at=CLOCK.now(),
        )  # fmt: skip
        return Response(ConfigSerializer(saved).data, status=status.HTTP_201_CREATED)


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
