"""What came of a request to a broker: it happened, it provably did not, or nobody knows."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Accepted:
    """The broker took the request. `filled` is 0.0 for an order that only rests in the book."""

    order: int
    deal: int
    filled: float
    price: float
    code: int
    partial: bool = False
    text: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """The broker proved that the request did not happen. `fresh_price`: a new decision may try again at once."""

    reason: str
    code: int
    fresh_price: bool = False
    text: str = ""


@dataclass(frozen=True, slots=True)
class Unknown:
    """It may have happened: never send again, find out."""

    cause: str
    code: int | None = None


Outcome = Accepted | Refused | Unknown
