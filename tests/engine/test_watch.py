"""`manage.py watch`: what the live page shows, in a terminal."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from engine.management.commands.watch import Command
from risk.services import raise_block
from tests.world import World


def watched(*arguments: str, world: World) -> str:
    out = StringIO()
    command = Command(stdout=out)
    command.clock = world.clock
    call_command(command, *arguments, "--count", "2")
    return out.getvalue()


def test_it_shows_every_account_and_why_entries_are_refused(world: World) -> None:
    world.bot()
    world.run(3)
    raise_block(account_id=world.account.pk, cause="person", reason="news at 14:30", at=world.clock.now())
    text = watched(world=world)
    assert text.count("Sim") == 2
    assert "running" in text
    assert "news at 14:30" in text
    first, second = (json.loads(line) for line in watched("1001", "--json", world=world).splitlines())
    assert first["accounts"][0]["positions"] == len(world.open_orders()) == 1
    broker = world.by_hand().account_info()
    assert broker is not None
    assert second["accounts"][0]["equity"] == pytest.approx(broker.equity, abs=0.02)
    assert first["at"] < second["at"]


def test_bad_arguments_are_named(world: World) -> None:
    for arguments, said in (
        (["Nobody"], "There is no account 'Nobody'; known: Sim"),
        (["--every", "0"], "--every: give 0.1 to 3600 seconds"),
        (["--count", "-1"], "--count: give 0 or more"),
    ):
        with pytest.raises(CommandError, match=said):
            call_command("watch", *arguments)
