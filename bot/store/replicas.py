"""Queries on replicas: who takes part, and who was not heard of for too long.

What a replica claimed is its own as long as it says that it lives. One that is silent loses all of it at once; should
it come back, the epoch of each row keeps it from writing what another one took over.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot.store import answers, checks, deliveries, handler_runs, jobs, notifications
from bot.store.schema import answers as answers_table
from bot.store.schema import checks as checks_table
from bot.store.schema import deliveries as deliveries_table
from bot.store.schema import handler_runs as handler_runs_table
from bot.store.schema import jobs as jobs_table
from bot.store.schema import notifications as notifications_table
from bot.store.schema import replicas as table

#: A replica that said nothing for so long has lost what it claimed.
LEASE = timedelta(seconds=15)


class Replica(msgspec.Struct, frozen=True, kw_only=True):
    """One service on this database."""

    id: str
    #: Where it runs, for people.
    name: str
    started_at: datetime
    seen_at: datetime
    lease_until: datetime


def start(connection: Connection, *, replica_id: str, name: str, now: datetime, is_only: bool) -> None:
    """Take part. What an earlier process of this replica had claimed is given back, except its jobs on an engine.

    :param is_only: no other replica can be there; then everybody's claims are given back, and all jobs become its own.
    """
    connection.execute(sa.delete(table).where(table.c.id == replica_id))
    connection.execute(
        sa.insert(table).values(id=replica_id, name=name, started_at=now, seen_at=now, lease_until=now + LEASE)
    )
    if is_only:
        connection.execute(sa.delete(table).where(table.c.id != replica_id))
    give_back(connection, None if is_only else replica_id)


def beat(connection: Connection, *, replica_id: str, name: str, now: datetime) -> datetime:
    """Say that the replica lives; gives the database's own clock, which all replicas go by."""
    written = connection.execute(
        sa.update(table).where(table.c.id == replica_id).values(seen_at=now, lease_until=now + LEASE)
    )
    if written.rowcount != 1:
        # It was silent for so long that another one cleared it away.
        connection.execute(
            sa.insert(table).values(id=replica_id, name=name, started_at=now, seen_at=now, lease_until=now + LEASE)
        )
    return clock(connection) or now


def clock(connection: Connection) -> datetime | None:
    """The time by the database's clock; None where it is this machine's own."""
    if connection.dialect.name != "postgresql":
        return None
    found: datetime = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
    return found


def stop(connection: Connection, *, replica_id: str, now: datetime) -> None:
    """Take part no more: others may take up what it had claimed. Its jobs go on, and stay its own for a while."""
    connection.execute(sa.update(table).where(table.c.id == replica_id).values(seen_at=now, lease_until=now))
    give_back(connection, replica_id)


def give_back(connection: Connection, owner: str | None) -> None:
    """Give back what a replica (None: any) claimed, except jobs that an engine may hold."""
    deliveries.release_all(connection, owner=owner)
    checks.release_all(connection, owner=owner)
    notifications.release_all(connection, owner=owner)
    handler_runs.release_all(connection, owner=owner)
    answers.release_all(connection, owner=owner)
    jobs.release_queued(connection, owner=owner)


def list_all(connection: Connection) -> list[Replica]:
    """All replicas that were heard of lately, in the order they were started."""
    return [Replica(**row._mapping) for row in connection.execute(sa.select(table).order_by(table.c.started_at))]


def forget_silent(connection: Connection, *, before: datetime) -> int:
    """Forget replicas that were silent since before an instant and own nothing any more. Returns how many."""
    owns = [
        sa.exists().where(claimed.c.lease_owner == table.c.id)
        for claimed in (
            deliveries_table,
            checks_table,
            answers_table,
            jobs_table,
            notifications_table,
            handler_runs_table,
        )
    ]
    return connection.execute(sa.delete(table).where(table.c.lease_until < before, ~sa.or_(*owns))).rowcount
