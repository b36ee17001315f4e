"""Routes of signals: the door for senders, and what people see of them and decide."""

from typing import Any

from django.core.exceptions import ValidationError as DjangoValidationError
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiExample, OpenApiParameter
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.adminkit import CLOCK
from accounts.apikit.auth import require, user_of
from accounts.apikit.exceptions import Conflict
from accounts.apikit.fields import (
    NoteText,
    StrictChoice,
    StrictDecimal,
    StrictFloat,
    StrictInteger,
    StrictMoment,
    StrictSerializer,
    StrictText,
)
from accounts.apikit.idempotency import idempotent
from accounts.apikit.parsing import BYTES_MAX
from accounts.apikit.reading import ID_MAX, ReadViewSet, StrictFilters, WholeFilter, fields_of
from accounts.apikit.schema import documented, shaped
from accounts.credentials import CredentialError
from accounts.permissions import accounts_of, can_anywhere
from core.ids import Ids, SystemIds
from signals.domain import is_signed
from signals.models import SIDES, Signal, SignalSource
from signals.services import Alert, approve, create_source, note_refusal, receive, reject, secret_of, stop_source
from strategies.models import Bot

IDS: Ids = SystemIds()
REFUSALS = frozenset({"duplicate", "stale"})
SIGNATURE_HEADER = "X-Signature"


class AlertSerializer(StrictSerializer):
    """An alert. Each has an `id` of its own; `close` closes the bot's cycles of the symbol."""

    id = StrictText(max_length=64)
    at = StrictMoment()
    action = StrictChoice(choices=[side for side, _ in SIDES])
    symbol = StrictText(max_length=29)
    volume = StrictDecimal(required=False)
    sl = StrictDecimal(required=False)
    tp = StrictDecimal(required=False)


class SignalSerializer(serializers.ModelSerializer[Signal]):
    state = serializers.SerializerMethodField()

    class Meta:
        model = Signal
        fields = fields_of(Signal)

    @shaped({"type": "string", "enum": list(Signal.State.values)})
    def get_state(self, signal: Signal) -> str:
        return signal.state_at(CLOCK.now())


ALERT_EXAMPLE = OpenApiExample(
    "Buy",
    {"id": "tv-1741", "at": "2026-03-02T10:00:00Z", "action": "buy", "symbol": "EURUSD", "volume": "0.10"},
    request_only=True,
)


class Receive(APIView):
    """The door for senders. `X-Signature: sha256=…` is the HMAC-SHA256 of the exact body with the source's secret."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    @documented(
        request=AlertSerializer,
        responses={202: SignalSerializer},
        examples=[ALERT_EXAMPLE],
        operation_id="signals_receive",
        auth=[],
        parameters=[OpenApiParameter(SIGNATURE_HEADER, str, OpenApiParameter.HEADER, required=True)],
    )
    def post(self, request: Request, prefix: str) -> Response:
        """Take an alert: it waits for approval, or goes to the bot's session at once."""
        source = self._sender(request, prefix)
        asked = AlertSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        given = asked.validated_data
        alert = Alert(
            key=given["id"], action=given["action"], symbol=given["symbol"], sent_at=given["at"],
            volume=given.get("volume"), sl=given.get("sl", 0), tp=given.get("tp", 0),
        )  # fmt: skip
        try:
            signal = receive(source=source, alert=alert, at=CLOCK.now())
        except DjangoValidationError as problem:
            code = str(getattr(problem, "code", None) or "")
            note_refusal(source=source, key=alert.key, why=" ".join(problem.messages), at=CLOCK.now())
            if code in REFUSALS:
                raise Conflict(" ".join(problem.messages), code=code) from None
            raise
        return Response(SignalSerializer(signal).data, status=status.HTTP_202_ACCEPTED)

    def _sender(self, request: Request, prefix: str) -> SignalSource:
        """Return the source whose secret signs the body. Raises AuthenticationFailed, alike for every reason."""
        length = int(request.META.get("CONTENT_LENGTH") or 0)
        body = request._request.body if length <= BYTES_MAX else b""
        source = SignalSource.objects.select_related("bot").filter(prefix=prefix, is_active=True).first()
        try:
            secret = secret_of(source) if source is not None else ""
        except CredentialError:
            secret = ""
        if source is None or not secret or not is_signed(body, request.headers.get(SIGNATURE_HEADER, ""), secret):
            raise AuthenticationFailed("There is no such source, or the signature is not its own.")
        return source

    def get_authenticate_header(self, request: Request) -> str:
        """Make a wrong signature a 401."""
        return "Signature"


