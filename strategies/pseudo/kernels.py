"""The compiled rules of pseudo positions: thousands of sets a symbol, candle by candle or jumping over history.

A set waits for its signal, holds one position until stop or target, and waits for its cooldown. Candles are bid prices;
buys open at ask and close at bid. Where one candle touches stop and target, the stop came first. `history` skips the
candles in which a set can't change (their range lies between its levels) and calls the same `manage` and `enter` on the
others, so both ways end in the same state.
"""

import numpy as np

from core.compiled import kernel as compiled

kernel = compiled(nogil=True, error_model="numpy")

# A set's state, one float64 each; RISK and the other distances are price units
OPEN, ENTRY, STOP, TARGET, RISK, FOLLOW, READY, SINCE, TRADES, WINS = range(10)
FIELDS = 10
KEPT = 50
BLOCK = 64

# What is the same for all sets of a symbol
COOLDOWN, COST, FACTOR_MIN, TRADES_MIN = range(4)
LIMITS = 4


@kernel
def profit_factor(results, k, trades):
    """Return gains over losses of a set's last results; infinite without a loss, 0.0 without a gain."""
    gained = 0.0
    lost = 0.0
    for i in range(min(int(trades), KEPT)):
        value = results[k, i]
        if value > 0:
            gained += value
        else:
            lost -= value
    if lost == 0.0:
        return np.inf if gained > 0 else 0.0
    return gained / lost


@kernel
def qualifies(sets, results, k, limits):
    """Tell whether a set's results pass the limits."""
    trades = sets[k, TRADES]
    if min(trades, KEPT) < limits[TRADES_MIN]:
        return False
    return profit_factor(results, k, trades) >= limits[FACTOR_MIN]


@kernel
def enter(sets, k, side, take, stop, follows, t, close, spread, atr):
    """Open a position at a candle's close; `take` and `stop` are multiples of the ATR."""
    entry = close + spread if side > 0 else close
    sets[k, OPEN] = 1.0
    sets[k, ENTRY] = entry
    sets[k, RISK] = stop * atr
    sets[k, STOP] = entry - side * stop * atr
    sets[k, TARGET] = entry + side * take * atr
    # From half the take profit on, the stop follows at half the take profit
    sets[k, FOLLOW] = 0.5 * take * atr if follows else 0.0
    sets[k, SINCE] = t


@kernel
def manage(sets, results, k, side, t, first, high, low, spread, limits):
    """Take a candle to an open position; tell whether it closed."""
    added = 0.0 if side > 0 else spread
    first += added
    high += added
    low += added
    stop = sets[k, STOP]
    target = sets[k, TARGET]
    worst = low if side > 0 else high
    best = high if side > 0 else low
    if (worst - stop) * side <= 0:
        # A candle that opens beyond the stop fills there
        price = first if (first - stop) * side < 0 else stop
    elif (best - target) * side >= 0:
        price = target
    else:
        # Compared with the same sums as in `_sweep`: rounded otherwise, the two could differ
        follow = side * sets[k, FOLLOW]
        if follow != 0 and (best - (sets[k, ENTRY] + follow)) * side >= 0 and (best - (stop + follow)) * side > 0:
            sets[k, STOP] = best - follow
        return False
    earned = ((price - sets[k, ENTRY]) * side - limits[COST]) / sets[k, RISK]
    results[k, int(sets[k, TRADES]) % KEPT] = earned
    sets[k, TRADES] += 1
    sets[k, WINS] += earned > 0
    sets[k, OPEN] = 0.0
    sets[k, READY] = t + limits[COOLDOWN]
    return True


@kernel
def advance(sets, results, kinds, sides, takes, stops, follows, siblings, limits, t, first, high, low, close, spread,
            atr, valid, row):  # fmt: skip
    """Take one candle to every set. `valid[row]` is the sign that each kind of signal has held long enough."""
    for k in range(len(kinds)):
        if sets[k, OPEN] > 0:
            manage(sets, results, k, sides[k], t, first, high, low, spread, limits)
            continue
        due = valid[row, kinds[k]] == sides[k] and atr > 0 and t >= sets[k, READY]
        if due and (siblings[k] < 0 or qualifies(sets, results, siblings[k], limits)):
            enter(sets, k, sides[k], takes[k], stops[k], follows[k], t, close, spread, atr)


