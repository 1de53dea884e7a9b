"""Queries on jobs: claim what may start, save a transition behind a fence."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

import lz4.frame
import sqlalchemy as sa
from msgspec.structs import replace
from sqlalchemy.engine import Connection, Row

from bot import errors
from bot.model import job
from bot.store import groups, hints, owners
from bot.store.columns import Instant
from bot.store.schema import builds, replicas
from bot.store.schema import jobs as table

_INTERNAL = ("lease_owner", "lease_until", "not_before_at", "log_tail")
_COLUMNS = [column for column in table.c if column.name not in _INTERNAL]
_SAVED = (
    "state",
    "reason",
    "engine",
    "started_at",
    "finished_at",
    "exit_code",
    "steps",
    "log_size_bytes",
    "engine_offset",
    "tested_sha",
    "tested_tree",
    "outputs",
    "images",
    "cancel_requested_at",
    "cancel_reason",
)
# Written out, not bound: only then does SQLite see that the partial index holds them.
_IS_ACTIVE = sa.text("jobs.state IN ('waiting', 'queued', 'starting', 'running')")


# Made once: making them takes longer than running them.
_INSERT = sa.insert(table)
_BY_ID = sa.select(*_COLUMNS).where(table.c.id == sa.bindparam("of_id"))
_OF_BUILDS = (
    sa.select(*_COLUMNS)
    .where(table.c.build_id.in_(sa.bindparam("build_ids", expanding=True)))
    .order_by(table.c.build_id, table.c.position)
)
#: What is written behind the fence is given when it is run.
_FENCED = sa.update(table).where(
    table.c.id == sa.bindparam("of_id"),
    table.c.epoch == sa.bindparam("of_epoch"),
)


def insert_many(connection: Connection, new: Sequence[job.Job]) -> None:
    """Insert the jobs of one build."""
    if new:
        connection.execute(_INSERT, [_to_row(one) for one in new])
        hints.give(connection, hints.Word.JOBS)


def find(connection: Connection, job_id: str) -> job.Job | None:
    """The job, or None."""
    row = connection.execute(_BY_ID, {"of_id": job_id}).first()
    return None if row is None else _from_row(row)


def get(connection: Connection, job_id: str) -> job.Job:
    """:raises errors.NotFound: if there is no such job."""
    found = find(connection, job_id)
    if found is None:
        raise errors.NotFound(f"There is no job {job_id}.")
    return found


def list_of_builds(connection: Connection, build_ids: Sequence[str]) -> list[job.Job]:
    """The jobs of these builds, in order."""
    return [_from_row(row) for row in connection.execute(_OF_BUILDS, {"build_ids": list(build_ids)})]


def is_ending(connection: Connection, build_id: str) -> bool:
    """Whether somebody wants jobs of the build cancelled that have not ended yet."""
    query = sa.select(table.c.id).where(
        table.c.build_id == build_id, _IS_ACTIVE, table.c.cancel_requested_at.is_not(None)
    )
    return connection.execute(query.limit(1)).first() is not None


def list_ended_ids(connection: Connection, *, after_id: str) -> list[str]:
    """The ids of ended jobs behind this one: ids sort by the time they were made."""
    query = sa.select(table.c.id).where(table.c.id > after_id, table.c.state.in_(sorted(job.FINAL)))
    return list(connection.execute(query).scalars())


def list_final(connection: Connection, job_ids: Sequence[str]) -> list[str]:
    """Those of the jobs that have ended."""
    query = sa.select(table.c.id).where(table.c.id.in_(job_ids), table.c.state.in_(sorted(job.FINAL)))
    return list(connection.execute(query).scalars())


def is_any(connection: Connection) -> bool:
    """Whether there are jobs at all."""
    return connection.execute(sa.select(table.c.id).limit(1)).first() is not None


def list_without(connection: Connection, log_ids: Sequence[str]) -> list[str]:
    """Those of the logs that no job has, or took over with a result."""
    known = set(connection.execute(sa.select(table.c.id).where(table.c.id.in_(log_ids))).scalars())
    left = [one for one in log_ids if one not in known]
    if not left:
        return []
    taken = set(connection.execute(sa.select(table.c.origin_id).where(table.c.origin_id.in_(left))).scalars())
    return [one for one in left if one not in taken]


_of_build = builds.alias("of_build")
_running = table.alias("running")
_of_running = builds.alias("of_running")
_now = sa.bindparam("now", type_=Instant())
_IS_READY = sa.and_(
    _IS_ACTIVE,
    table.c.state == job.State.QUEUED,
    table.c.cancel_requested_at.is_(None),
    owners.is_free(table),
    sa.or_(table.c.not_before_at.is_(None), table.c.not_before_at <= _now),
)
# Counted once for all repositories: counted for each job that waits, a claim took the square of them.
_RUN = (
    sa.select(_of_running.c.repository_id, sa.func.count().label("jobs"))
    .select_from(_running.join(_of_running, _of_running.c.id == _running.c.build_id))
    .where(
        sa.text("running.state IN ('waiting', 'queued', 'starting', 'running')"),
        _running.c.state.in_(sorted(job.ON_ENGINE)),
    )
    .group_by(_of_running.c.repository_id)
    .cte("run")
)
_PLACE_IN_REPOSITORY = sa.func.row_number().over(partition_by=_of_build.c.repository_id, order_by=table.c.id)
_RANKED = (
    sa.select(table.c.id, (sa.func.coalesce(_RUN.c.jobs, 0) + _PLACE_IN_REPOSITORY).label("turn"))
    .join(_of_build, _of_build.c.id == table.c.build_id)
    .outerjoin(_RUN, _RUN.c.repository_id == _of_build.c.repository_id)
    .where(
        _IS_READY,
        groups.has_turn(_of_build),
        _of_build.c.repository_id.not_in(sa.bindparam("without", type_=sa.BigInteger(), expanding=True)),
    )
    .subquery("ranked")
)
# The locks of other replicas are passed over, so of what is first in turn somewhat more is looked at.
_FIRST = (
    sa.select(_RANKED.c.id, _RANKED.c.turn)
    # Those that run have the turns before.
    .where(_RANKED.c.turn <= sa.bindparam("most_of_one", type_=sa.Integer()))
    .order_by(_RANKED.c.turn, _RANKED.c.id)
    .limit(sa.bindparam("looked_at", type_=sa.Integer()))
    .subquery("first")
)
_READY = (
    sa.select(*_COLUMNS)
    .join(_FIRST, _FIRST.c.id == table.c.id)
    .where(_IS_READY)
    .order_by(_FIRST.c.turn, table.c.id)
    .limit(sa.bindparam("most", type_=sa.Integer()))
    .with_for_update(skip_locked=True, of=table)
)


def claim_ready(
    connection: Connection,
    *,
    now: datetime,
    owner: str,
    lease: timedelta,
    limit: int,
    most_of_one: int | None = None,
    without: Collection[int] = (),
) -> list[job.Job]:
    """Claim queued jobs that nobody wants cancelled; they stay `queued` until saved as `starting`.

    The oldest first; where several repositories have some, the one with the fewest running jobs first. Nothing of a
    build whose turn in its concurrency group has not come.

    :param most_of_one: so many jobs of one repository may run at once.
    :param without: repositories of which none is to start.
    """
    given = {
        "now": now,
        "most": limit,
        "looked_at": limit + _LOOKED_AT_MORE,
        "most_of_one": _MANY if most_of_one is None else most_of_one,
        "without": sorted(without),
    }
    found = [_from_row(row) for row in connection.execute(_READY, given)]
    if found:
        connection.execute(
            sa.update(table)
            .where(table.c.id.in_([one.id for one in found]))
            .values(lease_owner=owner, lease_until=now + lease, epoch=table.c.epoch + 1)
        )
    return [replace(one, epoch=one.epoch + 1) for one in found]


_LOOKED_AT_MORE = 64
_MANY = 1_000_000


def adopt(
    connection: Connection, *, now: datetime, owner: str, lease: timedelta, is_only: bool = True
) -> list[job.Job]:
    """Claim every job that this replica's engine may hold, when it starts.

    :param is_only: no other replica can be there, so all jobs are its own, whoever started them.
    """
    is_own = sa.and_(_IS_ACTIVE, table.c.state.in_(sorted(job.ON_ENGINE)))
    if not is_only:
        is_own = sa.and_(is_own, table.c.lease_owner == owner)
    found = [_from_row(row) for row in connection.execute(sa.select(*_COLUMNS).where(is_own).order_by(table.c.id))]
    connection.execute(
        sa.update(table).where(is_own).values(lease_owner=owner, lease_until=now + lease, epoch=table.c.epoch + 1)
    )
    return [replace(one, epoch=one.epoch + 1) for one in found]


def claim_lost(connection: Connection, *, silent_since: datetime, owner: str) -> list[job.Job]:
    """Take over the jobs whose replica was silent since an instant; what its machine still does of them counts not."""
    gone = sa.select(replicas.c.id).where(replicas.c.lease_until < silent_since)
    query = (
        sa.select(*_COLUMNS)
        .where(
            _IS_ACTIVE,
            table.c.state.in_(sorted(job.ON_ENGINE)),
            table.c.lease_owner != owner,
            sa.or_(table.c.lease_owner.in_(gone), table.c.lease_owner.not_in(sa.select(replicas.c.id))),
        )
        .order_by(table.c.id)
        .with_for_update(skip_locked=True, of=table)
    )
    found = [_from_row(row) for row in connection.execute(query)]
    if found:
        connection.execute(
            sa.update(table)
            .where(table.c.id.in_([one.id for one in found]))
            .values(lease_owner=owner, epoch=table.c.epoch + 1)
        )
    return [replace(one, epoch=one.epoch + 1) for one in found]


def list_on_engine(connection: Connection) -> list[job.Job]:
    """The jobs that an engine may hold, whoever follows them."""
    query = sa.select(*_COLUMNS).where(_IS_ACTIVE, table.c.state.in_(sorted(job.ON_ENGINE))).order_by(table.c.id)
    return [_from_row(row) for row in connection.execute(query)]


def take_over(connection: Connection, job_ids: Sequence[str]) -> list[job.Job]:
    """Take jobs from whoever follows them: nothing that these others write is taken any more."""
    if not job_ids:
        return []
    connection.execute(sa.update(table).where(table.c.id.in_(job_ids)).values(epoch=table.c.epoch + 1))
    query = sa.select(*_COLUMNS).where(table.c.id.in_(job_ids)).order_by(table.c.id)
    return [_from_row(row) for row in connection.execute(query)]


def release_queued(connection: Connection, *, owner: str | None = None) -> int:
    """Give back the claims of a replica on jobs that were not started; None: everybody's. Returns how many."""
    is_owned = table.c.lease_owner.is_not(None) if owner is None else table.c.lease_owner == owner
    return connection.execute(
        sa.update(table).where(table.c.state == job.State.QUEUED, is_owned).values(lease_owner=None, lease_until=None)
    ).rowcount


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
    written = connection.execute(_FENCED, {**_fence(changed), **values})
    if written.rowcount != 1:
        raise errors.LeaseLost(f"Job {changed.id} was taken over by another process.")


