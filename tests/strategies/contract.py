"""What every strategy must hold to, built-in or plug-in: `check(strategy)` runs all of it.

A strategy is a pure function of what it is shown, asks only for what it was shown, respects blocks, and names watches
that fire before it would act, so that nobody has to ask it at every tick.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, given, settings

from brokers.domain import Quote, Side
from strategies.domain import AddLeg, ChangeLeg, CloseCycle, CloseLeg, Decision, Leg, OpenCycle, View
from strategies.registry import StrategySpec
from strategies.watching import WatchSet
from tests.strategies.views import SPEC, at_quote, quotes, views

STEPS, STEP_PIPS = 12, 5
EXAMPLES = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def check(
    spec: StrategySpec,
    params: st.SearchStrategy[Any],
    *,
    rules: Sequence[Callable[..., None]] = (),
    examples: settings = EXAMPLES,
) -> None:
    """Run the whole suite, or some of its rules, over parameters drawn from `params`."""
    for rule in rules or (pure, bounded, obedient, watchful):
        run: Callable[..., None] = given(views(), params, quotes)(_bind(rule, spec))
        examples(run)()


def _bind(rule: Callable[..., None], spec: StrategySpec) -> Callable[..., None]:
    def bound(seen: View, params: Any, other: Quote) -> None:
        rule(spec, seen, params, other)

    return bound


def pure(spec: StrategySpec, seen: View, params: Any, other: Quote) -> None:
    """The same view and parameters give the same decision, whatever was asked in between."""
    first = spec.decide(seen, params)
    spec.decide(at_quote(seen, other), params)
    assert spec.decide(seen, params) == first
    assert isinstance(hash(tuple(first.watches)), int)


def bounded(spec: StrategySpec, seen: View, params: Any, other: Quote) -> None:
    """Actions name cycles and legs of the view, carry a reason, and volumes that the symbol takes."""
    known = {c.id: c for c in seen.cycles}
    for action in spec.decide(seen, params).actions:
        assert action.reason
        match action:
            case OpenCycle(volume=volume):
                assert _fits(volume)
            case AddLeg(cycle_id=cycle_id, volume=volume, level=level):
                assert not known[cycle_id].closing
                assert _fits(volume)
                assert level not in {leg.level for leg in known[cycle_id].legs}
                assert level not in {f.level for f in known[cycle_id].in_flight}
            case CloseLeg(cycle_id=cycle_id, order_id=order_id, volume=volume):
                (found,) = [leg for leg in known[cycle_id].legs if leg.order_id == order_id]
                assert 0 < volume <= found.volume
            case CloseCycle(cycle_id=cycle_id):
                assert cycle_id in known
            case ChangeLeg(cycle_id=cycle_id, order_id=order_id):
                (found,) = [leg for leg in known[cycle_id].positions if leg.order_id == order_id]
                assert order_id not in known[cycle_id].under_way
                _protects(found, action, seen)


def _fits(volume: float) -> bool:
    steps = volume / SPEC.volume_step
    return SPEC.volume_min <= volume <= SPEC.volume_max and abs(steps - round(steps)) < 1e-6


def _protects(leg: Leg, change: ChangeLeg, seen: View) -> None:
    """A stop never moves back, and is not moved to where the price is already."""
    if change.sl and change.sl != leg.sl:
        assert not leg.sl or (change.sl - leg.sl) * leg.side.sign >= 0
        price = seen.quote.bid if leg.side is Side.BUY else seen.quote.ask
        assert (price - change.sl) * leg.side.sign > 0


def obedient(spec: StrategySpec, seen: View, params: Any, other: Quote) -> None:
    """While entries are blocked nothing raises exposure."""
    if seen.entries_blocked is not None:
        actions = spec.decide(seen, params).actions
        assert not [a for a in actions if isinstance(a, OpenCycle | AddLeg)]


def watchful(spec: StrategySpec, seen: View, params: Any, other: Quote) -> None:
    """Where it does nothing and would act at another price of the same moment, one of its watches fires there.

    It is asked at the price of the view, or at one of its entries, whichever leaves it calm.
    """
    entries = [leg.price_open for c in seen.cycles for leg in c.legs]
    around = (seen.quote, *(replace(seen.quote, bid=p, ask=round(p + seen.quote.spread, SPEC.digits)) for p in entries))
    for here in (at_quote(seen, quote) for quote in around):
        now = spec.decide(here, params)
        if now.actions:
            continue
        for price in (other, *ladder(here.quote)):
            there = spec.decide(at_quote(here, price), params)
            if there.actions:
                assert fires(now, here, price), f"{there.actions} at {price}, but none of {now.watches} fires"
        return


def ladder(quote: Quote) -> Iterator[Quote]:
    """Give prices all around: one alone seldom moves anybody."""
    for pips in range(-STEPS * STEP_PIPS, STEPS * STEP_PIPS + 1, STEP_PIPS):
        bid = round(quote.bid + pips * SPEC.pip, SPEC.digits)
        yield replace(quote, bid=bid, ask=round(bid + quote.spread, SPEC.digits))


def fires(decision: Decision, seen: View, other: Quote) -> bool:
    """Tell whether a watch of a decision fires at other prices."""
    watched = WatchSet.build([("it", decision.watches, seen)])
    return bool(watched.check(seen.now, {other.symbol: other}))
