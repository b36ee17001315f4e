"""A real symbol's terms as the simulated terminal trades it.

Everything that is money is said in account currency by the broker's own figures (what a move is worth, what a lot
binds), so that no rates between currencies have to be guessed. They move with the market, and are taken over again.
"""

from brokers.domain import Quote, SymbolSpec
from brokers.simulator.account import SymbolSetup
from brokers.simulator.formulas import CFD
from brokers.simulator.rollover import DEPOSIT_MONEY, DISABLED, MARGIN_MONEY, REOPEN_BID, SYMBOL_MONEY

# Figures that moved less are not written again
MOVED = 0.001
FIGURES = ("contract_size", "margin_rate_long", "margin_rate_short", "swap_long", "swap_short")


def setup_of(
    spec: SymbolSpec, name: str, quote: Quote, *, currency: str, leverage: int, commission_per_lot: float
) -> SymbolSetup:
    """Return a symbol under the broker's `name`; `commission_per_lot` is taken on every deal, in account currency."""
    lot_value = quote.ask * spec.value_per_price
    share = spec.margin_per_lot / lot_value if spec.margin_per_lot > 0 else 1 / max(1, leverage)
    mode, rate = spec.swap_mode, 1.0
    if mode in (SYMBOL_MONEY, MARGIN_MONEY):
        base_price = quote.bid if spec.currency_base != spec.currency_profit else 1.0
        mode, rate = DEPOSIT_MONEY, base_price * spec.value_per_price / spec.contract_size
    return SymbolSetup(
        name,
        digits=spec.digits,
        contract_size=spec.value_per_price,
        currency_base=currency,
        currency_profit=currency,
        calc_mode=CFD,
        volume_min=spec.volume_min,
        volume_max=spec.volume_max,
        volume_step=spec.volume_step,
        stops_level=spec.stops_level_points,
        freeze_level=spec.freeze_level_points,
        filling_mask=spec.filling_mask,
        execution=spec.execution_mode,
        margin_rate_long=share,
        margin_rate_short=share,
        swap_mode=mode if DISABLED <= mode <= REOPEN_BID else DISABLED,
        swap_long=spec.swap_long * rate,
        swap_short=spec.swap_short * rate,
        triple_swap_day=spec.triple_swap_day,
        commission_per_lot=commission_per_lot,
        feed_name=spec.name,
    )


def has_moved(known: SymbolSetup | None, new: SymbolSetup) -> bool:
    """Tell whether a symbol's terms differ by more than the last digits of figures that follow the market."""
    if known is None:
        return True
    for field in SymbolSetup.__slots__:
        old, now = getattr(known, field), getattr(new, field)
        if field in FIGURES:
            if abs(now - old) > MOVED * abs(old):
                return True
        elif now != old:
            return True
    return False
