"""Examine accounts at their brokers."""

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.credentials import CredentialError
from accounts.models import TradingAccount
from brokers.doctor import Check, Grade, examine, unreachable, worst
from brokers.gateway import BrokerError, ReadError
from brokers.terminallock import TerminalHeld
from core.clock import SystemClock
from engine.doctor import expected_of
from engine.models import EngineState
from engine.opening import gateway_of
from engine.visiting import NoAnswer, ask_engine

SIGNS = {Grade.PASS: "pass ", Grade.WARN: "warn ", Grade.BLOCK: "BLOCK"}


class Command(BaseCommand):
    """`manage.py doctor [ACCOUNT] [--json]`."""

    help = (
        "Examine accounts at their brokers: login, money, trading, symbols, clock. Changes nothing. "
        "Exit code 0: nothing blocks; 2: something does; 1: there is no such account."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the account."""
        parser.add_argument("account", nargs="?", help="name or login of an account; all accounts without it")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Examine and print."""
        found = {account.name: self._examine(account) for account in self._accounts(options["account"])}
        if options["json"]:
            self.stdout.write(json.dumps({name: [asdict(c) for c in checks] for name, checks in found.items()}))
        else:
            for name, checks in found.items():
                self.stdout.write(name)
                for check in checks:
                    fix = f"  {check.fix}" if check.fix else ""
                    self.stdout.write(f"  {SIGNS[check.grade]}  {check.name:<24}{check.found}{fix}")
        if any(worst(checks) is Grade.BLOCK for checks in found.values()):
            raise SystemExit(2)

    def _accounts(self, wanted: str | None) -> list[TradingAccount]:
        accounts = list(TradingAccount.objects.order_by("name"))
        chosen = [a for a in accounts if wanted is None or wanted in (a.name, str(a.login))]
        if not chosen:
            known = ", ".join(a.name for a in accounts) or "none yet"
            raise CommandError(
                f"There is no account {wanted!r}; known: {known}." if wanted else "There is no account yet."
            )
        return chosen

    def _examine(self, account: TradingAccount) -> tuple[Check, ...]:
        clock = SystemClock()
        try:
            gateway = gateway_of(account, clock)
            gateway.connect()
        except TerminalHeld as problem:
            return self._by_engine(account, problem, clock)
        except BrokerError as problem:
            return unreachable(problem)
        except CredentialError as problem:
            return (Check("password", Grade.BLOCK, str(problem), "Set the account's password again."),)
        try:
            return examine(gateway, expected_of(account))
        except ReadError as problem:
            return unreachable(problem)
        finally:
            gateway.close()

    def _by_engine(self, account: TradingAccount, held: TerminalHeld, clock: SystemClock) -> tuple[Check, ...]:
        """Let the engine that holds the terminal look, and return what it found."""
        try:
            ask_engine(account.pk, "examine", {}, clock=clock)
        except NoAnswer:
            return unreachable(held)
        (found,) = EngineState.objects.filter(account=account).values_list("doctor", flat=True)
        return tuple(Check(**{**check, "grade": Grade(check["grade"])}) for check in found)
