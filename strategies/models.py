"""Bots and their versioned configurations."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from accounts.models import NAME, DesiredState, TradingAccount
from accounts.validation import number

MAGIC_MAX = 2**53 - 1


class Bot(models.Model):
    """One strategy on one account, one instance per symbol. `magic` marks its orders at the broker."""

    account = models.ForeignKey(TradingAccount, on_delete=models.PROTECT, related_name="bots")
    name = models.CharField(max_length=60, validators=[NAME])
    strategy = models.CharField(max_length=60)
    symbols = ArrayField(models.CharField(max_length=29), size=20)
    magic = models.BigIntegerField(validators=[MinValueValidator(1), MaxValueValidator(MAGIC_MAX)])
    desired_state = models.CharField(max_length=8, choices=DesiredState.choices, default=DesiredState.STOPPED)
    interval_seconds = models.FloatField(
        default=1.0, validators=[number, MinValueValidator(0.1), MaxValueValidator(3600.0)]
    )
    config = models.ForeignKey(
        "strategies.BotConfig", on_delete=models.PROTECT, null=True, blank=True, related_name="+", editable=False
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("account", "name")
        constraints = (
            models.UniqueConstraint(fields=("account", "name"), name="bot_name_once"),
            models.UniqueConstraint(fields=("account", "magic"), name="bot_magic_once"),
            models.CheckConstraint(condition=Q(magic__gte=1, magic__lte=MAGIC_MAX), name="bot_magic_range"),
            models.CheckConstraint(
                condition=Q(interval_seconds__gte=0.1, interval_seconds__lte=3600.0), name="bot_interval_range"
            ),
            models.CheckConstraint(condition=Q(desired_state__in=DesiredState.values), name="bot_desired_state_known"),
            models.CheckConstraint(
                condition=~Q(desired_state="running") | Q(config__isnull=False), name="bot_running_has_config"
            ),
        )

    def __str__(self) -> str:
        return self.name


class BotConfig(models.Model):
    """One version of a bot's parameters; never changed, only followed by the next version."""

    bot = models.ForeignKey(Bot, on_delete=models.CASCADE, related_name="configs")
    version = models.PositiveIntegerField()
    strategy = models.CharField(max_length=60)
    strategy_version = models.PositiveIntegerField()
    values = models.JSONField()
    note = models.CharField(max_length=200, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("bot", "-version")
        constraints = (
            models.UniqueConstraint(fields=("bot", "version"), name="config_version_once"),
            models.CheckConstraint(condition=Q(version__gte=1), name="config_version_from_one"),
        )

    def __str__(self) -> str:
        return f"{self.bot} v{self.version}"
