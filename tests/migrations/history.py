"""Databases as earlier versions left them: dumps that those versions' own code made, on either database."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot.store import upgrade

_DUMPS = Path(__file__).parent / "filled"
#: The versions that there is a dump of: every one but the newest.
VERSIONS = tuple(sorted(path.stem for path in _DUMPS.glob("*.sql")))

Rows = dict[str, list[dict[str, Any]]]


def dump(version: str) -> str:
    """The statements that make the database as it was, for SQLite."""
    return (_DUMPS / f"{version}.sql").read_text(encoding="utf-8")


def load_file(path: Path, version: str) -> None:
    """Make a SQLite file as it was."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(dump(version))


def load_server(connection: Connection, version: str) -> None:
    """Fill an empty database on a server: its tables by the migrations, the rows as SQLite had them."""
    upgrade.migrate(connection, to=version)
    with _in_memory(version) as source:
        tables = reflected(connection)
        for table in tables.sorted_tables:
            connection.execute(sa.insert(table), rows(source)[table.name])
        for table in tables.sorted_tables:
            for column in table.primary_key.columns:
                if column.autoincrement is True:
                    newest = sa.select(sa.func.max(column)).scalar_subquery()
                    sequence = sa.func.pg_get_serial_sequence(table.name, column.name)
                    connection.execute(sa.select(sa.func.setval(sequence, newest)))


def rows(connection: Connection) -> Rows:
    """All rows as they lie in the database, by table."""
    return {
        table.name: [dict(row._mapping) for row in connection.execute(sa.select(table).order_by(*table.primary_key))]
        for table in reflected(connection).sorted_tables
    }


def rows_of(version: str) -> Rows:
    """The rows that a dump has."""
    with _in_memory(version) as source:
        return rows(source)


def reflected(connection: Connection) -> sa.MetaData:
    """The tables as they are there, without that of the migrations."""
    there = sa.MetaData()
    there.reflect(connection, only=lambda name, _: name != "alembic_version")
    return there


@contextlib.contextmanager
def _in_memory(version: str) -> Iterator[Connection]:
    engine = sa.create_engine("sqlite://")
    with engine.connect() as connection:
        raw = connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        raw.executescript(dump(version))
        yield connection
    engine.dispose()
