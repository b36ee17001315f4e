"""The safety lines of guards in backtests, and of what tells people in time (`make mutants` removes each in turn)."""

from tools.mutant import Mutant, removed

TESTS = "tests/backtesting/test_guards.py"
DRAWDOWN = f"{TESTS}::test_a_drawdown_counts_down_ten_seconds_closes_at_the_brokers_price_and_stays_closed"
JUMPS = f"{TESTS}::test_jumping_comes_to_the_same_as_every_tick_whatever_guards_close"
PEAK = f"{TESTS}::test_the_scan_raises_the_peak_as_the_guards_do"
STAYS = f"{TESTS}::test_without_a_person_who_re_arms_nothing_is_entered_any_more"
LARGEST = f"{TESTS}::test_the_largest_risk_is_closed_first_and_hedges_in_turns"
HIERARCHY = "tests/risk/test_hierarchy.py::test_an_account_that_no_engine_looks_at_lets_the_others_only_leave"
URGENT = "tests/notifications/test_delivery.py::test_an_urgent_alert_that_fails_is_tried_again_within_the_countdown"
GUARDING_PY, SCAN_PY, LIMITS_PY = "backtesting/guarding.py", "brokers/simulator/scan.py", "backtesting/guardlimits.py"

REPLAY_GUARD_MUTANTS: tuple[Mutant, ...] = (
    removed("guards look in a backtest", "backtesting/replay.py", "            self.guards.judge()\n", DRAWDOWN,
            by="            pass\n"),
    removed("what guards mark is closed in a backtest", GUARDING_PY, "            self._close(marks)\n", DRAWDOWN,
            by="            pass\n"),
    removed("a cycle that a guard closes ends in a backtest", GUARDING_PY,
            "        self.desk.end_cycle_of(held.identifier, why)\n", DRAWDOWN),
    removed("what guards forbid is forbidden in a backtest", "backtesting/asking.py", "(self.guards.blocks,", STAYS,
            by="((),"),
    removed("a backtest closes the largest risk first", GUARDING_PY,
            "largest_risk_first(positions, weights, CLOSES_PER_PASS)", LARGEST,
            by="sorted(positions, key=lambda h: h.volume)"),
    removed("a backtest's day begins at the broker's midnight", GUARDING_PY, "        self._turn_day(now)\n",
            f"{TESTS}::test_a_loss_of_the_day_is_of_the_brokers_day"),
    removed("a backtest looks at a guard's midnights and dangers", GUARDING_PY,
            "return min(self._due, self._midnight, min(turns, default=NEVER))", JUMPS, by="return self._due"),
    removed("a backtest looks when a countdown is over", GUARDING_PY, "times.append(alarm.deadline)", DRAWDOWN,
            by="pass"),
    removed("a refused close is asked for again in a backtest", GUARDING_PY,
            "if Phase.CLOSING in phases or (has_traded and Phase.STANDING in phases):",
            f"{TESTS}::test_what_the_broker_refuses_is_asked_for_again", by="if has_traded:"),
    removed("the scan stops at a fall from the peak", SCAN_PY, "low < readings[0] * (1.0 - readings[7]) or ", DRAWDOWN),
    removed("the scan stops at the least equity", SCAN_PY, "low < readings[8] or ", JUMPS),
    removed("the scan stops when a guard is calm again", SCAN_PY, " or high >= readings[9]", JUMPS),
    removed("the scan raises a peak by readings in a row only", SCAN_PY, "if readings[2] >= needed:", PEAK,
            by="if readings[2] >= 1:"),
    removed("the scan counts what stood between two ticks", SCAN_PY, "range(-min(stood, needed), 1)", PEAK,
            by="range(0, 1)"),
    removed("a margin level is watched between looks", LIMITS_PY,
            "least = max(least, margin * worse / 100 + slack) if worse is not None else least",
            f"{TESTS}::test_a_margin_level_that_the_price_alone_brings_down_is_seen_when_it_is_reached", by="pass"),
    removed("an account that no engine looks at lets others only leave", "risk/domain/guards.py",
            "if seen.portfolio_silent and tier < Tier.REDUCE:", HIERARCHY, by="if False:"),
    removed("an account that an engine looks at is not silent", "engine/selectors.py",
            ".exclude(lease__expires_at__gt=Now())", HIERARCHY),
    removed("urgent alerts are tried again within seconds", "notifications/domain.py",
            "waits = (*URGENT_BACKOFF, *BACKOFF) if urgent else BACKOFF", URGENT, by="waits = BACKOFF"),
    removed("a thread stays with an urgent alert that failed", "notifications/services.py",
            "while (seconds := _urgent_in(target_id)) is not None:", URGENT, by="while seconds := 0:"),
)  # fmt: skip
