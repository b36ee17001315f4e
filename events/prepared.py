"""Queries of the hot path whose SQL is made once: making it costs several times what the database needs to answer.

Measured on a session with five positions: half of a pass's time went into making the same SQL again and again.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any, Generic, TypeVar

from django.db import DEFAULT_DB_ALIAS, connection
from django.db.models import QuerySet
from django.db.models.query import FlatValuesListIterable, ModelIterable, get_related_populators

Row = TypeVar("Row")
# Stands for a day
DAY = date(1, 2, 3)
# Stands for a number that a prepared query is asked for
NUMBER = -(2**60)
# Stands for a time
TIME = datetime(1, 2, 3, 4, 5, 6, 7, tzinfo=UTC)


class Prepared(Generic[Row]):
    """A queryset as a function of its arguments: `make` is called once, with markers in their place.

    It must hand each argument to the database as it is, so numbers, times and days. Its answer is what the queryset's
    would be: models, tuples, or single values where it is flat.
    """

    def __init__(self, make: Callable[..., QuerySet[Any, Row]], *markers: Any) -> None:
        """`markers` are values of the arguments' types that stand nowhere else in the query."""
        self._make = make
        self._markers = markers
        self._made: tuple[str, tuple[Any, ...], Callable[[list[Any]], list[Row]]] | None = None

    def __call__(self, *arguments: Any) -> list[Row]:
        """Ask the database. Raises DatabaseError."""
        if self._made is None:
            self._made = self._prepare()
        sql, params, read = self._made
        given = dict(zip(self._markers, arguments, strict=True))
        with connection.cursor() as cursor:
            cursor.execute(sql, [given.get(value, value) for value in params])
            return read(cursor.fetchall())

    def _prepare(self) -> tuple[str, tuple[Any, ...], Callable[[list[Any]], list[Row]]]:
        queryset = self._make(*self._markers)
        compiler = queryset.query.get_compiler(connection=connection)
        sql, params = compiler.as_sql()
        if missing := [marker for marker in self._markers if marker not in params]:
            raise ValueError(f"this query can't be prepared: {missing} do not reach the database as they are")
        converters = compiler.get_converters([column[0] for column in compiler.select])

        def converted(rows: list[Any]) -> Any:
            return compiler.apply_converters(rows, converters) if converters else rows

        if issubclass(queryset._iterable_class, ModelIterable):
            of = _models(compiler)
            return sql, params, lambda rows: [of(list(row)) for row in converted(rows)]
        is_flat = issubclass(queryset._iterable_class, FlatValuesListIterable)

        def values(rows: list[Any]) -> list[Any]:
            return [row[0] if is_flat else tuple(row) for row in converted(rows)]

        return sql, params, values


def _models(compiler: Any) -> Callable[[list[Any]], Any]:
    """Return what makes a model of a row, with those that `select_related` joined to it (Django's ModelIterable)."""
    info, select = compiler.klass_info, compiler.select
    first, end = info["select_fields"][0], info["select_fields"][-1] + 1
    names = [column[0].target.attname for column in select[first:end]]
    # The stubs are those of a later Django
    related = get_related_populators(info, select, DEFAULT_DB_ALIAS)  # type: ignore[call-arg]

    def made(row: list[Any]) -> Any:
        model = info["model"].from_db(DEFAULT_DB_ALIAS, names, row[first:end])
        for one in related:
            one.populate(row, model)
        return model

    return made
