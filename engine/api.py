"""The trade engine's routes (S4): start, stop, pause, resume, status and performance, for everything or one account."""

from collections.abc import Callable
from typing import Any, ClassVar

from django.http import Http404
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers, status
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.adminkit import CLOCK
from accounts.apikit.auth import user_of
from accounts.apikit.fields import StrictBoolean, StrictInteger, StrictSerializer
from accounts.apikit.idempotency import idempotent
from accounts.apikit.schema import documented
from accounts.models import TradingAccount, User
from accounts.permissions import accounts_of
from engine.coordinator import Instruction, coordinate
from engine.domain import Health
from engine.metrics import CONTENT_TYPE, render
from engine.selectors import engine_performance, engine_status

ID_MAX = 2**53 - 1
ONE_ACCOUNT = OpenApiParameter("account", int, description="Only this account; without it, all of one's own.")


class Which(StrictSerializer):
    """Which account is meant; without it, all of the asker's own."""

    account = StrictInteger(required=False, min_value=1, max_value=ID_MAX)


class HowToStop(Which):
    """Whether open positions are closed first."""

    close_positions = StrictBoolean(required=False, default=False)


class InstructedSerializer(serializers.Serializer[Any]):
    """What became of the request on one account."""

    id = serializers.IntegerField(source="account.pk")
    name = serializers.CharField(source="account.name")
    desired_state = serializers.CharField(source="account.desired_state")
    winding_down = serializers.CharField(source="account.winding_down")
    changed = serializers.BooleanField()


class AnswerSerializer(serializers.Serializer[Any]):
    accounts = InstructedSerializer(many=True)


class ComponentSerializer(serializers.Serializer[Any]):
    """A part of the engine; the reason is empty while it is healthy."""

    name = serializers.CharField()
    health = serializers.ChoiceField([str(health) for health in Health])
    reason = serializers.CharField(allow_blank=True)


