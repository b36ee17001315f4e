"""Exports that people asked for, and the files that came of them."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from accounts.models import TradingAccount


class ExportKind(models.TextChoices):
    STATEMENT = "statement", "Statement"
    DEALS = "deals", "Deals"
    CYCLES = "cycles", "Cycles"
    EQUITY = "equity", "Equity"


class Export(models.Model):
    """One file that a person asked for. Only they (and superusers) fetch it, while they have a role in the account."""

    Kind = ExportKind

    class Format(models.TextChoices):
        CSV = "csv", "CSV"
        XLSX = "xlsx", "XLSX (spreadsheet)"
        JSON = "json", "JSON"
        PNG = "png", "PNG (chart)"

    class Status(models.TextChoices):
        QUEUED = "queued", "Queued"
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="exports")
    account = models.ForeignKey(TradingAccount, on_delete=models.CASCADE, related_name="exports")
    kind = models.CharField(max_length=9, choices=Kind.choices)
    format = models.CharField(max_length=4, choices=Format.choices)
    since = models.DateTimeField(null=True, blank=True)
    until = models.DateTimeField(null=True, blank=True)
    status = models.CharField(max_length=7, choices=Status.choices, default=Status.QUEUED)
    progress = models.FloatField(default=0.0)
    rows = models.PositiveIntegerField(default=0)
    size_bytes = models.PositiveBigIntegerField(default=0)
    error = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField()
    heard_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-id",)
        constraints = (
            models.CheckConstraint(
                condition=Q(status__in=("queued", "running", "done", "failed")), name="export_status_known"
            ),
            models.CheckConstraint(condition=Q(progress__gte=0, progress__lte=1), name="export_progress_range"),
            models.CheckConstraint(
                condition=~Q(status="done") | Q(finished_at__isnull=False), name="export_done_has_end"
            ),
        )

    def __str__(self) -> str:
        return f"{self.kind} of {self.account} as {self.format}"


class ExportPart(models.Model):
    """A piece of a file. In the database, because the job may run on another host than the site."""

    export = models.ForeignKey(Export, on_delete=models.CASCADE, related_name="parts")
    number = models.PositiveIntegerField()
    content = models.BinaryField()

    class Meta:
        ordering = ("number",)
        constraints = (models.UniqueConstraint(fields=("export", "number"), name="export_part_once"),)

    def __str__(self) -> str:
        return f"{self.export} part {self.number}"
