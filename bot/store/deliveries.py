"""Queries on deliveries: insert once, claim in order, finish behind a fence."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import lz4.frame
import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot import errors, failpoint
from bot.model import delivery
from bot.store import budgets, bulk, due, handler_runs, hints, received
from bot.store.schema import deliveries as table


class Put(enum.StrEnum):
    """What became of a delivery that was put into the inbox."""

    STORED = "stored"
    #: Seen before; nothing changed.
    DUPLICATE = "duplicate"
    #: Seen before, and it is parked, or a handler's run of it: that is queued again.
    REQUEUED = "requeued"
    #: Seen before with another body: the first is kept.
    CONFLICT = "conflict"


class Backlog(msgspec.Struct, frozen=True):
    """What still has to be handled."""

    rows: int
    size_bytes: int
    oldest_received_at: datetime | None


# Made once: making them takes longer than running them.
_KNOWN = {
    dialect: sa.select(table.c.hook_id, table.c.id, table.c.body_sha256, table.c.state).where(is_known)
    for dialect, is_known in bulk.among(table.c.id, "guids").items()
}
#: What is written behind the fence is given when it is run.
_FENCED = sa.update(table).where(
    table.c.seq == sa.bindparam("of_seq"),
    table.c.epoch == sa.bindparam("of_epoch"),
    table.c.state == sa.bindparam("of_state"),
)


class Packed(msgspec.Struct, frozen=True):
    """A delivery that is ready to be written: what takes time was done before the database is held."""

    delivery: delivery.VerifiedDelivery
    #: The body as an lz4 frame.
    body: bytes
    #: Of the frame, an eighth of the bytes.
    sha256: bytes


def pack(new: delivery.VerifiedDelivery) -> Packed:
    """Compress a delivery, and take the digest of what is stored of it; pure."""
    body = lz4.frame.compress(new.body)
    return Packed(delivery=new, body=body, sha256=hashlib.sha256(body).digest())


def insert_many(connection: Connection, new: Sequence[delivery.VerifiedDelivery]) -> list[Put]:
    """Insert the deliveries that are not there yet, in order; one answer for each."""
    return insert_packed(connection, [pack(one) for one in new])


def insert_packed(connection: Connection, new: Sequence[Packed]) -> list[Put]:
    """Insert the deliveries that are not there yet, in order; one answer for each."""
    known = _known(connection, new)
    rows: list[dict[str, Any]] = []
    answers: list[Put] = []
    for one in new:
        key = (one.delivery.hook_id, one.delivery.guid)
        if key in known:
            answers.append(_seen_again(connection, one, known[key]))
            if answers[-1] == Put.REQUEUED:
                known[key] = (one.sha256, delivery.State.RECEIVED)
        else:
            known[key] = (one.sha256, delivery.State.RECEIVED)
            rows.append(_row(one))
            answers.append(Put.STORED)
    if rows:
        bulk.insert(connection, table, rows)
        hints.give(connection, hints.Word.DELIVERIES)
    failpoint.reach("inbox.before_commit")
    return answers


def _known(connection: Connection, new: Sequence[Packed]) -> dict[tuple[int, str], tuple[bytes, delivery.State]]:
    guids = msgspec.json.encode([one.delivery.guid for one in new]).decode()
    found = connection.execute(_KNOWN[connection.dialect.name], {"guids": guids})
    return {(row[0], row[1]): (row[2], delivery.State(row[3])) for row in found}


def _seen_again(connection: Connection, new: Packed, known: tuple[bytes, delivery.State]) -> Put:
    one = new.delivery
    if known[0] != new.sha256 and _is_other_body(connection, one):
        return Put.CONFLICT
    if known[1] != delivery.State.PARKED:
        # Ours are done with it, or will be; one of the users' own may have given up.
        requeued = handler_runs.requeue_parked_of(connection, hook_id=one.hook_id, guid=one.guid)
        return Put.REQUEUED if requeued else Put.DUPLICATE
    found = connection.execute(
        sa.select(table.c.seq).where(table.c.hook_id == one.hook_id, table.c.id == one.guid)
    ).scalar_one()
    requeue(connection, found)
    return Put.REQUEUED


def _is_other_body(connection: Connection, new: delivery.VerifiedDelivery) -> bool:
    """Whether the stored one differs: another version may have packed the same body in another way, or taken the
    digest before."""
    of_it = sa.and_(table.c.hook_id == new.hook_id, table.c.id == new.guid)
    stored = connection.execute(sa.select(table.c.body).where(of_it)).scalar_one_or_none()
    # None: it comes with this one, packed by us.
    return stored is None or lz4.frame.decompress(stored) != new.body


def _row(new: Packed) -> dict[str, Any]:
    one = new.delivery
    return {
        "hook_id": one.hook_id,
        "id": one.guid,
        "event": one.event,
        "action": one.action,
        "installation_id": one.installation_id,
        "repository_id": one.repository_id,
        "repository": one.repository,
        "ordering_key": one.ordering_key,
        "received_at": one.received_at,
        "state": delivery.State.RECEIVED,
        "attempts": 0,
        "generation": 1,
        "epoch": 0,
        "trail": (),
        "size_bytes": len(one.body),
        "body_sha256": new.sha256,
        "headers": one.headers,
        "body": new.body,
        "head_sha": one.head_sha,
    }


def requeue(connection: Connection, seq: int) -> None:
    """Queue a delivery anew, whatever its state; its attempts start from 0."""
    connection.execute(
        sa.update(table)
        .where(table.c.seq == seq)
        .values(
            state=delivery.State.RECEIVED,
            attempts=0,
            next_attempt_at=None,
            handled_at=None,
            lease_owner=None,
            lease_until=None,
            generation=table.c.generation + 1,
            epoch=table.c.epoch + 1,
        )
    )
    hints.give(connection, hints.Word.DELIVERIES)


def replay(connection: Connection, guid: str) -> None:
    """Queue the newest delivery with this id again, as people ask for it.

    :raises errors.NotFound: if there is no such delivery.
    :raises errors.Conflict: if it still waits to be handled.
    """
    row = connection.execute(
        sa.select(table.c.seq, table.c.state).where(table.c.id == guid).order_by(table.c.seq.desc()).limit(1)
    ).first()
    if row is None:
        raise errors.NotFound(f"There is no delivery {guid}.")
    if row.state in delivery.UNFINISHED:
        raise errors.Conflict(f"Delivery {guid} is still being handled (state {row.state}).")
    requeue(connection, row.seq)


def claim_next(
    connection: Connection,
    *,
    now: datetime,
    owner: str,
    lease: timedelta,
    limit: int,
    most_each: int | None = None,
    busy: Mapping[int | None, int] | None = None,
) -> list[delivery.Delivery]:
    """Claim the oldest deliveries that are due and that no earlier one with the same ordering key holds back.

    Where several repositories wait each gets its share, so that a noisy one does not delay the others.

    The attempt is counted here, before anybody handles it: a delivery that kills the process is parked in the end.

    :param most_each: so many of one repository may be in work at once.
    :param busy: how many of each are in work already.
    """
    in_work = busy or {}
    instants = {"now": now, "minute_ago": now - budgets.MINUTE}

    def most(repository_id: int | None) -> int:
        return limit if most_each is None else max(0, min(limit, most_each - in_work.get(repository_id, 0)))

    waiting: list[int] = [row.id for row in connection.execute(due.WAITING_REPOSITORIES)]
    if not waiting:
        found = list(connection.execute(due.DUE, {**instants, "most": most(None)}).scalars())
    else:
        # What is about no repository, such as an installation, has a share too.
        found = _shared_out(connection, {one: most(one) for one in (None, *waiting)}, instants)[:limit]
    return _claim(connection, found, owner=owner, until=now + lease)


def _shared_out(connection: Connection, most: Mapping[int | None, int], instants: Mapping[str, datetime]) -> list[int]:
    """The due deliveries of each repository in turn, the oldest first, of each at most so many."""
    found = []
    for repository_id, allowed in most.items():
        if allowed > 0 and repository_id is None:
            found.append(list(connection.execute(due.DUE_OF_NONE, {**instants, "most": allowed}).scalars()))
        elif allowed > 0:
            bound = {**instants, "most": allowed, "repository_id": repository_id}
            found.append(list(connection.execute(due.DUE_OF_REPOSITORY, bound).scalars()))
    return [seq for _, seq in sorted((place, seq) for of_one in found for place, seq in enumerate(of_one))]


def claim_suspect(
    connection: Connection, *, now: datetime, owner: str, lease: timedelta, min_attempts: int
) -> delivery.Delivery | None:
    """Claim the oldest delivery whose handling was begun this often without any end, as when the process dies of it."""
    found = connection.execute(due.SUSPECT, {"now": now, "most": 1, "min_attempts": min_attempts}).scalars()
    claimed = _claim(connection, list(found), owner=owner, until=now + lease)
    return claimed[0] if claimed else None


def _claim(connection: Connection, seqs: list[int], *, owner: str, until: datetime) -> list[delivery.Delivery]:
    if not seqs:
        return []
    connection.execute(due.CLAIM, {"seqs": seqs, "owner": owner, "until": until})
    return [received.from_row(row) for row in connection.execute(due.CLAIMED, {"seqs": seqs})]


def release_all(connection: Connection, *, owner: str | None = None) -> int:
    """Give back every lease of a replica; None: everybody's, where no other replica can be there. Returns how many."""
    query = sa.update(table).where(table.c.state == delivery.State.HANDLING)
    if owner is not None:
        query = query.where(table.c.lease_owner == owner)
    return connection.execute(query.values(state=delivery.State.RECEIVED, lease_owner=None, lease_until=None)).rowcount


