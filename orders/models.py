"""Intents (what we decided), orders (what exists at the broker), deals (facts) and marks (floating values)."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from accounts.models import TradingAccount
from strategies.models import Bot


class IntentState(models.TextChoices):
    PLANNED = "planned", "Planned"
    CLAIMED = "claimed", "Claimed"
    SENT = "sent", "Sent"
    ACCEPTED = "accepted", "Accepted"
    PARTIAL = "partial", "Partly filled"
    FILLED = "filled", "Filled"
    REFUSED = "refused", "Refused"
    UNKNOWN = "unknown", "Unknown"
    ADOPTED = "adopted", "Adopted"
    ABSENT = "absent", "Absent"
    SETTLED = "settled", "Settled by a person"


IN_FLIGHT = (IntentState.PLANNED, IntentState.CLAIMED, IntentState.SENT, IntentState.UNKNOWN)
WAS_SENT = tuple(s for s in IntentState if s not in (IntentState.PLANNED, IntentState.CLAIMED, IntentState.REFUSED))


class IntentKind(models.TextChoices):
    OPEN = "open", "Open"
    CLOSE = "close", "Close"
    PLACE = "place", "Place"
    CANCEL = "cancel", "Cancel"
    STOPS = "stops", "Change stops"


class OrderStatus(models.TextChoices):
    PENDING = "pending", "Pending"
    OPEN = "open", "Open"
    CLOSED = "closed", "Closed"
    CANCELLED = "cancelled", "Cancelled"
    RELEASED = "released", "Released"


OFFSET_HELP = "The broker's clock ahead of UTC, which the time was converted by; empty: a time of our own clock."


class CloseReason(models.TextChoices):
    BOT = "bot", "By the bot"
    STOP_LOSS = "stop_loss", "Stop loss"
    TAKE_PROFIT = "take_profit", "Take profit"
    STOP_OUT = "stop_out", "Stop-out"
    MANUAL = "manual", "By hand"
    OTHER = "other", "Other"


class OrderIntent(models.Model):
    """One decision to send one request.

    `token` is its identity in the broker's comment, `fence` the lease token it was claimed with. `order` is what the
    request is about; of an entry, the order whose position its lots were added to.
    """

    account = models.ForeignKey(TradingAccount, on_delete=models.PROTECT, related_name="intents", db_index=False)
    bot = models.ForeignKey(Bot, on_delete=models.PROTECT, related_name="intents", null=True, blank=True)
    cycle = models.ForeignKey(
        "cycles.Cycle", on_delete=models.PROTECT, related_name="intents", null=True, blank=True, db_index=False
    )
    order = models.ForeignKey(
        "orders.Order", on_delete=models.PROTECT, related_name="closing_intents", null=True, blank=True
    )
    kind = models.CharField(max_length=6, choices=IntentKind.choices)
    cause_key = models.CharField(max_length=120)
    generation = models.PositiveIntegerField(default=0)
    supersedes = models.OneToOneField(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="superseded_by"
    )
    token = models.CharField(max_length=16, unique=True)
    state = models.CharField(max_length=8, choices=IntentState.choices, default=IntentState.PLANNED)
    symbol = models.CharField(max_length=29)
    side = models.CharField(max_length=4, choices=(("buy", "Buy"), ("sell", "Sell")))
    order_kind = models.CharField(max_length=6, default="market")
    level = models.PositiveIntegerField(null=True, blank=True)
    volume = models.DecimalField(max_digits=14, decimal_places=4)
    price = models.DecimalField(max_digits=18, decimal_places=8, default=0)
    sl = models.DecimalField(max_digits=18, decimal_places=8, default=0)
    tp = models.DecimalField(max_digits=18, decimal_places=8, default=0)
    ticket = models.BigIntegerField(default=0, help_text="The position or order that the request is about.")
    magic = models.BigIntegerField()
    comment = models.CharField(max_length=29)
    why = models.CharField(max_length=200, help_text="The decision's reason, with what woke it.")
    trace = models.JSONField(default=dict, blank=True, help_text="Tick, watch and figures behind the decision.")
    correlation = models.CharField(
        max_length=16, blank=True, default="", db_default="", help_text="One for all that came of one decision."
    )
    fence = models.BigIntegerField(null=True, blank=True)
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True)
    deadline = models.DateTimeField(null=True, blank=True)
    done_at = models.DateTimeField(null=True, blank=True)
    reply_code = models.IntegerField(null=True, blank=True)
    reply_order = models.BigIntegerField(null=True, blank=True)
    reply_deal = models.BigIntegerField(null=True, blank=True)
    reply_text = models.CharField(max_length=200, blank=True)
    filled_volume = models.DecimalField(max_digits=14, decimal_places=4, default=0)

    class Meta:
        ordering = ("-created_at", "-id")
        indexes = (
            models.Index(fields=("account", "state"), name="intent_account_state"),
            models.Index(fields=("account", "-sent_at"), name="intent_account_sent"),
            models.Index(fields=("cycle", "level"), name="intent_cycle_level"),
            models.Index(fields=("account", "reply_order"), name="intent_reply_order"),
            models.Index(fields=("account", "correlation"), name="intent_correlation"),
        )
        constraints = (
            models.UniqueConstraint(fields=("account", "cause_key", "generation"), name="intent_cause_once"),
            models.CheckConstraint(condition=Q(state__in=IntentState.values), name="intent_state_known"),
            models.CheckConstraint(
                condition=Q(state="planned") | Q(fence__isnull=False) | Q(state="refused"),
                name="intent_claimed_has_fence",
            ),
            models.CheckConstraint(
                condition=Q(state__in=("planned", "claimed", "refused"))
                | Q(sent_at__isnull=False, deadline__isnull=False),
                name="intent_sent_has_time",
            ),
            models.CheckConstraint(
                condition=Q(state__in=("planned", "claimed", "sent", "unknown", "accepted", "partial"))
                | Q(done_at__isnull=False),
                name="intent_done_has_time",
            ),
            models.CheckConstraint(condition=Q(volume__gte=0), name="intent_volume_not_negative"),
            models.CheckConstraint(
                condition=Q(generation=0, supersedes__isnull=True) | Q(generation__gt=0, supersedes__isnull=False),
                name="intent_retry_names_the_old_one",
            ),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.side} {self.volume} {self.symbol} [{self.token}]"


class NotSent(models.Model):
    """Something that might have been sent and was not, and why; the same again within an hour is counted in one row."""

    account = models.ForeignKey(TradingAccount, on_delete=models.PROTECT, related_name="not_sent", db_index=False)
    bot = models.ForeignKey(Bot, on_delete=models.PROTECT, related_name="not_sent")
    symbol = models.CharField(max_length=29)
    side = models.CharField(max_length=4, choices=(("buy", "Buy"), ("sell", "Sell")), blank=True)
    code = models.CharField(max_length=40)
    detail = models.CharField(max_length=300)
    times = models.PositiveIntegerField(default=1)
    correlation = models.CharField(max_length=16, blank=True)
    trace = models.JSONField(default=dict, blank=True)
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()

    class Meta:
        ordering = ("-last_at", "-id")
        verbose_name = "order not sent"
        verbose_name_plural = "orders not sent"
        indexes = (
            models.Index(fields=("account", "bot", "symbol", "code"), name="not_sent_key"),
            models.Index(fields=("account", "correlation"), name="not_sent_correlation"),
        )
        constraints = (models.CheckConstraint(condition=Q(times__gte=1), name="not_sent_happened"),)

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"


class IntentHistory(models.Model):
    """One step of an intent's life; written in the transaction that takes it. A fact."""

    intent = models.ForeignKey(OrderIntent, on_delete=models.PROTECT, related_name="history")
    from_state = models.CharField(max_length=8, blank=True)
    to_state = models.CharField(max_length=8, choices=IntentState.choices)
    fence = models.BigIntegerField(null=True, blank=True)
    why = models.CharField(max_length=300, blank=True)
    at = models.DateTimeField()

    class Meta:
        ordering = ("id",)
        verbose_name_plural = "intent history"

    def __str__(self) -> str:
        return f"{self.from_state or 'new'} → {self.to_state}"


