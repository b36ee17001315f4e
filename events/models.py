"""The journal of what happened, and the inbox of what people and programs ask for."""

from django.conf import settings
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import Q


class Level(models.TextChoices):
    DEBUG = "debug", "Debug"
    INFO = "info", "Info"
    WARNING = "warning", "Warning"
    ERROR = "error", "Error"


class Event(models.Model):
    """Something that happened. A fact: the database refuses to change it."""

    at = models.DateTimeField()
    kind = models.CharField(max_length=40)
    level = models.CharField(max_length=7, choices=Level.choices, default=Level.INFO)
    account = models.ForeignKey(
        "accounts.TradingAccount", on_delete=models.PROTECT, null=True, blank=True, related_name="events",
        db_index=False,
    )  # fmt: skip
    bot = models.ForeignKey("strategies.Bot", on_delete=models.PROTECT, null=True, blank=True, related_name="events")
    cycle = models.ForeignKey("cycles.Cycle", on_delete=models.PROTECT, null=True, blank=True, related_name="events")
    order = models.ForeignKey("orders.Order", on_delete=models.PROTECT, null=True, blank=True, related_name="events")
    text = models.CharField(max_length=500)
    data = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ("-id",)
        indexes = (
            models.Index(fields=("account", "-id"), name="event_account_id"),
            models.Index(fields=("kind", "-id"), name="event_kind_id"),
            BrinIndex(fields=("at",), name="event_at_brin"),
        )

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"


class Command(models.Model):
    """A request to the engine. `kind` is one of the names that engine/commands.py knows."""

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"

    account = models.ForeignKey("accounts.TradingAccount", on_delete=models.PROTECT, related_name="commands")
    kind = models.CharField(max_length=40)
    args = models.JSONField(default=dict, blank=True)
    state = models.CharField(max_length=7, choices=State.choices, default=State.WAITING)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    requested_at = models.DateTimeField()
    done_at = models.DateTimeField(null=True, blank=True)
    result = models.TextField(blank=True, help_text="The answer, for some commands JSON; an error is cut short.")

    class Meta:
        ordering = ("-id",)
        indexes = (models.Index(fields=("account", "id"), condition=Q(state="waiting"), name="command_waiting"),)
        constraints = (
            models.CheckConstraint(
                condition=Q(state="waiting", done_at__isnull=True) | (~Q(state="waiting") & Q(done_at__isnull=False)),
                name="command_done_has_time",
            ),
        )

    def __str__(self) -> str:
        return f"{self.kind} for {self.account}"


class AuditEntry(models.Model):
    """A change that somebody made, chained to the one before it. A fact: the database refuses to change it.

    Each account has a chain of its own; what belongs to no account is in the chain of none. People are kept as
    number and name, so that an entry outlives its user. `changes` is canonical JSON, the text that was hashed.
    """

    account = models.ForeignKey(
        "accounts.TradingAccount", on_delete=models.PROTECT, null=True, blank=True, related_name="audit_entries",
        db_index=False,
    )  # fmt: skip
    sequence = models.PositiveBigIntegerField()
    at = models.DateTimeField()
    actor_id = models.BigIntegerField(null=True, blank=True)
    actor_name = models.CharField(max_length=150)
    via = models.CharField(max_length=20)
    action = models.CharField(max_length=40)
    subject = models.CharField(max_length=100, blank=True)
    text = models.CharField(max_length=500)
    changes = models.TextField(default="{}")
    reason = models.CharField(max_length=500, blank=True)
    request_id = models.CharField(max_length=40, blank=True)
    previous_hash = models.CharField(max_length=64, blank=True)
    hash = models.CharField(max_length=64)

    class Meta:
        ordering = ("-id",)
        verbose_name_plural = "audit entries"
        indexes = (models.Index(fields=("account", "-id"), name="audit_account_id"),)
        constraints = (
            models.UniqueConstraint(fields=("account", "sequence"), name="audit_sequence_once", nulls_distinct=False),
            models.UniqueConstraint(
                fields=("account", "previous_hash"), name="audit_never_forks", nulls_distinct=False
            ),
            models.CheckConstraint(condition=Q(sequence__gte=1), name="audit_sequence_from_one"),
        )

    def __str__(self) -> str:
        return f"{self.action} #{self.sequence}: {self.text}"
