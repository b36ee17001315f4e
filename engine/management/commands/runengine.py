"""Run the engine, and with it the site."""

import json
import math
import socket
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import URLError

import psutil
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils.module_loading import import_string

from accounts.selectors import wanted_accounts
from core.clock import SystemClock
from core.ids import SystemIds
from core.loglevel import follow
from engine.demo import Demo, ensure_demo
from engine.firstaccount import ensure_first_account
from engine.report import report
from engine.supervisor.care import Limits
from engine.supervisor.children import RestartPolicy, TooManyRestarts
from engine.supervisor.leftovers import end_leftovers
from engine.supervisor.run import AlreadyRunning, Plan, Supervisor

DEFAULT_WEB = "127.0.0.1:8000"
READY_SECONDS = 60
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - names to recognise


class Command(BaseCommand):
    """`manage.py runengine [--web [HOST:PORT]] [--demo] [--seconds N] [--json]`."""

    help = "Run the trading engine: claim accounts, trade them, survive crashes. Ctrl-C ends everything in order."

    # Checks may use the database: they run inside the session, which stops what it started
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--web", nargs="?", const=DEFAULT_WEB, metavar="HOST:PORT", help="serve the site as well")
        parser.add_argument("--demo", action="store_true", help="make a demo account with two bots, if there is none")
        parser.add_argument("--seconds", type=float, help="stop after so many seconds and print a report")
        parser.add_argument("--json", action="store_true", help="print the report as one JSON object")
        parser.add_argument("--runners", type=int, default=settings.RUNNERS, help="runner processes on this host")
        parser.add_argument("--label", action="append", default=[], help="a placement of this host; repeatable")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until told to stop."""
        if options["seconds"] is not None and not 0 < options["seconds"] < math.inf:
            raise CommandError("--seconds: give a number above 0.")
        if not 1 <= options["runners"] <= 16:
            raise CommandError("--runners: give a number from 1 to 16.")
        follow(settings.VAR_DIR / "log", SystemClock())
        web = None if options["web"] is None else address(options["web"])
        with import_string(settings.DATABASE_SESSION)():
            self.check()
            self._run(web, options)

    def _run(self, web: tuple[str, int] | None, options: dict[str, Any]) -> None:
        clock = SystemClock()
        plan = Plan(
            base_dir=Path(settings.BASE_DIR),
            var_dir=Path(settings.VAR_DIR),
            runners=options["runners"],
            web=web,
            labels=options["label"],
            environment=_environment(web),
            policy=RestartPolicy(settings.RESTART_ON_FAILURE, settings.MAX_RESTARTS),
            limits=Limits(settings.RUNNER_MEMORY_MB * 2**20, settings.RUNNER_HANDLES, settings.RUNNER_CPU_PERCENT),
        )
        supervisor = Supervisor(plan, clock=clock, ids=SystemIds())
        since, began = clock.now(), clock.ticks()
        try:
            with supervisor.held():
                _migrate()
                end_leftovers(clock)
                if web is not None:
                    refuse_taken(*web)
                demo = ensure_demo(plan.var_dir, clock=clock) if options["demo"] else None
                ensure_first_account(at=clock.now())
                supervisor.run(seconds=options["seconds"], on_ready=lambda: self._say_ready(web, demo, options["json"]))
        except (AlreadyRunning, TooManyRestarts) as problem:
            raise CommandError(str(problem)) from None
        if options["seconds"] is not None:
            figures = report(since=since, seconds=clock.ticks() - began, restarts=supervisor.restarts)
            self.stdout.write(json.dumps(figures, indent=None if options["json"] else 2))
            if figures["accounts"] and not figures["books_equal_broker"]:
                raise SystemExit(1)

    def _say_ready(self, web: tuple[str, int] | None, demo: Demo | None, as_json: bool) -> None:
        """Print where to look and how to log in, once the site answers."""
        out = self.stderr if as_json else self.stdout
        idle = "" if wanted_accounts().exists() else "No account is set to run: add one in the admin, and start it.\n"
        connection.close()
        if web is None:
            out.write(f"The engine runs. {idle}Ctrl-C ends it.", ending="\n")
            return
        host = "127.0.0.1" if web[0] in EVERYWHERE else web[0]
        url = f"http://{f'[{host}]' if ':' in host else host}:{web[1]}/"
        until = time.monotonic() + READY_SECONDS  # clock-ok: waits for the site's process
        while time.monotonic() < until:  # clock-ok: waits for the site's process
            with suppress(URLError, OSError), urllib.request.urlopen(f"{url}healthz", timeout=2):  # noqa: S310 - our own address
                break
            time.sleep(0.2)  # clock-ok: waits for the site's process
        login = ""
        if demo is not None:
            secret = demo.password or "the one that you have set"
            login = f"\n  Log in as {demo.user} with the password {secret}   (kept in {demo.password_file})"
        out.write(f"\n  Trading desk: {url}{login}\n  {idle}Ctrl-C ends everything; positions stay.\n", ending="\n")


def address(text: str) -> tuple[str, int]:
    """Parse HOST:PORT, PORT or HOST. Raises CommandError."""
    host, colon, port = text.rpartition(":")
    if not colon:
        host, port = ("127.0.0.1", text) if text.isdigit() else (text, "8000")
    if not port.isdigit() or not 1 <= int(port) <= 65535:
        raise CommandError(f"--web: {text!r} is no HOST:PORT, for example {DEFAULT_WEB}.")
    return host.strip("[]") or "127.0.0.1", int(port)


def refuse_taken(host: str, port: int) -> None:
    """Raises CommandError when the address is in use or is not this machine's."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        raise CommandError(f"--web: this machine does not know the address {host}.") from None
    family, kind, proto, _, place = found[0]
    with socket.socket(family, kind, proto) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(place)
        except OSError:
            raise CommandError(
                f"Port {port} of {host} is in use. Stop what uses it (`make stop` if it is ours), "
                f"or choose another: make run WEB={host}:{port + 1}"
            ) from None


def _environment(web: tuple[str, int] | None) -> dict[str, str]:
    """Let the site answer to the names under which it can be reached, in a local site only."""
    if web is None or settings.TRADING_ENV == "production":
        return {}
    names = set(settings.ALLOWED_HOSTS) | {web[0]} - set(EVERYWHERE)
    if web[0] in EVERYWHERE:
        names |= {socket.gethostname()}
        names |= {a.address for every in psutil.net_if_addrs().values() for a in every if a.family == socket.AF_INET}
    return {"ALLOWED_HOSTS": ",".join(sorted(names))}


def _migrate() -> None:
    """Bring the schema up to date, in production only by hand. Raises CommandError."""
    executor = MigrationExecutor(connection)
    if not executor.migration_plan(executor.loader.graph.leaf_nodes()):
        return
    if settings.TRADING_ENV == "production":
        raise CommandError("The database's schema is behind this version. Run `manage.py migrate` first.")
    call_command("migrate", interactive=False, verbosity=0)
