"""People, trading accounts, their symbols and what the broker said about them."""

from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import BrinIndex
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django_otp.models import Device, ThrottlingMixin, TimestampMixin

NAME = RegexValidator(r"^[\w .:+#-]{1,60}\Z", "Use letters, digits, spaces and . : + # - only, at most 60 characters.")


class User(AbstractUser):  # type: ignore[django-manager-missing]  # of the untyped devices below
    """A person. What they may do with an account is said by an AccountRole."""


class LoginSession(models.Model):
    """Where a person is logged in."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="login_sessions")
    session_key = models.CharField(max_length=40, unique=True)
    address = models.GenericIPAddressField(null=True, blank=True)
    agent = models.CharField(max_length=200, blank=True)
    since = models.DateTimeField()

    class Meta:
        ordering = ("-since",)

    def __str__(self) -> str:
        return f"{self.user} from {self.address}"


class AppDevice(TimestampMixin, ThrottlingMixin, Device):  # type: ignore[misc]  # the library has no types
    """A person's authenticator app (RFC 6238). Its key is sealed like a broker's password, bound to this row."""

    key_encrypted = models.TextField(editable=False)
    last_step = models.BigIntegerField(default=-1, help_text="A code of this step or an earlier one opens nothing.")
    drift_steps = models.SmallIntegerField(default=0)

    def verify_token(self, token: str) -> bool:
        """Tell whether a code is right; django-otp calls it."""
        from accounts.secondfactor import verify_code

        return verify_code(self, token)

    def get_throttle_factor(self) -> int:
        """Return the seconds that the first wrong code costs; each further one doubles them."""
        return 1


class RecoveryDevice(TimestampMixin, ThrottlingMixin, Device):  # type: ignore[misc]
    """A person's recovery codes, kept as salted digests; one that was used is removed."""

    salt = models.BinaryField(editable=False)
    digests = ArrayField(models.CharField(max_length=64), default=list, editable=False)

    def verify_token(self, token: str) -> bool:
        """Tell whether a code is one of them, and spend it; django-otp calls it."""
        from accounts.secondfactor import spend_code

        return spend_code(self, token)

    def get_throttle_factor(self) -> int:
        """Return the seconds that the first wrong code costs; each further one doubles them."""
        return 1


class DesiredState(models.TextChoices):
    RUNNING = "running", "Running"
    PAUSED = "paused", "Paused (no new entries)"
    STOPPED = "stopped", "Stopped"


class RestartPolicy(models.TextChoices):
    RESUME = "resume", "Resume"
    ADOPT_AND_FREEZE = "adopt_and_freeze", "Adopt and freeze"
    TP_ONLY = "tp_only", "Take profit only"
    FLATTEN = "flatten", "Flatten"


class WindingDown(models.TextChoices):
    """How a paused account comes to a stop by itself, once nothing of it is open."""

    NO = "", "No"
    DRAIN = "drain", "Stops when its bots have closed everything"
    CLOSE = "close", "Closes everything, then stops"


class BrokerKind(models.TextChoices):
    SIMULATOR = "simulator", "Simulated terminal"
    MT5 = "mt5", "MetaTrader 5 terminal"
    REMOTE = "remote", "Remote MetaTrader 5 terminal"
    OANDA = "oanda", "OANDA v20"
    JFOREX = "jforex", "JForex (Dukascopy), through a bridge"
    CRYPTO = "crypto", "Crypto exchange, through ccxt"
    PAPER = "paper", "Paper (real prices, simulated trades)"


class Money(models.TextChoices):
    """What is at stake on an account; figures of one kind are never added to another's."""

    LIVE = "live", "LIVE"
    DEMO = "demo", "DEMO"
    PAPER = "paper", "PAPER"


class MarginMode(models.TextChoices):
    HEDGING = "hedging", "Hedging"
    NETTING = "netting", "Netting"
    EXCHANGE = "exchange", "Exchange"


