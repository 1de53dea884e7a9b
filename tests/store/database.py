"""An empty database of this version's tables in memory: real SQLite, made once and rolled back."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator

import sqlalchemy as sa
from sqlalchemy.pool import StaticPool

from bot.store import schema


@functools.cache
def _engine() -> sa.Engine:
    engine = sa.create_engine("sqlite://", poolclass=StaticPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA foreign_keys = ON")
        schema.metadata.create_all(connection)
    return engine


@contextlib.contextmanager
def fresh() -> Iterator[sa.Connection]:
    """A connection to an empty database; whatever is written is taken back in the end."""
    with _engine().connect() as connection, contextlib.closing(connection.begin()):
        yield connection
