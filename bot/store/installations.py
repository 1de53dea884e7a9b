"""Queries on installations of the App."""

from __future__ import annotations

from dataclasses import asdict

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot.model import build
from bot.store.schema import installations as table

_DELETED = "deleted"


def find(connection: Connection, installation_id: int) -> build.Installation | None:
    """The installation, or None if no event of it came yet."""
    row = connection.execute(sa.select(table).where(table.c.id == installation_id)).first()
    return None if row is None else build.Installation(**row._mapping)


def save(connection: Connection, seen: build.Installation) -> None:
    """Write what an event told, unless we already know something newer. What was deleted never comes back.

    GitHub gives an account that installs the App again another installation id.
    """
    known = find(connection, seen.id)
    if known is None:
        connection.execute(sa.insert(table).values(asdict(seen)))
    else:
        # Compared where it is written: another replica may have written meanwhile.
        is_newer = sa.and_(table.c.updated_at <= seen.updated_at, table.c.state != _DELETED)
        if seen.state == _DELETED:
            # Removing it need not count as a change of it.
            is_newer = sa.true()
        connection.execute(sa.update(table).where(table.c.id == seen.id, is_newer).values(asdict(seen)))
