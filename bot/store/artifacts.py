"""Queries on artifacts: what of a job's files is kept, for how long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot import errors
from bot.model import artifact
from bot.store.results_tables import artifacts as table


def replace_of_job(connection: Connection, job_id: str, made: Sequence[artifact.Artifact]) -> None:
    """Write the artifacts of a job in place of what an earlier attempt wrote."""
    connection.execute(sa.delete(table).where(table.c.job_id == job_id))
    if made:
        connection.execute(sa.insert(table), [asdict(one) for one in made])


def get(connection: Connection, artifact_id: str) -> artifact.Artifact:
    """:raises errors.NotFound: if there is no such artifact, or not any more."""
    row = connection.execute(sa.select(table).where(table.c.id == artifact_id)).first()
    if row is None:
        raise errors.NotFound(f"There is no artifact {artifact_id}: it never was, or its time is over.")
    return artifact.Artifact(**row._mapping)


def list_of_jobs(connection: Connection, job_ids: Sequence[str]) -> list[artifact.Artifact]:
    """The artifacts of these jobs, by job and name."""
    query = sa.select(table).where(table.c.job_id.in_(job_ids)).order_by(table.c.job_id, table.c.name)
    return [artifact.Artifact(**row._mapping) for row in connection.execute(query)]


def delete_expired(connection: Connection, *, before: datetime, limit: int) -> int:
    """Delete the oldest artifacts whose time is over; gives how many. Their bytes are found by the sweep of files."""
    old = sa.select(table.c.id).where(table.c.expires_at <= before).order_by(table.c.expires_at).limit(limit)
    return connection.execute(sa.delete(table).where(table.c.id.in_(old.scalar_subquery()))).rowcount


def list_without(connection: Connection, ids: Sequence[str]) -> list[str]:
    """Those of the ids that no artifact has."""
    known = set(connection.execute(sa.select(table.c.id).where(table.c.id.in_(ids))).scalars())
    return [one for one in ids if one not in known]