def finish(
    connection: Connection, claimed: delivery.Delivery, *, state: delivery.State, now: datetime, trail: tuple[str, ...]
) -> None:
    """Write the end of a claimed delivery.

    :raises errors.LeaseLost: if somebody else claimed it since.
    """
    _fenced(
        connection,
        claimed,
        state=state,
        reason=trail[-1],
        error=None,
        trail=trail,
        handled_at=now,
        next_attempt_at=None,
    )


def look_again(
    connection: Connection,
    claimed: delivery.Delivery,
    *,
    at: datetime,
    reason: str,
    error: str | None = None,
    trail: tuple[str, ...] | None = None,
) -> None:
    """Put a claimed delivery off, without counting the attempt.

    :param trail: the steps so far; None leaves what is there.
    :raises errors.LeaseLost: if somebody else claimed it since.
    """
    _fenced(
        connection,
        claimed,
        state=delivery.State.RETRYING,
        attempts=claimed.attempts - 1,
        reason=reason,
        error=error,
        next_attempt_at=at,
        trail=trail,
    )


def fail(
    connection: Connection,
    claimed: delivery.Delivery,
    *,
    error: str,
    next_attempt_at: datetime | None,
    trail: tuple[str, ...] | None = None,
) -> None:
    """Write a failure; without a next attempt the delivery is parked.

    :param trail: the steps until it failed; None leaves what is there.
    :raises errors.LeaseLost: if somebody else claimed it since.
    """
    state = delivery.State.PARKED if next_attempt_at is None else delivery.State.RETRYING
    _fenced(connection, claimed, state=state, error=error, next_attempt_at=next_attempt_at, trail=trail)


