"""Write many rows with one statement."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection
from django.db.models import Model


def insert_rows(model: type[Model], rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """Insert rows, given as plain values by column name, and return their keys in the same order.

    They travel as one JSON text that PostgreSQL takes apart: for a thousand rows this takes a fraction of the time of
    `bulk_create`, which makes every value of every row a parameter. Decimals and times are given as such or as texts;
    what a row does not name gets the model's default. Raises ValueError for a column that the model does not have.
    """
    if not rows:
        return []
    defaults = {str(f.column): f.get_default() for f in model._meta.concrete_fields if not f.primary_key}
    if unknown := set(rows[0]) - set(defaults):
        raise ValueError(f"{model._meta.db_table} has no column {', '.join(sorted(unknown))}")
    names = ", ".join(map(connection.ops.quote_name, defaults))
    table = connection.ops.quote_name(model._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({names}) SELECT {names} "  # noqa: S608 - names of our own models
            f"FROM jsonb_populate_recordset(NULL::{table}, %s::jsonb) RETURNING id",
            [json.dumps([{**defaults, **row} for row in rows], default=str)],
        )
        return [row[0] for row in cursor.fetchall()]
