"""What people ask to be done with orders; the account's session does it, through intents."""

from datetime import datetime
from decimal import Decimal

from django.core.exceptions import ValidationError
from django.db import transaction

from accounts.models import User
from accounts.requests import request_command
from core.ids import Ids
from events.models import Command
from orders.models import Order, OrderStatus

CLOSE_ORDER, CHANGE_STOPS = "close_order", "change_stops"
STATE = "state"


@transaction.atomic
def request_order_close(
    *, order: Order, volume: Decimal | None, reason: str, by: User, at: datetime, ids: Ids
) -> Command:
    """Ask that `volume` lots of a position (None: all of it) are closed, or that a resting order is taken back.

    Raises:
        ValidationError: It is no leg of a cycle, closed (code `state`) or smaller than that; its account is stopped.
    """
    _check(order, (OrderStatus.OPEN, OrderStatus.PENDING))
    if volume is not None and not 0 < volume <= order.volume:
        raise ValidationError({"volume": f"Give more than 0 and at most {order.volume.normalize():f} lots."})
    part = None if volume is None or volume == order.volume else str(volume)
    return _request(order, CLOSE_ORDER, {"volume": part, "request": ids.token(10)}, reason, by, at)


@transaction.atomic
def request_stops(*, order: Order, sl: Decimal, tp: Decimal, reason: str, by: User, at: datetime) -> Command:
    """Ask that both stops of an open position are set at the broker; 0 means none.

    Raises:
        ValidationError: It is no leg of a cycle, not open (code `state`), a stop is on the wrong side of the entry's
            take profit, or its account is stopped.
    """
    _check(order, (OrderStatus.OPEN,))
    low, high = (sl, tp) if order.side == "buy" else (tp, sl)
    if low and high and low >= high:
        raise ValidationError({"sl": f"sl and tp: of a {order.side}, {low} can't be on that side of {high}."})
    return _request(order, CHANGE_STOPS, {"sl": str(sl), "tp": str(tp)}, reason, by, at)


def _check(order: Order, statuses: tuple[OrderStatus, ...]) -> None:
    if order.status not in statuses:
        raise ValidationError(f"#{order.ticket} is {order.get_status_display().lower()}.", STATE)
    if order.cycle_id is None or order.bot_id is None:
        raise ValidationError(f"#{order.ticket} belongs to no bot's cycle: settle its divergence instead.", STATE)


def _request(order: Order, kind: str, args: dict[str, str | None], reason: str, by: User, at: datetime) -> Command:
    return request_command(
        account_id=order.account_id,
        kind=kind,
        args={"order": order.pk, "why": reason[:150], **args},
        subject=f"order {order.pk}",
        reason=reason,
        bot_id=order.bot_id,
        cycle_id=order.cycle_id,
        by=by,
        at=at,
    )
