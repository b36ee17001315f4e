"""What each route of the API asks of a person and of a token. A route without a line here turns the tests red."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver

from accounts.adminkit import CLOCK
from accounts.models import AccountRole
from backtesting.models import Backtest
from orders.models import OrderIntent
from reconciliation.models import Divergence
from risk.models import GuardAlarm
from strategies.models import Bot

# Methods that only read need nothing but a login; whose rows they show is tested for all of them alike
READS = ("GET", "HEAD", "OPTIONS")
LATER = "2099-01-01T00:00:00Z"


@dataclass(frozen=True)
class Needs:
    """The role in the row's account (or `superuser`), and the scope of a token; `body` makes what is sent.

    `running` says that the account's engine has to run.
    `prepare` brings the row into the state in which it can be asked.
    """

    role: str
    scope: str = "control"
    body: Callable[[Any], dict[str, Any]] = lambda desk: {}
    running: bool = False
    prepare: Callable[[Any], object] = lambda desk: None


def _account(desk: Any) -> dict[str, Any]:
    return {"account": desk.account.pk}


def _reason(desk: Any) -> dict[str, Any]:
    return {"reason": "because"}


def _count_down(desk: Any) -> None:
    deadline = CLOCK.now() + timedelta(minutes=5)
    GuardAlarm.objects.filter(account=desk.account).update(phase="countdown", deadline=deadline)


def _copying(desk: Any) -> dict[str, Any]:
    """Make the bot a copier, and let everybody of the account see the other one."""
    Bot.objects.filter(pk=desk.bot.pk).update(strategy="copier")
    for name in ("ben", "ada", "mia"):
        AccountRole.objects.get_or_create(user=desk.people[name], account=desk.other, defaults={"role": "viewer"})
    terms = {"name": "All", "scaling": "fixed", "factor": "0.1", "volume_max": "1"}
    return {**terms, "bot": desk.bot.pk, "provider": desk.other.pk}


def _waits(desk: Any) -> None:
    Backtest.objects.filter(config__bot=desk.bot).update(status="queued")


def _limits(desk: Any) -> dict[str, Any]:
    return {"values": {"drawdown_close": 18.0}, "seen_version": 1}


def _kill(desk: Any) -> dict[str, Any]:
    return {"account": desk.account.pk, "mode": "exits_only", "reason": "a test", "confirmation": desk.account.name}


def _adoptable(desk: Any) -> dict[str, Any]:
    return {**_reason(desk), "cycle": desk.cycle.pk}


def _for_ben(desk: Any) -> dict[str, Any]:
    return {**_reason(desk), "assignee": desk.people["ben"].pk}


def _until(desk: Any) -> dict[str, Any]:
    return {**_reason(desk), "until": LATER}


def _of_a_pair(desk: Any) -> dict[str, Any]:
    """Make the divergence one of a pair, whose broker's side can be accepted."""
    Divergence.objects.filter(account=desk.account).update(kind="stop_loss")
    return _reason(desk)


def _ignored(desk: Any) -> dict[str, Any]:
    Divergence.objects.filter(account=desk.account).update(state="ignored", ignored_until=LATER)
    return _reason(desk)


def _unknown(desk: Any) -> dict[str, Any]:
    OrderIntent.objects.filter(account=desk.account).update(state="unknown", done_at=None)
    return _reason(desk)


