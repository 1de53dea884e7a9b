"""Queries on jobs that have not ended, with the builds that they are of."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot.model import build, job
from bot.store import builds as build_queries
from bot.store import jobs as job_queries
from bot.store.schema import builds, jobs, replicas

#: Of so many of the newest jobs it is told how they ended.
LATELY = 300
# Written out, not bound: only then does SQLite see that the partial index holds them.
_IS_ACTIVE = sa.text("jobs.state IN ('waiting', 'queued', 'starting', 'running')")
_WAITING = (job.State.WAITING, job.State.QUEUED)


class Active(msgspec.Struct, frozen=True, kw_only=True):
    """A job that has not ended."""

    #: All jobs of its build, in order.
    of_build: tuple[job.Job, ...]
    job: job.Job
    build: build.Build
    #: The service that has it, for people; None where none has.
    replica: str | None


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How jobs ended lately on one engine."""

    engine: str
    state: job.State
    count: int
    newest_at: datetime | None


def list_running(connection: Connection, *, limit: int, among: Collection[int] | None = None) -> list[Active]:
    """The jobs that are on an engine, the oldest first.

    :param among: only those of these repositories.
    """
    return _list(connection, jobs.c.state.in_(sorted(job.ON_ENGINE)), limit=limit, among=among)


def list_waiting(connection: Connection, *, limit: int, among: Collection[int] | None = None) -> list[Active]:
    """The jobs that wait in builds that run already, the oldest first.

    :param among: only those of these repositories.
    """
    is_one = sa.and_(jobs.c.state.in_(sorted(_WAITING)), builds.c.state == build.State.RUNNING)
    return _list(connection, is_one, limit=limit, among=among)


def list_lately(connection: Connection, *, among: Collection[int] | None = None) -> list[Ended]:
    """How the newest jobs ended, by engine.

    :param among: only those of these repositories.
    """
    newest = sa.select(jobs.c.id).order_by(jobs.c.id.desc()).limit(LATELY)
    query = (
        sa.select(jobs.c.engine, jobs.c.state, sa.func.count(), sa.func.max(jobs.c.finished_at))
        .where(jobs.c.id.in_(newest), jobs.c.state.in_(sorted(job.FINAL)), jobs.c.started_at.is_not(None))
        .group_by(jobs.c.engine, jobs.c.state)
        .order_by(jobs.c.engine, jobs.c.state)
    )
    if among is not None:
        query = query.join(builds, builds.c.id == jobs.c.build_id).where(_is_among(among))
    return [
        Ended(engine=row[0], state=job.State(row[1]), count=row[2], newest_at=row[3])
        for row in connection.execute(query)
    ]


def _list(
    connection: Connection, is_one: sa.ColumnElement[bool], *, limit: int, among: Collection[int] | None
) -> list[Active]:
    query = (
        sa.select(jobs.c.id, jobs.c.build_id, replicas.c.name)
        .join(builds, builds.c.id == jobs.c.build_id)
        .outerjoin(replicas, replicas.c.id == jobs.c.lease_owner)
        .where(_IS_ACTIVE, is_one)
        .order_by(jobs.c.id)
        .limit(limit)
    )
    if among is not None:
        query = query.where(_is_among(among))
    rows = connection.execute(query).all()
    ids = list({row.build_id for row in rows})
    made = {one.id: one for one in build_queries.list_by_ids(connection, ids)}
    of_builds: dict[str, list[job.Job]] = {}
    for one in job_queries.list_of_builds(connection, ids):
        of_builds.setdefault(one.build_id, []).append(one)
    known = {one.id: one for group in of_builds.values() for one in group}
    return [
        Active(
            job=known[row.id],
            build=made[row.build_id],
            of_build=tuple(of_builds[row.build_id]),
            replica=row.name,
        )
        for row in rows
    ]


def _is_among(among: Collection[int]) -> sa.ColumnElement[bool]:
    # Added to, so that no index on it is taken: few jobs are active, and many builds may be theirs.
    return (builds.c.repository_id + 0).in_(sorted(among))
