"""The projection job: how far each account is from its stop-out, now and if prices run to the last level."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from core.clock import Clock
from engine.guarding import Guards
from engine.rounds import Asked, Instance
from engine.trading import Trader
from events import live
from orders.gate import fenced
from orders.manager import OrdersManager
from risk.domain.projection import Point, Run, awaited, coming, opened, run_of, stop_out_bid, walk, worst_case
from risk.models import RiskProjection
from risk.selectors import stops_of
from strategies import registry
from strategies.domain import CycleView, Decide, OpenCycle, View
from strategies.models import Bot

# A chart with more lines says less
LEVELS_SHOWN = 20


class Projector:
    """Asks the strategies along falling and rising prices, and keeps what came of it. A session owns it."""

    def __init__(self, *, trader: Trader, guards: Guards, orders: OrdersManager, clock: Clock) -> None:
        self.trader = trader
        self.guards = guards
        self.market = guards.market
        self.orders = orders
        self.gate = guards.gate
        self.clock = clock
        self._runs: dict[Instance, tuple[Run, ...]] = {}

    def run(self) -> None:
        """Project every bot of the account and the account itself, write it down and tell the pages."""
        last = self.orders.last
        if last is None:
            return
        bots = {bot.pk: bot for bot in self.trader.bots()}
        self._runs, cycles = {}, dict[str, Any]()
        for instance, asked in self.trader.asked.items():
            bot = bots.get(instance.bot_id)
            if bot is not None and asked.view.cycles:
                self._runs[instance] = self._project(bot, asked.view)
                cycles |= self._cycles(bot, asked)
        account = last.book.account
        data = {
            **self._figures(self.clock.now()),
            "cycles": cycles,
            "bots": self._bots(account.equity, account.margin),
            "symbols": self._symbols(),
        }
        with fenced(self.gate):
            RiskProjection.objects.update_or_create(
                account_id=self.gate.account_id, defaults={"at": self.clock.now(), "data": data}
            )
            shown = {
                name: data[name] for name in ("at", "margin_level", "worst_equity", "worst_level", "cost_to_close")
            }
            live.publish(self.gate.account_id, "risk", shown | stops_of(data))

    def objection(self, bot: Bot, view: View, opening: OpenCycle | None) -> str | None:
        """Say why a bot must not add exposure: with it, running to the last level would meet the stop-out."""
        last, settings = self.orders.last, self.guards.settings
        if not settings.worst_case or last is None:
            return None
        instance = Instance(bot.pk, view.spec.name)
        runs = [run for other, known in self._runs.items() if other != instance for run in known]
        runs += self._project(bot, opened(view, opening) if opening is not None else view)
        margin = last.book.account.margin + (opening.volume * view.spec.margin_per_lot if opening is not None else 0.0)
        worst = worst_case(last.book.account.equity, margin, runs, settings.stop_out)
        if not worst.is_stop_out:
            return None
        return (
            f"if prices run to the last level, {worst.equity:.2f} equity meets the stop-out at "
            f"{settings.stop_out:g} % of {worst.margin:.2f} margin"
        )

    def _project(self, bot: Bot, view: View) -> tuple[Run, ...]:
        walks = self._walks(bot, view)
        return tuple(run_of(points, view.spec, falling=falling) for falling, points in walks.items())

    def _walks(self, bot: Bot, view: View) -> dict[bool, tuple[Point, ...]]:
        """Walk both ways, by falling. A configuration that does not hold adds nothing: the bot is parked."""
        found = self._strategy(bot)
        if found is None:
            return {}
        decide, params = found
        return {falling: walk(decide, params, view, falling=falling) for falling in (True, False)}

    def _strategy(self, bot: Bot) -> tuple[Decide, Any] | None:
        assert bot.config is not None
        try:
            spec = registry.get(bot.config.strategy)
            return spec.decide, spec.params.model_validate(bot.config.values)
        except (KeyError, ValidationError):
            return None

    def _cycles(self, bot: Bot, asked: Asked) -> Mapping[str, Any]:
        """Project each cycle as if it were alone."""
        return {str(cycle.id): self._cycle(bot, asked.view, cycle) for cycle in asked.view.cycles}

    def _cycle(self, bot: Bot, view: View, cycle: CycleView) -> dict[str, Any]:
        alone = View(
            view.now, view.quote, view.spec, (cycle,), last_entry_at=view.now, signals=view.signals, atr=view.atr,
            equity=view.equity, margin_free=view.margin_free,
        )  # fmt: skip
        walks = self._walks(bot, alone)
        runs = [run_of(points, view.spec, falling=falling) for falling, points in walks.items()]
        assert self.orders.last is not None
        account = self.orders.last.book.account
        worse = min(runs, key=lambda run: run.equity_change, default=None)
        found = worst_case(account.equity, account.margin, runs, self.guards.settings.stop_out)
        return {
            "net": round(cycle.net(view.quote, view.spec), 2),
            "levels_left": worse.levels if worse else 0,
            "last_price": worse.last_bid if worse else view.quote.bid,
            "worst_change": round(worse.equity_change, 2) if worse else 0.0,
            "worst_level": _percent(found.margin_level),
            "is_stop_out": found.is_stop_out,
            "levels": [
                {"level": leg.level, "side": leg.side.value, "price": leg.price_open, "lots": leg.volume}
                for points in walks.values()
                for leg in coming(points)[:LEVELS_SHOWN]
            ],
            "awaited": self._awaited(bot, alone),
        }

    def _awaited(self, bot: Bot, view: View) -> list[dict[str, Any]]:
        """Say at which prices the strategy would do something next."""
        found = self._strategy(bot)
        if found is None:
            return []
        decide, params = found
        return [{"what": what, "price": price} for what, price in awaited(decide(view, params).watches, view)]

    def _figures(self, at: datetime) -> dict[str, Any]:
        assert self.orders.last is not None
        book, settings = self.orders.last.book, self.guards.settings
        account = book.account
        runs = [run for known in self._runs.values() for run in known]
        worst = worst_case(account.equity, account.margin, runs, settings.stop_out)
        return {
            "at": at.isoformat(),
            "equity": round(account.equity, 2),
            "margin_level": _percent(account.margin_level or None),
            "stop_out": settings.stop_out,
            "to_stop_out": round(account.equity - account.margin * settings.stop_out / 100, 2),
            "cost_to_close": round(book.unrealized_pnl, 2),
            "worst_equity": round(worst.equity, 2),
            "worst_margin": round(worst.margin, 2),
            "worst_level": _percent(worst.margin_level),
            "is_stop_out": worst.is_stop_out,
        }

    def _bots(self, equity: float, margin: float) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for bot_id in sorted({instance.bot_id for instance in self._runs}):
            runs = [run for instance, known in self._runs.items() if instance.bot_id == bot_id for run in known]
            worst = worst_case(equity, margin, runs, self.guards.settings.stop_out)
            found[str(bot_id)] = {
                "worst_change": round(worst.equity - equity, 2),
                "worst_level": _percent(worst.margin_level),
                "is_stop_out": worst.is_stop_out,
            }
        return found

    def _symbols(self) -> dict[str, Any]:
        """Say at which price of each symbol the account would be stopped out, positions of all kinds together."""
        assert self.orders.last is not None
        book = self.orders.last.book
        found: dict[str, Any] = {}
        for symbol in sorted({p.symbol for p in book.positions} & set(self.market.quotes)):
            sides = [sum(p.volume for p in book.positions if p.symbol == symbol and p.side.sign == s) for s in (1, -1)]
            quote, spec = self.market.quotes[symbol], self.market.spec(symbol)
            bid = stop_out_bid(
                book.account.equity, book.account.margin, (sides[0], sides[1]), quote, spec,
                self.guards.settings.stop_out,
            )  # fmt: skip
            found[symbol] = {
                "stop_out_price": bid,
                "pips": None if bid is None else round(abs(quote.bid - bid) / spec.pip, 1),
                "pip": spec.pip,
            }
        return found


def _percent(level: float | None) -> float | None:
    return None if level is None else round(level, 1)