class DecisionSerializer(StrictSerializer):
    reason = NoteText(required=False)


class SignalFilters(StrictFilters):
    account = WholeFilter(field_name="source__bot__account_id", label="Number of the account")
    bot = WholeFilter(field_name="source__bot_id", label="Number of the bot")

    class Meta:
        model = Signal
        fields = ("state", "symbol", "action")


class SignalViewSet(ReadViewSet):
    """Alerts that came for one's bots and what came of them, newest first."""

    queryset = Signal.objects.all()
    serializer_class = SignalSerializer
    filterset_class = SignalFilters
    account_path = "source__bot__account"

    def _decide(self, request: Request, decide: Any) -> Response:
        signal: Signal = self.get_object()
        user = require(request, signal.source.bot.account_id, "trader")
        asked = DecisionSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        decided = decide(signal=signal, by=user, at=CLOCK.now(), reason=asked.validated_data.get("reason", ""))
        return Response(SignalSerializer(decided).data, status=status.HTTP_202_ACCEPTED)

    @documented(request=DecisionSerializer, responses={202: SignalSerializer})
    @action(detail=True, methods=["post"])
    @idempotent
    def approve(self, request: Request, pk: str) -> Response:
        """Let a waiting signal be traded."""
        return self._decide(request, approve)

    @documented(request=DecisionSerializer, responses={202: SignalSerializer})
    @action(detail=True, methods=["post"])
    @idempotent
    def reject(self, request: Request, pk: str) -> Response:
        """End a waiting signal."""
        return self._decide(request, reject)


class SourceSerializer(serializers.ModelSerializer[SignalSource]):
    class Meta:
        model = SignalSource
        fields = fields_of(SignalSource, "secret_encrypted")


class NewSourceSerializer(StrictSerializer):
    bot = StrictInteger(min_value=1, max_value=ID_MAX)
    name = NoteText(max_length=60)
    volume = StrictDecimal()
    volume_max = StrictDecimal()
    max_age_seconds = StrictFloat(required=False, min_value=1, max_value=3600)
    approval_seconds = StrictFloat(required=False, allow_null=True, min_value=5, max_value=86_400)


class MadeSourceSerializer(SourceSerializer):
    """With the secret, once."""

    secret = serializers.CharField()

    class Meta(SourceSerializer.Meta):
        fields = [*SourceSerializer.Meta.fields, "secret"]


class SourceFilters(StrictFilters):
    account = WholeFilter(field_name="bot__account_id", label="Number of the account")
    bot = WholeFilter(field_name="bot_id", label="Number of the bot")


class SourceViewSet(ReadViewSet):
    """Who may send signals for one's bots, and the rules for what they send."""

    queryset = SignalSource.objects.all()
    serializer_class = SourceSerializer
    filterset_class = SourceFilters
    account_path = "bot__account"

    @documented(request=NewSourceSerializer, responses={201: MadeSourceSerializer})
    def create(self, request: Request) -> Response:
        """Make a source. The answer holds its secret, shown once, so no Idempotency-Key repeats it."""
        if not can_anywhere(user_of(request), "manager"):
            raise PermissionDenied("This needs the role of a manager in the bot's account.")
        asked = NewSourceSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        given = dict(asked.validated_data)
        bot = _bot(request, given.pop("bot"))
        user = require(request, bot.account_id, "manager")
        source, secret = create_source(bot=bot, by=user, at=CLOCK.now(), ids=IDS, **given)
        source.secret = secret  # type: ignore[attr-defined]
        return Response(MadeSourceSerializer(source).data, status=status.HTTP_201_CREATED)

    @documented(request=DecisionSerializer, responses={200: SourceSerializer})
    @action(detail=True, methods=["post"])
    @idempotent
    def stop(self, request: Request, pk: str) -> Response:
        """Take nothing more from a source."""
        source: SignalSource = self.get_object()
        user = require(request, source.bot.account_id, "manager")
        stop_source(source=source, by=user, at=CLOCK.now())
        source.refresh_from_db()
        return Response(SourceSerializer(source).data)


def _bot(request: Request, pk: int) -> Bot:
    """Return a bot that the asker may see. Raises Http404."""
    return get_object_or_404(Bot, pk=pk, account__in=accounts_of(user_of(request)))
