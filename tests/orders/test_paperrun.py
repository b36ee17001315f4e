"""How long an account or a bot ran on paper: days with an engine, days with an entry, trades."""

from datetime import timedelta

import pytest

from accounts.models import AccountSnapshot, TradingAccount
from orders.models import Order
from orders.selectors import NO_PAPER_RUN, PaperRun, paper_run
from tests.world import START, World

pytestmark = pytest.mark.django_db


def looked_at(account: TradingAccount, day: int) -> None:
    AccountSnapshot.objects.create(
        account=account, at=START + timedelta(days=day), balance=1, equity=1, margin=0, margin_level=0, positions=0,
        total_open_volume=0,
    )  # fmt: skip


def test_days_and_trades_are_those_without_real_money(world: World) -> None:
    assert paper_run(world.account.pk) == NO_PAPER_RUN
    bot = world.bot()
    world.run(seconds=3)
    world.move(12, run=5)
    assert Order.objects.filter(status="closed").count() == 1
    entries = Order.objects.exclude(status="pending").order_by().dates("opened_at", "day").count()
    before = AccountSnapshot.objects.filter(account=world.account).order_by().dates("at", "day").count()
    for day in (-3, 1, 2):
        looked_at(world.account, day)
    whole, of_bot = paper_run(world.account.pk), paper_run(world.account.pk, bot_id=bot.pk)
    assert (whole.days, whole.trading_days, whole.trades) == (before + 3, entries, 1)
    assert (whole.since, whole.until) == (START - timedelta(days=3), START + timedelta(days=2))
    assert (of_bot.days, of_bot.trading_days, of_bot.trades) == (whole.days - 1, entries, 1)
    assert paper_run(world.account.pk, bot_id=bot.pk + 1) == NO_PAPER_RUN
    TradingAccount.objects.filter(pk=world.account.pk).update(demo=False)
    assert paper_run(world.account.pk) == PaperRun(0, 0, 0, None, None)
