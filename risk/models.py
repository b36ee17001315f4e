"""Blocks, guard settings, peaks, alarms and kill switches: who forbids what on which account, and why."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from accounts.models import TradingAccount
from strategies.models import Bot


class Block(models.Model):
    """While it stands, nothing that raises exposure is sent for its account, bot or symbol; closing stays possible."""

    account = models.ForeignKey(TradingAccount, on_delete=models.PROTECT, related_name="blocks")
    bot = models.ForeignKey(Bot, on_delete=models.PROTECT, null=True, blank=True, related_name="blocks")
    symbol = models.CharField(max_length=29, blank=True, help_text="Empty: every symbol.")
    cause = models.CharField(
        max_length=60, help_text="Who objects: startup, doctor, unknown_outcome, circuit, guard, person, …"
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
                fields=("account", "bot", "symbol", "cause"),
                condition=Q(lifted_at__isnull=True),
                nulls_distinct=False,
                name="block_once",
            ),
        )

    def __str__(self) -> str:
        return f"{self.cause}: {self.reason}"


class GuardConfig(models.Model):
    """One version of guard settings; never changed, only followed by the next. No account: the default for all."""

    account = models.ForeignKey(
        TradingAccount, on_delete=models.CASCADE, null=True, blank=True, related_name="guard_configs"
    )
    version = models.PositiveIntegerField()
    values = models.JSONField()
    note = models.CharField(max_length=200, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField()

    class Meta:
        ordering = ("account", "-version")
        verbose_name = "guard settings"
        verbose_name_plural = "guard settings"
        constraints = (
            models.UniqueConstraint(
                fields=("account", "version"), nulls_distinct=False, name="guard_config_version_once"
            ),
            models.CheckConstraint(condition=Q(version__gte=1), name="guard_config_version_from_one"),
        )

    def __str__(self) -> str:
        return f"{self.account or 'Default'} v{self.version}"


class EquityPeak(models.Model):
    """The clean peak of an account's equity without credit. Demo and real money have a row of their own.

    `flow_total` are the payments of the ledger that the peak knows, `ledger_gap` what of the balance the imported
    ledger never explained. It can be computed again from `start_value` at `start_at`, the snapshots and the deals.
    """

    account = models.ForeignKey(TradingAccount, on_delete=models.CASCADE, related_name="peaks")
    demo = models.BooleanField()
    value = models.FloatField()
    at = models.DateTimeField()
    above = ArrayField(models.FloatField(), default=list, blank=True)
    flow_total = models.FloatField(default=0.0)
    ledger_gap = models.FloatField(default=0.0)
    start_value = models.FloatField()
    start_at = models.DateTimeField()
    start_flow_total = models.FloatField(default=0.0)

    class Meta:
        ordering = ("account", "demo")
        constraints = (models.UniqueConstraint(fields=("account", "demo"), name="peak_once"),)

    def __str__(self) -> str:
        return f"{self.account}: {self.value:.2f}"


class DayStart(models.Model):
    """What an account had at the broker's midnight: equity without credit, balance, and the payments until then.

    Without figures the session takes the next ones: a person re-armed the guard.
    """

    account = models.ForeignKey(TradingAccount, on_delete=models.CASCADE, related_name="days")
    day = models.DateField()
    equity = models.FloatField(null=True, blank=True)
    balance = models.FloatField(null=True, blank=True)
    flow_total = models.FloatField()
    at = models.DateTimeField()

    class Meta:
        ordering = ("account", "-day")
        constraints = (models.UniqueConstraint(fields=("account", "day"), name="day_once"),)

    def __str__(self) -> str:
        return f"{self.account} on {self.day}"


class GuardAlarm(models.Model):
    """An alarm of a guard about one thing, from the first warning to its end; a fired one ends by a person."""

    class Tier(models.IntegerChoices):
        WARN = 1, "Warning"
        REDUCE = 2, "Exits only"
        CLOSE = 3, "Close"

    class Phase(models.TextChoices):
        STANDING = "standing", "Standing"
        COUNTDOWN = "countdown", "Counting down"
        VETOED = "vetoed", "Vetoed"
        CLOSING = "closing", "Closing"
        CLOSED = "closed", "Closed, to be re-armed"
        ENDED = "ended", "Ended"

    account = models.ForeignKey(TradingAccount, on_delete=models.PROTECT, related_name="alarms")
    guard = models.CharField(max_length=20)
    level = models.CharField(max_length=10)
    subject = models.CharField(max_length=40, blank=True, help_text="Symbol, currency, or the row's key.")
    bot = models.ForeignKey(Bot, on_delete=models.PROTECT, null=True, blank=True, related_name="alarms")
    tier = models.PositiveSmallIntegerField(choices=Tier.choices)
    phase = models.CharField(max_length=9, choices=Phase.choices)
    figure = models.FloatField()
    limit = models.FloatField()
    text = models.CharField(max_length=300)
    since = models.DateTimeField()
    deadline = models.DateTimeField(null=True, blank=True, help_text="When the countdown ends.")
    calm_since = models.DateTimeField(null=True, blank=True, editable=False)
    left = models.PositiveIntegerField(default=0, help_text="Positions and resting orders that are still open.")
    trouble = models.CharField(max_length=300, blank=True, help_text="Why the last close failed.")
    vetoed_figure = models.FloatField(null=True, blank=True, editable=False)
    vetoed_at = models.DateTimeField(null=True, blank=True)
    vetoed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    veto_reason = models.CharField(max_length=300, blank=True)
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    end_reason = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ("-since", "-id")
        indexes = (models.Index(fields=("account", "-since"), name="alarm_account_since"),)
        constraints = (
            models.UniqueConstraint(
                fields=("account", "guard", "level", "subject"),
                condition=Q(ended_at__isnull=True),
                name="alarm_once",
            ),
            models.CheckConstraint(
                condition=Q(phase="ended", ended_at__isnull=False) | (~Q(phase="ended") & Q(ended_at__isnull=True)),
                name="alarm_ended_has_time",
            ),
            models.CheckConstraint(
                condition=~Q(phase="countdown") | Q(deadline__isnull=False), name="alarm_countdown_has_deadline"
            ),
            models.CheckConstraint(
                condition=~Q(phase="vetoed") | (Q(vetoed_at__isnull=False) & ~Q(veto_reason="")),
                name="alarm_veto_has_reason",
            ),
        )

    def __str__(self) -> str:
        return f"{self.guard} on {self.account}: {self.text}"


class KillSwitch(models.Model):
    """A person's order to stop: a bot, an account, or (without either) everything, until a person releases it."""

    class Mode(models.TextChoices):
        NO_ENTRIES = "no_entries", "No new cycles"
        EXITS_ONLY = "exits_only", "Exits only"
        FLATTEN = "flatten", "Flatten: close everything"

    account = models.ForeignKey(
        TradingAccount, on_delete=models.PROTECT, null=True, blank=True, related_name="kill_switches"
    )
    bot = models.ForeignKey(Bot, on_delete=models.PROTECT, null=True, blank=True, related_name="kill_switches")
    mode = models.CharField(max_length=10, choices=Mode.choices)
    reason = models.CharField(max_length=300)
    at = models.DateTimeField()
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    released_at = models.DateTimeField(null=True, blank=True)
    released_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    release_reason = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ("-at", "-id")
        verbose_name_plural = "kill switches"
        constraints = (
            models.UniqueConstraint(
                fields=("account", "bot"),
                condition=Q(released_at__isnull=True),
                nulls_distinct=False,
                name="kill_once",
            ),
            models.CheckConstraint(
                condition=Q(bot__isnull=True) | Q(account__isnull=False), name="kill_bot_has_account"
            ),
        )

    def __str__(self) -> str:
        return f"{self.bot or self.account or 'Everything'}: {self.mode}"


