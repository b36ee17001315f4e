"""The module's result objects: C struct sequences with index and attribute access, not named tuples.

Field names, order and types are those of MetaTrader5 5.0.6231; the NumPy dtypes are those of its arrays.
"""

from collections.abc import Iterable
from operator import itemgetter
from typing import Any

import numpy as np

FIELDS: dict[str, str] = {
    "AccountInfo": (
        "login:int trade_mode:int leverage:int limit_orders:int margin_so_mode:int trade_allowed:bool "
        "trade_expert:bool margin_mode:int currency_digits:int fifo_close:bool balance:float "
        "credit:float profit:float equity:float margin:float margin_free:float margin_level:float "
        "margin_so_call:float margin_so_so:float margin_initial:float margin_maintenance:float "
        "assets:float liabilities:float commission_blocked:float name:str server:str currency:str "
        "company:str "
    ),
    "TerminalInfo": (
        "community_account:bool community_connection:bool connected:bool dlls_allowed:bool "
        "trade_allowed:bool tradeapi_disabled:bool email_enabled:bool ftp_enabled:bool "
        "notifications_enabled:bool mqid:bool build:int maxbars:int codepage:int ping_last:int "
        "community_balance:float retransmission:float company:str name:str language:str path:str "
        "data_path:str commondata_path:str "
    ),
    "SymbolInfo": (
        "custom:bool chart_mode:int select:bool visible:bool session_deals:int session_buy_orders:int "
        "session_sell_orders:int volume:int volumehigh:int volumelow:int time:int digits:int spread:int "
        "spread_float:bool ticks_bookdepth:int trade_calc_mode:int trade_mode:int start_time:int "
        "expiration_time:int trade_stops_level:int trade_freeze_level:int trade_exemode:int "
        "swap_mode:int swap_rollover3days:int margin_hedged_use_leg:bool expiration_mode:int "
        "filling_mode:int order_mode:int order_gtc_mode:int option_mode:int option_right:int bid:float "
        "bidhigh:float bidlow:float ask:float askhigh:float asklow:float last:float lasthigh:float "
        "lastlow:float volume_real:float volumehigh_real:float volumelow_real:float option_strike:float "
        "point:float trade_tick_value:float trade_tick_value_profit:float trade_tick_value_loss:float "
        "trade_tick_size:float trade_contract_size:float trade_accrued_interest:float "
        "trade_face_value:float trade_liquidity_rate:float volume_min:float volume_max:float "
        "volume_step:float volume_limit:float swap_long:float swap_short:float margin_initial:float "
        "margin_maintenance:float session_volume:float session_turnover:float session_interest:float "
        "session_buy_orders_volume:float session_sell_orders_volume:float session_open:float "
        "session_close:float session_aw:float session_price_settlement:float "
        "session_price_limit_min:float session_price_limit_max:float margin_hedged:float "
        "price_change:float price_volatility:float price_theoretical:float price_greeks_delta:float "
        "price_greeks_theta:float price_greeks_gamma:float price_greeks_vega:float "
        "price_greeks_rho:float price_greeks_omega:float price_sensitivity:float basis:str category:str "
        "currency_base:str currency_profit:str currency_margin:str bank:str description:str "
        "exchange:str formula:str isin:str name:str page:str path:str "
    ),
    "Tick": ("time:int bid:float ask:float last:float volume:int time_msc:int flags:int volume_real:float "),
    "TradeOrder": (
        "ticket:int time_setup:int time_setup_msc:int time_done:int time_done_msc:int "
        "time_expiration:int type:int type_time:int type_filling:int state:int magic:int "
        "position_id:int position_by_id:int reason:int volume_initial:float volume_current:float "
        "price_open:float sl:float tp:float price_current:float price_stoplimit:float symbol:str "
        "comment:str external_id:str "
    ),
    "TradePosition": (
        "ticket:int time:int time_msc:int time_update:int time_update_msc:int type:int magic:int "
        "identifier:int reason:int volume:float price_open:float sl:float tp:float price_current:float "
        "swap:float profit:float symbol:str comment:str external_id:str "
    ),
    "TradeDeal": (
        "ticket:int order:int time:int time_msc:int type:int entry:int magic:int position_id:int "
        "reason:int volume:float price:float commission:float swap:float profit:float fee:float "
        "symbol:str comment:str external_id:str "
    ),
    "TradeRequest": (
        "action:int magic:int order:int symbol:str volume:float price:float stoplimit:float sl:float "
        "tp:float deviation:int type:int type_filling:int type_time:int expiration:int comment:str "
        "position:int position_by:int "
    ),
    "OrderSendResult": (
        "retcode:int deal:int order:int volume:float price:float bid:float ask:float comment:str "
        "request_id:int retcode_external:int request:TradeRequest "
    ),
    "OrderCheckResult": (
        "retcode:int balance:float equity:float profit:float margin:float margin_free:float "
        "margin_level:float comment:str request:TradeRequest "
    ),
    "BookInfo": ("type:int price:float volume:int volume_dbl:float "),
}

