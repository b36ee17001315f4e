"""Checks of what people type: texts without invisible characters, symbol names, choices."""

import math
import re
import unicodedata
from collections.abc import Iterable

from django.core.exceptions import ValidationError

from accounts.models import BrokerKind, MarginMode, TradingAccount
from brokers.jforex.client import parse_address as parse_bridge
from brokers.jforex.gateway import SERVERS
from brokers.mt5.agentstate import AgentError, Pairing
from brokers.mt5.line import parse_address
from brokers.oanda.client import ACCOUNT_ID, HOSTS

# Control, format (bidirectional overrides, zero width), surrogate, private, unassigned, line and paragraph separators
HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
SYMBOL_LENGTH_MAX = 29
SYMBOL = re.compile(r"[A-Za-z0-9#.@_][A-Za-z0-9#.@_+\-&/!$^]{0,28}\Z", re.ASCII)
SYMBOLS_MAX = 20
EXCHANGE = re.compile(r"[a-z0-9]{2,40}(-demo)?\Z")
PLAIN_FIELDS = ("server", "terminal_path", "currency", "placement")


def plain_text(value: str) -> None:
    """Refuse characters that can't be seen or that reorder what is seen; usable as a validator.

    Raises:
        ValidationError: Names the first such character by its code point.
    """
    for character in value:
        if unicodedata.category(character) in HIDDEN_CATEGORIES:
            raise ValidationError(
                f"The character U+{ord(character):04X} is invisible or reorders text; remove it.", code="hidden"
            )


def number(value: float) -> None:
    """Refuse NaN, which passes every comparison with a limit; usable as a validator.

    Raises:
        ValidationError: It is no number.
    """
    if math.isnan(value):
        raise ValidationError("Enter a number.", code="nan")


def symbol_name(value: str) -> None:
    """Refuse what can't be a symbol's name at an MT5 broker: at most 29 visible ASCII characters, no spaces.

    Raises:
        ValidationError: With an example of a good name.
    """
    if not SYMBOL.match(value):
        raise ValidationError(
            f"{value[:40]!r} can't be a symbol's name; write it as the terminal shows it, for example EURUSD.r",
            code="symbol",
        )


def symbol_list(values: Iterable[str]) -> list[str]:
    """Return the symbols in the order given, each once.

    Raises:
        ValidationError: There is none, more than 20, one twice, or one that can't be a symbol's name.
    """
    names = [value.strip() for value in values if value.strip()]
    if not names:
        raise ValidationError("Name at least one symbol, for example EURUSD.", code="symbols")
    if len(names) > SYMBOLS_MAX:
        raise ValidationError(f"{len(names)} symbols are too many; a bot takes {SYMBOLS_MAX}.", code="symbols")
    for name in names:
        symbol_name(name)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValidationError(f"{', '.join(twice)} is named twice.", code="symbols")
    return names


def agent_address(value: str) -> None:
    """Refuse what is no address of a remote terminal's agent.

    Raises:
        ValidationError: With an example of a good address.
    """
    try:
        parse_address(value)
    except AgentError as problem:
        raise ValidationError(f"{problem}.", code="address") from None


def pairing_code(value: str) -> None:
    """Refuse what is no whole pairing code; the text is never repeated, it is a secret.

    Raises:
        ValidationError: With where to get it.
    """
    try:
        Pairing.parse(value)
    except AgentError as problem:
        raise ValidationError(f"{problem}.", code="pairing") from None


def oanda_account(account_id: str, login: int, server: str) -> list[tuple[str, str]]:
    """Return what is wrong with the settings of an account at OANDA, by field."""
    wrong = []
    found = ACCOUNT_ID.match(account_id)
    if found is None:
        wrong.append(("terminal_path", "Write the v20 account id, for example 101-004-1234567-001."))
    elif int(found[1]) != login:
        wrong.append(("login", f"The login is the third part of the account id: {int(found[1])}."))
    if server not in HOSTS:
        wrong.append(("server", f"OANDA's servers are {' and '.join(HOSTS)}."))
    return wrong


def jforex_account(address: str, server: str, margin_mode: str) -> list[tuple[str, str]]:
    """Return what is wrong with the settings of an account behind a JForex bridge, by field."""
    wrong = []
    try:
        parse_bridge(address)
    except ValueError as problem:
        wrong.append(("terminal_path", f"{problem}."))
    if server not in SERVERS:
        wrong.append(("server", f"Dukascopy's servers are {' and '.join(SERVERS)}."))
    if margin_mode != MarginMode.HEDGING:
        wrong.append(("margin_mode", "JForex keeps each order as a position of its own: choose hedging."))
    return wrong


def crypto_account(server: str, margin_mode: str) -> list[tuple[str, str]]:
    """Return what is wrong with the settings of an account at a crypto exchange, by field."""
    wrong = []
    if not EXCHANGE.match(server):
        wrong.append(("server", "Write the exchange as ccxt names it, for example okx, or okx-demo for its sandbox."))
    if margin_mode != MarginMode.NETTING:
        wrong.append(("margin_mode", "An exchange has one position a symbol: choose netting."))
    return wrong


def check_account(account: TradingAccount) -> None:
    """Check what the database's constraints do not: invisible characters, and what a kind of broker needs.

    Raises:
        ValidationError: By field.
    """
    errors: dict[str, list[str]] = {}
    for field in PLAIN_FIELDS:
        try:
            plain_text(getattr(account, field))
        except ValidationError as error:
            errors[field] = error.messages
    if account.broker == BrokerKind.REMOTE and "terminal_path" not in errors:
        try:
            agent_address(account.terminal_path)
        except ValidationError as error:
            errors["terminal_path"] = error.messages
    if account.broker == BrokerKind.OANDA:
        errors |= {field: [text] for field, text in oanda_account(account.terminal_path, account.login, account.server)}
    if account.broker == BrokerKind.JFOREX:
        found = jforex_account(account.terminal_path, account.server, account.margin_mode)
        errors |= {field: [text] for field, text in found}
    if account.broker == BrokerKind.CRYPTO:
        errors |= {field: [text] for field, text in crypto_account(account.server, account.margin_mode)}
    errors |= {field: [text] for field, text in _paper_errors(account)}
    if errors:
        raise ValidationError(errors)


def taken_over(account: TradingAccount) -> None:
    """Give a new paper account what it can't choose: the server, currency and margin mode of its source."""
    source = account.source
    if not account.is_paper or source is None:
        return
    account.server, account.currency, account.margin_mode = source.server, source.currency, source.margin_mode
    account.demo, account.terminal_path = True, ""
    account.placement = account.placement or source.placement


def _paper_errors(account: TradingAccount) -> list[tuple[str, str]]:
    """Return what is wrong with an account's part of being on paper, by field."""
    if not account.is_paper:
        text = "Only a paper account has this: choose Paper as the broker, or leave it empty."
        given = {"source": account.source_id, "paper_deposit": account.paper_deposit}
        return [(field, text) for field, value in given.items() if value is not None]
    if account.source is None:
        return [("source", "Choose the account whose prices it trades by.")]
    if account.source.is_paper:
        return [("source", f"{account.source} is on paper itself: choose {account.source.source}.")]
    return []
