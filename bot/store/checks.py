"""Queries on checks: what should be shown, and what GitHub acknowledged."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from msgspec.structs import replace
from sqlalchemy.engine import Connection, Row

from bot import errors
from bot.model import build, check, job
from bot.pipelines import plan
from bot.store import budgets, check_claims, gathering, hints, owners
from bot.store.columns import Instant
from bot.store.schema import checks as table

#: The check run that always exists, and the only one to require.
AGGREGATE = plan.CHECK_NAME
#: How long a new job may take to start before its check is shown as queued: most start at once, which saves a call.
START_GRACE = timedelta(milliseconds=250)
#: How long progress of a check follows on what was sent of it before, at the least.
PROGRESS_PAUSE = timedelta(seconds=2)


def insert_for_build(connection: Connection, made: build.Build, jobs: Sequence[job.Job]) -> None:
    """Insert a check for each job, and one for the build where no job bears its name."""
    rows = [
        {**_new(made, name=one.check_name), "job_id": one.id, "external_id": one.id, "is_conclusion": _is_over(one)}
        for one in jobs
    ]
    if all(one.check_name != AGGREGATE for one in jobs):
        own = {"job_id": None, "external_id": made.id, "is_conclusion": _is_over(made)}
        rows.insert(0, {**_new(made, name=AGGREGATE), **own})
    connection.execute(sa.insert(table), rows)
    hints.give(connection, hints.Word.CHECKS)


def _is_over(subject: build.Build | job.Job) -> bool:
    """Whether the first that GitHub hears of it is its end; what waits for approval is one until it is there."""
    if isinstance(subject, job.Job):
        return subject.state in job.FINAL
    return subject.state in build.FINAL or subject.state == build.State.WAITING


def _new(made: build.Build, *, name: str) -> dict[str, Any]:
    return {
        "build_id": made.id,
        "repository_id": made.repository_id,
        "installation_id": made.installation_id,
        "repository": made.repository,
        "head_sha": made.head_sha,
        "name": name,
        "generation": made.generation,
        "desired_version": 1,
        "reported_version": 0,
        "attempts": 0,
        "wanted_at": made.created_at,
        "next_attempt_at": made.created_at + START_GRACE if made.state == build.State.QUEUED else None,
        "epoch": 0,
    }


def mark_stale(
    connection: Connection, *, build_id: str, job_id: str | None, is_conclusion: bool, now: datetime
) -> None:
    """Say that a job's check (or, with None, the build's own) has to be sent again.

    :param is_conclusion: what has to be sent is the end of it.
    """
    bound = {"of_build": build_id, "is_end": is_conclusion, "now": now}
    if job_id is None:
        connection.execute(_MARK_OWN, bound)
    else:
        connection.execute(_MARK_OF_JOB, {**bound, "of_job": job_id})
    hints.give(connection, hints.Word.CHECKS)


def resume(connection: Connection, *, installation_id: int) -> None:
    """Make due at once what an installation kept from being sent: it works again, or gives more than before."""
    connection.execute(
        sa.update(table)
        .where(check_claims.IS_STALE, table.c.installation_id == installation_id, table.c.error.is_not(None))
        .values(next_attempt_at=None)
    )
    hints.give(connection, hints.Word.CHECKS)


# Made once: making them takes longer than running them.
_MARK = (
    sa.update(table)
    .where(table.c.build_id == sa.bindparam("of_build"))
    .values(
        desired_version=table.c.desired_version + 1,
        wanted_at=sa.case((check_claims.IS_STALE, table.c.wanted_at), else_=sa.bindparam("now", type_=Instant())),
        next_attempt_at=None,
        is_conclusion=sa.bindparam("is_end", type_=sa.Boolean()),
    )
)
_MARK_OWN = _MARK.where(table.c.job_id.is_(None))
_MARK_OF_JOB = _MARK.where(table.c.job_id == sa.bindparam("of_job"))
#: What is written behind the fence is given when it is run.
_FENCED = sa.update(table).where(
    table.c.id == sa.bindparam("of_id"),
    table.c.epoch == sa.bindparam("of_epoch"),
)
#: Whether there is any that nobody is sending.
_ANY_STALE = sa.select(table.c.id).where(check_claims.IS_STALE, owners.is_free(table)).limit(1)
_VERSION = sa.select(table.c.desired_version).where(table.c.id == sa.bindparam("of_id"))
_now = sa.bindparam("now", type_=Instant())
_NEXT_DUE_AT = sa.select(sa.func.min(table.c.next_attempt_at)).where(
    check_claims.IS_STALE, table.c.next_attempt_at > _now
)
_LAST_SENT_AT = sa.select(sa.func.min(table.c.sent_at)).where(
    check_claims.IS_STALE, table.c.sent_at > sa.bindparam("progress_since", type_=Instant())
)
_OLDEST = sa.select(sa.func.min(table.c.wanted_at)).where(check_claims.IS_STALE)


def claim_stale(
    connection: Connection,
    *,
    now: datetime,
    owner: str,
    lease: timedelta,
    limit: int,
    busy: Collection[str] = (),
    together: int = 0,
    alone: Collection[int] = (),
) -> list[check.Check]:
    """Claim checks that have to be sent: conclusions, then those that GitHub never saw, then progress.

    Within these the oldest first, in turn between repositories and between installations. Nothing of an installation
    that has to wait is claimed, and of one that spends much no progress.

    Of one slot (repository id, head SHA, name) the older generation is settled first; one that GitHub never saw is
    dropped as soon as a newer one exists, because a generation is never made after a newer one was.

    From here on GitHub may hold a check run, whatever happens to this process: `create_begun_at` says so. What is
    returned has it as it was before, which tells whether an earlier attempt may have made one.

    :param busy: builds of which a request is under way: only their verdicts go beside it.
    :param together: so many of one repository may go in one request, and count as one.
    :param alone: installations in which each goes with a request of its own.
    """
    if connection.execute(_ANY_STALE, {"now": now}).first() is None:
        # Mostly so: nobody pays for more than this look.
        return []
    connection.execute(check_claims.DROP_UNSEEN)
    instants = {"now": now, "minute_ago": now - budgets.MINUTE, "progress_since": now - PROGRESS_PAUSE}
    counts = {"most": limit, "looked_at": limit + check_claims.LOOKED_AT_MORE, "busy": list(busy)}
    claimable = connection.execute(check_claims.CLAIMABLE, {**instants, **gathering.instants(now), **counts})
    found = [_from_row(row) for row in claimable]
    for repository_id, installation_id in dict.fromkeys((one.repository_id, one.installation_id) for one in found):
        known = [one.id for one in found if one.repository_id == repository_id]
        if installation_id not in alone and together > len(known):
            wanted = {"repository_id": repository_id, "installation_id": installation_id, "known": known}
            more = connection.execute(check_claims.COMPANIONS, {**wanted, "now": now, "most": together - len(known)})
            found += [_from_row(row) for row in more]
    if found:
        ids = [one.id for one in found]
        connection.execute(check_claims.CLAIM, {"ids": ids, "owner": owner, "until": now + lease, "now": now})
    return [replace(one, epoch=one.epoch + 1, attempts=one.attempts + 1) for one in found]


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
        sent_at=now,
        create_begun_at=None,
        attempts=0,
        next_attempt_at=None,
        error=None,
    )


def give_up(connection: Connection, claimed: check.Check, *, error: str, begun_at: datetime | None = None) -> None:
    """Write that a check cannot be shown, and why: it is not tried again until it changes.

    :param begun_at: see `fail`.
    :raises errors.LeaseLost: if another process took the check over.
    """
    _fenced(
        connection,
        claimed,
        reported_version=claimed.desired_version,
        error=error,
        attempts=0,
        create_begun_at=begun_at,
    )


def fail(
    connection: Connection,
    claimed: check.Check,
    *,
    error: str,
    next_attempt_at: datetime,
    begun_at: datetime | None = None,
    is_counted: bool = True,
) -> None:
    """Write a failed attempt and when to try again.

    :param begun_at: since when GitHub may hold a check run whose id we never learnt; None where that cannot be.
    :param is_counted: whether it was an attempt; a call that was never made is none.
    :raises errors.LeaseLost: if another process took the check over.
    """
    _fenced(
        connection,
        claimed,
        error=error,
        next_attempt_at=next_attempt_at,
        create_begun_at=begun_at,
        attempts=claimed.attempts if is_counted else claimed.attempts - 1,
    )


def forget(connection: Connection, claimed: check.Check, *, now: datetime) -> None:
    """Write that GitHub has the check run no more: it is made anew, unless a newer generation is there.

    :raises errors.LeaseLost: if another process took the check over.
    """
    _fenced(connection, claimed, github_id=None, create_begun_at=None, next_attempt_at=now, attempts=0)


def _fenced(connection: Connection, claimed: check.Check, **values: Any) -> None:
    fence = {"of_id": claimed.id, "of_epoch": claimed.epoch}
    written = connection.execute(_FENCED, {**fence, "lease_owner": None, "lease_until": None, **values})
    if written.rowcount != 1:
        raise errors.LeaseLost(f"Check {claimed.id} was taken over by another process.")


def release_all(connection: Connection, *, owner: str | None = None) -> int:
    """Give back every lease of a replica; None: everybody's, where no other replica can be there. Returns how many."""
    is_owned = table.c.lease_owner.is_not(None) if owner is None else table.c.lease_owner == owner
    return connection.execute(sa.update(table).where(is_owned).values(lease_owner=None, lease_until=None)).rowcount


