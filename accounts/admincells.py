"""How the admin shows money, prices and sides: sign and arrow beside the colour, tabular digits."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from accounts.logtail import last_lines

UP = "text-green-700 dark:text-green-400"
DOWN = "text-red-700 dark:text-red-400"
DIGITS = "font-variant-numeric: tabular-nums"
NOTHING = "–"

STATES: Mapping[str, str] = {
    "running": "success",
    "paused": "warning",
    "stopped": "info",
    "starting": "info",
    "error": "danger",
    "healthy": "success",
    "degraded": "warning",
    "unhealthy": "danger",
    "open": "success",
    "closing": "warning",
    "closed": "info",
    "pending": "warning",
    "cancelled": "info",
    "released": "info",
    "ignored": "info",
    "critical": "danger",
    "planned": "info",
    "claimed": "info",
    "sent": "warning",
    "accepted": "success",
    "partial": "warning",
    "filled": "success",
    "refused": "danger",
    "unknown": "danger",
    "adopted": "success",
    "absent": "info",
    "settled": "info",
    "waiting": "warning",
    "done": "success",
    "failed": "danger",
    "debug": "info",
    "info": "info",
    "warning": "warning",
    "buy": "info",
    "sell": "danger",
    "demo": "info",
    "live": "danger",
    "paper": "warning",
    "lifted": "info",
    "standing": "danger",
    "pass": "success",
    "warn": "warning",
    "block": "danger",
    "countdown": "danger",
    "vetoed": "warning",
    "ended": "success",
    "reduce": "danger",
    "close": "danger",
    "no_entries": "warning",
    "exits_only": "warning",
    "flatten": "danger",
}


def money(amount: Decimal | float | None) -> str:
    """Show a profit or loss in account currency: colour, arrow and sign say the same."""
    if amount is None:
        return NOTHING
    value = Decimal(str(amount)).quantize(Decimal("0.01"))
    if value == 0:
        return format_html('<span style="{}">0.00</span>', DIGITS)
    arrow, colour = ("▲", UP) if value > 0 else ("▼", DOWN)
    return format_html(
        '<span class="{} whitespace-nowrap" style="{}">{} {}</span>', colour, DIGITS, arrow, f"{value:+,.2f}"
    )


def amount(value: Decimal | float | None, digits: int = 2) -> str:
    """Show an amount that is no gain or loss, such as a balance."""
    if value is None:
        return NOTHING
    return format_html('<span class="whitespace-nowrap" style="{}">{}</span>', DIGITS, f"{float(value):,.{digits}f}")


def plain(value: Decimal | float | None) -> str:
    """Show a price or volume with the digits that it has; zero means "none"."""
    if not value:
        return NOTHING
    text = f"{Decimal(str(value)):f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return format_html('<span style="{}">{}</span>', DIGITS, text)


def price(value: Decimal | float | None, digits: int | None) -> str:
    """Show a price with its symbol's decimals, zeros too; without known decimals, with those that it has."""
    if not value or digits is None:
        return plain(value)
    return format_html('<span style="{}">{}</span>', DIGITS, f"{Decimal(str(value)):.{digits}f}")


def lots(value: Decimal | float | None) -> str:
    """Show a volume in lots: two decimals, or more where it has more; zero means "none"."""
    if not value:
        return NOTHING
    exact = Decimal(str(value))
    rounded = exact.quantize(Decimal("0.01"))
    return price(exact, 2) if rounded == exact else plain(exact)


def moment(at: datetime | None) -> str:
    """Show a time to the second, in UTC."""
    return NOTHING if at is None else f"{at:%Y-%m-%d %H:%M:%S}"


def to_the_millisecond(at: datetime) -> str:
    """Show a time to the millisecond on one line, in UTC."""
    text = f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d}"
    return format_html('<span class="whitespace-nowrap" style="{}">{}</span>', DIGITS, text)


def link(row: Any, text: str | None = None) -> str:
    """Link to a row's own admin page."""
    if row is None:
        return NOTHING
    opts = row._meta
    url = reverse(f"admin:{opts.app_label}_{opts.model_name}_change", args=(row.pk,))
    return format_html('<a class="text-link" href="{}">{}</a>', url, text or str(row))


