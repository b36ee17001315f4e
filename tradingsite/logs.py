"""Logging: readable lines on the console, one JSON object a line in `var/log`, rotated."""

import contextlib
import logging
import logging.handlers
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog
from structlog.contextvars import merge_contextvars
from structlog.typing import EventDict

from tradingsite.postgres.locks import file_lock

FILE_BYTES_MAX = 10_000_000
FILES_KEPT = 5
# Every record, whoever logs it: who, where, when, and what the code around it is about (account, bot, cycle, …)
ABOUT = (
    merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
    structlog.processors.CallsiteParameterAdder(
        {structlog.processors.CallsiteParameter.PROCESS, structlog.processors.CallsiteParameter.THREAD_NAME}
    ),
)


def _without_text_time(logger: object, name: str, line: EventDict) -> EventDict:
    """Leave out what the console's formatter wrote into the record."""
    line.pop("asctime", None)
    return line


def json_lines() -> logging.Formatter:
    """Give the formatter that writes a record as one JSON object, with its extras and its traceback."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=ABOUT,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _without_text_time,
            structlog.processors.format_exc_info,
            structlog.processors.EventRenamer("message"),
            structlog.processors.JSONRenderer(default=str, ensure_ascii=False),
        ],
    )


def no_events() -> Callable[[logging.LogRecord], bool]:
    """Give the console's filter: `runengine` tells events there itself, in the words of the journal."""
    return lambda record: record.name != "events.services"


def logging_settings(level: str, folder: Path, *, to_file: bool) -> dict[str, Any]:
    """Give Django's LOGGING. The file opens at the first record, so a command that logs nothing makes none."""
    console = {"class": "logging.StreamHandler", "formatter": "text", "filters": ["no events"]}
    handlers: dict[str, Any] = {"console": console}
    if to_file:
        folder.mkdir(parents=True, exist_ok=True)
        handlers["file"] = {
            "class": "tradingsite.logs.SharedRotatingFile",
            "filename": str(folder / "trading.jsonl"),
            "maxBytes": FILE_BYTES_MAX,
            "backupCount": FILES_KEPT,
            "encoding": "utf-8",
            "delay": True,
            "formatter": "json",
        }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "text": {"format": "%(asctime)s %(levelname)-7s %(name)s: %(message)s", "datefmt": "%H:%M:%S"},
            "json": {"()": "tradingsite.logs.json_lines"},
        },
        "filters": {"no events": {"()": "tradingsite.logs.no_events"}},
        "handlers": handlers,
        "root": {"handlers": list(handlers), "level": level},
        "loggers": {
            "django.request": {"level": "ERROR"},
            # Whoever asks for a host that is not ours gets a 400; that is no error of the site.
            "django.security.DisallowedHost": {"level": "CRITICAL"},
            "django.channels.server": {"level": "WARNING"},
            "daphne": {"level": "WARNING"},
            "axes": {"level": "WARNING"},
            "asyncio": {"level": "WARNING"},
            # They write whole addresses, of which tokens and webhooks are part
            "httpx": {"level": "WARNING"},
            "httpcore": {"level": "WARNING"},
        },
    }


class SharedRotatingFile(logging.handlers.RotatingFileHandler):
    """A rotating log file that several processes write.

    Each process has the file open by itself. When one has renamed it, the others notice and open the new one.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, after looking whether the file is still the one that was opened."""
        if self.stream is not None and not self._is_current():
            self.stream.close()
            self.stream = None
        super().emit(record)

    def doRollover(self) -> None:
        """Rename the file, unless another process did so since it was opened here."""
        with file_lock(Path(self.baseFilename).with_suffix(".lock")):
            if self._is_current():
                with contextlib.suppress(PermissionError):  # Windows: open elsewhere, so it grows until it is not
                    super().doRollover()
            if self.stream is None:
                self.stream = self._open()

    def _is_current(self) -> bool:
        if self.stream is None:
            return False
        try:
            return os.path.samestat(os.fstat(self.stream.fileno()), os.stat(self.baseFilename))
        except (OSError, ValueError):
            return False
