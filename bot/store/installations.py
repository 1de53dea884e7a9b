"""Queries on installations of the App."""

from __future__ import annotations

import sqlalchemy as sa
from msgspec.structs import asdict
from sqlalchemy.engine import Connection

from bot.model import build
from bot.store.schema import budgets
from bot.store.schema import installations as table

_DELETED = "deleted"


def find(connection: Connection, installation_id: int) -> build.Installation | None:
    """The installation, or None if no event of it came yet."""
    row = connection.execute(sa.select(table).where(table.c.id == installation_id)).first()
    return None if row is None else build.Installation(**row._mapping)


def list_all(connection: Connection) -> list[build.Installation]:
    """The installations that were heard of and not deleted."""
    query = sa.select(table).where(table.c.state != _DELETED).order_by(table.c.id)
    return [build.Installation(**row._mapping) for row in connection.execute(query)]


def list_deleted(connection: Connection) -> list[build.Installation]:
    """The installations that were deleted and whose account has no other one that is not."""
    other = table.alias("other")
    is_back = sa.exists().where(
        sa.func.lower(other.c.account) == sa.func.lower(table.c.account), other.c.state != "deleted"
    )
    query = sa.select(table).where(table.c.state == "deleted", ~is_back).order_by(table.c.id)
    return [build.Installation(**row._mapping) for row in connection.execute(query)]


def delete(connection: Connection, installation_id: int) -> None:
    """Forget an installation, and what GitHub let it do."""
    connection.execute(sa.delete(budgets).where(budgets.c.installation_id == installation_id))
    connection.execute(sa.delete(table).where(table.c.id == installation_id))


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