def label(key: str, text: str) -> SafeString:
    """Show a state as a coloured word, in tables that are no change list."""
    from django.template.loader import render_to_string

    return render_to_string("unfold/helpers/label.html", {"type": STATES.get(key, ""), "text": text})


class Labelled(tuple[str, str]):
    """A state and its text: lists make a label of it, and where a page shows one row it does so itself."""

    def __html__(self) -> str:
        return label(*self)


def table(headers: Sequence[str], rows: Iterable[Sequence[Any]]) -> dict[str, Any]:
    """Give the data of Unfold's table component."""
    return {"headers": list(headers), "rows": [list(row) for row in rows]}


def projection_of(account: Any, part: str = "", key: int | None = None) -> dict[str, Any] | None:
    """Return the figures of an account's projection, or of one of its "bots" or "cycles"; None while there are none."""
    row = getattr(account, "projection", None)
    if row is None:
        return None
    found: dict[str, Any] | None = row.data.get(part, {}).get(str(key)) if part else {**row.data, "seen": row.at}
    return found


def live_risk(
    figure: str, account_id: int, text: str, *, bot: int | None = None, cycle: int | None = None
) -> SafeString:
    """Show a figure ("to-stop-out", "cost-to-close" or "worst") that moves by itself, of an account, bot or cycle."""
    return format_html(
        '<span data-risk="{}" data-account="{}" data-bot="{}" data-cycle="{}" style="{}">{}</span>',
        figure, account_id, bot or "", cycle or "", DIGITS, text,
    )  # fmt: skip


def live_floating(account_id: int, identifier: int, text: str) -> SafeString:
    """Show an open position's floating profit, which moves by itself."""
    return format_html(
        '<span data-risk="floating" data-account="{}" data-identifier="{}">{}</span>', account_id, identifier, text
    )


def stop_out_text(account: Any, symbols: Iterable[str] | None = None) -> str:
    """Say how far an account is from its stop-out, with the prices of its symbols (of some, when they are named)."""
    found = projection_of(account)
    if found is None or "to_stop_out" not in found:
        return NOTHING
    wanted = None if symbols is None else set(symbols)
    prices = [
        f"{symbol} at {row['stop_out_price']:g} ({row['pips']:g} pips)"
        for symbol, row in found["symbols"].items()
        if row["stop_out_price"] is not None and (wanted is None or symbol in wanted)
    ]
    money = f"{found['to_stop_out']:,.2f} {account.currency} above {found['stop_out']:g} % of the margin in use"
    return "; ".join([money, *prices])


def worst_of_account_text(found: Mapping[str, Any] | None) -> str:
    """Say what is left of an account if prices run to the last level of everything that is open."""
    left = f"equity {found['worst_equity']:,.2f}, " if found is not None else ""
    return format_html("{}{}", left, worst_case_text(found))


def worst_case_text(found: Mapping[str, Any] | None) -> str:
    """Say what is left of the account if prices run to the last level of what the figures are about."""
    if found is None:
        return "Nothing is open, or no engine has looked yet."
    level = found.get("worst_level")
    text = f"margin level {level:,.0f} %" if level is not None else "no margin in use"
    change = found.get("worst_change")
    if change is not None:
        text = f"{change:+,.2f}, {text}"
    levels = found.get("levels_left")
    if levels is not None:
        text = f"{levels} level(s) left, down to {found['last_price']:g}: {text}"
    return format_html("{} {}", text, label("danger", "STOP-OUT") if found.get("is_stop_out") else "")


def log_text(account_id: int) -> str:
    """Return the last lines of this host's log about an account, the newest first."""
    lines = last_lines(settings.VAR_DIR / "log" / "trading.jsonl", account_id)
    if not lines:
        return "Nothing yet. The log of an engine on another host is there, under its var/log."
    rows = [(str(one.get("at", ""))[:19], str(one.get("level", "")), str(one.get("message", ""))) for one in lines]
    return format_html(
        '<ul class="font-mono text-xs" style="max-height: 20rem; overflow-y: auto; overflow-wrap: anywhere">{}</ul>',
        format_html_join("", '<li class="py-1"><b>{}Z {}</b> {}</li>', reversed(rows)),
    )
