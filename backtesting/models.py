"""Backtests: what was replayed, on what, and what came of it."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from strategies.models import Bot, BotConfig


class Backtest(models.Model):
    """One replay of a configuration. `data_hash` names the prices, `seed` their making; a rerun gives the same result.

    `plan` holds the account, symbols and limits that were assumed, `result` what backtesting.report.plain returns.
    `asked` is what a person chose on the page, for the job that runs it; a run by command has none.
    """

    class Status(models.TextChoices):
        QUEUED = "queued", "Queued"
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"

    config = models.ForeignKey(BotConfig, on_delete=models.CASCADE, related_name="backtests")
    status = models.CharField(max_length=9, choices=Status.choices, default=Status.RUNNING)
    progress = models.FloatField(default=0.0)
    asked = models.JSONField(default=dict, blank=True)
    cancel_asked = models.BooleanField(default=False)
    heard_at = models.DateTimeField(null=True, blank=True)
    source = models.CharField(max_length=200, blank=True)
    seed = models.BigIntegerField(null=True, blank=True)
    data_hash = models.CharField(max_length=64, blank=True)
    plan = models.JSONField(default=dict)
    result = models.JSONField(null=True, blank=True)
    error = models.CharField(max_length=500, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-created_at", "-id")
        constraints = (
            models.CheckConstraint(
                condition=Q(status__in=["queued", "running", "done", "failed", "cancelled"]),
                name="backtest_status_known",
            ),
            models.CheckConstraint(condition=Q(progress__gte=0, progress__lte=1), name="backtest_progress_range"),
            models.CheckConstraint(
                condition=~Q(status="done") | Q(result__isnull=False, finished_at__isnull=False),
                name="backtest_done_has_result",
            ),
        )

    def __str__(self) -> str:
        return f"Backtest {self.pk} of {self.config}"


class ParityReport(models.Model):
    """How far a bot's day was from a replay on the ticks that were recorded. An opinion: it can be measured again.

    Money is in account currency, minus for what the live account did worse; `causes` add up to `drift`. `rows` are the
    legs, those that differ most first (backtesting.parity.domain.as_row).
    """

    class Status(models.TextChoices):
        MEASURED = "measured", "Measured"
        SKIPPED = "skipped", "Not measured"

    bot = models.ForeignKey(Bot, on_delete=models.CASCADE, related_name="parity")
    day = models.DateField(help_text="On the broker's clock.")
    status = models.CharField(max_length=8, choices=Status.choices)
    note = models.CharField(max_length=300, blank=True)
    config = models.ForeignKey(BotConfig, on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    begin = models.DateTimeField(null=True, blank=True)
    end = models.DateTimeField(null=True, blank=True)
    live_legs = models.PositiveIntegerField(default=0)
    replay_legs = models.PositiveIntegerField(default=0)
    live_net = models.DecimalField(max_digits=18, decimal_places=2, default=0)
    replay_net = models.DecimalField(max_digits=18, decimal_places=2, default=0)
    drift = models.DecimalField(max_digits=18, decimal_places=2, default=0)
    limit = models.DecimalField(max_digits=18, decimal_places=2, default=0)
    is_over = models.BooleanField(default=False)
    causes = models.JSONField(default=dict, blank=True)
    rows = models.JSONField(default=list, blank=True)
    data_hash = models.CharField(max_length=64, blank=True)
    measured_at = models.DateTimeField()

    class Meta:
        ordering = ("-day", "bot")
        constraints = (
            models.UniqueConstraint(fields=("bot", "day"), name="parity_once_a_day"),
            models.CheckConstraint(condition=Q(status__in=["measured", "skipped"]), name="parity_status_known"),
            models.CheckConstraint(
                condition=Q(status="skipped") | Q(begin__isnull=False, end__isnull=False, config__isnull=False),
                name="parity_measured_has_span",
            ),
        )

    def __str__(self) -> str:
        return f"{self.bot} on {self.day}"
