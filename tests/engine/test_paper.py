"""Paper accounts: real prices, trades in a terminal of their own, and figures that nothing is added to."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from accounts.models import TradingAccount
from accounts.selectors import free_paper_login, same_money
from accounts.services import create_account, set_desired_state
from brokers.domain import ClosePosition, OpenPosition, Side
from brokers.gateway import ConnectError, Permit
from brokers.paper.gateway import PaperGateway
from brokers.simulator.truth import Truth, read_truth
from core.outcome import Accepted, Refused
from dashboard.selectors import live_snapshot
from engine.lease import HeldLease
from engine.opening import gateway_of, paper_file
from engine.session import AccountSession
from orders.models import AccountMarks
from risk.models import EquityPeak
from risk.selectors import portfolio_drawdown
from tests.world import ASK, START, World


class PaperWorld(World):
    """The world, with the bots on a paper account at the prices of the other one, which stays what it is: `real`."""

    def __init__(self, folder: Path, **values: Any) -> None:
        super().__init__(folder, **values)
        self.real = self.account
        self.market = self.by_hand()
        self.account = create_account(
            name="Sim on paper", broker="paper", login=free_paper_login(self.real), server="", source=self.real,
            paper_deposit=Decimal(5000), at=START, by=self.ada,
        )  # fmt: skip
        set_desired_state(account=self.account, state="running", at=START, by=self.ada)

    @property
    def terminal(self) -> Any:
        return self.market

    @property
    def truth(self) -> Truth:
        return read_truth(paper_file(self.account.pk))

    @property
    def real_truth(self) -> Truth:
        return read_truth(self.state_file)

    def gateway(self) -> PaperGateway:
        gateway = gateway_of(TradingAccount.objects.get(pk=self.account.pk), self.clock)
        assert isinstance(gateway, PaperGateway)
        return gateway

    def start(self, *, password: str = "pw") -> AccountSession:
        lease = HeldLease.acquire(self.account.pk, f"test:{self.ids.token(6)}", clock=self.clock)
        assert lease is not None
        self._session = AccountSession(
            self.account.pk, gateway=self.gateway(), clock=self.clock, ids=self.ids, lease=lease
        )
        self._session.start()
        return self._session


@pytest.fixture
def paper(transactional_db: None, tmp_path: Path, settings: Any) -> Iterator[PaperWorld]:
    settings.VAR_DIR = tmp_path
    made = PaperWorld(tmp_path)
    yield made
    made.market.shutdown()


def permit(world: PaperWorld) -> Permit:
    return Permit("intent", 1, world.clock.now() + timedelta(seconds=10))


def test_a_bot_trades_on_paper_and_the_real_account_never_hears_of_it(paper: PaperWorld) -> None:
    before = paper.real_truth
    paper.bot()
    paper.run(seconds=3)
    (position,) = paper.truth.positions
    assert (position.price_open, position.volume) == (ASK, 0.1)
    paper.move(-12, run=4)
    assert len(paper.truth.positions) == 2
    paper.move(40, run=6)
    assert not paper.cycles("open") or len(paper.cycles()) > 1
    assert paper.cycles()[0].status == "closed"
    paper.assert_equal()
    after = paper.real_truth
    assert (after.positions, after.orders, after.deals, after.history) == (
        before.positions, before.orders, before.deals, before.history,
    )  # fmt: skip


def test_nothing_of_a_paper_account_reaches_the_real_gateway(paper: PaperWorld) -> None:
    gateway = paper.gateway()
    gateway.connect()
    assert isinstance(gateway.send(OpenPosition("EURUSD", Side.BUY, 0.1, 7, "td:paper"), permit(paper)), Accepted)
    (position,) = gateway.book().positions
    closing = ClosePosition("EURUSD", Side.BUY, 0.1, position.ticket, 7, "td:paper")
    assert isinstance(gateway.send(closing, permit(paper)), Accepted)
    gateway.close()
    assert not [deal for deal in paper.real_truth.deals if deal.order]
    assert not paper.real_truth.history
    assert [deal.entry for deal in paper.truth.deals if deal.order] == [0, 1]
    # And what it reads the prices from is a connection that could not send if it were asked to
    real = paper.gateway()._prices
    real.connect()
    asked = OpenPosition("EURUSD", Side.BUY, 0.1, 7, "td:paper")
    assert real.send(asked, permit(paper)) == Refused("for_reading", 0, text="this connection was opened to read")  # type: ignore[attr-defined]
    real.close()


def test_a_running_engine_goes_on_after_a_crash_and_a_lost_file_is_not_begun_anew(
    paper: PaperWorld, settings: Any
) -> None:
    settings.PAPER_COMMISSION_PER_LOT = 4.0
    paper.bot()
    paper.run(seconds=3)
    before = paper.truth.positions
    assert [deal.commission for deal in paper.truth.deals if deal.order] == [-0.4]
    paper.restart()
    paper.run(seconds=3)
    assert paper.truth.positions == before
    paper.assert_equal()
    paper.crash()
    paper_file(paper.account.pk).unlink()
    with pytest.raises(ConnectError, match="not at"):
        paper.gateway().connect()


def test_figures_of_paper_are_added_to_nothing(paper: PaperWorld) -> None:
    real, other = paper.real, create_account(name="Other", login=3, server="X", at=START)
    assert set(same_money(real)) == {real, other}
    assert set(same_money(paper.account)) == {paper.account}
    for account, peak, equity in ((real, 10_000, 9_000), (paper.account, 5_000, 500)):
        EquityPeak.objects.create(
            account=account, demo=True, value=peak, at=START, start_value=peak, start_at=START, flow_total=0
        )
        AccountMarks.objects.update_or_create(
            account=account, defaults={"at": START, "balance": equity, "equity": equity, "margin": 0, "margin_level": 0}
        )
    assert portfolio_drawdown(real.pk) == pytest.approx(10.0)
    assert portfolio_drawdown(paper.account.pk) == pytest.approx(90.0)
    shown = {account["id"]: account["money"] for account in live_snapshot(paper.ada)["accounts"]}
    assert shown[real.pk] == "demo"
    assert shown[paper.account.pk] == "paper"


def test_paper_has_a_source_that_is_real_and_never_becomes_real(paper: PaperWorld) -> None:
    whole: dict[str, Any] = {"broker": "paper", "source": paper.real, "paper_deposit": Decimal(100)}
    for fields in ({"source": None}, {"broker": "simulator"}, {"broker": "simulator", "source": None}):
        values = whole | fields
        with pytest.raises(ValidationError, match="A paper account names the account"):
            create_account(name="Again", login=5, server="Elsewhere", at=START, **values)
        with pytest.raises(IntegrityError), transaction.atomic():
            TradingAccount.objects.create(name="Again", login=5, server="Elsewhere", **values)
    with pytest.raises(ValidationError, match="on paper itself"):
        create_account(name="Again", login=5, server="", broker="paper", source=paper.account, at=START)
    with pytest.raises(IntegrityError), transaction.atomic():
        TradingAccount.objects.filter(pk=paper.account.pk).update(demo=False)
