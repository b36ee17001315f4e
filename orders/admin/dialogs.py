"""Dialogs of single orders: what would happen, and why it should."""

from typing import Any

from unfold.widgets import UnfoldAdminDecimalFieldWidget

from accounts.adminkit import DialogForm, reason_field
from accounts.numberfields import StrictDecimalField
from accounts.selectors import digits_of
from orders.models import AccountMarks, Order


class CloseDialog(DialogForm):
    """Shows what the order stands at, and asks why it is to go."""

    reason = reason_field("Reason")

    def preview(self, object_id: str) -> list[str]:
        order = Order.objects.select_related("account").get(pk=object_id)
        marks = AccountMarks.objects.filter(account_id=order.account_id).first()
        floating = marks.floating_of(order.identifier) if marks is not None else None
        worth = "" if floating is None else f", now {floating:+,.2f} {order.account.currency}"
        lines = [f"#{order.ticket}: {order.side} {order.volume:.2f} {order.symbol}{worth}."]
        if order.cycle_id is not None:
            lines.append("Its cycle goes on with the other legs, and is closed when none is left.")
        return lines


def price_of(order: Order) -> float | None:
    """Return the price at which an open position would be closed, as last seen."""
    marks = AccountMarks.objects.filter(account_id=order.account_id).first()
    if marks is None or order.identifier not in marks.identifiers:
        return None
    return marks.prices[marks.identifiers.index(order.identifier)]


class StopsDialog(DialogForm):
    """Asks for both stops; they start as they are."""

    sl = StrictDecimalField(label="Stop loss", min_value=0, max_digits=18, widget=UnfoldAdminDecimalFieldWidget)
    tp = StrictDecimalField(label="Take profit", min_value=0, max_digits=18, widget=UnfoldAdminDecimalFieldWidget)
    reason = reason_field("Reason")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        order = self.order = Order.objects.filter(pk=kwargs["object_id"]).first()
        if order is None:
            return
        digits = digits_of(order.account_id, order.symbol) or 5
        for name in ("sl", "tp"):
            self.fields[name].initial = f"{getattr(order, name):.{digits}f}"
            self.fields[name].decimal_places = digits  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """Refuse a stop that the price has passed already, which the broker would refuse too."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        price = price_of(self.order) if self.order is not None else None
        if self.order is None or price is None:
            return cleaned
        side, sign = self.order.side, 1 if self.order.side == "buy" else -1
        for name, word, way in (("sl", "stop loss", -1), ("tp", "take profit", 1)):
            level = float(cleaned.get(name) or 0)
            if level and (level - price) * sign * way <= 0:
                where = "above" if sign * way > 0 else "below"
                self.add_error(name, f"The {word} of a {side} is {where} the price, which is {price:g}.")
        return cleaned

    def preview(self, object_id: str) -> list[str]:
        order = Order.objects.get(pk=object_id)
        price = price_of(order)
        at = f", price now {price:g}" if price is not None else ""
        entry = f"{order.price_open.normalize():f}"
        return [f"#{order.ticket}: {order.side} {order.volume:.2f} {order.symbol} from {entry}{at}."]
