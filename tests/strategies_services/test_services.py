"""Bots and their configurations: creating, versions, states, the limit on bots."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection

from accounts.models import Symbol, TradingAccount, User
from accounts.services import create_account
from cycles.models import Cycle
from events.models import Command, Event
from strategies import registry, services
from strategies.models import MAGIC_MAX, Bot
from strategies.selectors import MAGIC_FIRST, differences, next_magic, versions_of

AT = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


@pytest.fixture
def account(db: None) -> TradingAccount:
    return create_account(name="Main", login=1001, server="Sim-Demo", at=AT)


def make(account: TradingAccount, name: str = "MyBot_EURUSD", **fields: Any) -> Bot:
    given = {"strategy": "cycle-trader", "symbols": ["EURUSD"], "values": {}, **fields}
    return services.create_bot(account=account, name=name, at=AT, **given)


@pytest.mark.requirement("S1-12", "S1-14", "S1-40", "S1-41", "S1-42", "S1-43")
def test_a_bot_starts_stopped_with_a_first_configuration(account: TradingAccount) -> None:
    bot = make(account, symbols=["EURUSD", " GBPUSD.r "])
    bot.refresh_from_db()
    assert (bot.desired_state, bot.magic, bot.symbols) == ("stopped", MAGIC_FIRST, ["EURUSD", "GBPUSD.r"])
    assert bot.config is not None
    assert (bot.config.version, bot.config.values) == (1, registry.defaults("cycle-trader"))
    assert set(Symbol.objects.values_list("name", flat=True)) == {"EURUSD", "GBPUSD.r"}
    assert set(Event.objects.filter(bot=bot).values_list("kind", flat=True)) == {"BOT_CREATED", "BOT_CONFIG"}


@pytest.mark.requirement("S1-44", "S1-45", "S1-46", "S1-47")
def test_the_defaults_are_those_of_the_sources() -> None:
    values = registry.defaults("cycle-trader")
    assert (values["lot_size"], values["distance"], values["target_profit"], values["max_cycles"]) == (0.01, 50, 100, 5)


def test_magics_are_the_next_free_ones_of_the_account(account: TradingAccount) -> None:
    assert [make(account, f"b{n}").magic for n in range(3)] == [12345, 12346, 12347]
    make(account, "high", magic=MAGIC_MAX)
    assert next_magic(account.pk) == 12348
    other = create_account(name="Other", login=1002, server="Sim-Demo", at=AT)
    assert next_magic(other.pk) == 12345


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""},
        {"name": "a\u202eb"},
        {"name": "x\x00"},
        {"strategy": "no-such"},
        {"symbols": []},
        {"symbols": ["EURUSD", "EURUSD"]},
        {"symbols": ["EUR USD"]},
        {"symbols": ["X" * 30]},
        {"magic": 0},
        {"magic": MAGIC_MAX + 1},
        {"interval_seconds": 0.01},
        {"interval_seconds": float("nan")},
        {"values": {"lot_size": 0}},
        {"values": {"no_such": 1}},
        {"values": {"distance": float("inf")}},
        {"values": {"trail_start": 0.8}},
    ],
)
def test_unsound_bots_are_refused_whole(fields: dict[str, Any], account: TradingAccount) -> None:
    with pytest.raises(ValidationError):
        make(account, **fields)
    assert not Bot.objects.exists()
    assert not Event.objects.filter(kind="BOT_CREATED").exists()


def test_a_name_and_a_magic_are_taken_once_an_account(account: TradingAccount) -> None:
    bot = make(account)
    with pytest.raises(ValidationError):
        make(account, bot.name)
    with pytest.raises(ValidationError):
        make(account, "Second", magic=bot.magic)


@pytest.mark.requirement("S1-13", "S1-48")
def test_versions_follow_each_other_and_tell_what_changed(account: TradingAccount) -> None:
    bot, ada = make(account), User.objects.create_user("ada")
    second = services.save_config(bot=bot, values={"distance": 35}, note="tighter", by=ada, at=AT)
    assert (second.version, second.values["distance"], second.created_by) == (2, 35.0, ada)
    same = services.save_config(bot=bot, values={"distance": 35.0}, at=AT)
    assert same == second
    third = services.revert(bot=bot, version=1, by=ada, at=AT)
    assert (third.version, third.note, third.values["distance"]) == (3, "Back to version 1", 50.0)
    bot.refresh_from_db()
    found = versions_of(bot)
    assert [v.config.version for v in found] == [3, 2, 1]
    assert [v.current for v in found] == [True, False, False]
    assert [(c.name, c.before, c.after) for c in found[0].changes] == [("distance", 35.0, 50.0)]
    assert found[-1].changes == ()
    with pytest.raises(ValidationError):
        services.revert(bot=bot, version=9, at=AT)


def test_a_version_that_somebody_overtook_is_not_saved(account: TradingAccount) -> None:
    bot, ben = make(account), User.objects.create_user("ben")
    services.save_config(bot=bot, values={"distance": 35}, by=ben, at=AT, seen_version=1)
    with pytest.raises(services.ChangedMeanwhile, match="Changed by ben at"):
        services.save_config(bot=bot, values={"distance": 20}, at=AT, seen_version=1)
    assert bot.configs.count() == 2


def test_a_value_set_is_compared_by_name() -> None:
    changes = differences({"a": 1, "b": 2, "n": None}, {"a": 1, "b": 3, "c": None})
    assert [(c.name, c.before, c.after) for c in changes] == [("b", 2, 3), ("c", None, None), ("n", None, None)]


def test_a_bot_runs_only_with_a_configuration(account: TradingAccount) -> None:
    bot = make(account, values=None)
    with pytest.raises(ValidationError, match="save one first"):
        services.set_bot_state(bot=bot, state="running", at=AT)
    services.save_config(bot=bot, values={}, at=AT)
    assert services.set_bot_state(bot=bot, state="running", at=AT)
    assert not services.set_bot_state(bot=bot, state="running", at=AT)
    with pytest.raises(ValidationError):
        services.set_bot_state(bot=bot, state="sleeping", at=AT)
    asked = Command.objects.filter(account=account).values_list("kind", "args")
    assert ("state_changed", {"bot": bot.pk, "state": "running"}) in list(asked)
    assert Event.objects.get(kind="BOT_STATE").data["changes"]["desired_state"][1] == "running"


@pytest.mark.requirement("S1-20")
def test_max_bots_counts_the_bots_that_are_not_stopped(account: TradingAccount, settings: Any) -> None:
    settings.MAX_BOTS = 2
    bots = [make(account, f"b{n}") for n in range(4)]
    services.set_bot_state(bot=bots[0], state="running", at=AT)
    services.set_bot_state(bot=bots[1], state="running", at=AT)
    services.set_bot_state(bot=bots[1], state="paused", at=AT)
    with pytest.raises(ValidationError, match="MAX_BOTS is 2"):
        services.set_bot_state(bot=bots[2], state="running", at=AT)
    with pytest.raises(ValidationError, match="MAX_BOTS is 2"):
        make(account, "one-more")
    services.set_bot_state(bot=bots[1], state="running", at=AT)
    services.set_bot_state(bot=bots[0], state="stopped", at=AT)
    assert services.set_bot_state(bot=bots[2], state="running", at=AT)


def test_an_account_that_nets_has_one_bot_at_work_a_symbol(db: None) -> None:
    account = create_account(name="Net", login=1001, server="Sim-Demo", at=AT, margin_mode="netting")
    one, two = make(account, "One", symbols=["EURUSD", "USDJPY"]), make(account, "Two", symbols=["EURUSD"])
    services.set_bot_state(bot=one, state="paused", at=AT)
    with pytest.raises(ValidationError, match="One trades EURUSD, and Net nets"):
        services.set_bot_state(bot=two, state="running", at=AT)
    assert services.change_bot(bot=two, symbols=["GBPUSD"], at=AT)
    assert services.set_bot_state(bot=two, state="running", at=AT)
    with pytest.raises(ValidationError, match="One trades USDJPY"):
        services.change_bot(bot=two, symbols=["GBPUSD", "USDJPY"], at=AT)
    services.set_bot_state(bot=one, state="stopped", at=AT)
    assert one.config is not None
    cycle = Cycle.objects.create(
        account=account, bot=one, config=one.config, symbol="USDJPY", number=1, side="buy", status="open", opened_at=AT
    )
    with pytest.raises(ValidationError, match="One trades USDJPY"):
        services.change_bot(bot=two, symbols=["GBPUSD", "USDJPY"], at=AT)
    cycle.delete()
    assert services.change_bot(bot=two, symbols=["GBPUSD", "USDJPY"], at=AT)


def test_an_account_that_hedges_has_as_many_as_wanted(account: TradingAccount) -> None:
    for name in ("One", "Two"):
        assert services.set_bot_state(bot=make(account, name), state="running", at=AT)


def test_a_bot_in_use_keeps_its_symbols(account: TradingAccount) -> None:
    bot = make(account, symbols=["EURUSD", "GBPUSD"])
    services.set_bot_state(bot=bot, state="paused", at=AT)
    with pytest.raises(ValidationError, match="Stop the bot"):
        services.change_bot(bot=bot, symbols=["EURUSD"], at=AT)
    assert services.change_bot(bot=bot, symbols=["EURUSD", "GBPUSD", "USDJPY"], at=AT)
    assert not services.change_bot(bot=bot, symbols=["EURUSD", "GBPUSD", "USDJPY"], at=AT)
    services.set_bot_state(bot=bot, state="stopped", at=AT)
    assert services.change_bot(bot=bot, symbols=["USDJPY"], name="Yen", interval_seconds=0.5, at=AT)
    bot.refresh_from_db()
    assert (bot.symbols, bot.name, bot.interval_seconds) == (["USDJPY"], "Yen", 0.5)


class TestRaces:
    """Two people at once, each with a connection of their own."""

    @pytest.fixture(autouse=True)
    def committed(self, transactional_db: None) -> None:
        """Let each thread see what the others committed."""

    def at_once(self, *calls: Any) -> list[Any]:
        barrier = Barrier(len(calls))

        def run(call: Any) -> Any:
            try:
                barrier.wait(10)
                return call()
            except ValidationError as error:
                return error
            finally:
                connection.close()

        with ThreadPoolExecutor(len(calls)) as pool:
            return list(pool.map(run, calls))

    def test_the_last_place_goes_to_one_bot(self, account: TradingAccount, settings: Any) -> None:
        settings.MAX_BOTS = 1
        bots = [make(account, f"b{n}") for n in range(4)]
        found = self.at_once(*(lambda b=b: services.set_bot_state(bot=b, state="running", at=AT) for b in bots))
        assert sum(result is True for result in found) == 1
        assert Bot.objects.filter(desired_state="running").count() == 1

    def test_one_of_two_savers_wins(self, account: TradingAccount) -> None:
        bot = make(account)
        found = self.at_once(
            *(
                lambda d=d: services.save_config(bot=bot, values={"distance": d}, at=AT, seen_version=1)
                for d in (20, 30, 40)
            )
        )
        assert sum(isinstance(result, services.ChangedMeanwhile) for result in found) == 2
        assert bot.configs.count() == 2

    def test_two_new_bots_get_two_magics(self, account: TradingAccount) -> None:
        found = self.at_once(*(lambda n=n: make(account, f"b{n}") for n in range(3)))
        assert sorted(bot.magic for bot in found) == [12345, 12346, 12347]
