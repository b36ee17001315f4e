"""What each kind of broker can do, read from the gateways themselves."""

from brokers.crypto.gateway import CryptoGateway
from brokers.gateway import Capabilities
from brokers.jforex.gateway import JForexGateway
from brokers.mt5.gateway import Mt5Gateway
from brokers.mt5.remote import RemoteMt5Gateway
from brokers.oanda.gateway import OandaGateway
from brokers.paper.gateway import PaperGateway

CATALOGUE: tuple[Capabilities, ...] = tuple(
    gateway.capabilities
    for gateway in (Mt5Gateway, RemoteMt5Gateway, OandaGateway, JForexGateway, CryptoGateway, PaperGateway)
)
ROWS: tuple[tuple[str, str], ...] = (
    ("magic", "Magic number"),
    ("trade_id", "Trade id"),
    ("filtered_by", "Filter by instance"),
    ("manual_trades", "Manual trades"),
    ("identity", "Kept of ours"),
    ("margin_modes", "Position accounting"),
    ("server_side_stops", "Stops at the broker"),
    ("streaming", "Streaming prices"),
    ("history", "History"),
    ("process_per_terminal", "One process a terminal"),
)


def comparison() -> list[tuple[str, list[str]]]:
    """Return the comparison of S2: each row's name, and one text for each gateway of the catalogue."""
    return [(name, [_text(getattr(found, field)) for found in CATALOGUE]) for field, name in ROWS]


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(sorted(map(str, value))) if isinstance(value, frozenset) else str(value)
