"""The compiled step of the indications: one closed candle changes a flat state and gives four signals (strategies.md).

A batch is this same step in a loop, so history and live can't differ. The state is one float64 array, laid out by the
offsets below; `closes` and the windows are rings.
"""

import numpy as np

from core.compiled import kernel as compiled

kernel = compiled(nogil=True, error_model="numpy")
# Only comparisons may be reordered here: sums must come out the same wherever the step is inlined
comparing = compiled(nogil=True, error_model="numpy", fastmath={"nnan", "nsz"})

DIRECTION, MOVE, ACTIVE, OPTIMAL = 0, 1, 2, 3
KINDS = 4

# Parameters, one float64 each
MIN_MOVE, PULLBACK, THRESHOLD, WINDOW, FIRST, LAST, CANDLE_SECONDS, VALIDATION = range(8)
PARAMETERS = 8

STEP_LARGEST = 30
ATR_PERIOD = 14
ATR_SECONDS = 60
MEDIAN_MINUTES = 61
MEDIAN_MINUTES_MIN = 5
WINDOW_MAX = 600
RING = 64

# Offsets of the state
COUNT, MINUTE, HIGH, LOW, CLOSE, PREVIOUS, TICKS, MINUTES, ATR, MEDIAN, RECENT, PLACE = range(12)
HELD = 12  # sign that each kind has now
SINCE = HELD + KINDS  # epoch second since when
RANGES = SINCE + KINDS  # true ranges of the last minutes
RATES = RANGES + ATR_PERIOD  # ticks of the last minutes
CLOSES = RATES + MEDIAN_MINUTES  # twice, so that any window of 64 lies in one piece
WINDOW_CLOSES = CLOSES + 2 * RING
WINDOW_TICKS = WINDOW_CLOSES + WINDOW_MAX + 1
STATE_SIZE = WINDOW_TICKS + WINDOW_MAX + 1


@kernel
def _close_minute(s):
    """Take the minute that ended into the average true range and the median of ticks a minute."""
    done = int(s[MINUTES])
    reach = s[HIGH] - s[LOW]
    if done > 0:
        reach = max(reach, abs(s[HIGH] - s[PREVIOUS]), abs(s[LOW] - s[PREVIOUS]))
        s[RANGES + (done - 1) % ATR_PERIOD] = reach
    s[RATES + done % MEDIAN_MINUTES] = s[TICKS]
    s[PREVIOUS] = s[CLOSE]
    s[MINUTES] = done + 1
    if done >= ATR_PERIOD:
        total = 0.0
        for i in range(ATR_PERIOD):
            total += s[RANGES + i]
        s[ATR] = total / ATR_PERIOD
    if done + 1 >= MEDIAN_MINUTES_MIN:
        s[MEDIAN] = np.median(s[RATES : RATES + min(done + 1, MEDIAN_MINUTES)])


@kernel
def _count_minute(s, t, high, low, close, ticks):
    """Add a candle to the minute that forms."""
    minute = np.floor(t / ATR_SECONDS)
    if s[COUNT] == 0 or minute != s[MINUTE]:
        if s[COUNT] > 0:
            _close_minute(s)
        s[MINUTE] = minute
        s[HIGH] = high
        s[LOW] = low
        s[TICKS] = 0.0
    s[HIGH] = max(s[HIGH], high)
    s[LOW] = min(s[LOW], low)
    s[CLOSE] = close
    s[TICKS] += ticks


@kernel
def _activity(s, p, close, ticks):
    """Return the change over the window as a share, 0.0 unless it is large enough and ticks come faster than usual."""
    window = int(p[WINDOW])
    n = int(s[COUNT])
    place = int(s[PLACE])
    oldest = place + 1 if place < window else 0
    s[PLACE] = oldest
    s[RECENT] += ticks
    if n >= window:
        s[RECENT] -= s[WINDOW_TICKS + oldest]
    s[WINDOW_CLOSES + place] = close
    s[WINDOW_TICKS + place] = ticks
    if n < window or s[MINUTES] < MEDIAN_MINUTES_MIN:
        return 0.0
    change = close / s[WINDOW_CLOSES + oldest] - 1.0
    a_minute = s[RECENT] * ATR_SECONDS / (window * p[CANDLE_SECONDS])
    return change if abs(change) >= p[THRESHOLD] and a_minute > s[MEDIAN] else 0.0


