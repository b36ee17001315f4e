"""The page with a bot's parameters: typed form, errors, versions, the optimistic lock."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from events.models import Command, Event
from strategies import registry
from strategies.models import Bot, BotConfig
from strategies.services import save_config
from tests.admin.conftest import AT, Desk, make_bot
from tests.admin.test_forms import NASTY


def page_of(bot: Bot) -> str:
    return reverse("admin:strategies_bot_config", args=(bot.pk,))


def typed(bot: Bot, **changed: Any) -> dict[str, Any]:
    """Give what a browser would send for the bot's current version, with some fields changed."""
    bot.refresh_from_db()
    assert bot.config is not None
    values = {**bot.config.values, "seen_version": bot.config.version, "note": "", **changed}
    return {name: value for name, value in values.items() if value is not None and value is not False}


@pytest.mark.requirement("S1-44", "S1-45", "S1-46", "S1-47", "S1-48")
def test_the_form_has_groups_units_and_help_of_the_strategy(desk: Desk, as_: Callable[..., Client]) -> None:
    text = as_("mia").get(page_of(desk.bot)).content.decode()
    for name, info in registry.get("cycle-trader").params.model_fields.items():
        assert f'name="{name}"' in text
        extra = info.json_schema_extra
        assert isinstance(extra, dict)
        assert str(extra["group"]) in text
        assert str(extra["unit"]) in text
    for default in ('value="0.01"', 'value="50.0"', 'value="100.0"', 'value="5"'):
        assert default in text
    assert "DEMO" in text


@pytest.mark.requirement("S1-13", "S1-48")
def test_saving_makes_a_new_version_that_the_engine_hears_of(desk: Desk, as_: Callable[..., Client]) -> None:
    client = as_("mia")
    answer = client.post(page_of(desk.bot), typed(desk.bot, distance="35", note="tighter"))
    assert answer.status_code == 302
    desk.bot.refresh_from_db()
    config = desk.bot.config
    assert config is not None
    assert (config.version, config.values["distance"], config.note) == (2, 35.0, "tighter")
    assert config.created_by == desk.people["mia"]
    event = Event.objects.get(kind="BOT_CONFIG", bot=desk.bot, data__changes__version__1=2)
    assert "distance 50.0 → 35.0" in event.text
    assert Command.objects.filter(account=desk.account, requested_by=desk.people["mia"]).count() == 1
    assert "distance: 50.0 → 35.0" in client.get(page_of(desk.bot)).content.decode()


def test_unchanged_values_make_no_version(desk: Desk, as_: Callable[..., Client]) -> None:
    answer = as_("mia").post(page_of(desk.bot), typed(desk.bot), follow=True)
    assert "Nothing changed" in answer.content.decode()
    assert desk.bot.configs.count() == 1


def test_errors_show_at_their_fields_and_what_was_typed_stays(desk: Desk, as_: Callable[..., Client]) -> None:
    answer = as_("mia").post(page_of(desk.bot), typed(desk.bot, lot_size="lots", max_cycles="many", distance="77"))
    assert set(answer.context["form"].errors) == {"lot_size", "max_cycles"}
    assert 'value="77"' in answer.content.decode()
    answer = as_("mia").post(page_of(desk.bot), typed(desk.bot, lot_size="-1"))
    assert set(answer.context["form"].errors) == {"lot_size"}
    assert desk.bot.configs.count() == 1


def test_errors_across_fields_name_them(desk: Desk, as_: Callable[..., Client]) -> None:
    answer = as_("mia").post(page_of(desk.bot), typed(desk.bot, trail_start="0.8"))
    assert {"trail_start", "trail_lock"} <= set(answer.context["form"].errors)
    assert desk.bot.configs.count() == 1


def test_who_was_slower_is_told_who_changed_it_and_when(desk: Desk, as_: Callable[..., Client]) -> None:
    slow = typed(desk.bot, distance="40")
    as_("mia").post(page_of(desk.bot), typed(desk.bot, distance="60"))
    answer = as_("root").post(page_of(desk.bot), slow)
    newest = BotConfig.objects.get(bot=desk.bot, version=2)
    text = answer.content.decode()
    assert f"Changed by mia at {newest.created_at:%H:%M} UTC" in text
    assert 'value="40"' in text
    assert desk.bot.configs.count() == 2


def test_an_older_version_comes_back_as_a_new_one(desk: Desk, as_: Callable[..., Client]) -> None:
    client = as_("mia")
    client.post(page_of(desk.bot), typed(desk.bot, distance="60"))
    first = BotConfig.objects.get(bot=desk.bot, version=1)
    url = reverse("admin:strategies_botconfig_revert", args=(first.pk,))
    assert 'name="seen_version" value="2"' in client.get(url).content.decode()
    stale = client.post(url, {"_form_submitted": "1", "seen_version": "1"})
    assert "Changed by mia" in stale.content.decode()
    assert client.post(url, {"_form_submitted": "1", "seen_version": "2"}).headers["HX-Redirect"]
    desk.bot.refresh_from_db()
    assert desk.bot.config is not None
    assert (desk.bot.config.version, desk.bot.config.values) == (3, first.values)


