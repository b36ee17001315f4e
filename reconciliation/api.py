"""Routes of divergences and claims: what the desk shows, and what a person does there."""

from collections.abc import Callable
from typing import Any

from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.adminkit import CLOCK
from accounts.apikit.auth import require
from accounts.apikit.exceptions import Conflict
from accounts.apikit.fields import ReasonText, StrictInteger, StrictSerializer
from accounts.apikit.idempotency import idempotent
from accounts.apikit.reading import ID_MAX, Filters, ReadViewSet, TrueOrFalseFilter, WholeFilter, fields_of
from accounts.apikit.schema import documented
from accounts.apikit.times import TimeRangeFilter
from accounts.models import User
from accounts.permissions import can
from cycles.models import Cycle
from reconciliation.actions import Action, why_not
from reconciliation.models import Claim, Divergence, DivergenceStep
from reconciliation.services import claims, settling


class StepSerializer(serializers.ModelSerializer[DivergenceStep]):
    class Meta:
        model = DivergenceStep
        fields = ("at", "by", "action", "text")


class DivergenceSerializer(serializers.ModelSerializer[Divergence]):
    """`matched` is S3's code: 0 closed by broker, 1 divergence, 2 unmatched."""

    matched = serializers.IntegerField(read_only=True)

    class Meta:
        model = Divergence
        fields = (*fields_of(Divergence), "matched")


class WholeDivergenceSerializer(DivergenceSerializer):
    """One divergence with everything that was done about it, oldest first."""

    steps = StepSerializer(many=True, read_only=True)

    class Meta(DivergenceSerializer.Meta):
        fields = (*DivergenceSerializer.Meta.fields, "steps")


class DivergenceFilters(Filters):
    order = WholeFilter(field_name="order_id", label="Number of the order")
    assignee = WholeFilter(field_name="assignee_id", label="Number of the person")
    opened_at = TimeRangeFilter(label="Opened")

    class Meta:
        model = Divergence
        fields = ("state", "kind", "severity", "symbol", "ticket", "identifier", "closed_how")


class Reason(StrictSerializer):
    """Why it is done; kept with the divergence and in the audit."""

    reason = ReasonText()


class IgnoreBody(Reason):
    """Until when it leaves the queue, with the offset of the time."""

    until = serializers.DateTimeField()


class AdoptBody(Reason):
    """The open cycle that the position becomes a leg of."""

    cycle = StrictInteger(min_value=1, max_value=ID_MAX)


class AssignBody(Reason):
    """Who looks after it; null for nobody."""

    assignee = StrictInteger(min_value=1, max_value=ID_MAX, allow_null=True)


Settle = Callable[..., object]