@comparing
def _reach(s, now, back, close):
    """Return the largest distance of the last `back` closes from this one."""
    reach = 0.0
    for n in range(now - back, now):
        reach = max(reach, abs(close - s[n]))
    return reach


@comparing
def _runs(s, p, now, known, least, i, sign, strength, size):
    """Find the strongest run; return the shortest step of an upward and of a downward one (0: none)."""
    up = 0
    down = 0
    best = 0.0
    close = s[now]
    highest = close
    lowest = close
    fall = 0.0
    rise = 0.0
    first = int(p[FIRST])
    pullback = p[PULLBACK]
    for n in range(1, min(known, int(p[LAST])) + 1):
        older = s[now - n]
        fall = max(fall, older - lowest)
        rise = max(rise, highest - older)
        lowest = min(lowest, older)
        highest = max(highest, older)
        move = close - older
        reach = abs(move)
        counter = fall if move > 0 else rise
        if (n < first) | (reach < least) | (counter > pullback * reach):
            continue
        if move > 0 and up == 0:
            up = n
        if move < 0 and down == 0:
            down = n
        if reach > best:
            best = reach
            sign[i, MOVE] = 1 if move > 0 else -1
            size[i, MOVE] = n
            strength[i, MOVE] = reach
    return up, down


@comparing
def _turns(s, p, now, known, least, up, down, active, i, sign, strength, size):
    """Find the strongest turn, and the strongest one that a shorter run confirms while the market is active."""
    best = 0.0
    confirmed = 0.0
    close = s[now]
    for n in range(int(p[FIRST]), min(known // 2, int(p[LAST])) + 1):
        middle = s[now - n]
        last = close - middle
        if abs(last) < least:
            continue
        before = middle - s[now - 2 * n]
        if abs(before) < least or last * before > 0:
            continue
        if abs(last) > best:
            best = abs(last)
            sign[i, DIRECTION] = 1 if last > 0 else -1
            size[i, DIRECTION] = n
            strength[i, DIRECTION] = best
        shorter = up if last > 0 else down
        if active and 0 < shorter < n and abs(last) > confirmed:
            confirmed = abs(last)
            sign[i, OPTIMAL] = 1 if last > 0 else -1
            size[i, OPTIMAL] = n
            strength[i, OPTIMAL] = confirmed


@kernel
def step(s, p, t, high, low, close, ticks, i, sign, strength, size, valid):
    """Take one closed candle; write sign, strength (0…1), step size and the sign that lasted long enough to row `i`."""
    _count_minute(s, t, high, low, close, ticks)
    change = _activity(s, p, close, ticks)
    n = int(s[COUNT])
    place = n % RING
    s[CLOSES + place] = close
    s[CLOSES + RING + place] = close
    now = CLOSES + RING + place
    for kind in range(KINDS):
        sign[i, kind] = 0
        size[i, kind] = 0
        strength[i, kind] = 0.0
    if change != 0.0:
        sign[i, ACTIVE] = 1 if change > 0 else -1
        strength[i, ACTIVE] = abs(change) / (abs(change) + p[THRESHOLD])
    atr = s[ATR]
    if atr > 0.0:
        known = min(n, RING - 1)
        least = p[MIN_MOVE] * atr
        if _reach(s, now, min(known, int(p[LAST])), close) >= least:
            up, down = _runs(s, p, now, known, least, i, sign, strength, size)
            _turns(s, p, now, known, least, up, down, change != 0.0, i, sign, strength, size)
            for kind in (DIRECTION, MOVE, OPTIMAL):
                strength[i, kind] = strength[i, kind] / (strength[i, kind] + atr)
    for kind in range(KINDS):
        if sign[i, kind] != s[HELD + kind]:
            s[HELD + kind] = sign[i, kind]
            s[SINCE + kind] = t
        valid[i, kind] = sign[i, kind] if t - s[SINCE + kind] >= p[VALIDATION] else 0
    s[COUNT] = n + 1


@kernel
def run(s, p, at, high, low, close, ticks, sign, strength, size, valid, ranges):
    """Take many candles; the outputs have a row each, `ranges` the ATR that held after it."""
    for i in range(len(at)):
        step(s, p, at[i], high[i], low[i], close[i], ticks[i], i, sign, strength, size, valid)
        ranges[i] = s[ATR]
