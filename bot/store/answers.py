"""Queries on answers: what our comment on a pull request should tell, and what GitHub acknowledged of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from msgspec.structs import replace
from sqlalchemy.engine import Connection, Row

from bot import errors
from bot.model import answer, build, outcome
from bot.store import budgets, hints, owners
from bot.store.columns import Instant
from bot.store.schema import answers as table
from bot.store.schema import builds, pulls

#: How long a change follows on what was sent before, at the least: several commands in a row become one edit.
EDIT_PAUSE = timedelta(seconds=3)
_IS_STALE = table.c.reported_version < table.c.desired_version
_INTERNAL = ("lease_owner", "lease_until")
_KEY = (table.c.repository_id, table.c.pull_number)


def add(connection: Connection, told: outcome.Answer, *, now: datetime) -> None:
    """Let the answer on a pull request tell of further commands; the oldest are forgotten.

    The caller holds the lock of the repository, see `locks.repositories`.
    """
    known = find(connection, repository_id=told.repository_id, pull_number=told.pull_number)
    where = {"installation_id": told.installation_id, "repository": told.repository}
    if known is None:
        new: dict[str, Any] = {
            "repository_id": told.repository_id,
            "pull_number": told.pull_number,
            "entries": told.entries[-answer.KEPT_ENTRIES :],
            "desired_version": 1,
            "reported_version": 0,
            "wanted_at": now,
            "attempts": 0,
            "epoch": 0,
        }
        connection.execute(sa.insert(table).values(**new, **where))
    else:
        changed = {
            "entries": (*known.entries, *told.entries)[-answer.KEPT_ENTRIES :],
            **_wanted(now),
            # Of an answer that could not be sent the next one is tried at once: somebody waits for it.
            "next_attempt_at": None,
        }
        connection.execute(sa.update(table).where(_is_it(known)).values(**changed, **where))
    hints.give(connection, hints.Word.ANSWERS)


def note_build(connection: Connection, changed: build.Build, *, now: datetime) -> None:
    """Let the comment on a pull request show what became of its newest build, where it shows builds."""
    if changed.pull_number is None:
        return
    of = {"of_repository": changed.repository_id, "of_pull": changed.pull_number}
    if (
        not connection.execute(_SHOWS_BUILDS, of).scalar()
        or connection.execute(_NEWEST_BUILD, of).scalar() != changed.id
    ):
        return
    if touch(connection, repository_id=changed.repository_id, pull_number=changed.pull_number, now=now):
        return
    if find(connection, repository_id=changed.repository_id, pull_number=changed.pull_number) is not None:
        # Hidden.
        return
    new = {
        "repository_id": changed.repository_id,
        "pull_number": changed.pull_number,
        "installation_id": changed.installation_id,
        "repository": changed.repository,
        "entries": (),
        "desired_version": 1,
        "reported_version": 0,
        "wanted_at": now,
        "attempts": 0,
        "epoch": 0,
    }
    connection.execute(sa.insert(table).values(**new))
    hints.give(connection, hints.Word.ANSWERS)


def touch(connection: Connection, *, repository_id: int, pull_number: int, now: datetime) -> bool:
    """Let what the comment shows of builds be written anew; False where there is none, or it is not to show them."""
    is_it = sa.and_(table.c.repository_id == repository_id, table.c.pull_number == pull_number)
    written = connection.execute(sa.update(table).where(is_it, ~table.c.hides_builds).values(**_wanted(now)))
    if written.rowcount:
        hints.give(connection, hints.Word.ANSWERS)
    return bool(written.rowcount)


def _wanted(now: datetime) -> dict[str, Any]:
    """One version more. Counted where it is written: a build may change while a command is followed."""
    return {
        "desired_version": table.c.desired_version + 1,
        "wanted_at": sa.case((_IS_STALE, table.c.wanted_at), else_=sa.literal(now, type_=Instant())),
    }


_of_pull = sa.bindparam("of_pull", type_=sa.BigInteger())
_of_repository = sa.bindparam("of_repository", type_=sa.BigInteger())
_SHOWS_BUILDS = sa.select(pulls.c.shows_builds).where(
    pulls.c.repository_id == _of_repository, pulls.c.number == _of_pull
)
_NEWEST_BUILD = sa.select(sa.func.max(builds.c.id)).where(
    builds.c.repository_id == _of_repository, builds.c.pull_number == _of_pull
)


def find_build(connection: Connection, told: answer.Answer) -> str | None:
    """The id of the build that the comment shows; None where it is to show none."""
    of = {"of_repository": told.repository_id, "of_pull": told.pull_number}
    if told.hides_builds or not connection.execute(_SHOWS_BUILDS, of).scalar():
        return None
    found: str | None = connection.execute(_NEWEST_BUILD, of).scalar()
    return found


def find(connection: Connection, *, repository_id: int, pull_number: int) -> answer.Answer | None:
    """The answer on a pull request, or None."""
    query = sa.select(table).where(table.c.repository_id == repository_id, table.c.pull_number == pull_number)
    row = connection.execute(query).first()
    return None if row is None else _from_row(row)


def resume(connection: Connection, *, installation_id: int) -> None:
    """Make due at once what an installation kept from being sent: it works again, or gives more than before."""
    connection.execute(
        sa.update(table)
        .where(_IS_STALE, table.c.installation_id == installation_id, table.c.error.is_not(None))
        .values(next_attempt_at=None)
    )
    hints.give(connection, hints.Word.ANSWERS)


_now = sa.bindparam("now", type_=Instant())
_edited_since = sa.bindparam("edited_since", type_=Instant())
_IS_DUE = sa.and_(
    _IS_STALE,
    sa.or_(table.c.next_attempt_at.is_(None), table.c.next_attempt_at <= _now),
    sa.or_(table.c.sent_at.is_(None), table.c.sent_at <= _edited_since),
    owners.is_free(table),
)
# Made once: making them takes longer than running them.
_CLAIMABLE = (
    sa.select(table)
    .where(
        _IS_DUE,
        # Checks come first: an answer is as little urgent as their progress.
        budgets.is_open(table),
        budgets.is_easy(table),
        budgets.is_affordable(table, since=table.c.wanted_at),
        budgets.is_quiet(table),
    )
    .order_by(table.c.wanted_at, table.c.repository_id, table.c.pull_number)
    .limit(sa.bindparam("most", type_=sa.Integer()))
    # Of two replicas that look at once, each gets other rows.
    .with_for_update(skip_locked=True, of=table)
)
_CLAIM = (
    sa.update(table)
    .where(
        table.c.repository_id == sa.bindparam("its_repository_id", type_=sa.BigInteger()),
        table.c.pull_number == sa.bindparam("its_pull_number", type_=sa.BigInteger()),
    )
    .values(
        lease_owner=sa.bindparam("owner"),
        lease_until=sa.bindparam("until", type_=Instant()),
        epoch=table.c.epoch + 1,
        attempts=table.c.attempts + 1,
        create_begun_at=sa.case((table.c.github_id.is_(None), _now), else_=table.c.create_begun_at),
    )
)
_ANY_STALE = sa.select(table.c.pull_number).where(_IS_STALE).limit(1)
_NEXT_DUE_AT = sa.select(sa.func.min(table.c.next_attempt_at)).where(_IS_STALE, table.c.next_attempt_at > _now)
_LAST_SENT_AT = sa.select(sa.func.min(table.c.sent_at)).where(_IS_STALE, table.c.sent_at > _edited_since)


def claim_stale(
    connection: Connection, *, now: datetime, owner: str, lease: timedelta, limit: int
) -> list[answer.Answer]:
    """Claim answers that have to be sent, the one that waits longest first; none that the budget leaves for later.

    From here on GitHub may hold a comment, whatever happens to this process: `create_begun_at` says so. What is
    returned has it as it was before, which tells whether an earlier attempt may have made one.
    """
    if connection.execute(_ANY_STALE).first() is None:
        # Mostly so: nobody pays for more than this look.
        return []
    instants = {"now": now, "minute_ago": now - budgets.MINUTE, "edited_since": now - EDIT_PAUSE}
    found = [_from_row(row) for row in connection.execute(_CLAIMABLE, instants | {"most": limit})]
    if found:
        given = {"owner": owner, "until": now + lease, "now": now}
        keys = [{"its_repository_id": one.repository_id, "its_pull_number": one.pull_number} for one in found]
        connection.execute(_CLAIM, [given | key for key in keys])
    return [replace(one, epoch=one.epoch + 1, attempts=one.attempts + 1) for one in found]


def acknowledge(connection: Connection, sent: answer.Answer, *, github_id: int, now: datetime) -> None:
    """Write what GitHub acknowledged; what was added meanwhile stays to be sent.

    :param sent: the claimed answer as it was sent.
    :raises errors.LeaseLost: if another process took the answer over.
    """
    _fenced(
        connection,
        sent,
        github_id=github_id,
        reported_version=sent.desired_version,
        sent_at=now,
        create_begun_at=None,
        attempts=0,
        next_attempt_at=None,
        error=None,
    )


def fail(
    connection: Connection,
    claimed: answer.Answer,
    *,
    error: str,
    next_attempt_at: datetime,
    begun_at: datetime | None = None,
    is_counted: bool = True,
) -> None:
    """Write a failed attempt and when to try again.

    :param begun_at: since when GitHub may hold a comment whose id we never learnt; None where that cannot be.
    :param is_counted: whether it was an attempt; a call that was never made is none.
    :raises errors.LeaseLost: if another process took the answer over.
    """
    attempts = claimed.attempts if is_counted else claimed.attempts - 1
    _fenced(
        connection,
        claimed,
        error=error,
        next_attempt_at=next_attempt_at,
        create_begun_at=begun_at,
        attempts=attempts,
    )


def give_up(connection: Connection, claimed: answer.Answer, *, error: str, begun_at: datetime | None = None) -> None:
    """Write that an answer cannot be shown, and why: it is not tried again until there is more to tell.

    :param begun_at: see `fail`.
    :raises errors.LeaseLost: if another process took the answer over.
    """
    _fenced(
        connection,
        claimed,
        error=error,
        reported_version=claimed.desired_version,
        create_begun_at=begun_at,
        attempts=0,
    )


def forget(connection: Connection, claimed: answer.Answer, *, now: datetime) -> None:
    """Write that GitHub has the comment no more: it is made anew.

    :raises errors.LeaseLost: if another process took the answer over.
    """
    _fenced(connection, claimed, github_id=None, create_begun_at=None, sent_at=None, next_attempt_at=now, attempts=0)


def hide(connection: Connection, claimed: answer.Answer, *, is_wanted: bool, now: datetime) -> None:
    """Write that somebody deleted the comment while it showed builds: it is not made again for their sake.

    :param is_wanted: whether it is made again all the same, for a command.
    :raises errors.LeaseLost: if another process took the answer over.
    """
    anew: dict[str, Any] = {
        "github_id": None,
        "create_begun_at": None,
        "sent_at": None,
        "next_attempt_at": now,
        "attempts": 0,
    }
    newest = find(connection, repository_id=claimed.repository_id, pull_number=claimed.pull_number)
    if not is_wanted and newest is not None and newest.entries == claimed.entries:
        anew["reported_version"] = table.c.desired_version
    _fenced(connection, claimed, hides_builds=True, **anew)


def _fenced(connection: Connection, claimed: answer.Answer, **values: Any) -> None:
    written = connection.execute(
        sa.update(table)
        .where(_is_it(claimed), table.c.epoch == claimed.epoch)
        .values(lease_owner=None, lease_until=None, **values)
    )
    if written.rowcount != 1:
        raise errors.LeaseLost(
            f"The answer on #{claimed.pull_number} of {claimed.repository} was taken over by another process."
        )


def release_all(connection: Connection, *, owner: str | None = None) -> int:
    """Give back every lease of a replica; None: everybody's, where no other replica can be there. Returns how many."""
    is_owned = table.c.lease_owner.is_not(None) if owner is None else table.c.lease_owner == owner
    return connection.execute(sa.update(table).where(is_owned).values(lease_owner=None, lease_until=None)).rowcount


