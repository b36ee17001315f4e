"""Look at the engine and steer it from a terminal."""

import json
import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction

from accounts.models import DesiredState, TradingAccount
from core.clock import SystemClock
from engine.coordinator import Instructed, Instruction, coordinate, set_capacity
from engine.domain import Health
from engine.managerconfig import import_manager_config
from engine.models import EngineHost, EngineState
from engine.selectors import engine_performance

WATCH_SECONDS = 1.0
STOP_WAIT_SECONDS = 10.0
RESTART_PAUSE_SECONDS = 2.0
UNHEALTHY = 2
CLEAR = "\x1b[2J\x1b[H"
HEADERS = ("Account", "State", "Health", "Pos", "Ev/min", "Orders", "Strat", "Lag", "Age", "Why")
INSTRUCTIONS = ("start", "stop", "pause", "resume", "drain", "restart")


class Command(BaseCommand):
    """`manage.py engine status|start|stop|pause|resume|drain|restart|capacity|import`."""

    help = (
        "Look at the engine and steer it. Exit codes: 0 done, or every part healthy or degraded; 1 it could not be "
        "done; 2 status found a part unhealthy."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the subcommands."""
        subcommands = parser.add_subparsers(dest="what", required=True)
        status = subcommands.add_parser("status", help="show accounts, parts and hosts")
        status.add_argument("--watch", action="store_true", help="redraw each second until Ctrl-C")
        status.add_argument("--seconds", type=float, default=math.inf, help="end --watch after so many seconds")
        self._common(status)
        for name in INSTRUCTIONS:
            one = subcommands.add_parser(name, help=f"{name} accounts, all of them unless --account names some")
            self._common(one)
            if name == "stop":
                one.add_argument("--close-positions", action="store_true", help="close everything first, then stop")
        capacity = subcommands.add_parser("capacity", help="set how many runner processes a host keeps, while it runs")
        capacity.add_argument("runners", type=int, help="1 to 16; 0 takes the number back that it was started with")
        capacity.add_argument("--host", help="which host; needed when there are several")
        capacity.add_argument("--json", action="store_true", help="print one JSON object")
        taken = subcommands.add_parser("import", help="import a manager_config.json: each strategy becomes a bot")
        taken.add_argument("file", help="path of manager_config.json")
        taken.add_argument("--account", required=True, help="the account that gets the bots")
        taken.add_argument("--dry-run", action="store_true", help="say what would be done")
        taken.add_argument("--json", action="store_true", help="print one JSON object")

    def _common(self, parser: CommandParser) -> None:
        parser.add_argument("--account", action="append", default=[], metavar="NAME", help="name or number; repeatable")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do what the subcommand says."""
        self.clock = SystemClock()
        match options["what"]:
            case "status":
                self._status(options)
            case "capacity":
                self._capacity(options)
            case "import":
                self._import(options)
            case "restart":
                self._restart(options)
            case name:
                accounts = _accounts(options["account"])
                self._tell(self._ask(Instruction(name), accounts, options.get("close_positions", False)), options)

    def _ask(
        self, instruction: Instruction, accounts: Sequence[TradingAccount], close: bool = False
    ) -> list[Instructed]:
        return coordinate(instruction=instruction, accounts=accounts, close_positions=close, at=self.clock.now())

    def _tell(self, done: Sequence[Instructed], options: Mapping[str, Any]) -> None:
        if options["json"]:
            found = [
                {
                    "id": d.account.pk,
                    "name": d.account.name,
                    "desired_state": d.account.desired_state,
                    "changed": d.changed,
                }
                for d in done
            ]
            self.stdout.write(json.dumps({"accounts": found}))
            return
        for one in done:
            how = f", {one.account.get_winding_down_display().lower()}" if one.account.winding_down else ""
            was = "" if one.changed else " (nothing to change)"
            self.stdout.write(f"{one.account.name}: {one.account.desired_state}{how}{was}")
        if not done:
            self.stdout.write("No account yet: add one in the admin, or run `manage.py runengine --demo`.")

    def _restart(self, options: Mapping[str, Any]) -> None:
        """Stop, wait until the sessions have ended, pause and start again (S2: 10 s, 2 s). Paused stays paused."""
        accounts = [a for a in _accounts(options["account"]) if a.desired_state != DesiredState.STOPPED]
        before = {account.pk: account.desired_state for account in accounts}
        self._ask(Instruction.STOP, accounts)
        until = self.clock.ticks() + STOP_WAIT_SECONDS
        while _still_run(before) and self.clock.ticks() < until:
            self.clock.sleep(0.2)
        self.clock.sleep(RESTART_PAUSE_SECONDS)
        with transaction.atomic():
            done = self._ask(Instruction.START, accounts)
            self._ask(Instruction.PAUSE, [a for a in accounts if before[a.pk] == DesiredState.PAUSED])
        self._tell(done, options)

    def _capacity(self, options: Mapping[str, Any]) -> None:
        hosts = list(EngineHost.objects.filter(**({"host": options["host"]} if options["host"] else {})))
        if len(hosts) != 1:
            known = ", ".join(EngineHost.objects.values_list("host", flat=True)) or "none, start `manage.py runengine`"
            raise CommandError(f"--host: name one of the hosts: {known}")
        if not 0 <= options["runners"] <= 16:
            raise CommandError("runners: give a number from 1 to 16, or 0 for the number that it was started with.")
        set_capacity(host=hosts[0].host, runners=options["runners"] or None, at=self.clock.now())
        if options["json"]:
            self.stdout.write(json.dumps({"host": hosts[0].host, "runners_wanted": options["runners"] or None}))
        else:
            self.stdout.write(f"{hosts[0].host} is to keep {options['runners'] or 'its own number of'} runners.")

    def _import(self, options: Mapping[str, Any]) -> None:
        (account,) = _accounts([options["account"]])
        try:
            found = import_manager_config(
                options["file"], account=account, at=self.clock.now(), dry_run=options["dry_run"]
            )
        except ValueError as problem:
            raise CommandError(str(problem)) from None
        if options["json"]:
            self.stdout.write(json.dumps(found.as_json()))
            return
        for line in found.lines():
            self.stdout.write(line)

    def _status(self, options: Mapping[str, Any]) -> None:
        ids = [account.pk for account in _accounts(options["account"])] if options["account"] else None
        if not options["watch"]:
            found = self._look(ids)
            self.stdout.write(json.dumps(found, cls=DjangoJSONEncoder) if options["json"] else table(found))
            if found["health"] == Health.UNHEALTHY:
                raise SystemExit(UNHEALTHY)
            return
        until = self.clock.ticks() + options["seconds"]
        try:
            while self.clock.ticks() < until:
                found = self._look(ids)
                text = json.dumps(found, cls=DjangoJSONEncoder) if options["json"] else table(found)
                # A terminal is redrawn; a file gets one table after the other
                self.stdout.write((CLEAR if sys.stdout.isatty() and not options["json"] else "") + text)
                self.stdout.flush()
                self.clock.sleep(WATCH_SECONDS)
        except KeyboardInterrupt:
            self.stdout.write("")

    def _look(self, ids: Sequence[int] | None) -> dict[str, Any]:
        found = engine_performance(None, at=self.clock.now())
        if ids is not None:
            found["accounts"] = [account for account in found["accounts"] if account["id"] in ids]
        return found


def _accounts(names: Sequence[str]) -> list[TradingAccount]:
    """Return the accounts of these names or numbers, all without any. Raises CommandError."""
    everything = list(TradingAccount.objects.order_by("name"))
    if not names:
        return everything
    found = {name: [a for a in everything if name in (a.name, str(a.pk))] for name in names}
    unknown = [name for name, accounts in found.items() if not accounts]
    if unknown:
        known = ", ".join(account.name for account in everything) or "none"
        raise CommandError(f"--account: {', '.join(unknown)} is unknown; known: {known}")
    return list(dict.fromkeys(accounts[0] for accounts in found.values()))


def _still_run(ids: Mapping[int, Any]) -> bool:
    return (
        EngineState.objects.filter(account_id__in=list(ids)).exclude(status="stopped").exclude(status="error").exists()
    )


def table(found: Mapping[str, Any]) -> str:
    """Return what a terminal shows of the engine: what is wrong first, then accounts, then hosts."""
    lines = [f"Engine {found['status']}, {found['health']}   {found['at']:%Y-%m-%d %H:%M:%S} UTC", ""]
    bad = [part for part in found["components"] if part["health"] != Health.HEALTHY]
    lines += [f"! {part['name']} {part['health']}: {part['reason']}" for part in bad]
    lines += [""] if bad else []
    rows = [HEADERS, *(_row(account, found) for account in found["accounts"])]
    widths = [max(len(row[n]) for row in rows) for n in range(len(HEADERS) - 1)]
    for row in rows:
        lines.append(
            "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]).rstrip()
        )
    if not found["accounts"]:
        lines.append("No account yet: add one in the admin, or run `manage.py runengine --demo`.")
    for host in found["hosts"]:
        lines.append(
            f"\nhost {host['host']}: {host['runners']} runners, CPU {host['cpu_percent']:.0f} %, memory "
            f"{host['memory_percent']:.0f} %, disk free {host['disk_free_bytes'] / 1e9:.1f} GB"
        )
    for process in found["processes"]:
        silent = "  SILENT" if process["silent"] else ""
        lines.append(
            f"  {process['role']:<10} {process['pid']:>7}  CPU {process['cpu_percent']:>5.1f} %  "
            f"{process['rss_bytes'] / 2**20:>6.0f} MB  {process['handles']:>4} handles{silent}"
        )
    return "\n".join(lines)


def _row(account: Mapping[str, Any], found: Mapping[str, Any]) -> tuple[str, ...]:
    bad = next((p for p in account["components"] if p["health"] != Health.HEALTHY), None)
    phase = next((p for p in account["start_up"] if p["state"] == "running"), None)
    why = f"{bad['name']}: {bad['reason']}" if bad else ""
    if phase is not None and account["status"] == "starting":
        why = f"{phase['name']} {phase['done']} of {phase['total']}"
    age = (found["at"] - account["updated_at"]).total_seconds() if account["updated_at"] else None
    lag = max((job.get("lag_p95_ms", 0.0) for job in account["jobs"].values()), default=0.0)
    return (
        account["name"],
        "silent" if account["silent"] else account["status"],
        account["health"],
        str(account["active_positions_count"]),
        str(account["events_per_minute"]),
        f"{account['jobs'].get('orders', {}).get('p95_ms', 0.0):.1f} ms",
        f"{account['stages'].get('strategies', {}).get('p95_ms', 0.0):.1f} ms",
        f"{lag:.0f} ms",
        "never" if age is None else f"{age:.0f} s",
        why,
    )
