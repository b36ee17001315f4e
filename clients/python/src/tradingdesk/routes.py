"""The lists of the API and the types of their rows. Written by tools/clienttypes.py; do not edit."""

from collections.abc import Callable
from typing import Any, TypedDict

from tradingdesk.resource import Resource

# fmt: off

# An account, without its secrets and its place on the host
Account = TypedDict("Account", {
    "id": int, "name": str, "broker": str, "login": int, "server": str, "margin_mode": str, "currency": str,
    "demo": bool, "desired_state": str, "winding_down": str, "restart_policy": str, "placement": str,
    "source": int | None, "paper_deposit": str | None, "created_at": str,
})

# Alarm
Alarm = TypedDict("Alarm", {
    "id": int, "account": int, "guard": str, "level": str, "subject": str, "bot": int | None, "tier": int,
    "phase": str, "figure": float, "limit": float, "text": str, "since": str, "deadline": str | None,
    "left": int, "trouble": str, "vetoed_at": str | None, "vetoed_by": int | None, "veto_reason": str,
    "acknowledged_at": str | None, "acknowledged_by": int | None, "ended_at": str | None,
    "ended_by": int | None, "end_reason": str,
})

# A backtest and the figures of its result; `backtests/{id}/report` gives the result whole
Backtest = TypedDict("Backtest", {
    "id": int, "config": int, "status": str, "progress": float, "asked": Any, "cancel_asked": bool,
    "source": str, "seed": int | None, "data_hash": str, "error": str, "created_by": int | None,
    "created_at": str, "finished_at": str | None, "bot": int, "version": int, "figures": dict[str, Any] | None,
})

# Block
Block = TypedDict("Block", {
    "id": int, "account": int, "bot": int | None, "symbol": str, "cause": str, "reason": str, "raised_at": str,
    "raised_by": int | None, "lifted_at": str | None, "lifted_by": int | None, "lifted_why": str,
})

# Bot
Bot = TypedDict("Bot", {
    "id": int, "account": int, "name": str, "strategy": str, "symbols": list[str], "magic": int,
    "desired_state": str, "interval_seconds": float, "restart_policy": str, "config": int | None,
    "created_at": str,
})

# What is kept of one length of candles
Kept = TypedDict("Kept", {
    "seconds": int, "first": str, "last": str, "candles": int,
})

# A symbol, and the candles of it that are kept; one symbol's own address gives them
Series = TypedDict("Series", {
    "id": int, "account": int, "name": str, "kept": list[Kept],
})

# Claim
Claim = TypedDict("Claim", {
    "id": int, "account": int, "order": int, "cycle": int, "divergence": int | None, "at": str,
    "by": int | None, "why": str, "released_at": str | None, "released_by": int | None, "released_why": str,
})

# Command
Command = TypedDict("Command", {
    "id": int, "account": int, "kind": str, "args": Any, "state": str, "requested_by": int | None,
    "requested_at": str, "done_at": str | None, "result": str,
})

# Config
Config = TypedDict("Config", {
    "id": int, "bot": int, "version": int, "strategy": str, "strategy_version": int, "values": Any, "note": str,
    "created_by": int | None, "created_at": str,
})

# `latency_seconds` is from the provider's opening to our decision; `reason` says why it waits, or was skipped
Copy = TypedDict("Copy", {
    "id": int, "subscription": int, "source": int, "state": str, "reason": str, "cycle": int | None,
    "volume": str | None, "asked_sl": float, "asked_tp": float, "seen_at": str, "decided_at": str | None,
    "ended_at": str | None, "account": int, "latency_seconds": float | None,
})

# Subscription
Subscription = TypedDict("Subscription", {
    "id": int, "name": str, "provider": int, "provider_bot": int | None, "bot": int, "scaling": str,
    "factor": str, "symbol_map": Any, "reverse": bool, "volume_max": str, "positions_max": int,
    "age_max_seconds": float, "deviation_pips_max": float, "is_active": bool, "since": str,
    "created_by": int | None,
})

# Cycle
Cycle = TypedDict("Cycle", {
    "id": int, "account": int, "bot": int, "config": int, "number": int, "symbol": str, "side": str,
    "kind": str, "status": str, "memory": Any, "hedge_levels": Any, "best_net": float | None,
    "realized_profit": str, "total_volume": str, "opened_at": str, "closed_at": str | None, "close_reason": str,
})

# Deal
Deal = TypedDict("Deal", {
    "id": int, "account": int, "ticket": int, "order_ticket": int, "position_id": int, "symbol": str,
    "kind": str, "entry": str, "reason": str, "volume": str, "price": str, "profit": str, "swap": str,
    "commission": str, "fee": str, "magic": int, "comment": str, "at": str, "server_offset_seconds": int,
})

