"""Queries on checks: what should be shown, and what GitHub acknowledged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from bot import errors
from bot.model import build, check, job
from bot.pipelines import plan
from bot.store.schema import checks as table

#: The check run that always exists, and the only one to require.
AGGREGATE = plan.CHECK_NAME
_IS_STALE = table.c.reported_version < table.c.desired_version


def insert_for_build(connection: Connection, made: build.Build, jobs: Sequence[job.Job]) -> None:
    """Insert a check for each job, and one for the build where no job bears its name."""
    rows = [_new(made, name=one.check_name, job_id=one.id, external_id=one.id) for one in jobs]
    if all(one.check_name != AGGREGATE for one in jobs):
        rows.insert(0, _new(made, name=AGGREGATE, job_id=None, external_id=made.id))
    connection.execute(sa.insert(table), rows)


def _new(made: build.Build, *, name: str, job_id: str | None, external_id: str) -> dict[str, Any]:
    return {
        "build_id": made.id,
        "job_id": job_id,
        "repository_id": made.repository_id,
        "installation_id": made.installation_id,
        "repository": made.repository,
        "head_sha": made.head_sha,
        "name": name,
        "generation": made.generation,
        "external_id": external_id,
        "desired_version": 1,
        "reported_version": 0,
        "attempts": 0,
        "epoch": 0,
    }


def mark_stale(connection: Connection, *, build_id: str, job_id: str | None) -> None:
    """Say that a job's check (or, with None, the build's own) has to be sent again."""
    is_it = table.c.job_id.is_(None) if job_id is None else table.c.job_id == job_id
    connection.execute(
        sa.update(table)
        .where(table.c.build_id == build_id, is_it)
        .values(desired_version=table.c.desired_version + 1, next_attempt_at=None)
    )


def claim_stale(
    connection: Connection, *, now: datetime, owner: str, lease: timedelta, limit: int
) -> list[check.Check]:
    """Claim the oldest checks that have to be sent.

    Of one slot (repository id, head SHA, name) the older generation is settled first; one that GitHub never saw is
    dropped as soon as a newer one exists, because a generation is never written after a newer one was.
    """
    _drop_unseen(connection)
    older = table.alias("older")
    is_held_back = sa.exists().where(
        older.c.repository_id == table.c.repository_id,
        older.c.head_sha == table.c.head_sha,
        older.c.name == table.c.name,
        older.c.generation < table.c.generation,
        sa.or_(older.c.reported_version < older.c.desired_version, older.c.lease_until >= now),
    )
    query = (
        sa.select(table)
        .where(
            _IS_STALE,
            sa.or_(table.c.next_attempt_at.is_(None), table.c.next_attempt_at <= now),
            sa.or_(table.c.lease_until.is_(None), table.c.lease_until < now),
            ~is_held_back,
        )
        .order_by(table.c.id)
        .limit(limit)
    )
    found = [_from_row(row) for row in connection.execute(query)]
    if found:
        connection.execute(
            sa.update(table)
            .where(table.c.id.in_([one.id for one in found]))
            .values(lease_owner=owner, lease_until=now + lease, epoch=table.c.epoch + 1, attempts=table.c.attempts + 1)
        )
    return [replace(one, epoch=one.epoch + 1, attempts=one.attempts + 1) for one in found]


def _drop_unseen(connection: Connection) -> None:
    newer = table.alias("newer")
    has_newer = sa.exists().where(
        newer.c.repository_id == table.c.repository_id,
        newer.c.head_sha == table.c.head_sha,
        newer.c.name == table.c.name,
        newer.c.generation > table.c.generation,
    )
    connection.execute(
        sa.update(table)
        .where(_IS_STALE, table.c.attempts == 0, table.c.github_id.is_(None), has_newer)
        .values(reported_version=table.c.desired_version)
    )


def acknowledge(
    connection: Connection, claimed: check.Check, *, version: int, github_id: int, status: str, now: datetime
) -> None:
    """Write what GitHub acknowledged.

    :raises errors.LeaseLost: if another process took the check over.
    """
    _fenced(
        connection,
        claimed,
        github_id=github_id,
        reported_version=version,
        reported_status=status,
        reported_at=now if status == "completed" else None,
        attempts=0,
        next_attempt_at=None,
        error=None,
    )


def give_up(connection: Connection, claimed: check.Check, *, error: str) -> None:
    """Write that a check cannot be shown, and why: it is not tried again until it changes.

    :raises errors.LeaseLost: if another process took the check over.
    """
    _fenced(connection, claimed, reported_version=claimed.desired_version, error=error, attempts=0)


def fail(connection: Connection, claimed: check.Check, *, error: str, next_attempt_at: datetime) -> None:
    """Write a failed attempt and when to try again.

    :raises errors.LeaseLost: if another process took the check over.
    """
    _fenced(connection, claimed, error=error, next_attempt_at=next_attempt_at)


def _fenced(connection: Connection, claimed: check.Check, **values: Any) -> None:
    written = connection.execute(
        sa.update(table)
        .where(table.c.id == claimed.id, table.c.epoch == claimed.epoch)
        .values(lease_owner=None, lease_until=None, **values)
    )
    if written.rowcount != 1:
        raise errors.LeaseLost(f"Check {claimed.id} was taken over by another process.")


def release_all(connection: Connection) -> int:
    """Give back every lease; only for the one process that owns the database, when it starts. Returns how many."""
    return connection.execute(
        sa.update(table).where(table.c.lease_owner.is_not(None)).values(lease_owner=None, lease_until=None)
    ).rowcount


def find_by_github_id(connection: Connection, *, repository_id: int, github_id: int) -> check.Check | None:
    """The check that GitHub knows by this id."""
    row = connection.execute(
        sa.select(table).where(table.c.repository_id == repository_id, table.c.github_id == github_id)
    ).first()
    return None if row is None else _from_row(row)


def list_of_build(connection: Connection, build_id: str) -> list[check.Check]:
    """The checks of a build."""
    query = sa.select(table).where(table.c.build_id == build_id).order_by(table.c.id)
    return [_from_row(row) for row in connection.execute(query)]


def next_due_at(connection: Connection) -> datetime | None:
    """When the next check that waits will be due."""
    found: datetime | None = connection.execute(
        sa.select(sa.func.min(table.c.next_attempt_at)).where(_IS_STALE)
    ).scalar_one()
    return found


def count_stale(connection: Connection) -> int:
    """How many checks GitHub does not show as they should be."""
    return connection.execute(sa.select(sa.func.count()).where(_IS_STALE)).scalar_one()


def _from_row(row: Row[Any]) -> check.Check:
    values = dict(row._mapping)
    for internal in ("lease_owner", "lease_until"):
        values.pop(internal)
    return check.Check(**values)