class Order(models.Model):
    """A position, or resting order, as the books know it.

    `identifier` is the broker's position id and never changes. Final figures are set when it
    closes; floating ones live in AccountMarks. A released one is the broker's again, and none of ours.
    """

    account = models.ForeignKey(TradingAccount, on_delete=models.PROTECT, related_name="orders", db_index=False)
    bot = models.ForeignKey(Bot, on_delete=models.PROTECT, related_name="orders", null=True, blank=True)
    cycle = models.ForeignKey(
        "cycles.Cycle", on_delete=models.PROTECT, related_name="orders", null=True, blank=True, db_index=False
    )
    intent = models.OneToOneField(
        OrderIntent, on_delete=models.PROTECT, related_name="opened_order", null=True, blank=True
    )
    ticket = models.BigIntegerField()
    identifier = models.BigIntegerField()
    symbol = models.CharField(max_length=29)
    side = models.CharField(max_length=4, choices=(("buy", "Buy"), ("sell", "Sell")))
    status = models.CharField(max_length=9, choices=OrderStatus.choices)
    level = models.PositiveIntegerField(default=0)
    magic = models.BigIntegerField(default=0)
    comment = models.CharField(max_length=64, blank=True)
    volume = models.DecimalField(max_digits=14, decimal_places=4, help_text="Open volume; 0 when closed.")
    volume_initial = models.DecimalField(max_digits=14, decimal_places=4)
    price_open = models.DecimalField(max_digits=18, decimal_places=8)
    price_close = models.DecimalField(max_digits=18, decimal_places=8, null=True, blank=True)
    sl = models.DecimalField(max_digits=18, decimal_places=8, default=0)
    tp = models.DecimalField(max_digits=18, decimal_places=8, default=0)
    profit = models.DecimalField(max_digits=18, decimal_places=2, default=0, help_text="Booked by deals so far.")
    swap = models.DecimalField(max_digits=18, decimal_places=2, default=0, help_text="Booked by deals so far.")
    commission = models.DecimalField(
        max_digits=18, decimal_places=2, default=0, help_text="Booked by deals so far, fees included."
    )
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)
    opened_offset_seconds = models.IntegerField(null=True, blank=True, help_text=OFFSET_HELP)
    closed_offset_seconds = models.IntegerField(null=True, blank=True, help_text=OFFSET_HELP)
    close_reason = models.CharField(max_length=12, choices=CloseReason.choices, blank=True)
    suspicious_since = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ("-opened_at", "-id")
        indexes = (
            models.Index(fields=("account", "status"), name="order_account_status"),
            models.Index(fields=("cycle", "level"), name="order_cycle_level"),
            models.Index(fields=("account", "-closed_at"), name="order_account_closed"),
        )
        constraints = (
            models.UniqueConstraint(fields=("account", "identifier"), name="order_identifier_once"),
            models.CheckConstraint(condition=Q(status__in=OrderStatus.values), name="order_status_known"),
            models.CheckConstraint(condition=Q(side__in=("buy", "sell")), name="order_side_known"),
            models.CheckConstraint(
                condition=Q(status__in=("closed", "cancelled", "released"), closed_at__isnull=False)
                | Q(status__in=("open", "pending"), closed_at__isnull=True),
                name="order_closed_has_time",
            ),
            models.CheckConstraint(
                condition=~Q(status="closed") | (Q(price_close__isnull=False, volume=0) & ~Q(close_reason="")),
                name="order_closed_has_price_and_reason",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=("open", "pending")) | Q(volume__gt=0), name="order_open_has_volume"
            ),
        )

    def __str__(self) -> str:
        return f"#{self.ticket} {self.side} {self.symbol}"