class NewsEvent(models.Model):
    """An event of a news calendar; guards hold entries back around it."""

    at = models.DateTimeField()
    currency = models.CharField(max_length=3, blank=True, help_text="Empty: every currency.")
    impact = models.CharField(max_length=6, choices=(("low", "Low"), ("medium", "Medium"), ("high", "High")))
    title = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ("at",)
        constraints = (models.UniqueConstraint(fields=("at", "currency", "title"), name="news_once"),)

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} {self.currency} {self.title}"


class RiskProjection(models.Model):
    """How far an account is from its stop-out, now and at the last level of its cycles; rewritten by its session."""

    account = models.OneToOneField(
        TradingAccount, on_delete=models.CASCADE, primary_key=True, related_name="projection"
    )
    at = models.DateTimeField()
    data = models.JSONField(default=dict)

    class Meta:
        ordering = ("account",)

    def __str__(self) -> str:
        return f"projection of {self.account_id}"


class LiveRequest(models.Model):
    """A person's request that a real account may trade, and a second person's answer."""

    account = models.ForeignKey(TradingAccount, on_delete=models.PROTECT, related_name="live_requests")
    paper = models.ForeignKey(
        TradingAccount,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="paper_of",
        verbose_name="paper run",
    )
    reason = models.CharField(max_length=300)
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    asked_at = models.DateTimeField()
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    approved_at = models.DateTimeField(null=True, blank=True)
    approve_reason = models.CharField(max_length=300, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    end_reason = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ("-asked_at", "-id")
        constraints = (
            models.UniqueConstraint(fields=("account",), condition=Q(ended_at__isnull=True), name="live_request_once"),
            models.CheckConstraint(
                condition=Q(approved_at__isnull=True) | Q(approved_by__isnull=False), name="live_approved_by_somebody"
            ),
        )

    def __str__(self) -> str:
        return f"{self.account} going live"
