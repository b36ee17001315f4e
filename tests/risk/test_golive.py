"""Real money: pinned at creation, and traded only after a second person agreed on a doctor and a paper run."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from accounts.admin.forms import AccountForm
from accounts.models import AccountSnapshot, TradingAccount
from accounts.services import create_account
from engine.models import EngineState
from events.models import Event
from orders.models import Order
from risk.models import Block, LiveRequest
from risk.services.golive import CAUSE, approve_live, ask_live, end_live, hold_back_unapproved
from tests.world import START, World


@pytest.fixture
def real(world: World, settings: Any) -> TradingAccount:
    settings.LIVE_PAPER_DAYS = 3
    return create_account(name="Real", login=9, server="Live-Server", at=START, by=world.ada, demo=False)


def ran(account: TradingAccount, *days_ago: int) -> None:
    for days in days_ago:
        AccountSnapshot.objects.create(
            account=account, at=START - timedelta(days=days), balance=1, equity=1, margin=0, margin_level=0,
            positions=0, total_open_volume=0,
        )  # fmt: skip


def traded(world: World) -> None:
    """Let the demo account close a trade."""
    world.bot()
    world.run(3)
    world.move(12, run=5)
    assert Order.objects.filter(account=world.account, status="closed").exists()


def examined(account: TradingAccount, grade: str) -> None:
    check = {"name": "money", "grade": grade, "found": "real money", "fix": ""}
    EngineState.objects.update_or_create(account=account, defaults={"doctor": [check], "examined_at": START})


def blocked(account: TradingAccount) -> bool:
    hold_back_unapproved(account, at=START)
    return Block.objects.filter(account=account, cause=CAUSE, lifted_at=None).exists()


def test_real_money_waits_for_paper_run_doctor_and_a_second_person(world: World, real: TradingAccount) -> None:
    assert blocked(real)
    assert not blocked(world.account)
    traded(world)
    ran(world.account, 1)
    with pytest.raises(ValidationError, match="2 days; 3 are needed"):
        ask_live(account=real, paper=world.account, reason="well", by=world.ada, at=START)
    with pytest.raises(ValidationError, match="Name the paper or demo account"):
        ask_live(account=real, paper=None, reason="well", by=world.ada, at=START)
    ran(world.account, 2)
    asked = ask_live(account=real, paper=world.account, reason="well", by=world.ada, at=START)
    with pytest.raises(ValidationError, match="asked before"):
        ask_live(account=real, paper=world.account, reason="well", by=world.ada, at=START)
    with pytest.raises(ValidationError, match="second person"):
        approve_live(request_id=asked.pk, reason="fine", by=world.ada, at=START)
    with pytest.raises(ValidationError, match="doctor has not looked"):
        approve_live(request_id=asked.pk, reason="fine", by=world.ben, at=START)
    examined(real, "block")
    real.refresh_from_db()
    with pytest.raises(ValidationError, match="doctor blocks"):
        approve_live(request_id=asked.pk, reason="fine", by=world.ben, at=START)
    assert blocked(real)
    examined(real, "pass")
    approve_live(request_id=asked.pk, reason="fine", by=world.ben, at=START)
    assert not blocked(real)
    with pytest.raises(ValidationError, match="answered before"):
        approve_live(request_id=asked.pk, reason="fine", by=world.ben, at=START)
    end_live(request_id=asked.pk, reason="holiday", by=world.ada, at=START)
    assert blocked(real)


def test_a_paper_run_is_of_the_account_that_goes_live_and_has_traded(world: World, real: TradingAccount) -> None:
    def on_paper(source: TradingAccount, login: int) -> TradingAccount:
        made = create_account(
            name=f"Paper {login}", broker="paper", login=login, server="", source=source, at=START, by=world.ada
        )
        ran(made, 1, 2, 3)
        return made

    own, other = on_paper(real, 91), on_paper(world.account, 92)
    for paper, said in ((other, "another account than Real"), (own, "has closed no trade")):
        with pytest.raises(ValidationError, match=said):
            ask_live(account=real, paper=paper, reason="well", by=world.ada, at=START)
    traded(world)
    Order.objects.update(account=own)
    ask_live(account=real, paper=own, reason="well", by=world.ada, at=START)
    assert "after 3 days and 1 closed trades on Paper 91" in Event.objects.get(kind="LIVE_ASKED").text
    # What does not hold any more when it is agreed is no paper run
    Order.objects.update(account=world.account)
    examined(real, "pass")
    real.refresh_from_db()
    with pytest.raises(ValidationError, match="has closed no trade"):
        approve_live(request_id=LiveRequest.objects.get().pk, reason="fine", by=world.ben, at=START)


def test_a_site_of_one_person_may_say_so(world: World, real: TradingAccount, settings: Any) -> None:
    settings.LIVE_SECOND_PERSON, settings.LIVE_PAPER_DAYS = False, 0
    examined(real, "pass")
    asked = ask_live(account=real, paper=None, reason="mine alone", by=world.ada, at=START)
    approve_live(request_id=asked.pk, reason="mine alone", by=world.ada, at=START)
    assert not blocked(real)


def test_demo_needs_no_approval_and_what_is_pinned_never_changes(world: World, real: TradingAccount) -> None:
    with pytest.raises(ValidationError, match="needs no approval"):
        ask_live(account=world.account, paper=None, reason="well", by=world.ada, at=START)
    values = {name: getattr(real, name) for name in AccountForm.Meta.fields} | {"demo": True}
    form = AccountForm(values, instance=real)
    form.has_error("demo")
    assert "pinned" in str(form.errors["demo"])


def test_the_engine_holds_an_unapproved_real_account_back(world: World) -> None:
    TradingAccount.objects.filter(pk=world.account.pk).update(demo=False)
    world.bot()
    world.run(4)
    assert not world.truth.positions
    assert Block.objects.filter(cause=CAUSE, lifted_at=None).exists()