# Delivery
Delivery = TypedDict("Delivery", {
    "id": int, "target": int, "event": int, "state": str, "is_urgent": bool, "tries": int, "due_at": str,
    "done_at": str | None, "error": str, "text": str,
})

# `matched` is S3's code: 0 closed by broker, 1 divergence, 2 unmatched
Divergence = TypedDict("Divergence", {
    "id": int, "account": int, "kind": str, "key": str, "mark": str, "severity": int, "state": str,
    "identifier": int, "ticket": int, "symbol": str, "order": int | None, "intent": int | None, "rule": str,
    "measured": float, "threshold": float, "ours": Any, "theirs": Any, "suggestion": Any,
    "snapshot": int | None, "policy": str, "automatic": str, "opened_at": str, "updated_at": str,
    "ignored_until": str | None, "assignee": int | None, "asked_at": str | None, "asked_by": int | None,
    "closed_at": str | None, "closed_how": str, "closed_by": int | None, "closed_why": str, "matched": int,
})

# EquityPoint
EquityPoint = TypedDict("EquityPoint", {
    "at": str, "equity": str, "balance": str,
})

# The line of one account, oldest point first, in the account's currency
Equity = TypedDict("Equity", {
    "id": int, "account": int, "name": str, "currency": str, "points": list[EquityPoint],
})

# Event
Event = TypedDict("Event", {
    "id": int, "at": str, "kind": str, "level": str, "account": int | None, "bot": int | None,
    "cycle": int | None, "order": int | None, "text": str, "data": Any,
})

# `file` is where the file is, once the status is done
Export = TypedDict("Export", {
    "id": int, "user": int, "account": int, "kind": str, "format": str, "since": str | None,
    "until": str | None, "status": str, "progress": float, "rows": int, "size_bytes": int, "error": str,
    "created_at": str, "finished_at": str | None, "file": str | None,
})

# Saved
Saved = TypedDict("Saved", {
    "id": int, "account": int | None, "version": int, "values": Any, "note": str, "created_by": int | None,
    "created_at": str,
})

# The limits that hold for an account
Guards = TypedDict("Guards", {
    "id": int, "account": int, "name": str, "version": int, "is_own": bool, "values": dict[str, Any] | None,
})

# Intent
Intent = TypedDict("Intent", {
    "id": int, "account": int, "bot": int | None, "cycle": int | None, "order": int | None, "kind": str,
    "cause_key": str, "generation": int, "supersedes": int | None, "token": str, "state": str, "symbol": str,
    "side": str, "order_kind": str, "level": int | None, "volume": str, "price": str, "sl": str, "tp": str,
    "ticket": int, "magic": int, "comment": str, "why": str, "trace": Any, "correlation": str,
    "fence": int | None, "created_at": str, "sent_at": str | None, "deadline": str | None,
    "done_at": str | None, "reply_code": int | None, "reply_order": int | None, "reply_deal": int | None,
    "reply_text": str, "filled_volume": str,
})

# KillSwitch
KillSwitch = TypedDict("KillSwitch", {
    "id": int, "account": int | None, "bot": int | None, "mode": str, "reason": str, "at": str,
    "by": int | None, "released_at": str | None, "released_by": int | None, "release_reason": str,
})

# NotSent
NotSent = TypedDict("NotSent", {
    "id": int, "account": int, "bot": int, "symbol": str, "side": str, "code": str, "detail": str, "times": int,
    "correlation": str, "trace": Any, "first_at": str, "last_at": str,
})

# Target
Target = TypedDict("Target", {
    "id": int, "user": int, "name": str, "kind": str, "account": int | None, "kinds": list[str],
    "level_min": str, "quiet_from": str | None, "quiet_until": str | None, "digest_minutes": int,
    "is_active": bool, "created_at": str,
})

# Order
Order = TypedDict("Order", {
    "id": int, "account": int, "bot": int | None, "cycle": int | None, "intent": int | None, "ticket": int,
    "identifier": int, "symbol": str, "side": str, "status": str, "level": int, "magic": int, "comment": str,
    "volume": str, "volume_initial": str, "price_open": str, "price_close": str | None, "sl": str, "tp": str,
    "profit": str, "swap": str, "commission": str, "opened_at": str, "closed_at": str | None,
    "opened_offset_seconds": int | None, "closed_offset_seconds": int | None, "close_reason": str,
    "suspicious_since": str | None,
})

# A bot's day beside its replay; `parity/{id}/legs` gives the legs that differ most
Parity = TypedDict("Parity", {
    "id": int, "bot": int, "day": str, "status": str, "note": str, "config": int | None, "begin": str | None,
    "end": str | None, "live_legs": int, "replay_legs": int, "live_net": str, "replay_net": str, "drift": str,
    "limit": str, "is_over": bool, "causes": Any, "data_hash": str, "measured_at": str, "account": int,
})

