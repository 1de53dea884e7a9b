"""Queries on the tests of sandboxes: the last one of each engine on each machine, kept as a bookmark."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot.model.self_test import SelfTest
from bot.store import bookmarks
from bot.store.schema import bookmarks as table

#: How the bookmarks' names begin.
PREFIX = "self-test."
#: Of a machine that made none for so long nothing is told any more: it may be gone.
KEPT = timedelta(days=366)
_LONGEST = 255


def save(connection: Connection, one: SelfTest) -> None:
    """Keep a test in the place of the one before; what other machines made too long ago is forgotten."""
    bookmarks.save(connection, _name(one), msgspec.json.encode(one).decode(), now=one.tried_at)
    is_old = table.c.updated_at < one.tried_at - KEPT
    connection.execute(sa.delete(table).where(table.c.name.startswith(PREFIX, autoescape=True), is_old))


def list_all(connection: Connection) -> list[SelfTest]:
    """All that are kept, by engine and machine."""
    query = sa.select(table.c.value).where(table.c.name.startswith(PREFIX, autoescape=True)).order_by(table.c.name)
    return [msgspec.json.decode(value, type=SelfTest) for value in connection.execute(query).scalars()]


def _name(one: SelfTest) -> str:
    return f"{PREFIX}{one.engine}.{one.host}"[:_LONGEST]
