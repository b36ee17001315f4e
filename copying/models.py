"""Who copies whom by what rules, and what came of each of the provider's positions."""

from datetime import timedelta
from decimal import Decimal

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from accounts.models import NAME, TradingAccount
from accounts.validation import number
from copying.domain import Rules, Scaling
from cycles.models import Cycle
from orders.models import Order
from strategies.models import Bot

SCALINGS = (
    (Scaling.EQUITY.value, "By equity: lots × own equity ÷ provider's × factor"),
    (Scaling.FIXED.value, "Fixed: the factor in lots"),
    (Scaling.MULTIPLIER.value, "Multiplier: lots × factor"),
)


class Subscription(models.Model):
    """A bot that copies an account, or one bot of it. Only positions opened after `since` are copied."""

    name = models.CharField(max_length=60, validators=[NAME])
    provider = models.ForeignKey(TradingAccount, on_delete=models.PROTECT, related_name="copied_by")
    provider_bot = models.ForeignKey(
        Bot, on_delete=models.PROTECT, null=True, blank=True, related_name="copied_by",
        help_text="Only this bot's positions; empty: all of the account's.",
    )  # fmt: skip
    bot = models.ForeignKey(Bot, on_delete=models.PROTECT, related_name="subscriptions", help_text="Who copies.")
    scaling = models.CharField(max_length=10, choices=SCALINGS)
    factor = models.DecimalField(max_digits=12, decimal_places=4, validators=[MinValueValidator(Decimal("0.0001"))])
    symbol_map = models.JSONField(
        default=dict, blank=True, help_text="Provider's symbols that are called otherwise here."
    )
    reverse = models.BooleanField(default=False)
    volume_max = models.DecimalField(
        max_digits=14, decimal_places=4, validators=[MinValueValidator(Decimal("0.0001"))],
        help_text="Lots of a copy at most: larger ones are cut to it.",
    )  # fmt: skip
    positions_max = models.PositiveSmallIntegerField(
        default=10, validators=[MinValueValidator(1), MaxValueValidator(1000)], help_text="Open copies at most."
    )
    age_max_seconds = models.FloatField(
        default=10.0, validators=[number, MinValueValidator(0.5), MaxValueValidator(3600)],
        help_text="Positions that were opened longer ago are not copied.",
    )  # fmt: skip
    deviation_pips_max = models.FloatField(
        default=5.0, validators=[number, MinValueValidator(0), MaxValueValidator(100_000)],
        help_text="How far the price may be from the provider's.",
    )  # fmt: skip
    is_active = models.BooleanField(default=True)
    since = models.DateTimeField()
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )

    class Meta:
        ordering = ("bot", "name")
        constraints = (
            models.UniqueConstraint(fields=("bot", "name"), name="subscription_name_once"),
            models.CheckConstraint(condition=Q(factor__gt=0, volume_max__gt=0), name="subscription_lots_positive"),
            models.CheckConstraint(
                condition=Q(scaling__in=[s.value for s in Scaling]), name="subscription_scaling_known"
            ),
        )

    def __str__(self) -> str:
        return f"{self.name} → {self.bot}"

    @property
    def rules(self) -> Rules:
        """Return the terms as the rules know them."""
        return Rules(
            Scaling(self.scaling), float(self.factor), dict(self.symbol_map), self.reverse, float(self.volume_max),
            self.positions_max, timedelta(seconds=self.age_max_seconds), self.deviation_pips_max,
        )  # fmt: skip


class Copy(models.Model):
    """A position of the provider and what it became here. A subscription has one of each, so none is copied twice.

    `asked_sl` and `asked_tp` are the stops last asked for, `latency` is from the provider's opening to our decision.
    """

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting"
        OPEN = "open", "Open"
        CLOSING = "closing", "Closing"
        CLOSED = "closed", "Closed"
        SKIPPED = "skipped", "Skipped"

    subscription = models.ForeignKey(Subscription, on_delete=models.PROTECT, related_name="copies")
    source = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="copies", help_text="The provider's.")
    state = models.CharField(max_length=7, choices=State.choices, default=State.WAITING)
    reason = models.CharField(max_length=300, blank=True)
    cycle = models.OneToOneField(Cycle, on_delete=models.PROTECT, null=True, blank=True, related_name="copy")
    volume = models.DecimalField(max_digits=14, decimal_places=4, null=True, blank=True)
    asked_sl = models.FloatField(default=0.0)
    asked_tp = models.FloatField(default=0.0)
    seen_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-id",)
        verbose_name_plural = "copies"
        indexes = (
            models.Index(
                fields=("subscription",), condition=Q(state__in=("waiting", "open", "closing")), name="copy_not_over"
            ),
        )
        constraints = (
            models.UniqueConstraint(fields=("subscription", "source"), name="copy_once"),
            models.CheckConstraint(
                condition=Q(state__in=("waiting", "open", "closing", "closed", "skipped")), name="copy_state_known"
            ),
            models.CheckConstraint(
                condition=Q(state__in=("waiting", "skipped"), cycle__isnull=True)
                | Q(state__in=("open", "closing", "closed"), cycle__isnull=False),
                name="copy_has_cycle_when_taken",
            ),
        )

    def __str__(self) -> str:
        return f"copy {self.pk} of #{self.source.ticket}"

    @property
    def latency(self) -> timedelta | None:
        """Return how long after the provider's opening the copy was decided; None before."""
        return None if self.decided_at is None else self.decided_at - self.source.opened_at
