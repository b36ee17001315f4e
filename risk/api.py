"""Routes of guards: settings with their versions, alarms and what people do with them, kill switches, worst cases."""

from typing import Any, cast

from django.http import Http404
from pydantic import ValidationError as ParamsError
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.adminkit import CLOCK
from accounts.apikit.auth import user_of
from accounts.apikit.fields import (
    NoteText,
    ReasonText,
    StrictChoice,
    StrictInteger,
    StrictObject,
    StrictSerializer,
    StrictText,
)
from accounts.apikit.idempotency import idempotent
from accounts.apikit.reading import (
    Filters,
    ReadViewSet,
    StrictFilters,
    TrueOrFalseFilter,
    WholeFilter,
    fields_of,
)
from accounts.apikit.schema import documented, shaped
from accounts.apikit.times import TimeRangeFilter
from accounts.models import TradingAccount, User
from accounts.permissions import RoleName, accounts_of, can, is_superuser
from risk.models import Block, GuardAlarm, GuardConfig, KillSwitch, RiskProjection
from risk.selectors import current_config, version_of
from risk.services.alarms import acknowledge_alarm, rearm_alarm, veto_alarm
from risk.services.configs import save_guards
from risk.services.killing import kill, release
from strategies.models import Bot

ID_MAX = 2**53 - 1
OBJECT = {"type": "object", "additionalProperties": True}


def _need(user: User, account_id: int | None, role: RoleName) -> None:
    """Raise PermissionDenied unless a person has a role in an account; what concerns all accounts is a superuser's."""
    if account_id is None:
        if not is_superuser(user):
            raise PermissionDenied("Only a superuser may do this to everything.")
    elif not can(user, account_id, role):
        raise PermissionDenied(f"This needs the role of a {role} in the account.")


class Why(StrictSerializer):
    """Why it is done: the audit keeps it."""

    reason = ReasonText()


# Settings


class GuardsSerializer(serializers.ModelSerializer[TradingAccount]):
    """The limits that hold for an account. `version` 0: nobody saved any, the built-in ones hold."""

    account = serializers.IntegerField(source="pk", read_only=True)
    version = serializers.SerializerMethodField()
    is_own = serializers.SerializerMethodField(help_text="False: the default of all accounts holds.")
    values = serializers.SerializerMethodField(help_text="Null: what is stored does not hold any more; save new ones.")

    class Meta:
        model = TradingAccount
        fields = ("id", "account", "name", "version", "is_own", "values")

    def get_version(self, account: TradingAccount) -> int:
        return version_of(account.pk)[0]

    def get_is_own(self, account: TradingAccount) -> bool:
        return version_of(account.pk)[1]

    @shaped({"type": "object", "nullable": True, "additionalProperties": True})
    def get_values(self, account: TradingAccount) -> dict[str, Any] | None:
        try:
            return current_config(account.pk).model_dump(mode="json")
        except ParamsError:
            return None


class NewGuards(StrictSerializer):
    """Limits to change, by name; what is left out stays as it is. `seen_version` is the account's own newest, or 0."""

    values = StrictObject()
    seen_version = StrictInteger(min_value=0, max_value=ID_MAX)
    note = NoteText(required=False, default="", allow_blank=True)


class SavedSerializer(serializers.ModelSerializer[GuardConfig]):
    class Meta:
        model = GuardConfig
        fields = fields_of(GuardConfig)


class GuardsFilters(StrictFilters):
    account = WholeFilter(field_name="pk", label="Number of the account")


class GuardsViewSet(ReadViewSet):
    """The guard limits that hold for each of one's accounts. Managers change them."""

    queryset = TradingAccount.objects.all()
    serializer_class = GuardsSerializer
    filterset_class = GuardsFilters
    account_path = "pk"
    ordering = ("id",)

    @documented(request=NewGuards, responses={201: SavedSerializer})
    @action(detail=True, methods=["post"])
    @idempotent
    def save(self, request: Request, pk: str) -> Response:
        """Save limits as the account's next version; the engine follows them at its next look, within a second."""
        account: TradingAccount = self.get_object()
        user = user_of(request)
        _need(user, account.pk, "manager")
        asked = NewGuards(data=request.data)
        asked.is_valid(raise_exception=True)
        given = asked.validated_data
        saved = save_guards(
            account=account, values={**_held(account.pk), **given["values"]}, note=given["note"],
            seen_version=given["seen_version"], by=user, at=CLOCK.now(),
        )  # fmt: skip
        return Response(SavedSerializer(saved).data, status=status.HTTP_201_CREATED)


