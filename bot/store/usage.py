"""Queries on how much of the machines' time each repository used."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot.model import job
from bot.store.schema import builds, jobs

#: A build that waited longer than this for a place is left out: looking for it would read a repository's whole history.
_LONGEST_WAIT = timedelta(days=7)
# Written out, not bound: only then does SQLite see that the partial index holds them.
_IS_ACTIVE = sa.text("jobs.state IN ('waiting', 'queued', 'starting', 'running')")

#: From when to when a job held a place.
Span = tuple[datetime, datetime]


def list_waiting(connection: Connection) -> Mapping[int, str]:
    """The repositories of which a job waits for a place, by id, with their names."""
    query = (
        sa.select(builds.c.repository_id, sa.func.max(builds.c.repository).label("name"))
        .join(jobs, jobs.c.build_id == builds.c.id)
        .where(_IS_ACTIVE, jobs.c.state == job.State.QUEUED)
        .group_by(builds.c.repository_id)
    )
    return {row.repository_id: row.name for row in connection.execute(query)}


def list_spans(
    connection: Connection, repository_ids: Collection[int], *, since: datetime, now: datetime
) -> Mapping[int, Sequence[Span]]:
    """When jobs of these repositories ran since an instant, cut off there and now."""
    query = (
        sa.select(builds.c.repository_id, jobs.c.started_at, jobs.c.finished_at)
        .join(builds, jobs.c.build_id == builds.c.id)
        .where(
            builds.c.repository_id.in_(sorted(repository_ids)),
            builds.c.created_at > since - _LONGEST_WAIT,
            jobs.c.started_at.is_not(None),
            sa.or_(jobs.c.finished_at.is_(None), jobs.c.finished_at > since),
        )
    )
    found: dict[int, list[Span]] = defaultdict(list)
    for repository_id, started_at, finished_at in connection.execute(query):
        begin, end = max(started_at, since), min(finished_at or now, now)
        if end > begin:
            found[repository_id].append((begin, end))
    return found


def explain(connection: Connection, repository_id: int, reason: str) -> None:
    """Write down why the jobs of a repository wait that could start else."""
    of_it = sa.select(builds.c.id).where(builds.c.repository_id == repository_id)
    connection.execute(
        sa.update(jobs)
        .where(
            _IS_ACTIVE,
            jobs.c.state == job.State.QUEUED,
            jobs.c.build_id.in_(of_it),
            sa.func.coalesce(jobs.c.reason, "") != reason,
        )
        .values(reason=reason)
    )
