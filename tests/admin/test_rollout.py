"""Giving a configuration to other bots: one account first, then the rest; by whom, and never half."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from django.urls import reverse

from accounts import services as account_services
from events.models import AuditEntry
from strategies.models import Bot, BotConfig
from strategies.rollout import roll_out
from strategies.services import create_bot, save_config
from tests.admin.conftest import AT, Desk, make_account, make_bot


@pytest.fixture
def fleet(desk: Desk) -> tuple[Bot, Bot, Bot, Bot]:
    """Give Mia's bot with a distance of 35, and three others: one on her account, one on her second, one on Cem's."""
    save_config(bot=desk.bot, values={"distance": 35.0}, by=desk.people["mia"], at=AT)
    second = make_account("Second", 1003)
    account_services.grant_role(user=desk.people["mia"], account=second, role="manager", at=AT)
    return desk.bot, make_bot(desk.account, "Near"), make_bot(second, "Far"), Bot.objects.get(name="Foreign")


def page_of(bot: Bot) -> str:
    return reverse("admin:strategies_bot_rollout", args=(bot.pk,))


def distance(bot: Bot) -> float:
    config = Bot.objects.select_related("config").get(pk=bot.pk).config
    assert config is not None
    value: float = config.values["distance"]
    return value


def form_of(source: Bot, *seen: tuple[Bot, int], **more: Any) -> dict[str, Any]:
    source.refresh_from_db()
    return {"config": source.config_id, "reason": "it did well", **{f"seen-{b.pk}": v for b, v in seen}, **more}


def test_one_account_first_then_the_rest(fleet: tuple[Bot, ...], as_: Callable[..., Client]) -> None:
    source, near, far, foreign = fleet
    client = as_("mia")
    page = client.get(page_of(source)).content.decode()
    assert "distance: 50.0 → 35.0" in page
    assert foreign.name not in page
    seen = ((near, 1), (far, 1))
    account = f"account-{far.account_id}"
    assert client.post(page_of(source), form_of(source, *seen, apply=account)).status_code == 302
    assert (distance(near), distance(far)) == (50.0, 35.0)
    page = client.get(page_of(source)).content.decode()
    assert "has it" in page
    assert "Apply to the rest (1)" in page
    for _ in range(2):  # a double click
        client.post(page_of(source), form_of(source, (near, 1), (far, 2), apply="rest"))
    assert (distance(near), distance(far)) == (35.0, 35.0)
    assert BotConfig.objects.filter(bot__in=(near, far)).count() == 4
    near.refresh_from_db()
    assert near.config is not None
    assert near.config.note == f"From Main, {source.name} v2: it did well"
    entry = AuditEntry.objects.filter(action="BOT_CONFIG", account_id=far.account_id).latest("id")
    assert entry.actor_name == "mia"
    assert "it did well" in entry.reason


def test_who_may_not_change_a_bot_does_not_reach_it(
    fleet: tuple[Bot, ...], desk: Desk, as_: Callable[..., Client]
) -> None:
    source, near, far, foreign = fleet
    everything = form_of(source, (near, 1), (far, 1), (foreign, 1), apply="rest", bot=[near.pk, far.pk, foreign.pk])
    for name, status in (("ben", 403), ("ada", 403), ("cem", 404)):
        assert as_(name).get(page_of(source)).status_code == status
        assert as_(name).post(page_of(source), everything).status_code == status
    account_services.grant_role(user=desk.people["mia"], account=far.account, role="viewer", at=AT)
    as_("mia").post(page_of(source), everything)
    as_("mia").post(page_of(source), {**everything, "apply": "ticked"})
    assert (distance(near), distance(far), distance(foreign)) == (35.0, 50.0, 50.0)


def test_without_a_reason_or_after_a_newer_version_nothing_happens(
    fleet: tuple[Bot, ...], as_: Callable[..., Client]
) -> None:
    source, near, far, _ = fleet
    client, seen = as_("mia"), ((near, 1), (far, 1))
    assert "Reason:" in client.post(page_of(source), form_of(source, *seen, apply="rest", reason="")).content.decode()
    stale = form_of(source, *seen, apply="rest")
    save_config(bot=source, values={"distance": 40.0}, at=AT)
    assert "A newer version of this bot" in client.post(page_of(source), stale).content.decode()
    save_config(bot=far, values={"distance": 60.0}, at=AT)
    answer = client.post(page_of(source), form_of(source, *seen, apply="rest")).content.decode()
    assert "Far: Changed by" in answer
    assert (distance(near), distance(far)) == (50.0, 60.0)


def test_a_bot_of_another_strategy_or_the_source_itself_takes_nothing(fleet: tuple[Bot, ...], desk: Desk) -> None:
    source, near, *_ = fleet
    source.refresh_from_db()
    assert source.config is not None
    other = create_bot(
        account=desk.account, name="Trend", strategy="trend-following", symbols=["EURUSD"], values={}, at=AT
    )
    for wrong, version in ((other, 1), (source, 2)):
        with pytest.raises(ValidationError, match=wrong.name):
            roll_out(config=source.config, seen={near.pk: 1, wrong.pk: version}, at=AT)
    assert distance(near) == 50.0
