"""Rows from a terminal: the API's filters and shapes, a person's rights, rehearsals, and an engine that answers."""

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from accounts.adminkit import CLOCK
from accounts.models import ApiToken
from accounts.tokens import find_token
from core.clock import VirtualClock
from cycles.management.commands.cycles import Command as CyclesCommand
from cycles.models import Cycle
from events.models import AuditEntry
from events.models import Command as EngineCommand
from reconciliation.models import Divergence
from strategies.models import Bot
from tests.admin.conftest import Desk, desk, make_person  # noqa: F401 - a fixture
from tests.world import World


def said(command: Any, *words: Any) -> str:
    out = StringIO()
    call_command(command, *map(str, words), stdout=out)
    return out.getvalue()


def read(command: Any, *words: Any) -> Any:
    return json.loads(said(command, *words, "--json"))


@pytest.mark.parametrize("name", ["accounts", "bots", "cycles", "orders", "divergences"])
def test_rows_are_listed_and_shown_as_the_api_shows_them(desk: Desk, name: str) -> None:  # noqa: F811
    found = read(name, "list")["results"]
    assert len(found) == 2
    one = read(name, "show", found[0]["id"])
    assert one.items() >= found[0].items()
    assert str(found[0]["id"]) in said(name, "list")
    assert "broker-secret-1" not in said(name, "list") + json.dumps(one)
    assert not any(key.endswith("_encrypted") for key in one)


def test_a_list_is_filtered_as_the_api_filters(desk: Desk) -> None:  # noqa: F811
    assert [row["ticket"] for row in read("orders", "list", "--ticket", 5001)["results"]] == [5001]
    assert len(read("orders", "list", "--limit", 1)["results"]) == 1
    assert "No row fits" in said("orders", "list", "--symbol", "XAUUSD")
    with pytest.raises(CommandError, match=r"--status: .*open"):
        said("orders", "list", "--status", "opened")
    with pytest.raises(CommandError, match="--limit: give 1 to"):
        said("orders", "list", "--limit", 0)


@pytest.mark.django_db
def test_an_empty_installation_says_what_to_do() -> None:
    assert "runengine --demo" in said("accounts", "list")
    with pytest.raises(CommandError, match="none of number 7"):
        said("bots", "show", 7)


def test_what_a_terminal_would_obey_is_not_printed(desk: Desk) -> None:  # noqa: F811
    Bot.objects.filter(pk=desk.bot.pk).update(name="a\x1b[2Jb")
    assert "\x1b" not in said("bots", "list")


def test_a_bot_is_steered_with_a_reason_by_somebody(desk: Desk) -> None:  # noqa: F811
    done = read("bots", "start", desk.bot.pk, "--why", "ready", "--dry-run")
    assert (done["changed"], done["dry_run"]) == (True, True)
    desk.bot.refresh_from_db()
    assert desk.bot.desired_state == "stopped"
    said("bots", "start", desk.bot.pk, "--why", "ready", "--as", "ada")
    desk.bot.refresh_from_db()
    assert desk.bot.desired_state == "running"
    entry = AuditEntry.objects.filter(subject=f"bot {desk.bot.pk}").latest("id")
    assert (entry.actor_name, entry.reason) == ("ada", "ready")


def test_nobody_does_more_here_than_in_the_admin(desk: Desk) -> None:  # noqa: F811
    for name, problem in (("ben", "ben is no trader"), ("cem", "cem is no trader"), ("eve", "no active login 'eve'")):
        with pytest.raises(CommandError, match=problem):
            said("bots", "start", desk.bot.pk, "--why", "x", "--as", name)
    make_person("second", is_superuser=True)
    with pytest.raises(CommandError, match="--as: say who does it"):
        said("bots", "start", desk.bot.pk, "--why", "x")
    desk.bot.refresh_from_db()
    assert desk.bot.desired_state == "stopped"


def test_an_order_is_changed_by_a_command_of_its_engine(desk: Desk) -> None:  # noqa: F811
    with pytest.raises(CommandError, match="Main is stopped: start it first"):
        said("orders", "close", desk.order.pk, "--why", "x", "--wait", 0)
    said("engine", "start", "--account", "Main")
    before = EngineCommand.objects.count()
    for words, problem in (
        (("close", "--volume", "nan"), "--volume: 'nan' is no plain number"),
        (("close", "--volume", "5"), "volume: Give more than 0 and at most 0.01 lots"),
        (("modify", "--sl", "1.2", "--tp", "1.1"), "sl: .*can't be on that side"),
        (("modify", "--sl", "1,2", "--tp", "0"), "--sl: '1,2' is no plain number"),
    ):
        with pytest.raises(CommandError, match=problem):
            said("orders", words[0], desk.order.pk, *words[1:], "--why", "x", "--wait", 0)
    rehearsal = read("orders", "modify", desk.order.pk, "--sl", "1.01", "--tp", "0", "--why", "x", "--dry-run")
    assert rehearsal["would_ask"] == "change_stops"
    assert EngineCommand.objects.count() == before
    asked = read("orders", "modify", desk.order.pk, "--sl", "1.01", "--tp", "0", "--why", "tighter", "--wait", 0)
    assert asked["state"] == "waiting"
    assert EngineCommand.objects.get(pk=asked["command"]).args["sl"] == "1.01"


