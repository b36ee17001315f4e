"""The bench of paper: prices of a MetaTrader account, trades in a terminal of its own."""

from pathlib import Path

from brokers.mt5.gateway import Mt5Gateway
from brokers.paper.gateway import PaperAccount, PaperGateway, paper_gateway
from brokers.simulator.terminal import SimulatedTerminal
from brokers.simulator.truth import read_truth
from tests.brokers.conformance.mt5 import Mt5Bench
from tests.brokers.simulator.conftest import LOGIN, PASSWORD, SERVER


class PaperBench(Mt5Bench):
    title = "Paper"
    without = {"manual trades": "nobody else trades on it"}

    def __init__(self, folder: Path) -> None:
        self.file = folder / "paper.sqlite"
        super().__init__(folder)

    def gateway(self, *, right: bool = True) -> PaperGateway:
        source = Mt5Gateway(
            self.theirs, login=LOGIN, password=PASSWORD if right else "wrong", server=SERVER, path=None,
            clock=self.clock, is_for_reading=True,
        )  # fmt: skip
        account = PaperAccount(77, SERVER, self.file, deposit=10_000.0, commission_per_lot=0.0, may_begin=True)
        self.made = paper_gateway(source, account, clock=self.clock)
        return self.made

    @property
    def executing(self) -> SimulatedTerminal:
        return self.made._own

    def open_lots(self) -> float:
        return sum(p.volume * (1 if p.type == 0 else -1) for p in read_truth(self.file).positions)

    def executed(self) -> int:
        assert not any(d.order for d in read_truth(self.rig.file).deals), "the real account traded"
        return sum(1 for d in read_truth(self.file).deals if d.order)
