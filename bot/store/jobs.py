"""Queries on jobs: claim what may start, save a transition behind a fence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from bot import errors
from bot.model import job
from bot.store.schema import jobs as table

_INTERNAL = ("lease_owner", "lease_until", "not_before_at")
_SAVED = (
    "state",
    "reason",
    "started_at",
    "finished_at",
    "exit_code",
    "steps",
    "log_size_bytes",
    "engine_offset",
    "tested_sha",
    "tested_tree",
    "cancel_requested_at",
    "cancel_reason",
)
# Written out, not bound: only then does SQLite see that the partial index holds them.
_IS_ACTIVE = sa.text("jobs.state IN ('waiting', 'queued', 'starting', 'running')")


def insert_many(connection: Connection, new: Sequence[job.Job]) -> None:
    """Insert the jobs of one build."""
    if new:
        connection.execute(sa.insert(table), [_to_row(one) for one in new])


def find(connection: Connection, job_id: str) -> job.Job | None:
    """The job, or None."""
    row = connection.execute(sa.select(table).where(table.c.id == job_id)).first()
    return None if row is None else _from_row(row)


def get(connection: Connection, job_id: str) -> job.Job:
    """:raises errors.NotFound: if there is no such job."""
    found = find(connection, job_id)
    if found is None:
        raise errors.NotFound(f"There is no job {job_id}.")
    return found


def list_of_builds(connection: Connection, build_ids: Sequence[str]) -> list[job.Job]:
    """The jobs of these builds, in order."""
    query = sa.select(table).where(table.c.build_id.in_(build_ids)).order_by(table.c.build_id, table.c.position)
    return [_from_row(row) for row in connection.execute(query)]


def list_ended_ids(connection: Connection, *, after_id: str) -> list[str]:
    """The ids of ended jobs behind this one: ids sort by the time they were made."""
    query = sa.select(table.c.id).where(table.c.id > after_id, table.c.state.in_(sorted(job.FINAL)))
    return list(connection.execute(query).scalars())


def claim_ready(connection: Connection, *, now: datetime, owner: str, lease: timedelta, limit: int) -> list[job.Job]:
    """Claim the oldest queued jobs that nobody wants cancelled; they stay `queued` until saved as `starting`."""
    query = (
        sa.select(table)
        .where(
            _IS_ACTIVE,
            table.c.state == job.State.QUEUED,
            table.c.cancel_requested_at.is_(None),
            sa.or_(table.c.lease_until.is_(None), table.c.lease_until < now),
            sa.or_(table.c.not_before_at.is_(None), table.c.not_before_at <= now),
        )
        .order_by(table.c.id)
        .limit(limit)
    )
    found = [_from_row(row) for row in connection.execute(query)]
    if found:
        connection.execute(
            sa.update(table)
            .where(table.c.id.in_([one.id for one in found]))
            .values(lease_owner=owner, lease_until=now + lease, epoch=table.c.epoch + 1)
        )
    return [replace(one, epoch=one.epoch + 1) for one in found]


def adopt(connection: Connection, *, now: datetime, owner: str, lease: timedelta) -> list[job.Job]:
    """Claim every job that an engine may hold; for the one process that owns the database, when it starts."""
    query = sa.select(table).where(_IS_ACTIVE, table.c.state.in_(sorted(job.ON_ENGINE))).order_by(table.c.id)
    found = [_from_row(row) for row in connection.execute(query)]
    connection.execute(
        sa.update(table)
        .where(_IS_ACTIVE, table.c.state.in_(sorted(job.ON_ENGINE)))
        .values(lease_owner=owner, lease_until=now + lease, epoch=table.c.epoch + 1)
    )
    connection.execute(
        sa.update(table)
        .where(table.c.state == job.State.QUEUED, table.c.lease_owner.is_not(None))
        .values(lease_owner=None, lease_until=None)
    )
    return [replace(one, epoch=one.epoch + 1) for one in found]


def save(connection: Connection, changed: job.Job) -> None:
    """Write a job's new state, fenced by its epoch; a wish to cancel that came meanwhile is kept.

    :raises errors.LeaseLost: if another process took the job over.
    """
    row = _to_row(changed)
    values = {name: row[name] for name in _SAVED}
    for wish in ("cancel_requested_at", "cancel_reason"):
        if values[wish] is None:
            del values[wish]
    if changed.state not in job.ON_ENGINE:
        values.update(lease_owner=None, lease_until=None)
    written = connection.execute(
        sa.update(table).where(table.c.id == changed.id, table.c.epoch == changed.epoch).values(values)
    )
    if written.rowcount != 1:
        raise errors.LeaseLost(f"Job {changed.id} was taken over by another process.")


def save_progress(connection: Connection, changed: job.Job) -> None:
    """Write how far the engine's events were read, and the steps so far.

    :raises errors.LeaseLost: if another process took the job over.
    """
    written = connection.execute(
        sa.update(table)
        .where(table.c.id == changed.id, table.c.epoch == changed.epoch)
        .values(engine_offset=changed.engine_offset, log_size_bytes=changed.log_size_bytes, steps=changed.steps)
    )
    if written.rowcount != 1:
        raise errors.LeaseLost(f"Job {changed.id} was taken over by another process.")


def put_off(connection: Connection, job_id: str, *, not_before_at: datetime) -> None:
    """Let nobody claim a queued job before an instant."""
    connection.execute(sa.update(table).where(table.c.id == job_id).values(not_before_at=not_before_at))


def request_cancel(connection: Connection, build_ids: Sequence[str], *, now: datetime, reason: str) -> int:
    """Write down the wish to cancel every unfinished job of these builds. Returns how many."""
    return connection.execute(
        sa.update(table)
        .where(
            table.c.build_id.in_(build_ids),
            _IS_ACTIVE,
            table.c.cancel_requested_at.is_(None),
        )
        .values(cancel_requested_at=now, cancel_reason=reason)
    ).rowcount


def list_cancel_requested(connection: Connection) -> list[job.Job]:
    """Unfinished jobs that somebody wants cancelled."""
    query = (
        sa.select(table)
        .where(
            _IS_ACTIVE,
            table.c.cancel_requested_at.is_not(None),
        )
        .order_by(table.c.id)
    )
    return [_from_row(row) for row in connection.execute(query)]


def _to_row(one: job.Job) -> dict[str, Any]:
    return {name: getattr(one, name) for name in one.__slots__}


def _from_row(row: Row[Any]) -> job.Job:
    values = dict(row._mapping)
    for name in _INTERNAL:
        values.pop(name)
    values["state"] = job.State(values["state"])
    return job.Job(**values)
