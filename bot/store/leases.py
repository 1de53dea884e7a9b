"""Queries on leases: work that one replica at a time does for all, such as asking GitHub what it could not deliver."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot.store.schema import leases as table


def take(connection: Connection, name: str, *, owner: str, now: datetime, lease: timedelta) -> bool:
    """Take a lease, or hold it for longer; False while another replica has it."""
    row = connection.execute(sa.select(table).where(table.c.name == name).with_for_update()).first()
    values = {"owner": owner, "until": now + lease}
    if row is None:
        connection.execute(sa.insert(table).values(name=name, **values))
        return True
    if row.owner != owner and row.until >= now:
        return False
    connection.execute(sa.update(table).where(table.c.name == name).values(values))
    return True


def release(connection: Connection, name: str, *, owner: str) -> None:
    """Give a lease back; nothing happens where another replica has it."""
    connection.execute(sa.delete(table).where(table.c.name == name, table.c.owner == owner))