class TradingAccount(models.Model):
    """One login at one broker's server, on one terminal."""

    name = models.CharField(max_length=60, unique=True, validators=[NAME])
    broker = models.CharField(max_length=12, choices=BrokerKind.choices, default=BrokerKind.SIMULATOR)
    login = models.BigIntegerField(validators=[MinValueValidator(1), MaxValueValidator(2**53 - 1)])
    server = models.CharField(max_length=100, help_text="The broker's server name, exactly as the terminal shows it.")
    password_encrypted = models.TextField(blank=True, editable=False)
    investor_encrypted = models.TextField(blank=True, editable=False)
    pairing_encrypted = models.TextField(blank=True, editable=False)
    terminal_path = models.CharField(
        max_length=500,
        blank=True,
        help_text="Simulator: the terminal's state file. MetaTrader 5: full path of terminal64.exe. "
        "Remote: host:port of the agent beside the terminal. OANDA: the account id, like 101-004-1234567-001. "
        "JForex: the bridge's address, like http://127.0.0.1:7080.",
    )
    margin_mode = models.CharField(max_length=10, choices=MarginMode.choices, default=MarginMode.HEDGING)
    currency = models.CharField(max_length=8, default="USD")
    demo = models.BooleanField(default=True, help_text="The doctor blocks the account when the broker says otherwise.")
    desired_state = models.CharField(max_length=8, choices=DesiredState.choices, default=DesiredState.STOPPED)
    winding_down = models.CharField(
        max_length=5, choices=WindingDown.choices, default=WindingDown.NO, blank=True, editable=False
    )
    restart_policy = models.CharField(max_length=16, choices=RestartPolicy.choices, default=RestartPolicy.RESUME)
    placement = models.CharField(max_length=60, blank=True, help_text="Only a host that offers this label runs it.")
    source = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="paper_accounts",
        verbose_name="Prices of",
        help_text="Paper only: the account whose prices, symbols and terms it trades by. Nothing is ever sent there.",
    )
    paper_deposit = models.DecimalField(
        "Deposit",
        max_digits=14,
        decimal_places=2,
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Paper only: what it begins with. Empty: what the other account holds when this one first runs.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("name",)
        constraints = (
            models.UniqueConstraint(fields=("broker", "server", "login"), name="account_once"),
            models.CheckConstraint(condition=Q(login__gt=0), name="account_login_positive"),
            models.CheckConstraint(
                condition=Q(desired_state__in=DesiredState.values), name="account_desired_state_known"
            ),
            models.CheckConstraint(
                condition=Q(winding_down="") | Q(winding_down__in=("drain", "close"), desired_state="paused"),
                name="account_winding_down_is_paused",
            ),
            models.CheckConstraint(
                condition=Q(broker="paper", source__isnull=False, demo=True)
                | (~Q(broker="paper") & Q(source__isnull=True, paper_deposit__isnull=True)),
                name="account_paper_has_source",
                violation_error_message="A paper account names the account whose prices it trades by, and holds no "
                "real money; any other account names none, and has no deposit.",
            ),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def is_paper(self) -> bool:
        """Whether its trades happen in a simulated terminal, at another account's prices."""
        return self.broker == BrokerKind.PAPER

    @property
    def money(self) -> Money:
        """What is at stake on it."""
        return Money.PAPER if self.is_paper else Money.DEMO if self.demo else Money.LIVE

    @property
    def terminal_kind(self) -> str:
        """The kind of broker whose terminal it needs: its own, or that of the account it takes its prices from."""
        return self.source.broker if self.source is not None else self.broker

    @property
    def merges_positions(self) -> bool:
        """Tell whether a symbol has one position only, which every further deal changes.

        MetaTrader 5 keeps it so on accounts that do not hedge ("Position accounting system", metatrader5.com); OANDA
        keeps each trade by itself.
        """
        return self.margin_mode != MarginMode.HEDGING and self.broker != BrokerKind.OANDA


class AccountRole(models.Model):
    """What one person may do with one account; a higher role includes the lower ones."""

    class Role(models.TextChoices):
        VIEWER = "viewer", "Viewer"
        TRADER = "trader", "Trader"
        MANAGER = "manager", "Manager"

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="account_roles")
    account = models.ForeignKey(TradingAccount, on_delete=models.CASCADE, related_name="roles")
    role = models.CharField(max_length=8, choices=Role.choices, default=Role.VIEWER)

    class Meta:
        ordering = ("account", "user")
        constraints = (
            models.UniqueConstraint(fields=("user", "account"), name="role_once"),
            models.CheckConstraint(condition=Q(role__in=("viewer", "trader", "manager")), name="role_known"),
        )

    def __str__(self) -> str:
        return f"{self.user} is {self.role} of {self.account}"


class Symbol(models.Model):
    """A symbol of an account: our name for it, the broker's, and the specification last seen."""

    account = models.ForeignKey(TradingAccount, on_delete=models.CASCADE, related_name="symbols")
    name = models.CharField(max_length=29, help_text="Our name, for example EURUSD.")
    broker_name = models.CharField(
        max_length=29, blank=True, help_text="The broker's, for example EURUSD.r; empty: find it."
    )
    digits = models.PositiveSmallIntegerField(null=True, blank=True, editable=False)
    point = models.FloatField(null=True, blank=True, editable=False)
    volume_min = models.FloatField(null=True, blank=True, editable=False)
    volume_max = models.FloatField(null=True, blank=True, editable=False)
    volume_step = models.FloatField(null=True, blank=True, editable=False)
    contract_size = models.FloatField(null=True, blank=True, editable=False)
    terms = models.JSONField(
        default=dict, blank=True, editable=False, help_text="Levels, swaps, filling and trade mode, as last seen."
    )
    seen_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ("account", "name")
        constraints = (models.UniqueConstraint(fields=("account", "name"), name="symbol_once"),)

    def __str__(self) -> str:
        return self.name


class ServerOffset(models.Model):
    """How far a broker's clock was ahead of UTC, and since when; a new row when it changed (DST)."""

    account = models.ForeignKey(TradingAccount, on_delete=models.CASCADE, related_name="server_offsets")
    since = models.DateTimeField()
    seconds = models.IntegerField()

    class Meta:
        ordering = ("account", "since")
        constraints = (
            models.UniqueConstraint(fields=("account", "since"), name="server_offset_once"),
            models.CheckConstraint(
                condition=Q(seconds__gte=-14 * 3600, seconds__lte=14 * 3600), name="server_offset_possible"
            ),
        )

    def __str__(self) -> str:
        return f"UTC{self.seconds / 3600:+g} h since {self.since:%Y-%m-%d %H:%M}"


class AccountSnapshot(models.Model):
    """What the broker said the account was worth at a moment. A fact: the database refuses to change it."""

    account = models.ForeignKey(TradingAccount, on_delete=models.PROTECT, related_name="snapshots", db_index=False)
    at = models.DateTimeField()
    balance = models.DecimalField(max_digits=18, decimal_places=2)
    credit = models.DecimalField(max_digits=18, decimal_places=2, default=0)
    equity = models.DecimalField(max_digits=18, decimal_places=2)
    margin = models.DecimalField(max_digits=18, decimal_places=2)
    margin_level = models.DecimalField(max_digits=14, decimal_places=2)
    positions = models.PositiveIntegerField()
    total_open_volume = models.DecimalField(max_digits=14, decimal_places=4)
    complete = models.BooleanField(default=True, help_text="Account and positions agreed; others never raise a peak.")

    class Meta:
        ordering = ("-at",)
        indexes = (
            models.Index(fields=("account", "-at"), name="snapshot_account_at"),
            BrinIndex(fields=("at",), name="snapshot_at_brin"),
        )
        constraints = (models.UniqueConstraint(fields=("account", "at"), name="snapshot_once"),)

    def __str__(self) -> str:
        return f"{self.account} {self.equity} at {self.at:%Y-%m-%d %H:%M:%S}"


class ApiToken(models.Model):
    """A program's key to the API. What it opens is said by its owner's roles and by its scope, whichever is less.

    Only the HMAC of its secret is kept; `pepper` names the key of the ring that made it.
    """

    class Scope(models.TextChoices):
        READ = "read", "Read"
        PROPOSE = "propose", "Propose (read, and ask for what a person approves)"
        CONTROL = "control", "Control (everything that its owner may do)"

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=60, validators=[NAME])
    prefix = models.CharField(max_length=12, unique=True)
    digest = models.CharField(max_length=64)
    pepper = models.CharField(max_length=60)
    scope = models.CharField(max_length=7, choices=Scope.choices, default=Scope.READ)
    networks = ArrayField(models.CharField(max_length=43), default=list, blank=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-created_at",)
        constraints = (
            models.CheckConstraint(condition=Q(scope__in=("read", "propose", "control")), name="token_scope_known"),
            models.CheckConstraint(condition=Q(expires_at__gt=models.F("created_at")), name="token_expires_later"),
        )

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix})"


class ApiRequest(models.Model):
    """A request that carried an Idempotency-Key, with its answer: the same key again gets the same answer."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    token = models.ForeignKey(ApiToken, on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    key = models.CharField(max_length=80)
    route = models.CharField(max_length=200)
    body_hash = models.CharField(max_length=64)
    created_at = models.DateTimeField()
    status = models.PositiveSmallIntegerField(null=True, blank=True)
    answer = models.JSONField(null=True, blank=True)

    class Meta:
        ordering = ("-id",)
        indexes = (models.Index(fields=("user", "-created_at"), name="api_request_user_at"),)
        constraints = (
            models.UniqueConstraint(fields=("user", "token", "key"), name="api_request_once", nulls_distinct=False),
        )

    def __str__(self) -> str:
        return f"{self.route} {self.key}"
