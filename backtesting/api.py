"""Routes of backtests, which run as jobs, and of the parity meter's reports."""

from typing import Any

from django.core.exceptions import ValidationError as DjangoValidationError
from django.db.models import F
from django.http import Http404
from django.urls import reverse
from drf_spectacular.utils import OpenApiExample
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound, PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.adminkit import CLOCK
from accounts.apikit.auth import require, user_of
from accounts.apikit.exceptions import Conflict
from accounts.apikit.fields import StrictFloat, StrictInteger, StrictMoment, StrictSerializer
from accounts.apikit.idempotency import idempotent
from accounts.apikit.reading import ID_MAX, ReadViewSet, StrictFilters, TrueOrFalseFilter, WholeFilter, fields_of
from accounts.apikit.schema import documented, shaped
from accounts.apikit.times import TimeRangeFilter
from accounts.permissions import accounts_of, can_anywhere
from backtesting import services
from backtesting.domain import BALANCE_MAX, BALANCE_MIN, LEVERAGE_MAX, SEED_MAX, SPREAD_PIPS_MAX, Asked
from backtesting.models import Backtest, ParityReport
from backtesting.selectors import config_of
from strategies.models import VERSION_MAX, Bot

OBJECT = {"type": "object", "additionalProperties": True}


class BacktestSerializer(serializers.ModelSerializer[Backtest]):
    """A backtest and the figures of its result; `backtests/{id}/report` gives the result whole."""

    bot = serializers.IntegerField(source="config.bot_id", read_only=True)
    version = serializers.IntegerField(source="config.version", read_only=True)
    figures = serializers.SerializerMethodField()

    class Meta:
        model = Backtest
        fields = [*fields_of(Backtest, "plan", "result", "heard_at"), "bot", "version", "figures"]

    @shaped({**OBJECT, "nullable": True})
    def get_figures(self, backtest: Any) -> Any:
        return backtest.shown_figures


class WantedBacktestSerializer(StrictSerializer):
    """A replay of a bot's configuration: the one in use, or `version`.

    With a `seed` prices are made by the model, else they are the recorded M1 candles; without `begin` and `end` all of
    them. `balance` is in the currency that the first symbol's profits come in.
    """

    bot = StrictInteger(min_value=1, max_value=ID_MAX)
    version = StrictInteger(required=False, min_value=1, max_value=VERSION_MAX)
    begin = StrictMoment(required=False)
    end = StrictMoment(required=False, help_text="Exclusive.")
    seed = StrictInteger(required=False, min_value=0, max_value=SEED_MAX)
    balance = StrictFloat(required=False, min_value=BALANCE_MIN, max_value=BALANCE_MAX)
    leverage = StrictInteger(required=False, min_value=1, max_value=LEVERAGE_MAX)
    spread_pips = StrictFloat(required=False, min_value=0, max_value=SPREAD_PIPS_MAX)


class Nothing(StrictSerializer):
    """A request whose address says everything."""


START_EXAMPLE = OpenApiExample(
    "A week on recorded prices",
    {"bot": 1, "begin": "2026-02-02T00:00:00Z", "end": "2026-02-07T00:00:00Z", "balance": 10000, "leverage": 100},
    request_only=True,
)


class BacktestFilters(StrictFilters):
    account = WholeFilter(field_name="config__bot__account_id", label="Number of the account")
    bot = WholeFilter(field_name="config__bot_id", label="Number of the bot")
    created_at = TimeRangeFilter(label="Asked for")

    class Meta:
        model = Backtest
        fields = ("status",)


