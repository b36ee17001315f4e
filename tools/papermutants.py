"""The safety lines of paper accounts and of the parity meter, and what takes their place."""

from tools.mutant import Mutant, removed

SESSION = "tests/engine/test_paper.py"
GATEWAY = "tests/brokers/paper/test_gateway.py"
PARITY = "tests/backtesting/test_parity.py"

PAPER_MUTANTS: tuple[Mutant, ...] = (
    removed(
        "paper sends nothing to the real gateway", "brokers/paper/gateway.py",
        "        return super().send(request, permit)",
        f"{SESSION}::test_nothing_of_a_paper_account_reaches_the_real_gateway",
        by="        return self._prices.send(request, permit)",
    ),
    removed(
        "paper opens the real account for reading", "engine/opening.py",
        "gateway_of(source, clock, is_for_reading=True)",
        f"{SESSION}::test_nothing_of_a_paper_account_reaches_the_real_gateway",
        by="gateway_of(source, clock)",
    ),
    removed(
        "paper is added to paper only", "accounts/selectors.py",
        "return found.filter(broker=BrokerKind.PAPER) if account.is_paper else found.exclude(broker=BrokerKind.PAPER)",
        f"{SESSION}::test_figures_of_paper_are_added_to_nothing",
        by="return found",
    ),
    removed(
        "a lost paper file is not begun anew", "brokers/paper/gateway.py",
        "        if not paper.may_begin:", f"{GATEWAY}::test_a_lost_file_is_not_begun_anew",
        by="        if False:",
    ),
    removed(
        "paper positions follow prices before they are shown", "brokers/paper/gateway.py",
        "Raises ReadError.\"\"\"\n        self._follow()\n        return super().book()",
        f"{GATEWAY}::test_prices_that_cannot_be_read_are_no_figures",
        by="Raises ReadError.\"\"\"\n        return super().book()",
    ),
    removed(
        "a closed market takes no paper order", "brokers/paper/gateway.py",
        "        if self._clock.now() - quote.at > CLOSED_AFTER:\n            return Refused",
        f"{GATEWAY}::test_a_closed_market_takes_no_order_and_moves_no_position",
        by="        if False:\n            return Refused",
    ),
    removed(
        "what the market did while paper was away is worked off", "brokers/paper/gateway.py",
        "            first = self._fill_gap(quote.symbol, before, now)",
        f"{GATEWAY}::test_a_killed_process_finds_its_positions_and_what_the_market_did_meanwhile",
        by="            pass",
    ),
    removed(
        "a drift above the limit is told", "backtesting/parity/measuring.py",
        "    if report.is_over and not before:", f"{PARITY}::test_what_a_guard_costs_is_told_and_raises_an_alert",
        by="    if False:",
    ),
    removed(
        "what a session sees is recorded", "marketdata/quotes.py",
        "            self._recorder.take(quote)", f"{PARITY}::test_a_calm_day_has_no_drift",
        by="            pass",
    ),
    removed(
        "what a block held back is the guard's", "backtesting/parity/books.py",
        "        standing = _causes(held, symbol, at)",
        f"{PARITY}::test_what_a_guard_costs_is_told_and_raises_an_alert",
        by="        standing: set[Cause] = set()",
    ),
    removed(
        "the causes add up", "backtesting/parity/domain.py",
        "    parts[rest] += (live.net - ideal.net) - sum(parts.values())",
        "tests/backtesting/test_parity_split.py::test_every_leg_is_counted_once_and_the_causes_add_up",
    ),
)  # fmt: skip
