"""Many rows by few statements: on SQLite every step of a statement gives the interpreter away, and waits for it.

Where the event loop is busy, that wait costs more than the row. https://docs.python.org/3/c-api/init.html#thread-state
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Connection, Dialect

#: Of so many rows are the statements, the largest first: few texts, which the driver keeps prepared.
_SIZES = (64, 16, 4, 1)


def insert(connection: Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows that all have values for the same columns, in order.

    Whatever fails leaves some of them inserted until the transaction is taken back, as its caller then must.
    """
    if not rows:
        return
    if connection.dialect.name != "sqlite":
        connection.execute(sa.insert(table), list(rows))
        return
    names = tuple(rows[0])
    bind = _binder(table, names, connection.dialect)
    done = 0
    for size in _SIZES:
        while len(rows) - done >= size:
            values = [value for row in rows[done : done + size] for value in bind(row)]
            connection.exec_driver_sql(_statement(table, names, size), tuple(values))
            done += size


@functools.lru_cache(maxsize=32)
def _statement(table: sa.Table, names: tuple[str, ...], size: int) -> str:
    quote = sqlite.dialect().identifier_preparer.quote
    one = f"({', '.join('?' * len(names))})"
    columns = ", ".join(quote(name) for name in names)
    # OR FAIL: what would undo a single statement is not written; the transaction is taken back as a whole.
    return f"INSERT OR FAIL INTO {quote(table.name)} ({columns}) VALUES {', '.join([one] * size)}"  # noqa: S608


@functools.lru_cache(maxsize=32)
def _binder(table: sa.Table, names: tuple[str, ...], dialect: Dialect) -> Callable[[Mapping[str, Any]], list[Any]]:
    convert = [(name, table.c[name].type.dialect_impl(dialect).bind_processor(dialect)) for name in names]

    def bind(row: Mapping[str, Any]) -> list[Any]:
        return [row[name] if with_ is None else with_(row[name]) for name, with_ in convert]

    return bind


def among(column: sa.ColumnElement[Any], name: str) -> Mapping[str, sa.ColumnElement[bool]]:
    """By dialect, whether a text column is one of a list that is bound as JSON: however long, it is one statement."""
    given = sa.bindparam(name, type_=sa.Text)
    listed = sa.func.json_each(given).table_valued("value")
    return {
        "sqlite": column.in_(sa.select(listed.c.value)),
        "postgresql": column.in_(sa.select(sa.func.json_array_elements_text(sa.cast(given, sa.JSON)))),
    }