def save_progress(connection: Connection, changed: job.Job) -> None:
    """Write how far the engine's events were read, and the steps so far.

    :raises errors.LeaseLost: if another process took the job over.
    """
    values = {name: getattr(changed, name) for name in ("engine_offset", "log_size_bytes", "steps")}
    written = connection.execute(_FENCED, {**_fence(changed), **values})
    if written.rowcount != 1:
        raise errors.LeaseLost(f"Job {changed.id} was taken over by another process.")


def save_log_tail(connection: Connection, job_id: str, tail: bytes) -> None:
    """Keep the end of a failing step's log with the job: the log itself lies where the job ran, or elsewhere."""
    connection.execute(sa.update(table).where(table.c.id == job_id).values(log_tail=lz4.frame.compress(tail)))


def find_log_tail(connection: Connection, job_id: str) -> bytes | None:
    """What `save_log_tail` kept, or None."""
    found = connection.execute(sa.select(table.c.log_tail).where(table.c.id == job_id)).scalar_one_or_none()
    return None if found is None else lz4.frame.decompress(found)


def put_off(connection: Connection, job_id: str, *, not_before_at: datetime) -> None:
    """Let nobody claim a queued job before an instant."""
    connection.execute(sa.update(table).where(table.c.id == job_id).values(not_before_at=not_before_at))


