"""What the live page shows, in a terminal."""

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import TradingAccount
from core.clock import Clock, SystemClock
from engine.models import EngineState
from orders.models import AccountMarks, Order
from risk.models import Block

LINE = "{name:<16} {kind:<4} {state:<10} {equity:>14} {floating:>12} {level:>9} {positions:>5} {age:>6}  {note}"
HEAD = LINE.format(
    name="account", kind="", state="state", equity="equity", floating="floating", level="margin %", positions="open",
    age="age", note="",
)  # fmt: skip
TOP = "\x1b[H\x1b[J"


class Command(BaseCommand):
    """`manage.py watch [ACCOUNT] [--every SECONDS] [--count N] [--json]`."""

    help = (
        "Show accounts live: state, equity, floating result, margin level, open positions, the age of the figures, and "
        "why entries are refused. Ctrl-C ends it. Changes nothing. Exit code 1: there is no such account."
    )
    clock: Clock = SystemClock()

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare what to watch, and how."""
        parser.add_argument("account", nargs="?", help="name or login of an account; all without it")
        parser.add_argument("--every", type=float, default=1.0, metavar="SECONDS", help="pause between two looks")
        parser.add_argument("--count", type=int, default=0, metavar="N", help="end after so many looks; 0: never")
        parser.add_argument("--json", action="store_true", help="print one JSON object a look")

    def handle(self, *args: Any, **options: Any) -> None:
        """Look, print, wait, and look again."""
        if not 0.1 <= options["every"] <= 3600:
            raise CommandError("--every: give 0.1 to 3600 seconds.")
        if options["count"] < 0:
            raise CommandError("--count: give 0 or more.")
        pks = self._accounts(options["account"])
        looks = 0
        try:
            while True:
                self._print(self._look(pks), as_json=options["json"])
                looks += 1
                if looks == options["count"]:
                    return
                self.clock.sleep(options["every"])
        except KeyboardInterrupt:
            return

    def _accounts(self, wanted: str | None) -> list[int]:
        found = list(TradingAccount.objects.order_by("name").values_list("pk", "name", "login"))
        if wanted is None:
            return [pk for pk, _, _ in found]
        chosen = [pk for pk, name, login in found if wanted in (name, str(login))]
        if not chosen:
            known = ", ".join(name for _, name, _ in found) or "none yet"
            raise CommandError(f"There is no account {wanted!r}; known: {known}.")
        return chosen

    def _look(self, pks: list[int]) -> list[dict[str, Any]]:
        marks, states = AccountMarks.objects.in_bulk(pks), EngineState.objects.in_bulk(pks)
        blocks = dict(Block.objects.filter(account_id__in=pks, lifted_at=None).values_list("account_id", "reason"))
        suspicious = set(
            Order.objects.filter(account_id__in=pks, suspicious_since__isnull=False, status="open").values_list(
                "account_id", flat=True
            )
        )
        now = self.clock.now()
        rows = []
        for account in TradingAccount.objects.filter(pk__in=pks).order_by("name"):
            mark, state = marks.get(account.pk), states.get(account.pk)
            seen = max((at for at in (mark and mark.at, state and state.updated_at) if at), default=None)
            rows.append(
                {
                    "account": account.name,
                    "demo": account.demo,
                    "money": account.money.value,
                    "wanted": account.desired_state,
                    "state": state.status if state else "stopped",
                    "currency": account.currency,
                    "equity": mark.equity if mark else None,
                    "floating": sum(mark.profits) + sum(mark.swaps) if mark else None,
                    "margin_level": mark.margin_level if mark else None,
                    "positions": len(mark.identifiers) if mark else 0,
                    "age_s": (now - seen).total_seconds() if seen else None,
                    "blocked": blocks.get(account.pk, ""),
                    "suspicious": account.pk in suspicious,
                }
            )
        return rows

    def _print(self, rows: list[dict[str, Any]], *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps({"at": self.clock.now().isoformat(), "accounts": rows}))
        else:
            lines = [HEAD, *(self._line(row) for row in rows)] if rows else ["There is no account yet."]
            # A terminal is drawn anew in place; a file or a pipe gets one look below the other
            self.stdout.write((TOP if sys.stdout.isatty() else "") + "\n".join(lines))
        self.stdout.flush()

    def _line(self, row: dict[str, Any]) -> str:
        notes = [text for text in (row["blocked"], "an order is suspicious" if row["suspicious"] else "") if text]
        return LINE.format(
            name=row["account"][:16],
            kind=row["money"].upper(),
            state=row["state"],
            equity=_money(row["equity"], row["currency"]),
            floating=_money(row["floating"], ""),
            level="–" if row["margin_level"] is None else f"{row['margin_level']:.0f}",
            positions=row["positions"],
            age="never" if row["age_s"] is None else f"{row['age_s']:.0f} s",
            note="; ".join(notes),
        ).rstrip()


def _money(value: float | None, currency: str) -> str:
    return "–" if value is None else f"{value:,.2f} {currency}".strip()
