"""Backtests: what was replayed, on what, and what came of it."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from strategies.models import BotConfig


class Backtest(models.Model):
    """One replay of a configuration. `data_hash` names the prices, `seed` their making; a rerun gives the same result.

    `plan` holds the account, symbols and limits that were assumed, `result` what backtesting.report.plain returns.
    """

    class Status(models.TextChoices):
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"

    config = models.ForeignKey(BotConfig, on_delete=models.CASCADE, related_name="backtests")
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.RUNNING)
    progress = models.FloatField(default=0.0)
    source = models.CharField(max_length=200)
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
            models.CheckConstraint(condition=Q(status__in=["running", "done", "failed"]), name="backtest_status_known"),
            models.CheckConstraint(condition=Q(progress__gte=0, progress__lte=1), name="backtest_progress_range"),
            models.CheckConstraint(
                condition=~Q(status="done") | Q(result__isnull=False, finished_at__isnull=False),
                name="backtest_done_has_result",
            ),
        )

    def __str__(self) -> str:
        return f"Backtest {self.pk} of {self.config}"