# Method and route, as `routes` names it, of everything that changes something
WRITES: dict[str, Needs] = {
    "POST alarms/{pk}/acknowledge": Needs("trader", body=_reason),
    "POST alarms/{pk}/rearm": Needs("manager", body=_reason),
    "POST alarms/{pk}/veto": Needs("manager", body=_reason, prepare=_count_down),
    "POST backtests": Needs("trader", body=lambda desk: {"bot": desk.bot.pk, "seed": 1}),
    "POST backtests/{pk}/cancel": Needs("trader", prepare=_waits),
    "POST bots/{pk}/configure": Needs("manager", body=lambda desk: {"values": {"lot_size": 0.02}}),
    "POST bots/{pk}/pause": Needs("trader"),
    "POST bots/{pk}/start": Needs("trader"),
    "POST bots/{pk}/stop": Needs("trader"),
    "POST bots/{pk}/validate": Needs("viewer", scope="read", body=lambda desk: {"values": {}}),
    "POST commands": Needs("trader", body=lambda desk: _account(desk) | {"kind": "reconcile"}, running=True),
    "POST configurations/{pk}/revert": Needs("manager"),
    "POST copy-subscriptions": Needs("manager", body=_copying),
    "POST copy-subscriptions/{pk}/stop": Needs("manager"),
    "POST cycles/{pk}/close": Needs("trader", body=_reason, running=True),
    "POST exports": Needs(
        "viewer", scope="read", body=lambda desk: _account(desk) | {"kind": "deals", "format": "csv"}
    ),
    "POST guards/{pk}/save": Needs("manager", body=_limits),
    "POST kill-switches": Needs("trader", body=_kill),
    "POST kill-switches/{pk}/release": Needs("manager", body=_reason),
    "POST claims/{pk}/release": Needs("trader", body=_reason),
    "POST divergences/{pk}/accept-broker": Needs("trader", body=_of_a_pair),
    "POST divergences/{pk}/accept-ours": Needs("trader", body=_reason),
    "POST divergences/{pk}/adopt": Needs("trader", body=_adoptable),
    "POST divergences/{pk}/assign": Needs("trader", body=_for_ben),
    "POST divergences/{pk}/ignore": Needs("trader", body=_until),
    "POST divergences/{pk}/manual": Needs("trader", body=_reason),
    "POST divergences/{pk}/note": Needs("trader", body=_reason),
    "POST divergences/{pk}/undo": Needs("trader", body=_ignored),
    "POST intents/{pk}/settle": Needs("manager", body=_unknown),
    "POST orders/{pk}/close": Needs("trader", body=_reason, running=True),
    "POST orders/{pk}/modify": Needs("trader", body=lambda desk: _reason(desk) | {"sl": "1", "tp": "0"}, running=True),
    "POST notification-targets": Needs(
        "anyone", body=lambda desk: {"name": "New", "kind": "webhook", "url": "https://example.com/"}
    ),
    # Ben's own, and nobody else's but superusers'
    "POST notification-targets/{pk}/stop": Needs("ben"),
    # Whoever has the source's secret, and nobody else, whatever their role
    "POST signals/in/{prefix}": Needs("signature"),
    "POST signals/{pk}/approve": Needs("trader"),
    "POST signals/{pk}/reject": Needs("trader"),
    "POST signal-sources": Needs(
        "manager", body=lambda desk: {"bot": desk.bot.pk, "name": "TV", "volume": "0.01", "volume_max": "0.1"}
    ),
    "POST signal-sources/{pk}/stop": Needs("manager"),
    "POST trade-engine/pause": Needs("trader", body=_account),
    "POST trade-engine/resume": Needs("trader", body=_account),
    "POST trade-engine/start": Needs("trader", body=_account),
    "POST trade-engine/stop": Needs("trader", body=_account),
}


def routes() -> Iterator[tuple[str, str]]:
    """Give method and route of every operation of the API, as the resolver knows them."""

    def walk(patterns: list[Any], prefix: str) -> Iterator[tuple[str, Any]]:
        for pattern in patterns:
            path = prefix + str(pattern.pattern)
            if isinstance(pattern, URLResolver):
                yield from walk(pattern.url_patterns, path)
            elif isinstance(pattern, URLPattern):
                yield path, pattern.callback

    for path, view in walk(get_resolver().url_patterns, ""):
        if path.startswith("api/"):
            named = re.sub(r"\(\?P<(\w+)>[^)]*\)|<(?:\w+:)?(\w+)>", lambda m: f"{{{m[1] or m[2]}}}", path)
            for method in methods_of(view):
                yield method, re.sub(r"[\^$]|\\Z", "", named).removeprefix("api/")


def methods_of(view: Any) -> list[str]:
    """Return the methods that a view answers."""
    actions = getattr(view, "actions", None)
    names = actions or [n for n in view.view_class.http_method_names if hasattr(view.view_class, n)]
    return sorted(name.upper() for name in names if name != "options")


def writes_without_a_line() -> list[str]:
    """Return what changes something and has no line above."""
    found = {f"{method} {route}" for method, route in routes() if method not in READS}
    return sorted(found - set(WRITES))


def lines_without_a_route() -> list[str]:
    """Return lines above that no route answers to."""
    return sorted(set(WRITES) - {f"{method} {route}" for method, route in routes()})
