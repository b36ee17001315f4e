"""The ledger of divergences, what people did with them, claims of foreign positions, and the rules of both."""

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from accounts.models import TradingAccount
from cycles.models import Cycle
from orders.models import Order, OrderIntent
from reconciliation import domain

PIPS_MAX, MONEY_MAX = 100_000.0, 1e9


class KindChoice(models.TextChoices):
    ENTRY = domain.Kind.ENTRY, "Entry slippage"
    VOLUME = domain.Kind.VOLUME, "Volume"
    STOP_LOSS = domain.Kind.STOP_LOSS, "Stop loss"
    TAKE_PROFIT = domain.Kind.TAKE_PROFIT, "Take profit"
    FOREIGN_CHANGE = domain.Kind.FOREIGN_CHANGE, "Foreign change"
    CLOSED_BY_BROKER = domain.Kind.CLOSED_BY_BROKER, "Closed by broker"
    UNMATCHED = domain.Kind.UNMATCHED, "Manual or foreign"
    MISSING_IN_BOOKS = domain.Kind.MISSING_IN_BOOKS, "Missing in books"
    MISSING_AT_BROKER = domain.Kind.MISSING_AT_BROKER, "Missing at broker"
    PROFIT = domain.Kind.PROFIT, "Booked profit"
    BALANCE = domain.Kind.BALANCE, "Balance"
    UNKNOWN_OUTCOME = domain.Kind.UNKNOWN_OUTCOME, "Unknown outcome"
    LATE_EXECUTION = domain.Kind.LATE_EXECUTION, "Late execution"


class SeverityChoice(models.IntegerChoices):
    INFO = domain.Severity.INFO, "Info"
    WARNING = domain.Severity.WARNING, "Warning"
    CRITICAL = domain.Severity.CRITICAL, "Critical"


class PolicyChoice(models.TextChoices):
    ADOPT = domain.Policy.ADOPT, "Adopt into a cycle"
    MIRROR = domain.Policy.MIRROR, "Let the books follow"
    ALERT = domain.Policy.ALERT, "Tell people"
    IGNORE = domain.Policy.IGNORE, "Ignore"


class State(models.TextChoices):
    OPEN = "open", "Open"
    IGNORED = "ignored", "Ignored for now"
    CLOSED = "closed", "Closed"


class Ending(models.TextChoices):
    GONE = "gone", "Over by itself"
    MIRRORED = "mirrored", "The books followed"
    ADOPTED = "adopted", "Adopted by policy"
    ACCEPTED = "accepted", "Accepted the broker's"
    ENFORCED = "enforced", "Ours was applied"
    CLAIMED = "claimed", "Adopted into a cycle"
    MANUAL = "manual", "Marked as manual"


# Endings after which the same mark is not told again
SETTLED = (Ending.MIRRORED, Ending.ADOPTED, Ending.ACCEPTED, Ending.MANUAL)


class BookSnapshot(models.Model):
    """Books and broker side by side at the moment when a divergence was first seen. A fact: the database keeps it."""

    account = models.ForeignKey(TradingAccount, on_delete=models.PROTECT, related_name="book_snapshots")
    at = models.DateTimeField()
    balance = models.DecimalField(max_digits=18, decimal_places=2)
    equity = models.DecimalField(max_digits=18, decimal_places=2)
    unrealized_pnl = models.DecimalField(max_digits=18, decimal_places=2)
    total_open_volume = models.DecimalField(max_digits=14, decimal_places=4)
    broker = models.JSONField(help_text="Positions as the broker showed them.")
    books = models.JSONField(help_text="Open orders as our decisions wanted them.")

    class Meta:
        ordering = ("-at", "-id")
        indexes = (models.Index(fields=("account", "-at"), name="booksnapshot_account_at"),)

    def __str__(self) -> str:
        return f"{self.account} at {self.at:%Y-%m-%d %H:%M:%S}"