RATES_DTYPE = np.dtype(
    [
        ("time", "<i8"),
        ("open", "<f8"),
        ("high", "<f8"),
        ("low", "<f8"),
        ("close", "<f8"),
        ("tick_volume", "<u8"),
        ("spread", "<i4"),
        ("real_volume", "<u8"),
    ]
)
TICKS_DTYPE = np.dtype(
    [
        ("time", "<i8"),
        ("bid", "<f8"),
        ("ask", "<f8"),
        ("last", "<f8"),
        ("volume", "<u8"),
        ("time_msc", "<i8"),
        ("flags", "<u4"),
        ("volume_real", "<f8"),
    ]
)
ZERO: dict[str, Any] = {"int": 0, "float": 0.0, "str": "", "bool": False}


class Struct(tuple[Any, ...]):
    """Base of all structs: a tuple with named fields, `_asdict()`, and no `_fields`."""

    __slots__ = ()
    _names: tuple[str, ...] = ()
    n_fields = 0
    n_sequence_fields = 0
    n_unnamed_fields = 0

    def __new__(cls, values: Iterable[Any]) -> "Struct":
        made = super().__new__(cls, values)
        if len(made) != cls.n_fields:
            raise TypeError(f"{cls.__name__}() takes a {cls.n_fields}-sequence ({len(made)}-sequence given)")
        return made

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def _asdict(self) -> dict[str, Any]:
        return dict(zip(self._names, self, strict=True))

    def __repr__(self) -> str:
        inside = ", ".join(f"{n}={v!r}" for n, v in zip(self._names, self, strict=True))
        return f"{type(self).__name__}({inside})"

    def __reduce__(self) -> tuple[Any, ...]:
        return (make, (type(self).__name__, self._asdict()))


def struct_type(name: str, names: tuple[str, ...]) -> type[Struct]:
    """Make a struct type with these fields."""
    space: dict[str, Any] = {
        "__slots__": (),
        "_names": names,
        "n_fields": len(names),
        "n_sequence_fields": len(names),
    }
    for index, field in enumerate(names):
        space[field] = property(itemgetter(index))
    return type(name, (Struct,), space)


TYPES: dict[str, type[Struct]] = {
    name: struct_type(name, tuple(f.split(":")[0] for f in fields.split())) for name, fields in FIELDS.items()
}
DEFAULTS: dict[str, dict[str, Any]] = {
    name: {f.split(":")[0]: ZERO.get(f.split(":")[1]) for f in fields.split()} for name, fields in FIELDS.items()
}


def make(name: str, values: dict[str, Any]) -> Struct:
    """Make a struct from named values; what is not named is zero, empty or false. Raises KeyError for unknown names."""
    defaults = DEFAULTS[name]
    unknown = values.keys() - defaults.keys()
    if unknown:
        raise KeyError(f"{name} has no field {sorted(unknown)}")
    return TYPES[name]({**defaults, **values}.values())