def request_cancel(
    connection: Connection, build_ids: Sequence[str], *, now: datetime, reason: str, except_ids: Collection[str] = ()
) -> int:
    """Write down the wish to cancel every unfinished job of these builds but some. Returns how many."""
    asked = connection.execute(
        sa.update(table)
        .where(
            table.c.build_id.in_(build_ids),
            table.c.id.not_in(except_ids),
            _IS_ACTIVE,
            table.c.cancel_requested_at.is_(None),
        )
        .values(cancel_requested_at=now, cancel_reason=reason)
    ).rowcount
    if asked:
        hints.give(connection, hints.Word.JOBS)
    return asked


def lock_wish(connection: Connection, job_id: str) -> str | None:
    """Why somebody wants the job cancelled, None if nobody does; no wish comes before this transaction ends."""
    query = sa.select(table.c.cancel_requested_at, table.c.cancel_reason).where(table.c.id == job_id)
    found = connection.execute(query.with_for_update()).first()
    if found is None or found.cancel_requested_at is None:
        return None
    return found.cancel_reason or ""


_WISHES = sa.select(*_COLUMNS).where(_IS_ACTIVE, table.c.cancel_requested_at.is_not(None)).order_by(table.c.id)
_OWN_WISHES = _WISHES.where(
    sa.or_(table.c.state.not_in(sorted(job.ON_ENGINE)), table.c.lease_owner == sa.bindparam("owner"))
)


def list_cancel_requested(connection: Connection, *, owner: str | None = None) -> list[job.Job]:
    """Unfinished jobs that somebody wants cancelled; of those on an engine only this replica's own, if one is given."""
    found = connection.execute(_WISHES) if owner is None else connection.execute(_OWN_WISHES, {"owner": owner})
    return [_from_row(row) for row in found]


def _fence(one: job.Job) -> dict[str, Any]:
    return {"of_id": one.id, "of_epoch": one.epoch}


def _to_row(one: job.Job) -> dict[str, Any]:
    return {name: getattr(one, name) for name in one.__struct_fields__}


def _from_row(row: Row[Any]) -> job.Job:
    values = dict(row._mapping)
    values["state"] = job.State(values["state"])
    return job.Job(**values)