def test_viewers_and_traders_look_but_do_not_save(desk: Desk, as_: Callable[..., Client]) -> None:
    for name in ("ben", "ada"):
        client = as_(name)
        text = client.get(page_of(desk.bot)).content.decode()
        assert "Save as a new version" not in text
        assert client.post(page_of(desk.bot), typed(desk.bot, distance="1")).status_code == 403
    assert as_("cem").get(page_of(desk.bot)).status_code == 404
    assert as_("root", enforce_csrf_checks=True).post(page_of(desk.bot), typed(desk.bot)).status_code == 403
    assert desk.bot.configs.count() == 1


def test_the_form_never_falls_over(desk: Desk, as_: Callable[..., Client]) -> None:
    client, url = as_("mia"), page_of(desk.bot)
    names = [*registry.get("cycle-trader").params.model_fields, "seen_version", "note"]
    for text in NASTY:
        assert client.post(url, dict.fromkeys(names, text)).status_code in (200, 302), repr(text)[:40]
    for name in names:
        for text in ("\x00", "NaN", "1e309", "9" * 400, "\u202e1"):
            assert client.post(url, typed(desk.bot, **{name: text})).status_code in (200, 302), (name, text[:10])
    stored = BotConfig.objects.filter(bot=desk.bot).values_list("values__distance", flat=True)
    assert all(0 < float(distance) <= 100_000 for distance in stored)


def test_a_strategy_that_is_gone_is_said_and_its_versions_stay(desk: Desk, as_: Callable[..., Client]) -> None:
    Bot.objects.filter(pk=desk.bot.pk).update(strategy="retired")
    text = as_("mia").get(page_of(desk.bot)).content.decode()
    assert "no strategy" in text
    assert "v1" in text
    assert as_("mia").get(reverse("admin:strategies_bot_changelist")).status_code == 200
    start = reverse("admin:strategies_bot_start", args=(desk.bot.pk,))
    assert "is no strategy" in as_("ada").post(start, {"_form_submitted": "1"}).content.decode()


def test_a_bot_without_parameters_starts_from_the_defaults(desk: Desk, as_: Callable[..., Client]) -> None:
    from strategies.services import create_bot

    bot = create_bot(account=desk.account, name="Empty", strategy="cycle-trader", symbols=["EURUSD"], at=AT)
    client = as_("mia")
    start = reverse("admin:strategies_bot_start", args=(bot.pk,))
    assert "save one first" in client.post(start, {"_form_submitted": "1"}).content.decode()
    defaults = {k: v for k, v in registry.defaults("cycle-trader").items() if v is not None and v is not False}
    assert client.post(page_of(bot), {**defaults, "seen_version": "0", "note": ""}).status_code == 302
    bot.refresh_from_db()
    assert bot.config is not None
    assert bot.config.values == registry.defaults("cycle-trader")


def file_of(bot: Bot, query: str = "") -> str:
    return reverse("admin:strategies_bot_file", args=(bot.pk,)) + query


def test_a_configuration_leaves_as_a_file_and_fills_the_form_of_another_bot(
    desk: Desk, as_: Callable[..., Client]
) -> None:
    mia = as_("mia")
    save_config(bot=desk.bot, values={"distance": 35.0}, at=AT)
    answer = as_("ben").get(file_of(desk.bot))
    assert answer["Content-Disposition"] == 'attachment; filename="mybot_eurusd-v2.yaml"'
    assert b"distance: 35.0" in answer.content
    assert b"distance: 50.0" in mia.get(file_of(desk.bot, "?version=1")).content
    other = make_bot(desk.account, "Second")
    file = SimpleUploadedFile("grid.yaml", answer.content)
    text = mia.post(page_of(other), {"fill": "1", "file": file}).content.decode()
    assert "Read from grid.yaml, not saved yet. It changes: distance: 50.0 → 35.0." in text
    assert 'value="35.0"' in text
    assert other.configs.count() == 1, "the file fills the form, a person saves it"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "choose one first"),
        (b"", "It is no configuration"),
        (b"\xff\xfe", "It is not UTF-8"),
        (b"x" * 70_000, "larger than 64 KB"),
        (b"strategy: scalping\nvalues: {}", "the file is for scalping"),
        (b"strategy: cycle-trader\nvalues: {lot_size: <b>}", "lot_size"),
    ],
)
def test_a_file_that_does_not_hold_is_refused_and_the_form_stays(
    desk: Desk, as_: Callable[..., Client], content: bytes | None, problem: str
) -> None:
    given = {"fill": "1"} | ({} if content is None else {"file": SimpleUploadedFile("grid.yaml", content)})
    text = as_("mia").post(page_of(desk.bot), given).content.decode()
    assert "The file was not taken" in text
    assert problem in text
    assert 'value="50.0"' in text
    assert "<b>" not in text.partition("The file was not taken")[2][:200]


def test_files_of_foreign_bots_and_versions_that_do_not_exist_are_404(desk: Desk, as_: Callable[..., Client]) -> None:
    foreign = Bot.objects.get(name="Foreign")
    assert as_("mia").get(file_of(foreign)).status_code == 404
    for odd in ("9", "frog", "", "-1", "99999999999999999999"):
        assert as_("mia").get(file_of(desk.bot, f"?version={odd}")).status_code == 404
    file = SimpleUploadedFile("grid.yaml", b"strategy: cycle-trader\nvalues: {}")
    assert as_("ben").post(page_of(desk.bot), {"fill": "1", "file": file}).status_code == 403