def _held(account_id: int) -> dict[str, Any]:
    try:
        return current_config(account_id).model_dump(mode="json")
    except ParamsError:
        return {}


class ConfigFilters(Filters):
    class Meta:
        model = GuardConfig
        fields = ("version",)


class GuardConfigViewSet(ReadViewSet):
    """Every version of guard settings, newest first. Superusers also see those of all accounts (`account` null)."""

    queryset = GuardConfig.objects.all()
    serializer_class = SavedSerializer
    filterset_class = ConfigFilters


# Alarms and blocks


class AlarmSerializer(serializers.ModelSerializer[GuardAlarm]):
    class Meta:
        model = GuardAlarm
        fields = fields_of(GuardAlarm, "calm_since", "vetoed_figure")


class AlarmFilters(Filters):
    open = TrueOrFalseFilter(field_name="ended_at__isnull", label="Not over")
    since = TimeRangeFilter(label="Since")

    class Meta:
        model = GuardAlarm
        fields = ("guard", "level", "phase", "tier", "subject")


class AlarmViewSet(ReadViewSet):
    """What the guards raised, newest first. Traders acknowledge it; managers veto a countdown and re-arm what fired."""

    queryset = GuardAlarm.objects.all()
    serializer_class = AlarmSerializer
    filterset_class = AlarmFilters
    ordering_fields = ("id", "since")

    def _answer(self, request: Request, role: RoleName, do: Any, **more: Any) -> Response:
        alarm: GuardAlarm = self.get_object()
        user = user_of(request)
        _need(user, alarm.account_id, role)
        asked = Why(data=request.data)
        asked.is_valid(raise_exception=True)
        row = do(alarm_id=alarm.pk, reason=asked.validated_data["reason"], by=user, at=CLOCK.now(), **more)
        return Response(AlarmSerializer(row).data)

    @documented(request=Why, responses=AlarmSerializer)
    @action(detail=True, methods=["post"])
    @idempotent
    def veto(self, request: Request, pk: str) -> Response:
        """Stop a countdown: nothing is closed, entries stay forbidden until the guard is re-armed."""
        return self._answer(request, "manager", veto_alarm)

    @documented(request=Why, responses=AlarmSerializer)
    @action(detail=True, methods=["post"])
    @idempotent
    def rearm(self, request: Request, pk: str) -> Response:
        """End a fired or vetoed alarm: entries are allowed again."""
        return self._answer(request, "manager", rearm_alarm)

    @documented(request=Why, responses=AlarmSerializer)
    @action(detail=True, methods=["post"])
    @idempotent
    def acknowledge(self, request: Request, pk: str) -> Response:
        """Say that somebody has seen it. It changes nothing of what the guard does."""
        return self._answer(request, "trader", acknowledge_alarm)


class BlockSerializer(serializers.ModelSerializer[Block]):
    class Meta:
        model = Block
        fields = fields_of(Block)


class BlockFilters(Filters):
    bot = WholeFilter(field_name="bot_id", label="Number of the bot")
    open = TrueOrFalseFilter(field_name="lifted_at__isnull", label="Still standing")

    class Meta:
        model = Block
        fields = ("symbol", "cause")


class BlockViewSet(ReadViewSet):
    """Who forbade entries on what, and why, newest first."""

    queryset = Block.objects.all()
    serializer_class = BlockSerializer
    filterset_class = BlockFilters


# The kill switch


class KillSwitchSerializer(serializers.ModelSerializer[KillSwitch]):
    class Meta:
        model = KillSwitch
        fields = fields_of(KillSwitch)


class WhatToKill(Why):
    """What is stopped: a bot, an account, or (without either) everything; `confirmation` is its name."""

    account = StrictInteger(required=False, min_value=1, max_value=ID_MAX)
    bot = StrictInteger(required=False, min_value=1, max_value=ID_MAX)
    mode = StrictChoice(KillSwitch.Mode.choices)
    confirmation = StrictText(max_length=60, help_text="The name of the bot or account, or: everything")


