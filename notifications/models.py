"""Where people want to hear of things, and what was sent to them."""

from datetime import timedelta

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import Q

from accounts.models import NAME, TradingAccount
from events.models import Event, Level
from notifications.domain import Wish


class TargetKind(models.TextChoices):
    APPRISE = "apprise", "Message (apprise)"
    WEBHOOK = "webhook", "Signed webhook"


class Target(models.Model):
    """A place that one person's news go to. Its address holds credentials, so it is encrypted like a password."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notification_targets")
    name = models.CharField(max_length=60, validators=[NAME])
    kind = models.CharField(max_length=7, choices=TargetKind.choices)
    url_encrypted = models.TextField(editable=False)
    secret_encrypted = models.TextField(editable=False, blank=True)
    account = models.ForeignKey(TradingAccount, on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    kinds = ArrayField(models.CharField(max_length=40), default=list, blank=True, size=40)
    level_min = models.CharField(max_length=7, choices=Level.choices, default=Level.WARNING)
    quiet_from = models.TimeField(null=True, blank=True, help_text="UTC.")
    quiet_until = models.TimeField(null=True, blank=True, help_text="UTC.")
    digest_minutes = models.PositiveSmallIntegerField(default=0, validators=[MaxValueValidator(1440)])
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ("user", "name")
        constraints = (
            models.UniqueConstraint(fields=("user", "name"), name="target_name_once"),
            models.CheckConstraint(
                condition=Q(quiet_from__isnull=True, quiet_until__isnull=True)
                | Q(quiet_from__isnull=False, quiet_until__isnull=False),
                name="target_quiet_hours_whole",
            ),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def wish(self) -> Wish:
        """Return what the target wants, as the rules know it."""
        digest = timedelta(minutes=self.digest_minutes)
        return Wish(tuple(self.kinds), self.level_min, self.account_id, self.quiet_from, self.quiet_until, digest)


class Delivery(models.Model):
    """One event on its way to one target."""

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting"
        SENDING = "sending", "Being sent"
        SENT = "sent", "Sent"
        GIVEN_UP = "given_up", "Given up"
        REPEATED = "repeated", "Not sent: the same was sent before"

    target = models.ForeignKey(Target, on_delete=models.CASCADE, related_name="deliveries")
    event = models.ForeignKey(Event, on_delete=models.PROTECT, related_name="+")
    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING)
    is_urgent = models.BooleanField(default=False)
    tries = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField()
    done_at = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ("-id",)
        verbose_name_plural = "deliveries"
        indexes = (models.Index(fields=("due_at",), condition=Q(state="waiting"), name="delivery_waiting"),)
        constraints = (models.UniqueConstraint(fields=("target", "event"), name="delivery_once"),)

    def __str__(self) -> str:
        return f"{self.event} → {self.target}"
