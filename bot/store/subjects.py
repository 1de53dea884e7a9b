"""Queries on whose a thing is: the repository that a build, job, artifact or delivery belongs to."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot.store import about
from bot.store.schema import artifacts, builds, deliveries, jobs


def of_build(connection: Connection, build_id: str) -> int | None:
    """The repository of a build, or None if there is no such build."""
    return connection.execute(sa.select(builds.c.repository_id).where(builds.c.id == build_id)).scalar()


def of_job(connection: Connection, job_id: str) -> int | None:
    """The repository of a job, or None if there is no such job."""
    query = sa.select(builds.c.repository_id).join(jobs, jobs.c.build_id == builds.c.id).where(jobs.c.id == job_id)
    return connection.execute(query).scalar()


def of_artifact(connection: Connection, artifact_id: str) -> int | None:
    """The repository of an artifact, or None if there is no such artifact."""
    query = (
        sa.select(builds.c.repository_id)
        .join(jobs, jobs.c.build_id == builds.c.id)
        .join(artifacts, artifacts.c.job_id == jobs.c.id)
        .where(artifacts.c.id == artifact_id)
    )
    return connection.execute(query).scalar()


def of_delivery(connection: Connection, guid: str) -> tuple[bool, int | None]:
    """Whether there is such a delivery, and its repository, where it is about one."""
    query = sa.select(deliveries.c.repository_id).where(deliveries.c.id == guid).order_by(deliveries.c.seq.desc())
    row = connection.execute(query.limit(1)).first()
    return (False, None) if row is None else (True, row.repository_id)


def of_name(connection: Connection, full_name: str) -> int | None:
    """The repository that is called so, or None if nothing was heard of one."""
    place = about.find_repository(connection, full_name)
    return None if place is None else place[0]