class DivergenceViewSet(ReadViewSet):
    """What books and broker disagree about, newest first. Traders of the account settle it; each action takes a reason.

    409 says that an action has no meaning for the divergence as it is now.
    """

    queryset = Divergence.objects.all()
    serializer_class = DivergenceSerializer
    filterset_class = DivergenceFilters
    ordering_fields = ("id", "opened_at", "severity")

    def get_serializer_class(self) -> type[serializers.BaseSerializer[Any]]:
        return WholeDivergenceSerializer if self.action == "retrieve" else DivergenceSerializer

    def _settle(
        self,
        request: Request,
        what: Action,
        carry_out: Settle,
        body: type[Reason] = Reason,
        prepare: Callable[[Divergence, dict[str, Any]], dict[str, Any]] = lambda row, fields: fields,
    ) -> Response:
        """Check right, body and state, call the service, and answer with the divergence as it is then.

        Raises PermissionDenied, ValidationError, Conflict.
        """
        row: Divergence = self.get_object()
        user = require(request, row.account_id, "trader")
        asked = body(data=request.data)
        asked.is_valid(raise_exception=True)
        if (problem := why_not(row, what)) is not None:
            raise Conflict(problem)
        fields = dict(asked.validated_data)
        fields["why"] = fields.pop("reason")
        carry_out(divergence=row, by=user, at=CLOCK.now(), **prepare(row, fields))
        return Response(WholeDivergenceSerializer(Divergence.objects.get(pk=row.pk)).data)

    @documented(request=Reason, responses=WholeDivergenceSerializer)
    @action(detail=True, methods=["post"], url_path="accept-broker")
    @idempotent
    def accept_broker(self, request: Request, pk: str) -> Response:
        """Let the broker's side count: nothing is sent."""
        return self._settle(request, Action.ACCEPT_BROKER, settling.accept_broker)

    @documented(request=Reason, responses=WholeDivergenceSerializer)
    @action(detail=True, methods=["post"], url_path="accept-ours")
    @idempotent
    def accept_ours(self, request: Request, pk: str) -> Response:
        """Let the engine ask the broker once to follow our side: set stops, or close what must not be there."""
        return self._settle(request, Action.ACCEPT_OURS, settling.accept_ours)

    @documented(request=AdoptBody, responses=WholeDivergenceSerializer)
    @action(detail=True, methods=["post"])
    @idempotent
    def adopt(self, request: Request, pk: str) -> Response:
        """Make a foreign position a leg of a bot's open cycle (claim it); the bot may close it from then on."""
        return self._settle(request, Action.ADOPT, claims.claim, AdoptBody, _with_cycle)

    @documented(request=Reason, responses=WholeDivergenceSerializer)
    @action(detail=True, methods=["post"])
    @idempotent
    def manual(self, request: Request, pk: str) -> Response:
        """Leave a foreign position alone for as long as it lives."""
        return self._settle(request, Action.MANUAL, settling.mark_manual)

    @documented(request=IgnoreBody, responses=WholeDivergenceSerializer)
    @action(detail=True, methods=["post"])
    @idempotent
    def ignore(self, request: Request, pk: str) -> Response:
        """Take it out of the queue until a time; while it is ignored it stops no entries."""
        return self._settle(request, Action.IGNORE, settling.ignore_until, IgnoreBody)

    @documented(request=AssignBody, responses=WholeDivergenceSerializer)
    @action(detail=True, methods=["post"])
    @idempotent
    def assign(self, request: Request, pk: str) -> Response:
        """Say who looks after it."""
        return self._settle(request, Action.ASSIGN, settling.assign, AssignBody, _with_person)

    @documented(request=Reason, responses=WholeDivergenceSerializer)
    @action(detail=True, methods=["post"])
    @idempotent
    def note(self, request: Request, pk: str) -> Response:
        """Write a note beside it."""
        return self._settle(request, Action.NOTE, settling.add_note, prepare=lambda row, f: {"text": f["why"]})

    @documented(request=Reason, responses=WholeDivergenceSerializer)
    @action(detail=True, methods=["post"])
    @idempotent
    def undo(self, request: Request, pk: str) -> Response:
        """Put back into the queue what a person took out of it, where nothing else was changed by that."""
        return self._settle(request, Action.UNDO, settling.undo)


def _with_cycle(row: Divergence, fields: dict[str, Any]) -> dict[str, Any]:
    """Find the cycle; another account's is like one that does not exist. Raises ValidationError."""
    cycle = Cycle.objects.filter(pk=fields["cycle"], account_id=row.account_id).first()
    if cycle is None:
        raise serializers.ValidationError({"cycle": ["The account has no such cycle."]})
    return {**fields, "cycle": cycle}


def _with_person(row: Divergence, fields: dict[str, Any]) -> dict[str, Any]:
    """Find the person; one without a role in the account is like one that does not exist. Raises ValidationError."""
    pk = fields["assignee"]
    person = User.objects.filter(pk=pk).first() if pk is not None else None
    if pk is not None and (person is None or not can(person, row.account_id, "viewer")):
        raise serializers.ValidationError({"assignee": ["Nobody with this number has a role in the account."]})
    return {**fields, "assignee": person}


class ClaimSerializer(serializers.ModelSerializer[Claim]):
    class Meta:
        model = Claim
        fields = fields_of(Claim)


class ClaimFilters(Filters):
    cycle = WholeFilter(field_name="cycle_id", label="Number of the cycle")
    order = WholeFilter(field_name="order_id", label="Number of the order")
    is_held = TrueOrFalseFilter(field_name="released_at__isnull", label="Not released")


class ClaimViewSet(ReadViewSet):
    """Foreign positions that were taken into cycles, newest first. Traders give them back."""

    queryset = Claim.objects.all()
    serializer_class = ClaimSerializer
    filterset_class = ClaimFilters

    @documented(request=Reason, responses=ClaimSerializer)
    @action(detail=True, methods=["post"])
    @idempotent
    def release(self, request: Request, pk: str) -> Response:
        """Give a position back: it stays open at the broker, and no bot counts it any more."""
        row: Claim = self.get_object()
        user = require(request, row.account_id, "trader")
        asked = Reason(data=request.data)
        asked.is_valid(raise_exception=True)
        claims.release(claim=row, why=asked.validated_data["reason"], by=user, at=CLOCK.now())
        return Response(ClaimSerializer(Claim.objects.get(pk=row.pk)).data)
