"""Where alerts come from, and every alert that came."""

from datetime import datetime
from decimal import Decimal

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from accounts.models import NAME
from accounts.validation import number
from strategies.models import Bot

SIDES = (("buy", "Buy"), ("sell", "Sell"), ("close", "Close"))


class SignalSource(models.Model):
    """A sender of alerts for one bot, and the rules for what it sends. The secret is encrypted, and shown once."""

    bot = models.ForeignKey(Bot, on_delete=models.PROTECT, related_name="signal_sources")
    name = models.CharField(max_length=60, validators=[NAME])
    prefix = models.CharField(max_length=12, unique=True)
    secret_encrypted = models.TextField(editable=False)
    volume = models.DecimalField(
        max_digits=14, decimal_places=4, validators=[MinValueValidator(Decimal("0.0001"))],
        help_text="Lots, where an alert names none.",
    )  # fmt: skip
    volume_max = models.DecimalField(max_digits=14, decimal_places=4, help_text="Lots that no alert may exceed.")
    max_age_seconds = models.FloatField(
        default=30.0, validators=[number, MinValueValidator(1), MaxValueValidator(3600)],
        help_text="Older alerts are refused.",
    )  # fmt: skip
    approval_seconds = models.FloatField(
        null=True, blank=True, validators=[number, MinValueValidator(5), MaxValueValidator(86_400)],
        help_text="A person approves each alert within this time; empty: none has to.",
    )  # fmt: skip
    is_active = models.BooleanField(default=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField()

    class Meta:
        ordering = ("bot", "name")
        constraints = (
            models.UniqueConstraint(fields=("bot", "name"), name="signal_source_name_once"),
            models.CheckConstraint(condition=Q(volume__gt=0), name="signal_source_volume_positive"),
            models.CheckConstraint(condition=Q(volume__lte=models.F("volume_max")), name="signal_source_volume_limit"),
        )

    def __str__(self) -> str:
        return f"{self.name} → {self.bot}"


class Signal(models.Model):
    """An alert and what came of it. A source's alert of one id comes once, for ever."""

    class State(models.TextChoices):
        WAITING = "waiting", "Waits for approval"
        APPROVED = "approved", "Approved"
        REJECTED = "rejected", "Rejected"
        EXPIRED = "expired", "Expired"
        DONE = "done", "Carried out"
        REFUSED = "refused", "Refused"

    source = models.ForeignKey(SignalSource, on_delete=models.PROTECT, related_name="signals")
    key = models.CharField(max_length=64)
    action = models.CharField(max_length=5, choices=SIDES)
    symbol = models.CharField(max_length=29)
    volume = models.DecimalField(max_digits=14, decimal_places=4)
    sl = models.DecimalField(max_digits=18, decimal_places=8, default=0)
    tp = models.DecimalField(max_digits=18, decimal_places=8, default=0)
    sent_at = models.DateTimeField()
    received_at = models.DateTimeField()
    follow_until = models.DateTimeField(help_text="Nothing is approved, and no entry made, after this.")
    state = models.CharField(max_length=8, choices=State.choices)
    result = models.CharField(max_length=300, blank=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    decided_at = models.DateTimeField(null=True, blank=True)
    cycle = models.ForeignKey("cycles.Cycle", on_delete=models.PROTECT, null=True, blank=True, related_name="+")

    class Meta:
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(fields=("source", "key"), name="signal_once"),
            models.CheckConstraint(condition=Q(volume__gt=0), name="signal_volume_positive"),
            models.CheckConstraint(
                condition=Q(state__in=("waiting", "approved", "rejected", "expired", "done", "refused")),
                name="signal_state_known",
            ),
        )

    def __str__(self) -> str:
        return f"{self.action} {self.volume.normalize():f} {self.symbol} ({self.key})"

    def state_at(self, at: datetime) -> str:
        """Return the state as it is at a time: what waits beyond its time has expired, written down or not."""
        late = self.state == self.State.WAITING and self.follow_until <= at
        return self.State.EXPIRED if late else self.state