def find_by_github_id(connection: Connection, *, repository_id: int, github_id: int) -> check.Check | None:
    """The check that GitHub knows by this id."""
    row = connection.execute(
        sa.select(table).where(table.c.repository_id == repository_id, table.c.github_id == github_id)
    ).first()
    return None if row is None else _from_row(row)


def get_version(connection: Connection, check_id: int) -> int:
    """The version that is wanted now.

    :raises errors.NotFound: if the check was deleted.
    """
    found: int | None = connection.execute(_VERSION, {"of_id": check_id}).scalar_one_or_none()
    if found is None:
        raise errors.NotFound(f"There is no check {check_id}.")
    return found


def list_of_build(connection: Connection, build_id: str) -> list[check.Check]:
    """The checks of a build."""
    query = sa.select(table).where(table.c.build_id == build_id).order_by(table.c.id)
    return [_from_row(row) for row in connection.execute(query)]


def list_of_head(connection: Connection, *, repository_id: int, head_sha: str) -> list[check.Check]:
    """The checks of a commit, of all generations, oldest first."""
    query = sa.select(table).where(table.c.repository_id == repository_id, table.c.head_sha == head_sha)
    return [_from_row(row) for row in connection.execute(query.order_by(table.c.id))]


def send_again(connection: Connection, seen: check.Check) -> bool:
    """Say that GitHub does not show the end that it acknowledged; False if the check changed since it was seen."""
    written = connection.execute(
        sa.update(table)
        .where(
            table.c.id == seen.id,
            table.c.epoch == seen.epoch,
            table.c.desired_version == seen.desired_version,
            table.c.reported_version == seen.reported_version,
        )
        .values(desired_version=table.c.desired_version + 1, next_attempt_at=None, is_conclusion=True)
    )
    hints.give(connection, hints.Word.CHECKS)
    return written.rowcount == 1


