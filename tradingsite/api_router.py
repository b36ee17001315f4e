"""The routes of the REST API, one line for each resource."""

from django.urls import URLPattern, URLResolver, path, re_path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.routers import DefaultRouter

from accounts.api.accounts import AccountViewSet, EquityViewSet, SnapshotViewSet, SymbolViewSet
from accounts.api.journal import CommandViewSet, EventViewSet
from backtesting.api import BacktestViewSet, ParityViewSet
from copying.api import CopyViewSet, SubscriptionViewSet
from cycles.api import CycleViewSet
from engine import api as engine
from exports.api import ExportViewSet
from marketdata.api import CandleViewSet
from notifications.api import DeliveryViewSet, TargetViewSet
from orders.api import DealViewSet, IntentViewSet, NotSentViewSet, OrderViewSet, StatisticsViewSet
from reconciliation.api import ClaimViewSet, DivergenceViewSet
from risk.api import (
    AlarmViewSet,
    BlockViewSet,
    GuardConfigViewSet,
    GuardsViewSet,
    KillSwitchViewSet,
    WorstCaseViewSet,
)
from signals.api import Receive, SignalViewSet, SourceViewSet
from strategies.api import BotViewSet, ConfigViewSet, StrategyViewSet

router = DefaultRouter(trailing_slash=False)
router.include_format_suffixes = False
router.register("accounts", AccountViewSet, "api-account")
router.register("symbols", SymbolViewSet, "api-symbol")
router.register("snapshots", SnapshotViewSet, "api-snapshot")
router.register("equity", EquityViewSet, "api-equity")
router.register("candles", CandleViewSet, "api-candles")
router.register("bots", BotViewSet, "api-bot")
router.register("configurations", ConfigViewSet, "api-configuration")
router.register("strategies", StrategyViewSet, "api-strategy")
router.register("cycles", CycleViewSet, "api-cycle")
router.register("orders", OrderViewSet, "api-order")
router.register("intents", IntentViewSet, "api-intent")
router.register("not-sent", NotSentViewSet, "api-not-sent")
router.register("deals", DealViewSet, "api-deal")
router.register("statistics", StatisticsViewSet, "api-statistics")
router.register("backtests", BacktestViewSet, "api-backtest")
router.register("parity", ParityViewSet, "api-parity")
router.register("exports", ExportViewSet, "api-export")
router.register("signals", SignalViewSet, "api-signal")
router.register("signal-sources", SourceViewSet, "api-signal-source")
router.register("copy-subscriptions", SubscriptionViewSet, "api-copy-subscription")
router.register("copies", CopyViewSet, "api-copy")
router.register("divergences", DivergenceViewSet, "api-divergence")
router.register("claims", ClaimViewSet, "api-claim")
router.register("notification-targets", TargetViewSet, "api-notification-target")
router.register("deliveries", DeliveryViewSet, "api-delivery")
router.register("events", EventViewSet, "api-event")
router.register("commands", CommandViewSet, "api-command")
router.register("guards", GuardsViewSet, "api-guards")
router.register("guard-settings", GuardConfigViewSet, "api-guard-settings")
router.register("alarms", AlarmViewSet, "api-alarm")
router.register("blocks", BlockViewSet, "api-block")
router.register("kill-switches", KillSwitchViewSet, "api-kill-switch")
router.register("worst-cases", WorstCaseViewSet, "api-worst-case")

ENGINE = {
    "start": engine.Start,
    "stop": engine.Stop,
    "pause": engine.Pause,
    "resume": engine.Resume,
    "status": engine.Status,
    "performance": engine.Performance,
}

urlpatterns: list[URLPattern | URLResolver] = [
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path("docs/", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="api-docs"),
    *(path(f"trade-engine/{name}", view.as_view(), name=f"trade-engine-{name}") for name, view in ENGINE.items()),
    re_path(r"^signals/in/(?P<prefix>[0-9a-z]{10})$", Receive.as_view(), name="signals-in"),
    *router.urls,
]
