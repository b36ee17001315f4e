"""Properties of any sequence of trades: the ledger is the balance, the file is the truth, two processes agree."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import hypothesis.strategies as st
from hypothesis import given, settings

from brokers.simulator.account import SymbolSetup
from brokers.simulator.truth import read_truth
from tests.brokers.simulator.conftest import Rig

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("move"), st.integers(-60, 60)),
        st.tuples(st.just("buy"), st.integers(1, 40)),
        st.tuples(st.just("sell"), st.integers(1, 40)),
        st.tuples(st.just("stops"), st.integers(5, 60)),
        st.tuples(st.just("rest"), st.integers(2, 5)),
        st.tuples(st.just("part"), st.integers(1, 10)),
        st.tuples(st.just("close"), st.integers(0, 9)),
        st.tuples(st.just("night"), st.integers(1, 3)),
    ),
    max_size=25,
)


def play(rig: Rig, steps: list[tuple[str, int]]) -> None:
    bid = 1.1
    for what, n in steps:
        positions = rig.mt5.positions_get() or ()
        if what == "move":
            bid = round(bid + n * 0.0001, 5)
            rig.price(bid)
        elif what in ("buy", "sell"):
            (rig.buy if what == "buy" else rig.sell)(round(n * 0.01, 2))
        elif what == "night":
            rig.clock.advance(n * 86_400.0)
        elif what == "rest":
            away = 0.002 if n in (3, 4) else -0.002
            rig.send(action=5, symbol="EURUSD", volume=0.05, type=n, price=round(bid + away, 5))
        elif positions:
            p = positions[n % len(positions)]
            side = 1 if p.type == 0 else -1
            if what == "stops":
                sl, tp = round(bid - side * n * 0.0001, 5), round(bid + side * n * 0.0001, 5)
                rig.send(action=6, symbol="EURUSD", position=p.ticket, sl=sl, tp=tp)
            else:
                volume = p.volume if what == "close" else min(p.volume, 0.01 * n)
                request: dict[str, Any] = {"action": 1, "symbol": "EURUSD", "position": p.ticket, "type": 1 - p.type}
                rig.send(**request, volume=round(volume, 2))


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_the_ledger_is_the_balance_and_equity_is_balance_plus_floating(steps: list[tuple[str, int]]) -> None:
    with TemporaryDirectory() as folder:
        rig = Rig(Path(folder), symbols=(SymbolSetup("EURUSD"),), balance=5000.0)
        play(rig, steps)
        info = rig.mt5.account_info()
        assert info is not None
        deals = rig.mt5.history_deals_get(0, 2**31 - 1) or ()
        assert round(sum(d.profit + d.swap + d.commission + d.fee for d in deals), 2) == info.balance
        positions = rig.mt5.positions_get() or ()
        assert round(info.balance + sum(p.profit + p.swap for p in positions), 2) == info.equity
        opened = {d.position_id: 0.0 for d in deals if d.position_id}
        for d in deals:
            if d.position_id:
                opened[d.position_id] += d.volume if d.entry == 0 else -d.volume
        assert {k: round(v, 8) for k, v in opened.items() if round(v, 8)} == {p.identifier: p.volume for p in positions}
        truth = read_truth(rig.file)
        assert (truth.balance, len(truth.deals)) == (info.balance, len(deals))
        assert {p.identifier for p in truth.positions} == {p.identifier for p in positions}
        again = rig.connect()
        assert again.positions_get() == positions
        assert again.account_info() == info
        again.shutdown()
        rig.mt5.shutdown()


def test_two_terminals_on_one_account_never_act_on_old_figures(rig: Rig) -> None:
    other = rig.connect()
    ticket = rig.buy(0.2).order
    part = {"action": 1, "symbol": "EURUSD", "volume": 0.1, "type": 1, "position": ticket}
    for terminal in (rig.mt5, other):
        result = terminal.order_send(part)
        assert result is not None
        assert result.retcode == 10009
    late = rig.mt5.order_send(part)
    assert late is not None
    assert late.retcode == 10036
    assert other.positions_get() == ()
