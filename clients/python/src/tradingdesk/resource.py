"""One list of the API: its rows page by page, and single ones."""

from collections.abc import Iterator, Mapping
from typing import Any, Generic, Protocol, TypeVar, cast
from urllib.parse import parse_qsl, urlsplit

Row = TypeVar("Row", covariant=True)


class Reader(Protocol):
    """What a resource needs of the client."""

    def read(self, path: str, parameters: Mapping[str, Any]) -> Any:
        """Return what a GET answers. Raises DeskError."""
        ...


class Resource(Generic[Row]):
    """The rows below one path."""

    def __init__(self, reader: Reader, path: str) -> None:
        self._reader = reader
        self.path = path

    def list(self, **filters: Any) -> Iterator[Row]:
        """Give all rows that fit the filters, page after page. True and False are written as the API wants them.

        Raises:
            DeskError: A filter does not hold, or the desk was not reached.
        """
        parameters: Mapping[str, Any] = {name: plain(value) for name, value in filters.items() if value is not None}
        while True:
            page = self._reader.read(self.path, parameters)
            yield from cast("list[Row]", page["results"])
            if not page.get("next"):
                return
            # Only the question is taken from the address: the token goes nowhere but to the desk
            parameters = dict(parse_qsl(urlsplit(str(page["next"])).query))

    def get(self, number: int | str, **parameters: Any) -> Row:
        """Return one row. Raises NotFound, DeskError."""
        asked = {name: plain(value) for name, value in parameters.items() if value is not None}
        return cast(Row, self._reader.read(f"{self.path}/{number}", asked))


def plain(value: Any) -> Any:
    """Return a parameter as the API takes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if hasattr(value, "isoformat") else value
