"""Text files of candles (ecosystem reference §6.1), parsed in bulk: a compiled scan turns lines into columns.

MetaTrader 5's export, HistData's ASCII and MetaTrader forms, Dukascopy's CSV, and any CSV whose header names time,
open, high, low and close; separated by comma, semicolon or tab, with a decimal comma where the separator is another.
"""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from brokers.simulator.recordings.lines import TIME_NAMES, HistoryError
from core.compiled import kernel

DIGITS_MAX = 8
# What the scan found wrong with a line; 0 is nothing
PROBLEMS = {
    1: "its time can't be read",
    2: "a price or volume can't be read",
    3: "it has too few columns",
    4: "open, high, low and close contradict each other",
    5: "a price is zero or negative",
    6: "its time is not after the one before",
    7: "its year is before 1971 or after 2099",
}


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things are in a line. `time` holds the places of year, month, day, hour, minute and second (-1: none)."""

    name: str
    time: tuple[int, int, int, int, int, int]
    time_column: int
    prices: tuple[int, int, int, int]
    volume: int
    separator: int
    header_lines: int
    server_clock: bool = False
    behind_seconds: int = 0


ISO = (0, 5, 8, 11, 14, 17)
COMPACT = (0, 4, 6, 9, 11, 13)
DUKASCOPY = (6, 3, 0, 11, 14, 17)
HISTDATA_BEHIND = 5 * 3600


def layout_of(first: str, second: str, name: str) -> Layout:
    """Tell the layout from the first two lines. Raises HistoryError."""
    if first.startswith("<DATE>\t<TIME>"):
        return Layout("MetaTrader 5", ISO, 0, (2, 3, 4, 5), 6, ord("\t"), 1, server_clock=True)
    if first.startswith("<DATE>\t"):
        day = (0, 5, 8, -1, -1, -1)
        return Layout("MetaTrader 5", day, 0, (1, 2, 3, 4), 5, ord("\t"), 1, server_clock=True)
    if re.match(r"\d{8} \d{6};", first):
        return Layout("HistData ASCII", COMPACT, 0, (1, 2, 3, 4), 5, ord(";"), 0, behind_seconds=HISTDATA_BEHIND)
    if re.match(r"\d{4}\.\d\d\.\d\d,\d\d:\d\d,", first):
        time = (0, 5, 8, 11, 14, -1)
        return Layout("HistData MetaTrader", time, 0, (2, 3, 4, 5), 6, ord(","), 0, behind_seconds=HISTDATA_BEHIND)
    separator = max(",;\t", key=first.count)
    names = [part.strip().strip('"').lower() for part in first.split(separator)]
    times = [n for n, part in enumerate(names) if part in TIME_NAMES]
    if len(times) == 1 and all(part in names for part in ("open", "high", "low", "close")):
        o, h, low, close = (names.index(part) for part in ("open", "high", "low", "close"))
        volume = next((names.index(part) for part in ("volume", "tickvol", "ticks") if part in names), -1)
        cell = (second.split(separator) + [""] * len(names))[times[0]].strip('"')
        return Layout("CSV", _time_of(cell, name), times[0], (o, h, low, close), volume, ord(separator), 1)
    raise HistoryError(
        f"{name}: line 1: unknown format; known are MetaTrader 5 bar exports, HistData M1, Dukascopy CSV, and CSV with "
        "the columns time, open, high, low, close"
    )


def _time_of(cell: str, name: str) -> tuple[int, int, int, int, int, int]:
    if re.match(r"\d\d\.\d\d\.\d{4} \d\d:\d\d:\d\d", cell):
        return DUKASCOPY
    if re.match(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:?00)?$", cell):
        return ISO
    if re.match(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(Z|\+00:?00)?$", cell):
        return (0, 5, 8, 11, 14, -1)
    raise HistoryError(f"{name}: line 2: write times as 2026-03-29T02:30:00 in UTC (or with +00:00), not {cell[:40]!r}")


@kernel()
def _digits(data, at, count):  # type: ignore[no-untyped-def]
    """Return the number that `count` digits write, -1 when they are none."""
    value = 0
    for n in range(at, at + count):
        if n >= len(data) or data[n] < 48 or data[n] > 57:
            return -1
        value = value * 10 + data[n] - 48
    return value


@kernel()
def _days(year, month, day):  # type: ignore[no-untyped-def]
    """Return the days since 1970-01-01 (H. Hinnant, days_from_civil)."""
    year -= month <= 2
    era = year // 400
    of_era = year - era * 400
    of_year = (153 * (month + (9 if month <= 2 else -3)) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


@kernel()
def _epoch(data, begin, time):  # type: ignore[no-untyped-def]
    """Return the epoch seconds that a cell writes; -1 when it can't be read, -7 for a year out of range."""
    year, month = _digits(data, begin + time[0], 4), _digits(data, begin + time[1], 2)
    day = _digits(data, begin + time[2], 2)
    hour = _digits(data, begin + time[3], 2) if time[3] >= 0 else 0
    minute = _digits(data, begin + time[4], 2) if time[4] >= 0 else 0
    second = _digits(data, begin + time[5], 2) if time[5] >= 0 else 0
    if month < 1 or month > 12 or day < 1 or day > 31 or hour < 0 or hour > 23:
        return -1
    if minute < 0 or minute > 59 or second < 0 or second > 59 or year < 0:
        return -1
    if year < 1971 or year > 2099:
        return -7
    return _days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second


