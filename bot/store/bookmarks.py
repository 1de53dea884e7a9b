"""Queries on bookmarks: how far something was read that has to be gone on with after a restart."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot.store.schema import bookmarks as table


def find(connection: Connection, name: str) -> str | None:
    """The bookmark's value, or None."""
    found: str | None = connection.execute(sa.select(table.c.value).where(table.c.name == name)).scalar_one_or_none()
    return found


def save(connection: Connection, name: str, value: str, *, now: datetime) -> None:
    """Write a bookmark."""
    written = connection.execute(sa.update(table).where(table.c.name == name).values(value=value, updated_at=now))
    if written.rowcount == 0:
        connection.execute(sa.insert(table).values(name=name, value=value, updated_at=now))


def list_names(connection: Connection, *, prefix: str) -> dict[str, datetime]:
    """The bookmarks whose name begins like this, with when each was written."""
    query = sa.select(table.c.name, table.c.updated_at).where(table.c.name.startswith(prefix, autoescape=True))
    return {row.name: row.updated_at for row in connection.execute(query)}


def delete_old(connection: Connection, *, before: datetime, keep: Collection[str]) -> int:
    """Delete bookmarks that were not written since an instant, because what they are about is gone; gives how many."""
    is_kept = sa.or_(sa.false(), *(table.c.name.startswith(name, autoescape=True) for name in keep))
    return connection.execute(sa.delete(table).where(table.c.updated_at < before, ~is_kept)).rowcount


def delete(connection: Connection, name: str) -> None:
    """Remove a bookmark, if it is there."""
    connection.execute(sa.delete(table).where(table.c.name == name))
