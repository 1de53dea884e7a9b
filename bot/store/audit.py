"""Queries on the audit: entries are added and listed. Nothing changes one; only the sweeper deletes old ones.

The database itself holds that (`schema.AUDIT_RULES`): it refuses to change an entry, and to delete one that is younger
than 90 days.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from msgspec.structs import asdict
from sqlalchemy.engine import Connection, Row

from bot import clock
from bot.model import audit
from bot.store import replicas
from bot.store.schema import audit as table

#: So long every entry is kept, however short the retention is; the database refuses to delete it earlier.
KEPT = timedelta(days=90)


def add(connection: Connection, new: audit.Entry, *, now: datetime) -> None:
    """Write an entry, as a part of the transaction that does what it tells of."""
    connection.execute(sa.insert(table).values(at=now, **asdict(new)))


def list_newest(
    connection: Connection,
    *,
    limit: int,
    before_id: int | None = None,
    action: audit.Action | None = None,
    via: audit.Via | None = None,
    actor: str | None = None,
    repository: str | None = None,
) -> list[audit.Stored]:
    """The newest entries first: those that match every given field."""
    query = sa.select(table).order_by(table.c.id.desc()).limit(limit)
    if before_id is not None:
        query = query.where(table.c.id < before_id)
    if action is not None:
        query = query.where(table.c.action == action)
    if via is not None:
        query = query.where(table.c.via == via)
    if actor is not None:
        query = query.where(table.c.actor == actor)
    if repository is not None:
        query = query.where(table.c.repository == repository)
    return [_from_row(row) for row in connection.execute(query)]


def list_about(
    connection: Connection,
    *,
    limit: int,
    head_shas: Collection[str] = (),
    build_ids: Collection[str] = (),
    delivery_ids: Collection[str] = (),
    pull: tuple[int, int] | None = None,
) -> list[audit.Stored]:
    """The newest entries first: those about any of the given things.

    :param pull: repository id and number of a pull request.
    """
    about: Sequence[sa.ColumnElement[bool]] = (
        table.c.head_sha.in_(sorted(head_shas)),
        table.c.build_id.in_(sorted(build_ids)),
        table.c.delivery_id.in_(sorted(delivery_ids)),
        sa.false() if pull is None else sa.and_(table.c.repository_id == pull[0], table.c.pull_number == pull[1]),
    )
    query = sa.select(table).where(sa.or_(*about)).order_by(table.c.id.desc()).limit(limit)
    return [_from_row(row) for row in connection.execute(query)]


def delete_old(connection: Connection, *, before: datetime, limit: int) -> int:
    """Delete entries written before an instant that are older than `KEPT` as well, oldest first. Returns how many."""
    # By the clock that the database's own rule goes by.
    bound = min(before, (replicas.clock(connection) or clock.now()) - KEPT)
    old = sa.select(table.c.id).where(table.c.at < bound).order_by(table.c.at).limit(limit)
    return connection.execute(sa.delete(table).where(table.c.id.in_(old))).rowcount


def _from_row(row: Row[Any]) -> audit.Stored:
    values = dict(row._mapping)
    return audit.Stored(**{**values, "action": audit.Action(values["action"]), "via": audit.Via(values["via"])})