def next_due_at(connection: Connection, *, now: datetime) -> datetime | None:
    """When the next answer that waits will be due, or the next installation that waits may make calls."""
    if connection.execute(_ANY_STALE).first() is None:
        return None
    due_at: datetime | None = connection.execute(_NEXT_DUE_AT, {"now": now}).scalar_one()
    sent_at: datetime | None = connection.execute(_LAST_SENT_AT, {"edited_since": now - EDIT_PAUSE}).scalar_one()
    edit_at = sent_at + EDIT_PAUSE if sent_at is not None else None
    found = (due_at, edit_at, budgets.next_opening(connection, now=now))
    return min((at for at in found if at is not None), default=None)


def delete_old(connection: Connection, *, before: datetime, limit: int) -> int:
    """Delete answers of pull requests that are not known any more, unless they changed since. Returns how many."""
    is_known = sa.exists().where(pulls.c.repository_id == table.c.repository_id, pulls.c.number == table.c.pull_number)
    query = sa.select(*_KEY).where(table.c.wanted_at < before, ~is_known).order_by(table.c.wanted_at)
    return _delete(connection, query.limit(limit))


def delete_of_installation(connection: Connection, installation_id: int, *, limit: int) -> int:
    """Delete the answers of an installation. Returns how many."""
    return _delete(connection, sa.select(*_KEY).where(table.c.installation_id == installation_id).limit(limit))


def _delete(connection: Connection, query: sa.Select[Any]) -> int:
    keys = [(row.repository_id, row.pull_number) for row in connection.execute(query)]
    if not keys:
        return 0
    return connection.execute(sa.delete(table).where(sa.tuple_(*_KEY).in_(keys))).rowcount


def _is_it(one: answer.Answer) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.repository_id == one.repository_id, table.c.pull_number == one.pull_number)


def _from_row(row: Row[Any]) -> answer.Answer:
    values = dict(row._mapping)
    for internal in _INTERNAL:
        values.pop(internal)
    return answer.Answer(**values)
