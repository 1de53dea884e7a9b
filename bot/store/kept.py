"""Queries on how much a repository keeps altogether: logs, reports and artifacts of all its jobs that have ended.

What a job keeps is written by the transaction that ends it, and its row goes with the job. So no crash and no two jobs
at once can make the sum wrong, and nobody has to count anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot.model import artifact, job
from bot.model.storage import Kept
from bot.store.kept_table import kept as table
from bot.store.results_tables import artifacts


def of_repository(connection: Connection, repository_id: int) -> Kept:
    """What a repository keeps."""
    parts = (table.c.log_bytes, table.c.report_bytes, table.c.artifact_bytes)
    query = sa.select(*(sa.func.coalesce(sa.func.sum(one), 0) for one in parts))
    logs, reports, its_artifacts = connection.execute(query.where(table.c.repository_id == repository_id)).one()
    return Kept(log_bytes=int(logs), report_bytes=int(reports), artifact_bytes=int(its_artifacts))


def note_log(connection: Connection, one: job.Job, *, repository_id: int) -> None:
    """Count the log of a job, in the transaction that ends it."""
    if one.log_size_bytes:
        values = {"log_bytes": one.log_size_bytes, "report_bytes": 0, "artifact_bytes": 0}
        connection.execute(sa.insert(table).values(job_id=one.id, repository_id=repository_id, **values))


def note_left(
    connection: Connection,
    one: job.Job,
    *,
    repository_id: int,
    report_bytes: int,
    artifacts_made: Sequence[artifact.Artifact],
) -> None:
    """Count what a job leaves behind besides its log, in the same transaction and behind it."""
    values = {"report_bytes": report_bytes, "artifact_bytes": sum(made.size_bytes for made in artifacts_made)}
    if not any(values.values()):
        return
    if not connection.execute(sa.update(table).where(table.c.job_id == one.id).values(values)).rowcount:
        connection.execute(sa.insert(table).values(job_id=one.id, repository_id=repository_id, log_bytes=0, **values))


def recount_artifacts(connection: Connection, job_ids: Sequence[str]) -> None:
    """Count the artifacts of these jobs anew: some of them are gone."""
    query = (
        sa.select(artifacts.c.job_id, sa.func.sum(artifacts.c.size_bytes))
        .where(artifacts.c.job_id.in_(job_ids))
        .group_by(artifacts.c.job_id)
    )
    left: Mapping[str, int] = {job_id: int(size_bytes) for job_id, size_bytes in connection.execute(query)}
    for job_id in sorted(set(job_ids)):
        connection.execute(sa.update(table).where(table.c.job_id == job_id).values(artifact_bytes=left.get(job_id, 0)))