class BacktestViewSet(ReadViewSet):
    """Backtests of one's bots, newest first. Traders start and cancel them; a worker of the jobs runs them."""

    # A result holds every trade: its figures are read inside the database
    queryset = Backtest.objects.select_related("config").defer("result", "plan")
    serializer_class = BacktestSerializer
    filterset_class = BacktestFilters
    account_path = "config__bot__account"
    ordering_fields = ("id", "created_at")

    def get_queryset(self) -> Any:
        return super().get_queryset().annotate(shown_figures=F("result__figures"))

    @documented(request=WantedBacktestSerializer, responses={202: BacktestSerializer}, examples=[START_EXAMPLE])
    @idempotent
    def create(self, request: Request) -> Response:
        """Start a backtest; poll the address in Location until its status is done, failed or cancelled."""
        if not can_anywhere(user_of(request), "trader"):
            raise PermissionDenied("This needs the role of a trader in the bot's account.")
        wanted = WantedBacktestSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        given = dict(wanted.validated_data)
        bot = Bot.objects.filter(pk=given.pop("bot"), account__in=accounts_of(user_of(request))).first()
        if bot is None:
            raise Http404
        user = require(request, bot.account_id, "trader")
        config, asked = config_of(bot, given.pop("version", None)), Asked(**given)
        if problems := asked.problems():
            raise DjangoValidationError(problems)
        made = services.ask(config=config, asked=asked, by=user, clock=CLOCK)
        where = reverse("api-backtest-detail", args=[made.pk])
        return Response(self._told(made.pk), status=status.HTTP_202_ACCEPTED, headers={"Location": where})

    @documented(request=Nothing, responses={202: BacktestSerializer})
    @action(detail=True, methods=["post"])
    @idempotent
    def cancel(self, request: Request, pk: str) -> Response:
        """End a backtest that waits or runs; it keeps no result. 409 when it is over."""
        backtest: Backtest = self.get_object()
        require(request, backtest.config.bot.account_id, "trader")
        Nothing(data=request.data).is_valid(raise_exception=True)
        if not services.cancel(backtest=backtest, clock=CLOCK):
            raise Conflict("It is over already.", code="state")
        return Response(self._told(backtest.pk), status=status.HTTP_202_ACCEPTED)

    @documented(responses={200: OBJECT})
    @action(detail=True, methods=["get"])
    def report(self, request: Request, pk: str) -> Response:
        """Return the whole result: figures, curve, cycles with their legs, prices. 404 before it is done."""
        backtest: Backtest = self.get_object()
        result = Backtest.objects.filter(pk=backtest.pk).values_list("result", flat=True).first()
        if result is None:
            raise NotFound("It has no result.")
        return Response(result)

    def _told(self, pk: int) -> Any:
        return BacktestSerializer(self.get_queryset().get(pk=pk)).data


class ParitySerializer(serializers.ModelSerializer[ParityReport]):
    """A bot's day beside its replay; `parity/{id}/legs` gives the legs that differ most."""

    account = serializers.IntegerField(source="bot.account_id", read_only=True)

    class Meta:
        model = ParityReport
        fields = [*fields_of(ParityReport, "rows"), "account"]


class ParityLegsSerializer(serializers.Serializer[Any]):
    legs = serializers.ListField(child=serializers.DictField())


class ParityFilters(StrictFilters):
    account = WholeFilter(field_name="bot__account_id", label="Number of the account")
    bot = WholeFilter(field_name="bot_id", label="Number of the bot")
    is_over = TrueOrFalseFilter(field_name="is_over", label="Above its limit")

    class Meta:
        model = ParityReport
        fields = ("status",)


class ParityViewSet(ReadViewSet):
    """How far each day of one's bots was from its replay, newest first."""

    queryset = ParityReport.objects.select_related("bot").defer("rows")
    serializer_class = ParitySerializer
    filterset_class = ParityFilters
    account_path = "bot__account"
    ordering_fields = ("id", "day")

    @documented(responses=ParityLegsSerializer)
    @action(detail=True, methods=["get"])
    def legs(self, request: Request, pk: str) -> Response:
        """Return the legs of live and replay side by side, those that differ most first."""
        return Response(ParityLegsSerializer({"legs": self.get_object().rows}).data)
