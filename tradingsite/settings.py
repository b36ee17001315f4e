"""Django's settings. What a person may change comes from `tradingsite.env`; the rest is decided here."""

import os
import platform
from datetime import timedelta
from typing import Any

import django_stubs_ext

from tradingsite import env as _env
from tradingsite import envvalues
from tradingsite.logs import logging_settings
from tradingsite.queues import engine_queue, queue_settings
from tradingsite.secretfiles import kept, new_key_ring, new_secret_key
from tradingsite.unfold import unfold_settings

# Lets annotations name what a generic class of Django holds, as in `ModelAdmin[Bot]`
django_stubs_ext.monkeypatch()

ENV = _env.load()
BASE_DIR = _env.BASE_DIR
VAR_DIR = ENV.trading_var_dir
IS_PRODUCTION = ENV.trading_env == "production"

# Secrets: given in production, made once under var/ otherwise
SECRET_KEY = (
    ENV.secret_key.get_secret_value() if ENV.secret_key is not None else kept(VAR_DIR / "secret_key", new_secret_key)
)
# id → 32 bytes; the first key encrypts, all decrypt
CREDENTIAL_KEYS = envvalues.parse_key_ring(
    ENV.trading_credential_keys.get_secret_value()
    if ENV.trading_credential_keys is not None
    else kept(VAR_DIR / "credential_key", new_key_ring)
)

DEBUG = ENV.debug
ALLOWED_HOSTS = list(ENV.allowed_hosts)
CSRF_TRUSTED_ORIGINS = list(ENV.csrf_trusted_origins)

INSTALLED_APPS = [
    "daphne",
    "unfold",
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django.contrib.humanize",
    "channels",
    "django_otp",
    "axes",
    "django_q",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_filters",
    "events",
    "accounts",
    "marketdata",
    "strategies",
    "orders",
    "cycles",
    "exports",
    "signals",
    "copying",
    "notifications",
    "risk",
    "reconciliation",
    "engine",
    "backtesting",
    "telegram",
    "dashboard",
    "tradingsite",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "tradingsite.headers.policy_middleware",
    "tradingsite.doorkeeper.admin_networks_middleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "tradingsite.origins.origin_middleware",
    "django_otp.middleware.OTPMiddleware",
    "tradingsite.doorkeeper.SecondFactorMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    # Last, so that it sees the answer to every log-in first
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "tradingsite.urls"
ASGI_APPLICATION = "tradingsite.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "dashboard.alarms.banner",
            ]
        },
    }
]


HOST_NAME = ENV.trading_host_name or platform.node()[:60] or "localhost"
ENGINE_QUEUE = engine_queue(HOST_NAME)
# A runner that is paused, or whose machine is gone, in the middle of a write holds the row of its lease: the server
# ends such a transaction before the lease is over, or nobody could take the account
RUNNER_IDLE_IN_TRANSACTION_S = 5


def _session_options(given: str = "") -> dict[str, str]:
    """Give libpq's `options`: what was asked for, and in a runner's process its limit."""
    is_runner = os.environ.get("Q_CLUSTER_NAME") == ENGINE_QUEUE
    limit = f"-c idle_in_transaction_session_timeout={RUNNER_IDLE_IN_TRANSACTION_S}s" if is_runner else ""
    options = f"{given} {limit}".strip()
    return {"options": options} if options else {}


def _database() -> dict[str, Any]:
    """Give the default database: the one of DATABASE_URL, else the embedded server, which starts when first used."""
    common = {"CONN_MAX_AGE": 0, "TIME_ZONE": None, "ATOMIC_REQUESTS": False}
    if ENV.database_url is None:
        return {"ENGINE": "tradingsite.pgbackend", "NAME": "trading", "OPTIONS": _session_options(), **common}
    parts = envvalues.database_parts(ENV.database_url.get_secret_value())
    options = _session_options(parts.pop("options", ""))
    known = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}
    return {
        "ENGINE": "django.db.backends.postgresql",
        **{name: parts.pop(key, "") for name, key in known.items()},
        "OPTIONS": {"connect_timeout": "10", **parts, **options},
        **common,
    }


