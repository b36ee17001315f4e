"""The badge that says which money is at stake."""

import pytest
from django.test import RequestFactory

from accounts.models import TradingAccount
from tradingsite.unfold import environment_badge


@pytest.mark.django_db
def test_one_real_account_makes_the_badge_red(rf: RequestFactory) -> None:
    account = TradingAccount.objects.create(name="Practice", login=7, server="Broker-Demo")
    assert environment_badge(rf.get("/admin/")) == ("DEMO", "info")
    account.demo = False
    account.save()
    assert environment_badge(rf.get("/admin/")) == ("LIVE", "danger")