@kernel()
def _decimal(data, begin, end, separator, digits_max):  # type: ignore[no-untyped-def]
    """Return the whole number and the decimals that a cell writes; decimals -1 when it can't be read."""
    value, decimals, point, seen, sign = 0, 0, False, 0, 1
    if begin < end and data[begin] == 45:
        sign, begin = -1, begin + 1
    for place in range(begin, end):
        c = data[place]
        if c >= 48 and c <= 57 and seen < 17:
            if not point or decimals < digits_max:
                value = value * 10 + c - 48
                if point:
                    decimals += 1
            elif c != 48:
                return 0, -1
            seen += 1
        elif (c == 46 or (c == 44 and separator != 44)) and not point and seen > 0:
            point = True
        else:
            return 0, -1
    return sign * value, decimals if seen > 0 else -1


@kernel()
def _line(data, at, stop, time, time_column, columns, separator, digits_max, row):  # type: ignore[no-untyped-def]
    """Fill one row; return the number of the line's problem and the most decimals of its prices."""
    column, here, found, most = 0, at, 0, 0
    while here <= stop:
        edge = here
        while edge < stop and data[edge] != separator:
            edge += 1
        begin, last = here, edge
        if last - begin >= 2 and data[begin] == 34 and data[last - 1] == 34:
            begin, last = begin + 1, last - 1
        if column == time_column:
            row[0] = _epoch(data, begin, time)
            if row[0] < 0:
                return -row[0], most
            found += 1
        for n in range(5):
            if columns[n] == column:
                value, decimals = _decimal(data, begin, last, separator, digits_max)
                if decimals < 0:
                    return 2, most
                if n < 4:
                    most = max(most, decimals)
                row[n + 1] = value * 10 ** (digits_max - decimals)
                found += 1
        here = edge + 1
        column += 1
    return (0 if found == 5 + (columns[4] >= 0) else 3), most


@kernel()
def scan(data, time, time_column, columns, separator, digits_max, rows, wrong):  # type: ignore[no-untyped-def]
    """Turn whole lines into rows of epoch seconds, four prices and a volume, as integers of 10^-digits_max.

    Returns the number of lines and the most decimals seen. `wrong` gets the number of each line's problem, -1 for an
    empty line.
    """
    size, line, most, at = len(data), 0, 0, 0
    while at < size:
        end = at
        while end < size and data[end] != 10:
            end += 1
        stop = end
        while stop > at and (data[stop - 1] == 13 or data[stop - 1] == 32):
            stop -= 1
        wrong[line] = -1
        if stop > at:
            wrong[line], decimals = _line(data, at, stop, time, time_column, columns, separator, digits_max, rows[line])
            most = max(most, decimals)
        line += 1
        at = end + 1
    return line, most


def check(rows: NDArray[np.int64], wrong: NDArray[np.int64], before: int | None) -> None:
    """Note in `wrong` what contradicts itself or its neighbour; lines that are wrong already stay as they are."""
    starts, o, h, low, close = rows[:, 0], rows[:, 1], rows[:, 2], rows[:, 3], rows[:, 4]
    clean = wrong == 0
    wrong[clean & (rows[:, 1:5].min(axis=1) <= 0)] = 5
    clean = wrong == 0
    wrong[clean & ((low > np.minimum(o, close)) | (h < np.maximum(o, close)) | (rows[:, 5] < 0))] = 4
    good = np.flatnonzero(wrong == 0)
    if len(good):
        ordered = starts[good]
        earlier = np.concatenate([[ordered[0] - 1 if before is None else before], ordered[:-1]])
        wrong[good[ordered <= earlier]] = 6
