"""The page that ranks a symbol's sets: results, reasons, filters, and who may see it."""

import re
from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import TradingAccount
from cycles.models import Cycle
from marketdata.indications import Kind
from strategies import services as bot_services
from strategies.models import Bot, PseudoBook, SignalSettings
from strategies.pseudo.ranking import Ranking, ranking_of
from strategies.pseudo.sets import SymbolSets
from strategies.pseudo.store import grid_of, store
from tests.admin.conftest import AT, Desk
from tests.marketdata.markets import walk

EAGER = {
    "min_move": 0.2, "pullback": 0.8, "active_window_seconds": 20, "active_threshold_percent": 0.005,
    "validation_seconds": 0.0, "cooldown_seconds": 5.0, "min_profit_factor": 1.0, "min_trades": 10,
}  # fmt: skip


def followed(account: TradingAccount) -> tuple[PseudoBook, SymbolSets]:
    """Store what eager settings made of a long walk that ends while some signal is valid."""
    SignalSettings.objects.update_or_create(account=account, defaults=EAGER)
    sets = SymbolSets(grid_of(SignalSettings.objects.get(account=account), 0.0001))
    candles = walk(1, 12_000)
    sets.take(candles.part(0, 10_000))
    for i in range(10_000, len(candles)):
        sets.take(candles.part(i, i + 1))
        if sets.setups():
            break
    assert sets.setups(), "the walk ends with something worth trading"
    PseudoBook.objects.filter(account=account).delete()
    store(account.pk, "EURUSD", sets, at=AT)
    return PseudoBook.objects.get(account=account), sets


def signal_bot(account: TradingAccount, **values: object) -> Bot:
    bot = bot_services.create_bot(
        account=account, name="Signals", strategy="signal-trader", symbols=["EURUSD"], at=AT,
        values={"min_trades": 10, "min_profit_factor": 1.0, **values},
    )  # fmt: skip
    bot_services.set_bot_state(bot=bot, state="running", at=AT)
    return bot


def codes(ranking: Ranking) -> dict[str, str]:
    return {str(row.result.key): row.verdict.code for row in ranking.rows}


def page(book: PseudoBook, client: Client, show: str = "") -> str:
    answer = client.get(reverse("admin:strategies_pseudobook_ranking", args=(book.pk,)), {"show": show})
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.mark.requirement("S4-61")
def test_it_ranks_the_sets_and_gives_the_reason_of_each(desk: Desk, as_: Callable[..., Client]) -> None:
    book, sets = followed(desk.account)
    ranking = ranking_of(book, 0.0001)
    assert len(ranking.rows) == len(sets.grid.sets)
    factors = [row.result.profit_factor for row in ranking.rows if row.result.recent]
    assert factors == sorted(factors, reverse=True)
    for row in ranking.rows:
        result, code = row.result, row.verdict.code
        if result.recent < 10:
            assert code == "trades"
        elif result.profit_factor < 1.0:
            assert code == "profit_factor"
        elif book.valid[result.key.kind] != result.key.side.sign:
            assert code == "signal"
        else:
            assert code == "no_bot"
    ready = {setup.key for setup in sets.setups()}
    assert ready <= {key for key, code in codes(ranking).items() if code == "no_bot"}
    html = page(book, as_("ben"))
    assert len(re.findall(r"<tr", html)) == len(ranking.rows) + 1
    for words in (
        "no signal trader on this symbol",
        "of 10 pseudo positions",
        "profit factor below 1",
        "Expectancy (R)",
    ):
        assert words in html


def test_a_bot_takes_what_is_ready_and_its_own_limits_are_reasons(desk: Desk) -> None:
    book, sets = followed(desk.account)
    key = sets.setups()[0].key
    bot = signal_bot(desk.account)
    assert codes(ranking_of(book, 0.0001))[key] == "ready"
    bot_services.save_config(bot=bot, values={"min_trades": 50, "min_profit_factor": 99.0}, at=AT)
    assert codes(ranking_of(book, 0.0001))[key] in ("trades", "profit_factor")
    bot_services.save_config(bot=bot, values={"min_trades": 10, "min_profit_factor": 1.0, "max_cycles": 1}, at=AT)
    bot_services.set_bot_state(bot=bot, state="paused", at=AT)
    assert codes(ranking_of(book, 0.0001))[key] == "bot_state"
    bot_services.set_bot_state(bot=bot, state="running", at=AT)
    assert bot.config is not None
    Cycle.objects.create(
        account=desk.account, bot=bot, config_id=bot.config.pk, number=1, symbol="EURUSD", side="buy", opened_at=AT,
        memory={"set": key},
    )  # fmt: skip
    ranking = ranking_of(book, 0.0001)
    assert codes(ranking)[key] == "traded"
    others = {code for name, code in codes(ranking).items() if name != key}
    assert "ready" not in others
    assert "no_bot" not in others


def test_its_choices_filter(desk: Desk, as_: Callable[..., Client]) -> None:
    book, sets = followed(desk.account)
    per_kind = len(sets.grid.sets) // len(Kind)
    for kind in Kind:
        html = page(book, as_("ada"), kind.label)
        assert len(re.findall(r"<tr", html)) == per_kind + 1
    assert "No set is shown by this choice." in page(book, as_("ada"), "traded")


def test_results_of_other_settings_are_not_shown(desk: Desk, as_: Callable[..., Client]) -> None:
    book, _ = followed(desk.account)
    SignalSettings.objects.filter(account=desk.account).update(min_move=0.9)
    assert "The settings have changed" in page(book, as_("ada"))
    assert ranking_of(book, 0.0001).rows == ()


def test_a_stranger_does_not_find_it(desk: Desk, as_: Callable[..., Client]) -> None:
    book, _ = followed(desk.account)
    for name in ("ranking", "change"):
        address = reverse(f"admin:strategies_pseudobook_{name}", args=(book.pk,))
        assert as_("cem").get(address).status_code == 404


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"history_days": "13"}, "history_days"),
        ({"history_days": "0"}, "history_days"),
        ({"take_profits": "1,1"}, "take_profits"),
        ({"stop_losses": ""}, "stop_losses"),
        ({"min_trades": "51"}, "min_trades"),
        ({"pullback": "2"}, "pullback"),
        ({"min_move": "nan"}, "min_move"),
    ],
)
@pytest.mark.requirement("S4-30")
def test_settings_out_of_range_are_refused_at_their_field(
    desk: Desk, as_: Callable[..., Client], fields: dict[str, str], named: str
) -> None:
    SignalSettings.objects.update_or_create(account=desk.account, defaults={"history_days": 5})
    values = {
        "history_days": "5", "candle_seconds": "1", "min_move": "0.5", "pullback": "0.35",
        "active_threshold_percent": "0.05", "active_window_seconds": "60", "take_profits": "1,2", "stop_losses": "1",
        "validation_seconds": "15", "cooldown_seconds": "20", "commission_pips": "0", "min_profit_factor": "1.2",
        "min_trades": "20",
    }  # fmt: skip
    address = reverse("admin:strategies_signalsettings_change", args=(desk.account.pk,))
    answer = as_("root").post(address, {**values, **fields})
    assert answer.status_code == 200
    assert named in answer.context["adminform"].form.errors
    assert SignalSettings.objects.get(account=desk.account).take_profits == [1.0, 2.0, 3.0]
    assert as_("root").post(address, values).status_code == 302
    assert SignalSettings.objects.get(account=desk.account).take_profits == [1.0, 2.0]