class Deal(models.Model):
    """A line of the broker's ledger, as it said it. A fact: the database refuses to change or delete it."""

    account = models.ForeignKey(TradingAccount, on_delete=models.PROTECT, related_name="deals", db_index=False)
    ticket = models.BigIntegerField()
    order_ticket = models.BigIntegerField(default=0)
    position_id = models.BigIntegerField(default=0)
    symbol = models.CharField(max_length=29, blank=True)
    kind = models.CharField(max_length=8)
    entry = models.CharField(max_length=6)
    reason = models.CharField(max_length=12)
    volume = models.DecimalField(max_digits=14, decimal_places=4)
    price = models.DecimalField(max_digits=18, decimal_places=8)
    profit = models.DecimalField(max_digits=18, decimal_places=2)
    swap = models.DecimalField(max_digits=18, decimal_places=2)
    commission = models.DecimalField(max_digits=18, decimal_places=2)
    fee = models.DecimalField(max_digits=18, decimal_places=2)
    magic = models.BigIntegerField(default=0)
    comment = models.CharField(max_length=64, blank=True)
    at = models.DateTimeField()
    server_offset_seconds = models.IntegerField(default=0)

    class Meta:
        ordering = ("-at", "-ticket")
        indexes = (
            models.Index(fields=("account", "position_id"), name="deal_account_position"),
            models.Index(fields=("account", "-at"), name="deal_account_at"),
        )
        constraints = (models.UniqueConstraint(fields=("account", "ticket"), name="deal_once"),)

    def __str__(self) -> str:
        return f"deal {self.ticket}"


class AccountMarks(models.Model):
    """Floating values of all open positions of an account, index by index; rewritten when one moved by a cent."""

    account = models.OneToOneField(TradingAccount, on_delete=models.CASCADE, primary_key=True, related_name="marks")
    seq = models.BigIntegerField(default=0)
    at = models.DateTimeField()
    identifiers = ArrayField(models.BigIntegerField(), default=list)
    profits = ArrayField(models.FloatField(), default=list)
    swaps = ArrayField(models.FloatField(), default=list)
    prices = ArrayField(models.FloatField(), default=list)
    balance = models.FloatField(default=0.0)
    equity = models.FloatField(default=0.0)
    margin = models.FloatField(default=0.0)
    margin_level = models.FloatField(default=0.0)

    class Meta:
        verbose_name_plural = "account marks"

    def __str__(self) -> str:
        return f"marks of {self.account_id}"

    def floating_of(self, identifier: int) -> float | None:
        """Return profit and swap of an open position, in account currency; None for what is not open."""
        if identifier not in self.identifiers:
            return None
        n = self.identifiers.index(identifier)
        return self.profits[n] + self.swaps[n]
