"""Cycles: groups of orders that a strategy opens, extends and closes together."""

from django.db import models
from django.db.models import F, Q

from accounts.models import TradingAccount
from strategies.models import Bot, BotConfig


class CycleStatus(models.TextChoices):
    OPEN = "open", "Open"
    CLOSING = "closing", "Closing"
    CLOSED = "closed", "Closed"


class CycleKind(models.TextChoices):
    CT = "CT", "CycleTrader"
    HEDGE = "HEDGE", "AdaptiveHedging"


class Cycle(models.Model):
    """`number` counts a bot's cycles from 1. `realized_profit` is the net of its closed orders, in account currency.

    `best_net` is the highest net seen since trailing was armed. Floating figures live in AccountMarks, not here.
    """

    account = models.ForeignKey(TradingAccount, on_delete=models.PROTECT, related_name="cycles", db_index=False)
    bot = models.ForeignKey(Bot, on_delete=models.PROTECT, related_name="cycles")
    config = models.ForeignKey(BotConfig, on_delete=models.PROTECT, related_name="cycles")
    number = models.PositiveIntegerField()
    symbol = models.CharField(max_length=29)
    side = models.CharField(max_length=4, choices=(("buy", "Buy"), ("sell", "Sell")))
    kind = models.CharField(max_length=8, choices=CycleKind.choices, default=CycleKind.CT)
    status = models.CharField(max_length=8, choices=CycleStatus.choices, default=CycleStatus.OPEN)
    memory = models.JSONField(default=dict, blank=True)
    hedge_levels = models.JSONField(default=list, blank=True)
    best_net = models.FloatField(null=True, blank=True)
    realized_profit = models.DecimalField(max_digits=18, decimal_places=2, default=0)
    total_volume = models.DecimalField(max_digits=14, decimal_places=4, default=0)
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)
    close_reason = models.CharField(max_length=60, blank=True)

    class Meta:
        ordering = ("-opened_at",)
        indexes = (
            models.Index(fields=("account", "status"), name="cycle_account_status"),
            models.Index(fields=("account", "-closed_at"), name="cycle_account_closed"),
            models.Index(fields=("account", "bot", "symbol", "-opened_at"), name="cycle_last_entry"),
        )
        constraints = (
            models.UniqueConstraint(fields=("bot", "number"), name="cycle_number_once"),
            models.CheckConstraint(condition=Q(status__in=CycleStatus.values), name="cycle_status_known"),
            models.CheckConstraint(condition=Q(side__in=("buy", "sell")), name="cycle_side_known"),
            models.CheckConstraint(
                condition=Q(status="closed", closed_at__isnull=False)
                | (~Q(status="closed") & Q(closed_at__isnull=True)),
                name="cycle_closed_has_time",
            ),
            models.CheckConstraint(
                condition=Q(closed_at__isnull=True) | Q(closed_at__gte=F("opened_at")), name="cycle_ends_after_start"
            ),
        )

    def __str__(self) -> str:
        return f"{self.bot} #{self.number}"
