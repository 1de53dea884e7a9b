"""Queries on schedules: the times that repositories named, and those that have come."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot.model import outcome
from bot.pipelines import cron
from bot.store.schema import schedules as table


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """One time of one repository."""

    repository_id: int
    cron: str
    installation_id: int
    #: `owner/name`: a label.
    repository: str
    #: The default branch, fully qualified.
    ref: str
    #: When it comes next; None where it never does.
    next_at: datetime | None


def save(connection: Connection, wanted: outcome.Schedules, *, now: datetime) -> None:
    """Put these times in place of those of the repository that were known; one that stays keeps its next slot."""
    is_own = table.c.repository_id == wanted.repository_id
    known = set(connection.execute(sa.select(table.c.cron).where(is_own)).scalars())
    gone = known - set(wanted.crons)
    if gone:
        connection.execute(sa.delete(table).where(is_own, table.c.cron.in_(sorted(gone))))
    labels = {"installation_id": wanted.installation_id, "repository": wanted.repository, "ref": wanted.ref}
    if known - gone:
        connection.execute(sa.update(table).where(is_own).values(labels))
    new = [one for one in wanted.crons if one not in known]
    if new:
        rows = [
            {"repository_id": wanted.repository_id, "cron": one, "next_at": cron.next_after(one, now), **labels}
            for one in new
        ]
        connection.execute(sa.insert(table), rows)


def list_due(connection: Connection, *, now: datetime, limit: int) -> Sequence[Schedule]:
    """The schedules whose next time has come, the earliest first."""
    query = (
        sa.select(table).where(table.c.next_at <= now).order_by(table.c.next_at, table.c.repository_id, table.c.cron)
    )
    return [Schedule(**row._mapping) for row in connection.execute(query.limit(limit))]


def list_of_repository(connection: Connection, repository_id: int) -> Sequence[Schedule]:
    """The schedules of one repository, the next one first."""
    query = sa.select(table).where(table.c.repository_id == repository_id).order_by(table.c.next_at, table.c.cron)
    return [Schedule(**row._mapping) for row in connection.execute(query)]


def move_on(connection: Connection, seen: Schedule, *, next_at: datetime | None) -> bool:
    """Take a slot: false where another replica took it, or the times changed since it was seen."""
    taken = connection.execute(
        sa.update(table)
        .where(table.c.repository_id == seen.repository_id, table.c.cron == seen.cron, table.c.next_at == seen.next_at)
        .values(next_at=next_at)
    )
    return taken.rowcount == 1
