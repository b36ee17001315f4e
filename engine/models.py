"""Who runs which account, and how well."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from accounts.models import TradingAccount


class Lease(models.Model):
    """The right to act on an account. `token` grows with every change of holder; times are the database's clock."""

    account = models.OneToOneField(TradingAccount, on_delete=models.CASCADE, primary_key=True, related_name="lease")
    holder = models.CharField(max_length=80, blank=True)
    token = models.BigIntegerField(default=0)
    expires_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("account",)

    def __str__(self) -> str:
        return f"{self.account} held by {self.holder or 'nobody'}"


class EngineState(models.Model):
    """S4's `trade_engine_state`: one row an account, written by its session."""

    class Status(models.TextChoices):
        STOPPED = "stopped", "Stopped"
        STARTING = "starting", "Starting"
        RUNNING = "running", "Running"
        PAUSED = "paused", "Paused"
        ERROR = "error", "Error"

    class Health(models.TextChoices):
        HEALTHY = "healthy", "Healthy"
        DEGRADED = "degraded", "Degraded"
        UNHEALTHY = "unhealthy", "Unhealthy"

    account = models.OneToOneField(
        TradingAccount, on_delete=models.CASCADE, primary_key=True, related_name="engine_state"
    )
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.STOPPED)
    prehistoric_data_loaded = models.BooleanField(default=False)
    last_indication_run = models.DateTimeField(null=True, blank=True)
    last_strategy_run = models.DateTimeField(null=True, blank=True)
    last_realtime_run = models.DateTimeField(null=True, blank=True)
    manager_health_status = models.CharField(max_length=9, choices=Health.choices, default=Health.HEALTHY)
    active_positions_count = models.PositiveIntegerField(default=0)
    error_message = models.CharField(max_length=500, blank=True)
    statistics = models.JSONField(default=dict, blank=True)
    doctor = models.JSONField(default=list, blank=True, help_text="The doctor's last checks.")
    examined_at = models.DateTimeField(null=True, blank=True)
    updated_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("account",)
        constraints = (
            models.CheckConstraint(
                condition=~Q(status="error") | ~Q(error_message=""), name="engine_error_has_message"
            ),
        )

    def __str__(self) -> str:
        return f"{self.account}: {self.status}"


class EngineProcess(models.Model):
    """A process of the engine, with its last sign of life."""

    class Role(models.TextChoices):
        SUPERVISOR = "supervisor", "Supervisor"
        RUNNER = "runner", "Runner"
        CLUSTER = "cluster", "Cluster"
        WEB = "web", "Web"
        TELEGRAM = "telegram", "Telegram"

    name = models.CharField(max_length=120, unique=True, help_text="host:role:pid:token")
    role = models.CharField(max_length=10, choices=Role.choices)
    host = models.CharField(max_length=80)
    pid = models.PositiveIntegerField()
    labels = ArrayField(models.CharField(max_length=60), default=list, blank=True)
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    stop_requested = models.BooleanField(default=False)
    restarts = models.PositiveIntegerField(default=0)
    cpu_percent = models.FloatField(default=0.0)
    rss_bytes = models.BigIntegerField(default=0)
    handles = models.PositiveIntegerField(default=0, help_text="Open files and sockets; handles on Windows.")

    class Meta:
        ordering = ("host", "role", "pid")
        verbose_name_plural = "engine processes"

    def __str__(self) -> str:
        return self.name


class EngineHost(models.Model):
    """A machine that runs a supervisor: what it offers, what it has left, and what is wrong with it."""

    host = models.CharField(max_length=80, primary_key=True)
    labels = ArrayField(models.CharField(max_length=60), default=list, blank=True)
    runners = models.PositiveSmallIntegerField(default=0, help_text="Runner processes that it keeps.")
    runners_wanted = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="Set by a person in place of the number that it was started with."
    )
    seen_at = models.DateTimeField()
    cpu_percent = models.FloatField(default=0.0)
    memory_percent = models.FloatField(default=0.0)
    disk_free_bytes = models.BigIntegerField(default=0)
    clock_skew_seconds = models.FloatField(null=True, blank=True)
    problem = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ("host",)

    def __str__(self) -> str:
        return self.host