class Divergence(models.Model):
    """One difference between books and broker, from first sight to its end.

    `key` names the difference in its account: at most one row of a key is open. `mark` is what would be accepted;
    the same mark is not opened again after it was settled. `measured` and `threshold` are in the unit of the rule.
    """

    account = models.ForeignKey(TradingAccount, on_delete=models.PROTECT, related_name="divergences", db_index=False)
    kind = models.CharField(max_length=16, choices=KindChoice.choices)
    key = models.CharField(max_length=40)
    mark = models.CharField(max_length=80)
    severity = models.PositiveSmallIntegerField(choices=SeverityChoice.choices)
    state = models.CharField(max_length=7, choices=State.choices, default=State.OPEN)
    identifier = models.BigIntegerField(default=0)
    ticket = models.BigIntegerField(default=0)
    symbol = models.CharField(max_length=29, blank=True)
    order = models.ForeignKey(Order, on_delete=models.PROTECT, null=True, blank=True, related_name="divergences")
    intent = models.ForeignKey(OrderIntent, on_delete=models.PROTECT, null=True, blank=True, related_name="divergences")
    rule = models.CharField(max_length=200)
    measured = models.FloatField(default=0.0)
    threshold = models.FloatField(default=0.0)
    ours = models.JSONField(default=dict, blank=True)
    theirs = models.JSONField(default=dict, blank=True)
    suggestion = models.JSONField(default=dict, blank=True)
    snapshot = models.ForeignKey(BookSnapshot, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    policy = models.CharField(max_length=6, choices=PolicyChoice.choices)
    automatic = models.CharField(max_length=200, help_text="What was done without asking, or why nothing was.")
    opened_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    ignored_until = models.DateTimeField(null=True, blank=True)
    assignee = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    asked_at = models.DateTimeField(null=True, blank=True, help_text="When the engine was asked to apply ours.")
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_how = models.CharField(max_length=8, choices=Ending.choices, blank=True)
    closed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    closed_why = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ("-severity", "opened_at", "id")
        indexes = (
            models.Index(fields=("state", "-severity", "opened_at", "id"), name="divergence_queue"),
            models.Index(fields=("account", "state", "-severity", "opened_at"), name="divergence_account_queue"),
            models.Index(fields=("account", "key", "-id"), name="divergence_key"),
            models.Index(fields=("-opened_at",), name="divergence_opened"),
            models.Index(fields=("account", "identifier"), name="divergence_identifier"),
        )
        constraints = (
            models.UniqueConstraint(
                fields=("account", "key"), condition=~Q(state="closed"), name="divergence_open_once"
            ),
            models.CheckConstraint(condition=Q(state__in=State.values), name="divergence_state_known"),
            models.CheckConstraint(condition=Q(kind__in=KindChoice.values), name="divergence_kind_known"),
            models.CheckConstraint(
                condition=(Q(state="closed", closed_at__isnull=False) & ~Q(closed_how=""))
                | (~Q(state="closed") & Q(closed_at__isnull=True, closed_how="")),
                name="divergence_closed_says_how",
            ),
            models.CheckConstraint(
                condition=~Q(state="ignored") | Q(ignored_until__isnull=False), name="divergence_ignored_has_end"
            ),
        )

    def __str__(self) -> str:
        return f"{self.get_kind_display()} #{self.ticket or self.identifier or self.pk}"

    @property
    def matched(self) -> int:
        """S3's code: 0 closed by broker, 1 divergence, 2 unmatched."""
        return domain.Kind(self.kind).s3_code


class ManualPosition(Divergence):
    """A foreign position that is at a broker now, for a page of its own (`selectors.manual_positions`)."""

    class Meta:
        proxy = True
        verbose_name = "manual position"


class DivergenceStep(models.Model):
    """What somebody did with a divergence, and why. A fact: the audit trail of the desk."""

    divergence = models.ForeignKey(Divergence, on_delete=models.PROTECT, related_name="steps")
    at = models.DateTimeField()
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    action = models.CharField(max_length=20)
    text = models.CharField(max_length=400)

    class Meta:
        ordering = ("id",)

    def __str__(self) -> str:
        return f"{self.action}: {self.text}"


class Claim(models.Model):
    """A foreign position that was taken into a bot's cycle, until it is released again or closed."""

    account = models.ForeignKey(TradingAccount, on_delete=models.PROTECT, related_name="claims")
    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="claims")
    cycle = models.ForeignKey(Cycle, on_delete=models.PROTECT, related_name="claims")
    divergence = models.ForeignKey(Divergence, on_delete=models.PROTECT, null=True, blank=True, related_name="claims")
    at = models.DateTimeField()
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    why = models.CharField(max_length=300)
    released_at = models.DateTimeField(null=True, blank=True)
    released_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    released_why = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ("-at", "-id")
        constraints = (
            models.UniqueConstraint(fields=("order",), condition=Q(released_at__isnull=True), name="claim_once"),
        )

    def __str__(self) -> str:
        return f"{self.order} in {self.cycle}"