class KillFilters(Filters):
    bot = WholeFilter(field_name="bot_id", label="Number of the bot")
    open = TrueOrFalseFilter(field_name="released_at__isnull", label="Still standing")

    class Meta:
        model = KillSwitch
        fields = ("mode",)


class KillSwitchViewSet(ReadViewSet):
    """Kill switches, newest first. Traders throw them, managers release them; superusers stop everything."""

    queryset = KillSwitch.objects.all()
    serializer_class = KillSwitchSerializer
    filterset_class = KillFilters

    @documented(request=WhatToKill, responses={201: KillSwitchSerializer})
    @idempotent
    def create(self, request: Request) -> Response:
        """Stop at once, whatever the strategies do, until somebody releases it. A standing switch changes its mode."""
        asked = WhatToKill(data=request.data)
        asked.is_valid(raise_exception=True)
        given, user = asked.validated_data, user_of(request)
        account, bot = _target(user, given.get("account"), given.get("bot"))
        _need(user, account.pk if account is not None else None, "trader")
        switch = kill(
            mode=given["mode"], reason=given["reason"], confirmation=given["confirmation"], account=account, bot=bot,
            by=user, at=CLOCK.now(),
        )  # fmt: skip
        return Response(KillSwitchSerializer(switch).data, status=status.HTTP_201_CREATED)

    @documented(request=Why, responses=KillSwitchSerializer)
    @action(detail=True, methods=["post"])
    @idempotent
    def release(self, request: Request, pk: str) -> Response:
        """Let what was stopped go on."""
        switch: KillSwitch = self.get_object()
        user = user_of(request)
        _need(user, switch.account_id, "manager")
        asked = Why(data=request.data)
        asked.is_valid(raise_exception=True)
        row = release(switch_id=switch.pk, reason=asked.validated_data["reason"], by=user, at=CLOCK.now())
        return Response(KillSwitchSerializer(row).data)


def _target(user: User, account_id: int | None, bot_id: int | None) -> tuple[TradingAccount | None, Bot | None]:
    """Find what is meant. Raises Http404 for what is not there for this person, ValidationError for another's bot."""
    if bot_id is not None:
        bot = Bot.objects.select_related("account").filter(pk=bot_id, account__in=accounts_of(user)).first()
        if bot is None:
            raise Http404
        if account_id not in (None, bot.account_id):
            raise ValidationError({"bot": [f"{bot.name} is not a bot of this account."]})
        return bot.account, bot
    if account_id is None:
        return None, None
    account = accounts_of(user).filter(pk=account_id).first()
    if account is None:
        raise Http404
    return account, None


# The worst case


class FiguresSerializer(serializers.ModelSerializer[RiskProjection]):
    """The account now and at the last level of its cycles; `bots`, `cycles` and `symbols` by number and name."""

    id = serializers.IntegerField(source="account_id", read_only=True)
    figures = serializers.SerializerMethodField()
    bots = serializers.SerializerMethodField()
    cycles = serializers.SerializerMethodField()
    symbols = serializers.SerializerMethodField()

    class Meta:
        model = RiskProjection
        fields = ("id", "account", "at", "figures", "bots", "cycles", "symbols")

    @shaped(OBJECT)
    def get_figures(self, row: RiskProjection) -> dict[str, Any]:
        return {name: value for name, value in row.data.items() if not isinstance(value, dict)}

    @shaped(OBJECT)
    def get_bots(self, row: RiskProjection) -> dict[str, Any]:
        return cast("dict[str, Any]", row.data.get("bots", {}))

    @shaped(OBJECT)
    def get_cycles(self, row: RiskProjection) -> dict[str, Any]:
        return cast("dict[str, Any]", row.data.get("cycles", {}))

    @shaped(OBJECT)
    def get_symbols(self, row: RiskProjection) -> dict[str, Any]:
        return cast("dict[str, Any]", row.data.get("symbols", {}))


class WorstCaseFilters(Filters):
    class Meta:
        model = RiskProjection
        fields = ()


class WorstCaseViewSet(ReadViewSet):
    """How far accounts, bots and cycles are from the stop-out, now and if prices run to the last level."""

    queryset = RiskProjection.objects.all()
    serializer_class = FiguresSerializer
    filterset_class = WorstCaseFilters
    ordering = ("account_id",)
    ordering_fields = ()