class AccountStatusSerializer(serializers.Serializer[Any]):
    """S4's `trade_engine_state`, and the parts of the account's session."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    desired_state = serializers.CharField()
    status = serializers.CharField()
    health = serializers.CharField()
    silent = serializers.BooleanField()
    components = ComponentSerializer(many=True)
    error_message = serializers.CharField(allow_blank=True)
    start_up = serializers.JSONField()
    prehistoric_data_loaded = serializers.BooleanField()
    active_positions_count = serializers.IntegerField()
    last_indication_run = serializers.DateTimeField(allow_null=True)
    last_strategy_run = serializers.DateTimeField(allow_null=True)
    last_realtime_run = serializers.DateTimeField(allow_null=True)
    updated_at = serializers.DateTimeField(allow_null=True)


class StatusSerializer(serializers.Serializer[Any]):
    at = serializers.DateTimeField()
    status = serializers.CharField()
    health = serializers.CharField()
    active_connections = serializers.IntegerField()
    components = ComponentSerializer(many=True)
    accounts = AccountStatusSerializer(many=True)


class AccountPerformanceSerializer(AccountStatusSerializer):
    """Durations in milliseconds over the last 100 passes."""

    jobs = serializers.DictField()
    stages = serializers.DictField()
    prices = serializers.DictField()
    queries = serializers.DictField()
    clock_skew_seconds = serializers.FloatField(allow_null=True)
    connection_errors = serializers.IntegerField()
    events_per_minute = serializers.IntegerField()


class PerformanceSerializer(serializers.Serializer[Any]):
    at = serializers.DateTimeField()
    status = serializers.CharField()
    health = serializers.CharField()
    components = ComponentSerializer(many=True)
    averages = serializers.DictField()
    events_per_minute = serializers.IntegerField()
    accounts = AccountPerformanceSerializer(many=True)
    hosts = serializers.ListField(child=serializers.DictField())
    processes = serializers.ListField(child=serializers.DictField())


class _Ask(APIView):
    """A request to the engine. It is written down at once and carried out within 2 s: look at /status."""

    instruction: ClassVar[Instruction]
    body: ClassVar[type[Which]] = Which

    def carry_out(self, request: Request) -> Response:
        asked = self.body(data=request.data)
        asked.is_valid(raise_exception=True)
        user = user_of(request)
        done = coordinate(
            instruction=self.instruction,
            accounts=_steered(user, asked.validated_data.get("account")),
            close_positions=asked.validated_data.get("close_positions", False),
            by=user,
            at=CLOCK.now(),
        )
        return Response(AnswerSerializer({"accounts": done}).data, status=status.HTTP_202_ACCEPTED)


def _steered(user: User, account_id: int | None) -> list[TradingAccount]:
    """Return the accounts that a request is about.

    Raises:
        Http404: The account does not exist for this person.
        PermissionDenied: They may only look at it, or at all of their accounts.
    """
    steered = accounts_of(user, "trader").order_by("pk")
    if account_id is None:
        found = list(steered)
        if not found:
            raise PermissionDenied("This needs the role of a trader in some account.")
        return found
    if not accounts_of(user).filter(pk=account_id).exists():
        raise Http404
    found = list(steered.filter(pk=account_id))
    if not found:
        raise PermissionDenied("This needs the role of a trader in the account.")
    return found


class Start(_Ask):
    """Let the engine run accounts: their running bots may open positions."""

    instruction = Instruction.START

    @documented(request=Which, responses={202: AnswerSerializer}, operation_id="trade_engine_start")
    @idempotent
    def post(self, request: Request) -> Response:
        return self.carry_out(request)


class Stop(_Ask):
    """Let the engine let go of accounts, after closing their positions where that is asked for."""

    instruction = Instruction.STOP
    body = HowToStop

    @documented(request=HowToStop, responses={202: AnswerSerializer}, operation_id="trade_engine_stop")
    @idempotent
    def post(self, request: Request) -> Response:
        return self.carry_out(request)


class Pause(_Ask):
    """Hold back entries; what is open is still looked after and closed."""

    instruction = Instruction.PAUSE

    @documented(request=Which, responses={202: AnswerSerializer}, operation_id="trade_engine_pause")
    @idempotent
    def post(self, request: Request) -> Response:
        return self.carry_out(request)


class Resume(_Ask):
    """Allow entries again on accounts that are paused."""

    instruction = Instruction.RESUME

    @documented(request=Which, responses={202: AnswerSerializer}, operation_id="trade_engine_resume")
    @idempotent
    def post(self, request: Request) -> Response:
        return self.carry_out(request)


def _asked_account(request: Request) -> int | None:
    """Return the account that a read is about. Raises ValidationError, Http404."""
    unknown = sorted(set(request.query_params) - {"account", "format"})
    if unknown:
        raise ValidationError({name: ["Unknown parameter; known: account."] for name in unknown})
    text = request.query_params.get("account")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and 0 < int(text[:17]) <= ID_MAX):
        raise ValidationError({"account": ["Give the number of an account."]})
    if not accounts_of(user_of(request)).filter(pk=int(text)).exists():
        raise Http404
    return int(text)


def _read(find: Callable[..., dict[str, Any]], shape: type[serializers.Serializer[Any]], request: Request) -> Response:
    found = find(user_of(request), at=CLOCK.now(), account_id=_asked_account(request))
    return Response(shape(found).data)


class Status(APIView):
    """The engine's state, active connections and the health of its parts."""

    @documented(responses=StatusSerializer, parameters=[ONE_ACCOUNT], operation_id="trade_engine_status")
    def get(self, request: Request) -> Response:
        return _read(engine_status, StatusSerializer, request)


class Performance(APIView):
    """The engine's figures: averages, and each account's durations, lag, errors and health."""

    @documented(responses=PerformanceSerializer, parameters=[ONE_ACCOUNT], operation_id="trade_engine_performance")
    def get(self, request: Request) -> Response:
        return _read(engine_performance, PerformanceSerializer, request)


class MetricsRenderer(BaseRenderer):
    """Prometheus' text, and whatever Accept header comes with the question."""

    media_type = "text/plain"
    format = "txt"
    charset = "utf-8"

    def render(self, data: Any, *_: Any, **__: Any) -> bytes:
        return (data if isinstance(data, str) else str(data["error"]["message"])).encode()


class AnyFormat(BaseContentNegotiation):
    """Prometheus asks for formats of its own: it gets the text."""

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> tuple[Any, str]:
        return renderers[0], renderers[0].media_type

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return None


class Metrics(APIView):
    """The engine's figures for Prometheus: what the token's owner may see."""

    renderer_classes = (MetricsRenderer,)
    content_negotiation_class = AnyFormat
    schema = None

    def get(self, request: Request) -> Response:
        found = engine_performance(user_of(request), at=CLOCK.now())
        return Response(render(found), content_type=CONTENT_TYPE)