def _fenced(
    connection: Connection, claimed: delivery.Delivery, *, trail: tuple[str, ...] | None, **values: Any
) -> None:
    kept = {} if trail is None else {"trail": trail}
    fence = {"of_seq": claimed.seq, "of_epoch": claimed.epoch, "of_state": delivery.State.HANDLING}
    written = connection.execute(_FENCED, {**fence, "lease_owner": None, "lease_until": None, **kept, **values})
    if written.rowcount != 1:
        raise errors.LeaseLost(f"Delivery {claimed.id} was taken over by another process.")


def find(connection: Connection, guid: str) -> delivery.Delivery | None:
    """The newest delivery with this id, with headers and body."""
    row = connection.execute(sa.select(table).where(table.c.id == guid).order_by(table.c.seq.desc()).limit(1)).first()
    return None if row is None else received.from_row(row)


def find_seq(connection: Connection, seq: int) -> delivery.Delivery | None:
    """The delivery at this place of the order, with headers and body."""
    row = connection.execute(sa.select(table).where(table.c.seq == seq)).first()
    return None if row is None else received.from_row(row)


def backlog(connection: Connection) -> Backlog:
    """How many deliveries, and how many bytes of them, still have to be handled."""
    row = connection.execute(
        sa.select(
            sa.func.count(), sa.func.coalesce(sa.func.sum(table.c.size_bytes), 0), sa.func.min(table.c.received_at)
        ).where(due.UNFINISHED)
    ).one()
    return Backlog(rows=row[0], size_bytes=row[1], oldest_received_at=row[2])


def is_any_waiting(connection: Connection, *, now: datetime) -> bool:
    """Whether there is anything to handle, now or later, that nobody is handling."""
    return connection.execute(due.ANY, {"now": now}).first() is not None


def next_due_at(connection: Connection, *, now: datetime) -> datetime | None:
    """When the next delivery that waits will be due."""
    found: datetime | None = connection.execute(due.NEXT_DUE_AT, {"now": now}).scalar_one()
    return found


def count_by_state(connection: Connection) -> Mapping[delivery.State, int]:
    """How many deliveries are in each state."""
    rows = connection.execute(sa.select(table.c.state, sa.func.count()).group_by(table.c.state))
    return {delivery.State(row[0]): row[1] for row in rows}


def delete_finished(connection: Connection, *, before: datetime, limit: int, installation_id: int | None = None) -> int:
    """Delete finished deliveries (of one installation) received before an instant, oldest first. Returns how many."""
    old = (
        sa.select(table.c.seq)
        .where(table.c.received_at < before, table.c.state.not_in(sorted(delivery.UNFINISHED)))
        .order_by(table.c.received_at)
        .limit(limit)
    )
    if installation_id is not None:
        old = old.where(table.c.installation_id == installation_id)
    return connection.execute(sa.delete(table).where(table.c.seq.in_(old))).rowcount