@kernel
def _next_touch(i, n, lows, highs, block_lows, block_highs, lower, upper):
    """Return the first candle from `i` on whose range reaches `lower` or `upper`; n when none does."""
    while i < n:
        if i % BLOCK == 0:
            b = i // BLOCK
            if block_lows[b] > lower and block_highs[b] < upper:
                i += BLOCK
                continue
        if lows[i] <= lower or highs[i] >= upper:
            return i
        i += 1
    return n


@kernel
def _blocks(values, least):
    """Return the least, or largest, value of every block."""
    count = (len(values) + BLOCK - 1) // BLOCK
    found = np.empty(count)
    for b in range(count):
        part = values[b * BLOCK : (b + 1) * BLOCK]
        found[b] = part.min() if least else part.max()
    return found


@kernel
def _next_entry(places, at, i, ready):
    """Return the index in `places` of the first signal at candle `i` or later and at `ready` or later."""
    from_time = np.searchsorted(at, ready)
    return np.searchsorted(places, max(i, from_time))


@kernel
def _sweep(sets, results, k, side, take, stop, follows, limits, at, first, high, low, close, spread, atr, lows, highs,
           block_lows, block_highs, places, wanted, passes):  # fmt: skip
    """Take a whole history to one set. `wanted` says at which candles it may enter, `passes` is where it qualifies."""
    n = len(at)
    i = 0
    passed = qualifies(sets, results, k, limits)
    said = 0
    while i < n:
        if sets[k, OPEN] > 0:
            follow = sets[k, FOLLOW]
            near = sets[k, TARGET]
            if follow > 0:
                starts = sets[k, ENTRY] + side * follow
                moves = sets[k, STOP] + side * follow
                next_move = max(starts, moves) if side > 0 else min(starts, moves)
                near = min(near, next_move) if side > 0 else max(near, next_move)
            lower = sets[k, STOP] if side > 0 else near
            upper = near if side > 0 else sets[k, STOP]
            i = _next_touch(i, n, lows, highs, block_lows, block_highs, lower, upper)
            if i < n and manage(sets, results, k, side, at[i], first[i], high[i], low[i], spread[i], limits):
                passes[said:i] = passed
                said = i
                passed = qualifies(sets, results, k, limits)
        else:
            j = _next_entry(places, at, i, sets[k, READY])
            while j < len(places) and not (atr[places[j]] > 0 and wanted[places[j]]):
                j += 1
            if j == len(places):
                break
            i = places[j]
            enter(sets, k, side, take, stop, follows, at[i], close[i], spread[i], atr[i])
        i += 1
    passes[said:] = passed


@kernel
def history(sets, results, kinds, sides, takes, stops, follows, siblings, limits, at, first, high, low, close, spread,
            atr, valid):  # fmt: skip
    """Take a whole history to every set: the same as `advance` candle by candle, only faster."""
    n = len(at)
    ask_high = high + spread
    ask_low = low + spread
    bid_blocks = (_blocks(low, True), _blocks(high, False))
    ask_blocks = (_blocks(ask_low, True), _blocks(ask_high, False))
    always = np.ones(n, dtype=np.bool_)
    unused = np.empty(n, dtype=np.bool_)
    passes = np.empty(n, dtype=np.bool_)
    done = np.zeros(len(kinds), dtype=np.bool_)
    for k in range(len(kinds)):
        if done[k] or siblings[k] >= 0:
            continue
        _one(sets, results, k, kinds, sides, takes, stops, follows, limits, at, first, high, low, close, spread, atr,
             ask_high, ask_low, bid_blocks, ask_blocks, valid, always, passes)  # fmt: skip
        for other in range(k + 1, len(kinds)):
            if siblings[other] == k:
                _one(sets, results, other, kinds, sides, takes, stops, follows, limits, at, first, high, low, close,
                     spread, atr, ask_high, ask_low, bid_blocks, ask_blocks, valid, passes, unused)  # fmt: skip


@kernel
def _one(sets, results, k, kinds, sides, takes, stops, follows, limits, at, first, high, low, close, spread, atr,
         ask_high, ask_low, bid_blocks, ask_blocks, valid, wanted, passes):  # fmt: skip
    places = np.flatnonzero(valid[:, kinds[k]] == sides[k])
    buys = sides[k] > 0
    lows = low if buys else ask_low
    highs = high if buys else ask_high
    blocks = bid_blocks if buys else ask_blocks
    _sweep(sets, results, k, sides[k], takes[k], stops[k], follows[k], limits, at, first, high, low, close, spread, atr,
           lows, highs, blocks[0], blocks[1], places, wanted, passes)  # fmt: skip
