"""The limits of an account's guards: one declaration gives the form, the checks and the documentation."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Literal

from pydantic import model_validator

from risk.domain.brokertime import check_zone
from strategies.params import StrategyParams, param

Percent = float | None
# Guards whose three tiers are `<name>_warn`, `<name>_reduce`, `<name>_close`; the last ones fire when a figure falls
RISING = ("drawdown", "daily", "portfolio", "bot", "cycle", "position")
FALLING = ("margin",)


class GuardSettings(StrategyParams):
    """Limits of every guard. A tier that is left empty is off: warn tells, reduce allows exits only, close closes."""

    drawdown_warn: Percent = param(10.0, group="Drawdown", unit="%", ge=0.1, le=100, help="Fall from the clean peak.")
    drawdown_reduce: Percent = param(15.0, group="Drawdown", unit="%", ge=0.1, le=100, help="Exits only above it.")
    drawdown_close: Percent = param(20.0, group="Drawdown", unit="%", ge=0.1, le=100, help="Closes everything.")
    peak_readings: int = param(
        3, group="Drawdown", ge=1, le=20, help="Complete readings in a row that are needed to raise the peak."
    )
    countdown_seconds: int = param(
        10, group="Drawdown", unit="s", ge=0, le=600, help="Time in which a manager may veto before all is closed."
    )
    veto_step: float = param(
        5.0, group="Drawdown", unit="%", gt=0, le=100, help="After a veto, a fall by so much more counts down again."
    )
    close_foreign: bool = param(
        True, group="Drawdown", help="Close positions that were opened by hand, too, when the account is closed."
    )

    daily_warn: Percent = param(3.0, group="Daily loss", unit="%", ge=0.1, le=100, help="Loss since broker's midnight.")
    daily_reduce: Percent = param(5.0, group="Daily loss", unit="%", ge=0.1, le=100, help="Exits only above it.")
    daily_close: Percent = param(None, group="Daily loss", unit="%", ge=0.1, le=100, help="Closes everything.")
    daily_base: Literal["equity", "balance"] = param(
        "equity", group="Daily loss", help="What the account had at midnight: equity, or balance."
    )
    broker_time_zone: str = param(
        "", group="Daily loss", help="The broker's zone as New York + 7 h (ny+7), or a name like Europe/Athens. "
        "Empty: the terminal's measured clock."
    )  # fmt: skip

    margin_warn: Percent = param(300.0, group="Margin", unit="%", ge=1, le=100_000, help="Margin level below it.")
    margin_reduce: Percent = param(200.0, group="Margin", unit="%", ge=1, le=100_000, help="Exits only below it.")
    margin_close: Percent = param(None, group="Margin", unit="%", ge=1, le=100_000, help="Closes everything below it.")
    margin_after: float = param(
        150.0, group="Margin", unit="%", ge=0, le=100_000, help="An order must leave this margin level, or is refused."
    )
    stop_out: float = param(
        50.0, group="Margin", unit="%", ge=0, le=1000, help="The broker's stop-out level, for the worst case."
    )
    worst_case: bool = param(
        True, group="Margin", help="Refuse a level or entry after which running to the last level meets the stop-out."
    )

    bot_warn: Percent = param(None, group="Parts", unit="%", ge=0.1, le=100, help="A bot's loss, of the balance.")
    bot_reduce: Percent = param(None, group="Parts", unit="%", ge=0.1, le=100, help="The bot may only leave.")
    bot_close: Percent = param(None, group="Parts", unit="%", ge=0.1, le=100, help="Closes what the bot has open.")
    cycle_warn: Percent = param(None, group="Parts", unit="%", ge=0.1, le=100, help="A cycle's loss, of the balance.")
    cycle_reduce: Percent = param(None, group="Parts", unit="%", ge=0.1, le=100, help="Its bot may only leave.")
    cycle_close: Percent = param(None, group="Parts", unit="%", ge=0.1, le=100, help="Closes the cycle.")
    position_warn: Percent = param(None, group="Parts", unit="%", ge=0.1, le=100, help="A position's loss.")
    position_reduce: Percent = param(None, group="Parts", unit="%", ge=0.1, le=100, help="Its bot may only leave.")
    position_close: Percent = param(None, group="Parts", unit="%", ge=0.1, le=100, help="Closes the position.")
    portfolio_warn: Percent = param(
        None, group="Parts", unit="%", ge=0.1, le=100, help="Drawdown of all accounts of this currency and money."
    )
    portfolio_reduce: Percent = param(None, group="Parts", unit="%", ge=0.1, le=100, help="Exits only above it.")
    portfolio_close: Percent = param(None, group="Parts", unit="%", ge=0.1, le=100, help="Closes this account.")

    gap_close: Percent = param(
        5.0, group="Market", unit="%", gt=0, le=100, help="|open − previous close| of a candle that closes the symbol."
    )
    spread_floor: float = param(5.0, group="Market", unit="pips", gt=0, le=10_000, help="Spreads below it are fine.")
    spread_multiple: float = param(
        5.0, group="Market", gt=1, le=1000, help="Above so many times the median of the last 300 it is dangerous."
    )
    spread_close: bool = param(
        False, group="Market", help="A dangerous spread closes the symbol's positions; otherwise it stops entries."
    )
    thin_book_lots: float = param(
        0.0, group="Market", unit="lots", ge=0, le=1e6, help="Entries stop with less at the best price, if it is shown."
    )
    stale_seconds: float = param(
        5.0, group="Market", unit="s", gt=0, le=3600, help="Without a tick for so long in session: no entries."
    )
    session_start: str = param("", group="Market", help="Entries only from this time of the broker's day, as 07:00.")
    session_end: str = param("", group="Market", help="Entries only until this time of the broker's day, as 21:30.")
    news_before: int = param(30, group="Market", unit="min", ge=0, le=1440, help="No entries before a news event.")
    news_after: int = param(15, group="Market", unit="min", ge=0, le=1440, help="No entries after a news event.")
    news_impact: Literal["low", "medium", "high"] = param("high", group="Market", help="The least impact that counts.")

    error_failures: int = param(5, group="Errors and rate", ge=1, le=1000, help="Failed requests open the circuit.")
    error_window: float = param(60.0, group="Errors and rate", unit="s", gt=0, le=3600, help="Within this time.")
    error_pause: float = param(
        60.0, group="Errors and rate", unit="s", gt=0, le=3600, help="First pause; then one trial, doubling to 15 min."
    )
    orders_per_minute: int = param(30, group="Errors and rate", ge=1, le=10_000, help="Entries sent in a minute.")
    orders_per_day: int = param(1000, group="Errors and rate", ge=1, le=1_000_000, help="Entries sent in 24 hours.")

    max_cycles: int = param(100, group="Limits", ge=1, le=100_000, help="Open cycles of the account.")
    max_positions_per_set: int = param(
        1, group="Limits", ge=1, le=1000, help="Open cycles of one set of pseudo positions, all bots together."
    )
    set_cooldown: float = param(
        20.0, group="Limits", unit="s", ge=0, le=86_400, help="After a close of a set's cycle, its next one waits."
    )
    max_orders: int = param(200, group="Limits", ge=1, le=100_000, help="Open positions and resting orders.")
    max_order_lots: float = param(10.0, group="Limits", unit="lots", gt=0, le=1e6, help="One order's volume.")
    max_symbol_lots: float = param(50.0, group="Limits", unit="lots", gt=0, le=1e6, help="Open lots of one symbol.")
    max_lots: float = param(100.0, group="Limits", unit="lots", gt=0, le=1e6, help="Open lots of the account.")
    max_currency_leverage: float = param(
        100.0, group="Limits", gt=0, le=10_000, help="Net exposure in one currency, as a multiple of equity."
    )

    @model_validator(mode="after")
    def _tiers_ascend(self) -> "GuardSettings":
        for guard, rising in [*((g, True) for g in RISING), *((g, False) for g in FALLING)]:
            given = [(f"{guard}_{tier}", value) for tier, value in self.tiers(guard) if value is not None]
            for (earlier, a), (later, b) in pairwise(given):
                if (a > b) if rising else (a < b):
                    raise ValueError(f"{earlier} and {later}: the milder tier must come first")
        for name in ("session_start", "session_end"):
            minute_of_day(getattr(self, name), name)
        check_zone(self.broker_time_zone)
        if bool(self.session_start) != bool(self.session_end):
            raise ValueError("session_start and session_end: give both or none")
        return self

    def tiers(self, guard: str) -> Iterator[tuple[str, float | None]]:
        """Name a guard's tiers with their limits, mildest first."""
        for tier in ("warn", "reduce", "close"):
            yield tier, getattr(self, f"{guard}_{tier}")


def minute_of_day(text: str, name: str = "time") -> int | None:
    """Return the minutes since midnight of "HH:MM"; None of an empty text. Raises ValueError that names the field."""
    if not text:
        return None
    hours, colon, minutes = text.partition(":")
    if not (colon and hours.isdecimal() and minutes.isdecimal() and len(minutes) == 2 and len(hours) <= 2):
        raise ValueError(f"{name}: write a time as 07:00")
    value = int(hours) * 60 + int(minutes)
    if int(hours) > 23 or int(minutes) > 59:
        raise ValueError(f"{name}: there is no time {text}")
    return value