# Source
Source = TypedDict("Source", {
    "id": int, "bot": int, "name": str, "prefix": str, "volume": str, "volume_max": str,
    "max_age_seconds": float, "approval_seconds": float | None, "is_active": bool, "created_by": int | None,
    "created_at": str,
})

# Signal
Signal = TypedDict("Signal", {
    "id": int, "source": int, "key": str, "action": str, "symbol": str, "volume": str, "sl": str, "tp": str,
    "sent_at": str, "received_at": str, "follow_until": str, "state": str, "result": str,
    "decided_by": int | None, "decided_at": str | None, "cycle": int | None,
})

# Snapshot
Snapshot = TypedDict("Snapshot", {
    "id": int, "account": int, "at": str, "balance": str, "credit": str, "equity": str, "margin": str,
    "margin_level": str, "positions": int, "total_open_volume": str, "complete": bool,
})

# Figures of a set of closed trades; money in the account's currency, null where there is nothing to divide by
TradeFigures = TypedDict("TradeFigures", {
    "trades": int, "wins": int, "losses": int, "net": str, "gross_profit": str, "gross_loss": str, "best": str,
    "worst": str, "mean_win": str | None, "mean_loss": str | None, "expectancy": str | None,
    "profit_factor": float | None, "win_rate": float | None, "volume_lots": float, "longest_win_streak": int,
    "longest_loss_streak": int, "mean_hours": float | None,
})

# Group
Group = TypedDict("Group", {
    "name": str, "figures": TradeFigures,
})

# How the balance moved since the account's first deal, whatever span is asked for; gains are time-weighted
Balance = TypedDict("Balance", {
    "gain": float | None, "drawdown": str, "drawdown_share": float | None, "by_month": dict[str, Any],
})

# What the trades brought that were closed in the span; those of one symbol or bot where that is asked for
Statistics = TypedDict("Statistics", {
    "id": int, "account": int, "name": str, "currency": str, "figures": TradeFigures, "by_bot": list[Group],
    "by_symbol": list[Group], "balance": Balance,
})

# A strategy with the JSON Schema of its parameters
Strategy = TypedDict("Strategy", {
    "slug": str, "version": int, "title": str, "description": str, "schema": dict[str, Any],
})

# Symbol
Symbol = TypedDict("Symbol", {
    "id": int, "account": int, "name": str, "broker_name": str, "digits": int | None, "point": float | None,
    "volume_min": float | None, "volume_max": float | None, "volume_step": float | None,
    "contract_size": float | None, "terms": Any, "seen_at": str | None,
})

# The account now and at the last level of its cycles; `bots`, `cycles` and `symbols` by number and name
Figures = TypedDict("Figures", {
    "id": int, "account": int, "at": str, "figures": dict[str, Any], "bots": dict[str, Any],
    "cycles": dict[str, Any], "symbols": dict[str, Any],
})
# fmt: on


class Routes:
    """One attribute for each list of the API."""

    def __init__(self, make: Callable[[str], Resource[Any]]) -> None:
        self.accounts: Resource[Account] = make("accounts")
        self.alarms: Resource[Alarm] = make("alarms")
        self.backtests: Resource[Backtest] = make("backtests")
        self.blocks: Resource[Block] = make("blocks")
        self.bots: Resource[Bot] = make("bots")
        self.candles: Resource[Series] = make("candles")
        self.claims: Resource[Claim] = make("claims")
        self.commands: Resource[Command] = make("commands")
        self.configurations: Resource[Config] = make("configurations")
        self.copies: Resource[Copy] = make("copies")
        self.copy_subscriptions: Resource[Subscription] = make("copy-subscriptions")
        self.cycles: Resource[Cycle] = make("cycles")
        self.deals: Resource[Deal] = make("deals")
        self.deliveries: Resource[Delivery] = make("deliveries")
        self.divergences: Resource[Divergence] = make("divergences")
        self.equity: Resource[Equity] = make("equity")
        self.events: Resource[Event] = make("events")
        self.exports: Resource[Export] = make("exports")
        self.guard_settings: Resource[Saved] = make("guard-settings")
        self.guards: Resource[Guards] = make("guards")
        self.intents: Resource[Intent] = make("intents")
        self.kill_switches: Resource[KillSwitch] = make("kill-switches")
        self.not_sent: Resource[NotSent] = make("not-sent")
        self.notification_targets: Resource[Target] = make("notification-targets")
        self.orders: Resource[Order] = make("orders")
        self.parity: Resource[Parity] = make("parity")
        self.signal_sources: Resource[Source] = make("signal-sources")
        self.signals: Resource[Signal] = make("signals")
        self.snapshots: Resource[Snapshot] = make("snapshots")
        self.statistics: Resource[Statistics] = make("statistics")
        self.strategies: Resource[Strategy] = make("strategies")
        self.symbols: Resource[Symbol] = make("symbols")
        self.worst_cases: Resource[Figures] = make("worst-cases")