class PolicyRule(models.Model):
    """What is done about a kind of divergence without asking; a rule of an account comes before one for all."""

    account = models.ForeignKey(
        TradingAccount, on_delete=models.CASCADE, null=True, blank=True, related_name="+", help_text="Empty: all."
    )
    kind = models.CharField(max_length=16, choices=KindChoice.choices)
    policy = models.CharField(max_length=6, choices=PolicyChoice.choices)
    dry_run = models.BooleanField(default=False, help_text="Only say what would be done, and leave it to a person.")

    class Meta:
        ordering = ("kind", "account")
        constraints = (
            models.UniqueConstraint(fields=("account", "kind"), nulls_distinct=False, name="policy_once"),
            models.CheckConstraint(condition=Q(policy__in=PolicyChoice.values), name="policy_known"),
        )

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.get_policy_display()}"


def _up_to(most: float) -> list[MinValueValidator | MaxValueValidator]:
    return [MinValueValidator(0.0), MaxValueValidator(most)]


class ThresholdRule(models.Model):
    """Where a difference begins to matter, for an account and a symbol; the most particular rule counts."""

    account = models.ForeignKey(
        TradingAccount, on_delete=models.CASCADE, null=True, blank=True, related_name="+", help_text="Empty: all."
    )
    symbol = models.CharField(max_length=29, blank=True, help_text="Empty: all symbols.")
    entry_pips = models.FloatField(default=5.0, validators=_up_to(PIPS_MAX))
    volume_share = models.FloatField(default=0.10, validators=_up_to(1.0), help_text="0.1 is 10 %.")
    stops_pips = models.FloatField(default=10.0, validators=_up_to(PIPS_MAX))
    money = models.FloatField(default=0.01, validators=_up_to(MONEY_MAX), help_text="Account currency.")
    match_volume_share = models.FloatField(default=0.05, validators=_up_to(1.0), help_text="Only for suggestions.")
    match_pips = models.FloatField(default=2.0, validators=_up_to(PIPS_MAX), help_text="Only for suggestions.")

    class Meta:
        ordering = ("account", "symbol")
        constraints = (
            models.UniqueConstraint(fields=("account", "symbol"), nulls_distinct=False, name="threshold_once"),
        )

    def __str__(self) -> str:
        return f"{self.account or 'All accounts'} {self.symbol or 'all symbols'}"


class AccountCheck(models.Model):
    """When an account was last compared with its broker, and what the passes counted; kept by who runs them.

    `balance_offset` is by how much the balance differs from all known deals, as first seen or last accepted: brokers
    may keep old history back.
    """

    account = models.OneToOneField(
        TradingAccount, on_delete=models.CASCADE, primary_key=True, related_name="reconciliation_check"
    )
    checked_at = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=300, blank=True)
    statistics = models.JSONField(default=dict, blank=True)
    balance_offset = models.DecimalField(max_digits=18, decimal_places=2, null=True, blank=True)

    def __str__(self) -> str:
        return f"check of {self.account_id}"


class SavedFilter(models.Model):
    """A filter of the desk that a person kept under a name; `query` is the list's query string."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="divergence_filters")
    name = models.CharField(max_length=40)
    query = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ("name",)
        constraints = (models.UniqueConstraint(fields=("user", "name"), name="saved_filter_once"),)

    def __str__(self) -> str:
        return self.name