DATABASES = {"default": _database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# A context manager that a long session enters before it uses the database, by name: `engine` may not import the site.
DATABASE_SESSION = "tradingsite.postgres.using"

AUTH_USER_MODEL = "accounts.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"

# Who shows a second factor after the password: nobody who hasn't set one up, or everyone who may move money
ADMIN_NETWORKS = envvalues.admin_networks(ENV.trading_admin_networks, is_production=IS_PRODUCTION)
SECOND_FACTOR = ENV.trading_second_factor or ("traders" if IS_PRODUCTION else "off")
OTP_TOTP_ISSUER = "Trading desk"
OTP_ADMIN_HIDE_SENSITIVE_DATA = True

# Log-ins: after so many wrong passwords for a name from an address, that pair waits
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False
AXES_LOCKOUT_TEMPLATE = "accounts/locked.html"

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = True
FORMAT_MODULE_PATH = ["tradingsite.formats"]

STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
STATICFILES_DIRS = [path for path in (BASE_DIR / "static",) if path.is_dir()]
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.FileSystemFinder",
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
    "tradingsite.staticfinders.LightweightChartsFinder",
]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if IS_PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
# A local site serves straight from the packages, so that nothing has to be collected before it runs.
WHITENOISE_USE_FINDERS = not IS_PRODUCTION
WHITENOISE_AUTOREFRESH = not IS_PRODUCTION
MEDIA_ROOT = VAR_DIR / "media"

SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = IS_PRODUCTION
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 12 * 3600
if IS_PRODUCTION:
    SECURE_HSTS_SECONDS = 365 * 24 * 3600
    SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = True
    # TLS ends at the proxy in front of the site, which sets this header itself.
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_REDIRECT_EXEMPT = [r"^(healthz|readyz)$"]

Q_CLUSTER = queue_settings(ENV.trading_runners, HOST_NAME)

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.apikit.auth.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["accounts.apikit.auth.ScopeAllows"],
    "DEFAULT_PARSER_CLASSES": ["accounts.apikit.parsing.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "accounts.apikit.schema.DeskSchema",
    "EXCEPTION_HANDLER": "accounts.apikit.errors.handle",
    "COERCE_DECIMAL_TO_STRING": True,
    "STRICT_JSON": True,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Trading desk",
    "VERSION": "0.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["accounts.apikit.auth.ScopeAllows"],
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "accounts.apikit.schema.add_error_schema",
    ],
    "ENUM_NAME_OVERRIDES": {
        "DesiredStateEnum": "accounts.models.DesiredState.choices",
        "LevelEnum": "events.models.Level.choices",
        "TargetKindEnum": "notifications.models.TargetKind.choices",
        "ExportKindEnum": "exports.models.ExportKind.choices",
        "DivergenceKindEnum": "reconciliation.models.KindChoice.choices",
        "DivergenceStateEnum": "reconciliation.models.State.choices",
    },
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

LOGGING = logging_settings(ENV.log_level, VAR_DIR / "log", to_file=True)
UNFOLD = unfold_settings()

# What the engine reads
TRADING_ENV = ENV.trading_env
MAX_BOTS = ENV.max_bots
UPDATE_INTERVAL = ENV.update_interval
HEARTBEAT_INTERVAL = ENV.heartbeat_interval
ORDERS_INTERVAL = ENV.orders_interval
CYCLES_INTERVAL = ENV.cycles_interval
VALIDATION_INTERVAL = ENV.validation_interval
RECONCILIATION_INTERVAL = ENV.reconciliation_interval
RECONCILIATION_AT_ONCE = ENV.reconciliation_at_once
LIVE_SECOND_PERSON = ENV.live_second_person
TELEGRAM_TOKEN = ENV.trading_telegram_token.get_secret_value() if ENV.trading_telegram_token else ""
NOTIFY_PRIVATE = ENV.trading_notify_private
LIVE_PAPER_DAYS = ENV.live_paper_days
PAPER_COMMISSION_PER_LOT = ENV.paper_commission_per_lot
TICKS_DAYS = ENV.trading_ticks_days
RETENTION_DEBUG_DAYS = ENV.trading_retention_debug_days
RETENTION_EVENTS_DAYS = ENV.trading_retention_events_days
RETENTION_REQUESTS_DAYS = ENV.trading_retention_requests_days
RETENTION_NOT_SENT_DAYS = ENV.trading_retention_not_sent_days
PARITY_LIMIT = ENV.trading_parity_limit
RUNNERS = ENV.trading_runners
RESTART_ON_FAILURE = ENV.trading_restart_on_failure
MAX_RESTARTS = ENV.trading_max_restarts
RUNNER_MEMORY_MB = ENV.trading_runner_memory_mb
RUNNER_HANDLES = ENV.trading_runner_handles
RUNNER_CPU_PERCENT = ENV.trading_runner_cpu_percent
QUOTE_SECONDS = ENV.trading_quote_seconds
STREAM_PRICES = ENV.trading_stream_prices
LOG_LEVEL = ENV.log_level
MT5_LOGIN = ENV.mt5_login
MT5_PASSWORD = ENV.mt5_password.get_secret_value() if ENV.mt5_password is not None else None
MT5_SERVER = ENV.mt5_server
MT5_PATH = ENV.mt5_path