def next_due_at(connection: Connection, *, now: datetime) -> datetime | None:
    """When the next check that waits will be due, or the next installation that waits may make calls."""
    if connection.execute(_ANY_STALE, {"now": now}).first() is None:
        return None
    due_at: datetime | None = connection.execute(_NEXT_DUE_AT, {"now": now}).scalar_one()
    sent_at: datetime | None = connection.execute(_LAST_SENT_AT, {"progress_since": now - PROGRESS_PAUSE}).scalar_one()
    progress_at = sent_at + PROGRESS_PAUSE if sent_at is not None else None
    gathered_at = gathering.next_at(connection, now=now)
    found = (due_at, progress_at, gathered_at, budgets.next_opening(connection, now=now))
    return min((at for at in found if at is not None), default=None)


def count_stale(connection: Connection) -> int:
    """How many checks GitHub does not show as they should be."""
    return connection.execute(sa.select(sa.func.count()).where(check_claims.IS_STALE)).scalar_one()


def oldest_stale_at(connection: Connection) -> datetime | None:
    """Since when GitHub does not show the oldest change."""
    found: datetime | None = connection.execute(_OLDEST).scalar_one()
    return found


def _from_row(row: Row[Any]) -> check.Check:
    values = dict(row._mapping)
    for internal in ("lease_owner", "lease_until"):
        values.pop(internal)
    return check.Check(**values)