class WorldClock(VirtualClock):
    """Lets the engine work while a command waits."""

    def __init__(self, world: World) -> None:
        super().__init__(world.clock.now())
        self.world = world

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self.world.run(seconds)


def test_a_cycle_is_closed_by_its_engine_while_one_waits(world: World) -> None:
    bot = world.bot()
    world.run(3)
    make_person("root", is_superuser=True)
    cycle = Cycle.objects.get(bot=bot, status="open")
    command = CyclesCommand()
    command.clock = WorldClock(world)
    done = read(command, "close", cycle.pk, "--why", "news", "--as", "root")
    assert done["state"] == "done"
    world.run(3)
    cycle.refresh_from_db()
    assert cycle.status == "closed"


def test_a_divergence_is_settled_from_a_terminal(desk: Desk) -> None:  # noqa: F811
    row = Divergence.objects.get(account=desk.account)
    with pytest.raises(CommandError, match="adopt it, or mark it as manual"):
        said("divergences", "accept-broker", row.pk, "--why", "x")
    for until, problem in (("tomorrow", "is no time"), ("2030-01-01T10:00", "with its offset")):
        with pytest.raises(CommandError, match=problem):
            said("divergences", "ignore", row.pk, "--until", until, "--why", "x")
    with pytest.raises(CommandError, match="has no cycle 999"):
        said("divergences", "adopt", row.pk, "--cycle", 999, "--why", "x")
    told = read("divergences", "manual", row.pk, "--why", "mine", "--dry-run")
    assert told["would"] == "manual"
    assert "stays untouched" in told["then"][0]
    assert Divergence.objects.get(pk=row.pk).state == "open"
    done = read("divergences", "manual", row.pk, "--why", "mine", "--as", "ada")
    assert (done["state"], done["closed_how"]) == ("closed", "manual")
    assert done["steps"][-1]["text"] == "mine"
    assert read("divergences", "undo", row.pk, "--why", "no")["state"] == "open"
    later = (CLOCK.now() + timedelta(days=1)).isoformat()
    assert read("divergences", "ignore", row.pk, "--until", later, "--why", "weekend")["state"] == "ignored"
    assert read("divergences", "assign", row.pk, "--to", "ben", "--why", "x")["assignee"] == desk.people["ben"].pk
    with pytest.raises(CommandError, match="cem has no role"):
        said("divergences", "assign", row.pk, "--to", "cem", "--why", "x")


def test_a_token_is_made_shown_once_and_ended(desk: Desk) -> None:  # noqa: F811
    made = read("token", "create", "ada", "--name", "watcher", "--scope", "read", "--network", "10.0.0.0/8")
    found = find_token(made["token"], address="10.1.2.3", at=CLOCK.now())
    assert found is not None
    assert found.user == desk.people["ada"]
    assert find_token(made["token"], address="192.0.2.1", at=CLOCK.now()) is None
    listed = read("token", "list", "--login", "ada")["results"]
    assert [row["state"] for row in listed] == ["valid"]
    assert made["token"] not in json.dumps(listed)
    assert read("token", "revoke", made["prefix"])["changed"]
    assert not read("token", "revoke", made["prefix"])["changed"]
    assert find_token(made["token"], address="10.1.2.3", at=CLOCK.now()) is None


def test_a_token_that_does_not_hold_is_refused(desk: Desk) -> None:  # noqa: F811
    count = ApiToken.objects.count()
    for words, problem in (
        (("ada", "--days", 400), "expires_at: Choose an end within"),
        (("ada", "--days", 99999999999), "expires_at: Choose an end within"),
        (("ada", "--network", "frog"), "networks: 'frog' is no network"),
        (("eve",), "no active login 'eve'"),
    ):
        with pytest.raises(CommandError, match=problem):
            said("token", "create", *words, "--name", "x")
    with pytest.raises(CommandError, match="no token 'zz'"):
        said("token", "revoke", "zz")
    assert ApiToken.objects.count() == count
