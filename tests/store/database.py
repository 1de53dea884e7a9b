"""An empty database of this version's tables, made once and rolled back: SQLite in memory, or a real PostgreSQL."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator

import sqlalchemy as sa
from sqlalchemy.pool import StaticPool

from bot.store import schema
from tests import postgresql

#: Set by the fixture `connection`'s kind, for tests that make many databases themselves.
kind = "sqlite"


@functools.cache
def _sqlite() -> sa.Engine:
    engine = sa.create_engine("sqlite://", poolclass=StaticPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA foreign_keys = ON")
        schema.metadata.create_all(connection)
    return engine


@functools.cache
def _postgresql() -> sa.Engine:
    return postgresql.engine(postgresql.create("rolled_back", template=postgresql.template()))


@contextlib.contextmanager
def fresh() -> Iterator[sa.Connection]:
    """A connection to an empty database; whatever is written is taken back in the end."""
    engine = _sqlite() if kind == "sqlite" else _postgresql()
    with engine.connect() as connection, contextlib.closing(connection.begin()):
        yield connection
