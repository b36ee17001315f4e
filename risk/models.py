"""Blocks: who forbids entries on what, and why."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from accounts.models import TradingAccount
from strategies.models import Bot


class Block(models.Model):
    """While it stands, nothing that raises exposure is sent for its account, or its bot; closing stays possible."""

    account = models.ForeignKey(TradingAccount, on_delete=models.PROTECT, related_name="blocks")
    bot = models.ForeignKey(Bot, on_delete=models.PROTECT, null=True, blank=True, related_name="blocks")
    cause = models.CharField(
        max_length=60, help_text="Who objects: startup, doctor, unknown_outcome, circuit, person, …"
    )
    reason = models.CharField(max_length=300)
    raised_at = models.DateTimeField()
    raised_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    lifted_at = models.DateTimeField(null=True, blank=True)
    lifted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    lifted_why = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ("-raised_at",)
        constraints = (
            models.UniqueConstraint(
                fields=("account", "bot", "cause"),
                condition=Q(lifted_at__isnull=True),
                nulls_distinct=False,
                name="block_once",
            ),
        )

    def __str__(self) -> str:
        return f"{self.cause}: {self.reason}"
