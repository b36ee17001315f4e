"""What goes beyond one symbol or one account: the order of closing by risk, and accounts that are judged together."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db.models.functions import Now

from accounts.models import TradingAccount
from accounts.services import create_account
from brokers.simulator.account import SymbolSetup
from engine.models import Lease
from orders.models import AccountMarks, Deal, OrderIntent
from risk.models import EquityPeak, GuardAlarm
from risk.selectors import portfolio_drawdown
from risk.services.killing import kill
from tests.risk.test_scenarios import configure
from tests.world import START, World

GOLD = SymbolSetup("XAUUSD", digits=2, contract_size=100.0, currency_base="XAU")


def stands(account: TradingAccount, peak: float, equity: float) -> None:
    EquityPeak.objects.create(
        account=account, demo=account.demo, value=peak, at=START, start_value=peak, start_at=START
    )
    AccountMarks.objects.update_or_create(account=account, defaults={"at": START, "equity": equity})


@pytest.fixture
def golden(transactional_db: None, tmp_path: Path, settings: Any) -> World:
    settings.VAR_DIR = tmp_path
    return World(tmp_path, others=[(GOLD, 2_000.0)])


def test_what_is_worth_most_is_closed_first_not_what_has_most_lots(golden: World) -> None:
    golden.start()
    golden.run(2)
    hand = golden.by_hand()
    # 0.2 lots of EURUSD are 22,000; 0.15 of gold are 30,000
    assert hand.Buy("EURUSD", 0.2) is not None
    assert hand.Buy("XAUUSD", 0.15) is not None
    golden.run(1)
    kill(mode="flatten", reason="odd", confirmation="Sim", account=golden.account, by=golden.ada, at=golden.clock.now())
    golden.run(5)
    assert not golden.truth.positions
    assert list(OrderIntent.objects.order_by("id").values_list("symbol", flat=True)) == ["XAUUSD", "EURUSD"]


def test_accounts_of_one_currency_and_kind_of_money_are_judged_together(world: World) -> None:
    def another(name: str, login: int, **values: Any) -> TradingAccount:
        return create_account(name=name, login=login, server="Sim-Server", at=START, by=world.ada, **values)

    assert portfolio_drawdown(world.account.pk) is None
    stands(world.account, 10_000, 9_800)
    stands(another("Second", 2), 10_000, 6_200)
    stands(another("Real", 3, demo=False), 10_000, 1)
    stands(another("Euros", 4, currency="EUR"), 10_000, 1)
    assert portfolio_drawdown(world.account.pk) == pytest.approx(20.0)
    # A credit is no equity: it hides no loss
    Deal.objects.create(
        account=world.account, ticket=1, kind="credit", entry="none", reason="other", volume=0, price=0, profit=1_000,
        swap=0, commission=0, fee=0, at=START,
    )  # fmt: skip
    AccountMarks.objects.filter(account=world.account).update(equity=10_800)
    assert portfolio_drawdown(world.account.pk) == pytest.approx(20.0)


@pytest.mark.requirement("S1-69")
def test_an_account_that_is_well_itself_closes_when_all_together_fell_too_far(world: World) -> None:
    configure(world, portfolio_close=15.0)
    world.bot(lot_size=0.1, distance=5000.0, target_profit=1e6)
    world.run(4)
    assert len(world.truth.positions) == 1
    stands(
        create_account(name="Second", login=2, server="Sim-Server", at=START, by=world.ada, demo=True), 10_000, 5_000
    )
    world.run(2)
    alarm = GuardAlarm.objects.get(guard="portfolio")
    assert (alarm.phase, alarm.level) == ("countdown", "portfolio")
    world.run(13)
    assert not world.truth.positions
    assert GuardAlarm.objects.get(guard="portfolio").phase == "closed"


def test_an_account_that_no_engine_looks_at_lets_the_others_only_leave(world: World) -> None:
    """Nothing moves on either account; the other's engine dies, and comes back."""
    configure(world, portfolio_close=15.0)
    second = create_account(name="Second", login=2, server="Sim-Server", at=START, by=world.ada, demo=True)
    stands(second, 10_000, 10_000)
    lease, _ = Lease.objects.get_or_create(account=second)

    def held(seconds: float) -> None:
        Lease.objects.filter(pk=lease.pk).update(expires_at=Now() + timedelta(seconds=seconds), holder="another")

    held(3600)
    AccountMarks.objects.filter(account=second).update(identifiers=[1], profits=[0.0], swaps=[0.0], prices=[1.1])
    world.run(3)
    assert not GuardAlarm.objects.filter(guard="portfolio").exists()
    held(-1)
    world.bot(lot_size=0.1, distance=5000.0, target_profit=1e6)
    world.run(4)
    alarm = GuardAlarm.objects.get(guard="portfolio")
    assert (alarm.tier, alarm.phase) == (2, "standing")
    assert "Second" in alarm.text
    # Its positions may move while nobody looks: what is open may leave, and nothing is added
    assert not OrderIntent.objects.filter(kind="open", sent_at__gt=alarm.since).exists()
    held(3600)
    world.run(15)
    alarm.refresh_from_db()
    assert alarm.phase == "ended"
    assert OrderIntent.objects.filter(kind="open").count() == 1
    held(-1)
    AccountMarks.objects.filter(account=second).update(identifiers=[], profits=[], swaps=[], prices=[])
    world.run(3)
    assert not GuardAlarm.objects.filter(guard="portfolio", ended_at=None).exists(), "who holds nothing can't lose"
