"""What a paper account does by itself: fills, costs, nights, stop-out, and going on after its process was killed."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from brokers.domain import ClosePosition, OpenPosition, Side
from brokers.gateway import CandleSource, ConnectError, Permit, ReadError
from brokers.mt5.gateway import Mt5Gateway
from brokers.paper.gateway import PaperAccount, PaperGateway, paper_gateway
from brokers.paper.terms import has_moved, setup_of
from brokers.simulator.account import SymbolSetup
from brokers.simulator.truth import Truth, read_truth
from core.outcome import Accepted, Outcome, Refused
from tests.brokers.simulator.conftest import LOGIN, PASSWORD, SERVER, START, Rig

BID, ASK = 1.10000, 1.10010
ROOT = Path(__file__).resolve().parents[3]


class Paper:
    """A real account with a paper account at its prices. `kill` leaves everything as SIGKILL does."""

    def __init__(self, folder: Path, *symbols: SymbolSetup) -> None:
        self.rig = Rig(folder, symbols=symbols or (SymbolSetup("EURUSD"),))
        self.file = folder / "paper.sqlite"
        self.open: list[PaperGateway] = []

    def gateway(self, **values: Any) -> PaperGateway:
        real = Mt5Gateway(
            self.rig.connect(), login=LOGIN, password=PASSWORD, server=SERVER, path=None, clock=self.rig.clock,
            is_for_reading=True,
        )  # fmt: skip
        given = {"deposit": 5000.0, "commission_per_lot": 0.0, "may_begin": True} | values
        account = PaperAccount(LOGIN, SERVER, self.file, **given)
        gateway = paper_gateway(real, account, clock=self.rig.clock)
        self.open.append(gateway)
        gateway.connect()
        return gateway

    @property
    def truth(self) -> Truth:
        return read_truth(self.file)

    def permit(self) -> Permit:
        return Permit("intent", 1, self.rig.clock.now() + timedelta(seconds=10))

    def buy(self, gateway: PaperGateway, lots: float = 0.1, side: Side = Side.BUY, **values: Any) -> Outcome:
        return gateway.send(OpenPosition("EURUSD", side, lots, 7, "td:paper", **values), self.permit())


@pytest.fixture
def paper(tmp_path: Path) -> Iterator[Paper]:
    made = Paper(tmp_path)
    yield made
    for gateway in made.open:
        gateway.close()
    made.rig.mt5.shutdown()


def test_it_begins_with_its_deposit_and_pays_its_own_commission(paper: Paper) -> None:
    gateway = paper.gateway(commission_per_lot=4.0)
    state = gateway.account()
    assert (state.balance, state.currency, state.demo, state.login) == (5000.0, "USD", True, LOGIN)
    assert isinstance(paper.buy(gateway, 0.5, Side.SELL), Accepted)
    book = gateway.book()
    assert book.account.balance == 4998.0
    assert book.account.margin == pytest.approx(0.5 * 100_000 * BID / 100, rel=0.001)
    assert book.account.equity == pytest.approx(4998.0 - 0.5 * 100_000 * (ASK - BID), abs=0.01)
    assert book.positions[0].price_open == BID


def test_without_a_deposit_it_begins_with_what_the_real_one_holds(paper: Paper) -> None:
    assert paper.gateway(deposit=None).account().balance == 10_000.0


def test_a_lost_file_is_not_begun_anew(paper: Paper) -> None:
    with pytest.raises(ConnectError, match="not at"):
        paper.gateway(may_begin=False)
    assert not paper.file.exists()


def test_a_killed_process_finds_its_positions_and_what_the_market_did_meanwhile(paper: Paper) -> None:
    gateway = paper.gateway()
    for sl in (round(BID - 0.0020, 5), 0.0):
        assert isinstance(paper.buy(gateway, sl=sl), Accepted)
    # Nobody lets go of anything: as after SIGKILL, a new process opens the file
    paper.rig.price(BID - 0.0030, after=30)
    paper.rig.price(BID, after=30)
    back = paper.gateway()
    (left,) = back.book().positions
    assert left.sl == 0.0
    (deal,) = [d for d in paper.truth.deals if d.order and d.entry == 1]
    assert (deal.reason, deal.price) == (4, round(BID - 0.0030, 5))
    assert 30 <= deal.at - START.timestamp() <= 31


def test_what_a_silent_source_missed_is_filled_from_its_candles(paper: Paper) -> None:
    gateway = paper.gateway()
    assert isinstance(paper.buy(gateway, tp=round(BID + 0.0050, 5)), Accepted)
    paper.rig.price(BID + 0.0060, after=20)
    paper.rig.price(BID, after=20)
    assert not gateway.book().positions
    (deal,) = [d for d in paper.truth.deals if d.order and d.entry == 1]
    assert (deal.reason, deal.price) == (5, round(BID + 0.0060, 5))


def test_it_is_stopped_out_by_itself(paper: Paper) -> None:
    gateway = paper.gateway()
    assert isinstance(paper.buy(gateway, 4.0), Accepted)
    paper.rig.price(BID - 0.0100)
    assert not gateway.book().positions
    assert [d.reason for d in paper.truth.deals if d.entry == 1 and d.order] == [6]
    assert not read_truth(paper.rig.file).positions


def test_it_refuses_what_its_margin_does_not_carry(paper: Paper) -> None:
    refused = paper.buy(paper.gateway(), 10.0)
    assert isinstance(refused, Refused)
    assert refused.reason == "no_money"


def test_nights_cost_swap_by_the_brokers_clock(paper: Paper) -> None:
    gateway = paper.gateway()
    paper.buy(gateway, 1.0)
    seen = []
    # 22:00 UTC is midnight of New York + 7 h in winter
    while paper.rig.clock.now().hour != 23:
        paper.rig.price(BID, after=1800)
        seen.append((paper.rig.clock.now().hour, gateway.book().positions[0].swap))
    assert {swap for hour, swap in seen if hour < 22} == {0.0}
    assert seen[-1][1] == pytest.approx(-6.0)


def test_a_closed_market_takes_no_order_and_moves_no_position(paper: Paper) -> None:
    gateway = paper.gateway()
    paper.buy(gateway)
    paper.rig.clock.advance(600)
    refused = paper.buy(gateway)
    assert isinstance(refused, Refused)
    assert refused.reason == "market_closed"
    (position,) = gateway.book().positions
    again = ClosePosition("EURUSD", Side.BUY, 0.1, position.ticket, 7, "td:paper")
    paper.rig.price(BID)
    assert isinstance(gateway.send(again, paper.permit()), Accepted)


def test_prices_that_cannot_be_read_are_no_figures(paper: Paper) -> None:
    gateway = paper.gateway()
    paper.buy(gateway)
    gateway._prices._terminal.faults.disconnect()  # type: ignore[attr-defined]
    reads: tuple[Callable[[], object], ...] = (gateway.book, gateway.account)
    for read in reads:
        with pytest.raises(ReadError):
            read()
    assert isinstance(paper.buy(gateway), Refused)


def test_a_restart_that_finds_no_prices_shows_no_figures(paper: Paper) -> None:
    paper.buy(paper.gateway())
    paper.rig.mt5.push_tick("EURUSD", BID, ASK)

    class Priceless(Mt5Gateway):
        def quote(self, symbol: str) -> Any:
            raise ReadError("no price")

    real = Priceless(
        paper.rig.connect(), login=LOGIN, password=PASSWORD, server=SERVER, path=None, clock=paper.rig.clock
    )
    account = PaperAccount(LOGIN, SERVER, paper.file, deposit=None, commission_per_lot=0.0, may_begin=False)
    with pytest.raises(ConnectError, match="no price"):
        paper_gateway(real, account, clock=paper.rig.clock).connect()


def test_what_the_source_cannot_do_paper_cannot(paper: Paper) -> None:
    gateway = paper.gateway()
    assert isinstance(gateway, CandleSource)

    class Minutes:
        """A source without candles of seconds, as OANDA."""

        def __getattr__(self, name: str) -> Any:
            if name == "candle_range":
                raise AttributeError(name)
            return getattr(gateway._prices, name)

    account = PaperAccount(LOGIN, SERVER, paper.file, deposit=None, commission_per_lot=0.0, may_begin=False)
    coarse = paper_gateway(Minutes(), account, clock=paper.rig.clock)
    assert not isinstance(coarse, CandleSource)
    coarse.connect()
    paper.buy(coarse, tp=round(BID + 0.0050, 5))
    paper.rig.price(BID + 0.0060, after=90)
    paper.rig.price(BID, after=90)
    assert not coarse.book().positions


@pytest.mark.parametrize(("mode", "night"), [(0, 0.0), (1, -6.0), (2, -6.6), (4, -6.0), (9, 0.0)])
def test_swaps_are_said_in_the_accounts_money(tmp_path: Path, mode: int, night: float) -> None:
    known = Paper(tmp_path, SymbolSetup("EURUSD", swap_mode=min(mode, 8)))
    gateway = known.gateway()
    spec, quote = gateway.spec("EURUSD"), gateway.quote("EURUSD")
    setup = setup_of(
        replace(spec, swap_mode=mode), "EURUSD", quote, currency="USD", leverage=100, commission_per_lot=0.0
    )
    money = {0: 0.0, 1: setup.swap_long * setup.point * setup.contract_size, 4: setup.swap_long}[setup.swap_mode]
    assert money == pytest.approx(night)
    assert not has_moved(setup, setup)
    assert not has_moved(setup, replace(setup, contract_size=setup.contract_size * 1.0005))
    assert has_moved(setup, replace(setup, contract_size=setup.contract_size * 1.01))
    assert has_moved(setup, replace(setup, volume_step=0.1))
    gateway.close()
    known.rig.mt5.shutdown()


# A process that trades on paper, and ends as SIGKILL ends it, with nothing let go
VICTIM = """
import os, signal, sys
from pathlib import Path
from tests.brokers.paper.test_gateway import Paper

paper = Paper(Path(sys.argv[1]))
gateway = paper.gateway()
for lots in (0.1, 0.2):
    print(type(paper.buy(gateway, lots)).__name__, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kills the POSIX way")
def test_what_was_answered_outlives_kill_9(tmp_path: Path) -> None:
    victim = subprocess.run(
        [sys.executable, "-c", VICTIM, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False,
        timeout=120,
    )  # fmt: skip
    assert (victim.returncode, victim.stdout.split()) == (-signal.SIGKILL, ["Accepted", "Accepted"]), victim.stderr
    paper = Paper(tmp_path)
    back = paper.gateway(may_begin=False)
    assert [p.volume for p in back.book().positions] == [0.1, 0.2]
    assert len([d for d in paper.truth.deals if d.order]) == 2
    back.close()
    paper.rig.mt5.shutdown()
