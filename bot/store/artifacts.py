"""Queries on artifacts: what of a job's files is kept, for how long."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
import sqlalchemy as sa
from msgspec.structs import asdict
from sqlalchemy.engine import Connection

from bot import errors
from bot.model import artifact
from bot.store import branches, kept
from bot.store.results_tables import artifacts as table
from bot.store.schema import jobs


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


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """An artifact with what it is of."""

    artifact: artifact.Artifact
    job_name: str
    build: branches.Brief


def list_of_repository(
    connection: Connection, *, repository: str, repository_id: int, before_id: str | None = None
) -> tuple[list[Kept], str | None]:
    """What the newest builds of a repository left behind, the newest first, and the build behind which others follow.

    Some hundred builds are looked at, however many there are and however few of them left anything behind.
    """
    made = {
        one.id: one
        for one in branches.list_newest(
            connection,
            repository=repository,
            repository_id=repository_id,
            before_id=before_id,
            limit=branches.WINDOW,
        )
    }
    query = (
        sa.select(table, jobs.c.build_id, jobs.c.check_name)
        .join(jobs, jobs.c.id == table.c.job_id)
        .where(jobs.c.build_id.in_(list(made)))
        .order_by(jobs.c.build_id.desc(), jobs.c.position, table.c.name)
    )
    found = [
        Kept(
            artifact=artifact.Artifact(**{column.name: row._mapping[column.name] for column in table.c}),
            job_name=row.check_name.rpartition(" / ")[2],
            build=made[row.build_id],
        )
        for row in connection.execute(query)
    ]
    return found, min(made) if len(made) == branches.WINDOW else None


def delete_expired(connection: Connection, *, before: datetime, limit: int) -> int:
    """Delete the oldest artifacts whose time is over; gives how many. Their bytes are found by the sweep of files."""
    old = sa.select(table.c.id).where(table.c.expires_at <= before).order_by(table.c.expires_at).limit(limit)
    gone = sa.delete(table).where(table.c.id.in_(old.scalar_subquery())).returning(table.c.job_id)
    job_ids = list(connection.execute(gone).scalars())
    kept.recount_artifacts(connection, job_ids)
    return len(job_ids)


def list_without(connection: Connection, ids: Sequence[str]) -> list[str]:
    """Those of the ids that no artifact has."""
    known = set(connection.execute(sa.select(table.c.id).where(table.c.id.in_(ids))).scalars())
    return [one for one in ids if one not in known]
