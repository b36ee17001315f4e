"""Bots, their versioned configurations, and what pseudo positions are made of."""

from collections.abc import Callable
from functools import partial

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from accounts.models import NAME, DesiredState, RestartPolicy, TradingAccount
from accounts.validation import number

MAGIC_MAX = 2**53 - 1
# Of a configuration that a person may name
VERSION_MAX = 1_000_000


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
    restart_policy = models.CharField(
        max_length=16,
        choices=RestartPolicy.choices,
        blank=True,
        default="",
        db_default="",
        help_text="What a start with open business of this bot does. Empty: what the account says.",
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
                condition=Q(restart_policy="") | Q(restart_policy__in=RestartPolicy.values),
                name="bot_restart_policy_known",
            ),
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


HISTORY_DAYS_DEFAULT, HISTORY_DAYS_MAX = 5, 12
STEPS_MAX = 8


def exits(*values: float) -> Callable[[], list[float]]:
    """Return a maker of a list, as a field's default has to be."""
    return partial(list, values)


class SignalSettings(models.Model):
    """What an account's indications and pseudo positions are made of; an account without a row uses the defaults."""

    account = models.OneToOneField(
        TradingAccount, on_delete=models.CASCADE, primary_key=True, related_name="signal_settings"
    )
    history_days = models.PositiveSmallIntegerField(
        default=HISTORY_DAYS_DEFAULT,
        validators=[MinValueValidator(1), MaxValueValidator(HISTORY_DAYS_MAX)],
        help_text="Days of candles that are computed at start, 1 to 12.",
    )
    candle_seconds = models.PositiveSmallIntegerField(
        default=1, choices=((1, "1 second"), (5, "5 seconds"), (15, "15 seconds"), (60, "1 minute"))
    )
    min_move = models.FloatField(
        default=0.5, validators=[number, MinValueValidator(0.01), MaxValueValidator(100)],
        help_text="Direction and Move: smallest move, in ATR of 14 M1 candles.",
    )  # fmt: skip
    pullback = models.FloatField(
        default=0.35, validators=[number, MinValueValidator(0), MaxValueValidator(1)],
        help_text="Move: largest counter-move, as a share of the move.",
    )  # fmt: skip
    active_threshold_percent = models.FloatField(
        default=0.05, validators=[number, MinValueValidator(0.0001), MaxValueValidator(50)],
        help_text="Active: smallest change over the window, in percent.",
    )  # fmt: skip
    active_window_seconds = models.PositiveSmallIntegerField(
        default=60, validators=[MinValueValidator(5), MaxValueValidator(600)], help_text="Active: the window."
    )
    validation_seconds = models.FloatField(
        default=15.0, validators=[number, MinValueValidator(0), MaxValueValidator(3600)],
        help_text="Validation cooldown: how long a signal must last before a pseudo position follows it.",
    )  # fmt: skip
    cooldown_seconds = models.FloatField(
        default=20.0, validators=[number, MinValueValidator(0), MaxValueValidator(86_400)],
        help_text="Position cooldown: how long a set waits after a close.",
    )  # fmt: skip
    take_profits = ArrayField(
        models.FloatField(validators=[number, MinValueValidator(0.1), MaxValueValidator(100)]), size=STEPS_MAX,
        default=exits(1.0, 2.0, 3.0), help_text="Take profits of the grid, in ATR at entry.",
    )  # fmt: skip
    stop_losses = ArrayField(
        models.FloatField(validators=[number, MinValueValidator(0.1), MaxValueValidator(100)]), size=STEPS_MAX,
        default=exits(1.0, 1.5, 2.0), help_text="Stop losses of the grid, in ATR at entry.",
    )  # fmt: skip
    min_profit_factor = models.FloatField(
        default=1.2, validators=[number, MinValueValidator(0), MaxValueValidator(100)],
        help_text="A set is traded from this profit factor on, over its last 50 pseudo positions.",
    )  # fmt: skip
    min_trades = models.PositiveSmallIntegerField(
        default=20, validators=[MinValueValidator(1), MaxValueValidator(50)],
        help_text="A set is traded from this many pseudo positions on.",
    )  # fmt: skip
    commission_pips = models.FloatField(
        default=0.0, validators=[number, MinValueValidator(0), MaxValueValidator(1000)],
        help_text="Commission in and out of a pseudo position, in pips.",
    )  # fmt: skip

    class Meta:
        verbose_name_plural = "signal settings"
        constraints = (
            models.CheckConstraint(
                condition=Q(history_days__gte=1, history_days__lte=HISTORY_DAYS_MAX), name="signal_history_range"
            ),
            models.CheckConstraint(condition=Q(candle_seconds__in=(1, 5, 15, 60)), name="signal_candle_known"),
            models.CheckConstraint(condition=Q(min_trades__gte=1, min_trades__lte=50), name="signal_trades_range"),
        )

    def __str__(self) -> str:
        return f"signals of {self.account}"

    def clean(self) -> None:
        """Refuse a grid that names an exit twice: a set would be two."""
        for name in ("take_profits", "stop_losses"):
            values = getattr(self, name)
            if not values or len(set(values)) != len(values):
                raise ValidationError({name: "Name at least one distance, and each only once."})


class PseudoBook(models.Model):
    """The pseudo positions of all sets of one symbol, as arrays: rewritten once a minute, never a row per update.

    `fingerprint` names the grid they belong to; `at` is the opening time of the last candle that they have seen.
    """

    account = models.ForeignKey(TradingAccount, on_delete=models.CASCADE, related_name="pseudo_books")
    symbol = models.CharField(max_length=29)
    fingerprint = models.CharField(max_length=16)
    at = models.DateTimeField()
    indicator = models.BinaryField()
    sets = models.BinaryField()
    results = models.BinaryField()
    valid = ArrayField(models.SmallIntegerField(), size=4)
    signals = models.JSONField(default=dict)
    atr = models.FloatField(null=True, blank=True)
    updated_at = models.DateTimeField()

    class Meta:
        ordering = ("account", "symbol")
        constraints = (models.UniqueConstraint(fields=("account", "symbol"), name="pseudo_book_once"),)

    def __str__(self) -> str:
        return f"{self.symbol} of {self.account}"
