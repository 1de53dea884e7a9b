"""Queries on handler runs: queued when a delivery is settled, claimed apart from deliveries, ended behind a fence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from bot import errors
from bot.model import delivery, handler_run
from bot.store import hints, owners
from bot.store.columns import Instant
from bot.store.schema import deliveries
from bot.store.schema import handler_runs as table

# Written out, not bound: only then does SQLite see that the partial index holds them.
_UNFINISHED = sa.text("handler_runs.state IN ('received', 'handling', 'retrying')")
_now = sa.bindparam("now", type_=Instant())
_IS_DUE = sa.or_(
    sa.and_(table.c.state == delivery.State.HANDLING, owners.is_free(table)),
    table.c.state == delivery.State.RECEIVED,
    sa.and_(table.c.state == delivery.State.RETRYING, table.c.next_attempt_at <= _now),
)
_DUE = (
    sa.select(table.c.seq)
    .where(
        _UNFINISHED,
        table.c.handler == sa.bindparam("handler"),
        table.c.attempts >= sa.bindparam("min_attempts", type_=sa.Integer()),
        _IS_DUE,
    )
    .order_by(table.c.seq)
    .limit(sa.bindparam("most", type_=sa.Integer()))
    .with_for_update(skip_locked=True, of=table)
)
_ANEW = {
    "state": delivery.State.RECEIVED,
    "attempts": 0,
    "next_attempt_at": None,
    "finished_at": None,
    "lease_owner": None,
    "lease_until": None,
}


def hand_on(connection: Connection, to: Mapping[int, Sequence[str]], *, now: datetime) -> None:
    """Queue deliveries, by `seq`, for these handlers. One that had it keeps what it did; a parked one has it again."""
    wanted = {(seq, name) for seq, names in to.items() for name in names}
    if not wanted:
        return
    query = sa.select(table.c.delivery_seq, table.c.handler).where(table.c.delivery_seq.in_(sorted(to)))
    known = {(row[0], row[1]) for row in connection.execute(query)}
    rows = [
        {"delivery_seq": seq, "handler": name, "received_at": now, "epoch": 0, **_ANEW}
        for seq, name in sorted(wanted - known)
    ]
    if rows:
        connection.execute(sa.insert(table), rows)
    if known:
        requeue_parked(connection, sorted(to))
    hints.give(connection, hints.Word.HANDLERS)


def requeue_parked(connection: Connection, delivery_seqs: Sequence[int]) -> int:
    """Queue anew what is parked of these deliveries; its attempts start from 0. Gives how many."""
    count = connection.execute(
        sa.update(table)
        .where(table.c.delivery_seq.in_(delivery_seqs), table.c.state == delivery.State.PARKED)
        .values(**_ANEW, epoch=table.c.epoch + 1)
    ).rowcount
    if count:
        hints.give(connection, hints.Word.HANDLERS)
    return count


def requeue_parked_of(connection: Connection, *, hook_id: int, guid: str) -> int:
    """Queue anew what is parked of the delivery that came again. Gives how many."""
    found = sa.select(deliveries.c.seq).where(deliveries.c.hook_id == hook_id, deliveries.c.id == guid)
    return requeue_parked(connection, list(connection.execute(found).scalars()))


def claim_due(
    connection: Connection,
    *,
    most: Mapping[str, int],
    now: datetime,
    owner: str,
    lease: timedelta,
    min_attempts: int = 0,
) -> list[handler_run.HandlerRun]:
    """Claim the oldest that are due, of each of these handlers at most so many. The attempt is counted here.

    :param min_attempts: only those that were begun so often already.
    """
    seqs = [
        seq
        for name, limit in most.items()
        if limit > 0
        for seq in connection.execute(
            _DUE, {"now": now, "handler": name, "most": limit, "min_attempts": min_attempts}
        ).scalars()
    ]
    if not seqs:
        return []
    connection.execute(
        sa.update(table)
        .where(table.c.seq.in_(seqs))
        .values(
            state=delivery.State.HANDLING,
            attempts=table.c.attempts + 1,
            epoch=table.c.epoch + 1,
            lease_owner=owner,
            lease_until=now + lease,
            next_attempt_at=None,
        )
    )
    query = sa.select(table).where(table.c.seq.in_(seqs)).order_by(table.c.seq)
    return [_from_row(row) for row in connection.execute(query)]


def release_all(connection: Connection, *, owner: str | None = None) -> int:
    """Give back every lease of a replica; None: everybody's, where no other replica can be there. Returns how many."""
    query = sa.update(table).where(table.c.state == delivery.State.HANDLING)
    if owner is not None:
        query = query.where(table.c.lease_owner == owner)
    return connection.execute(query.values(state=delivery.State.RECEIVED, lease_owner=None, lease_until=None)).rowcount


def finish(
    connection: Connection,
    claimed: handler_run.HandlerRun,
    *,
    state: delivery.State,
    now: datetime,
    error: str | None = None,
) -> None:
    """Write the end of a claimed one.

    :raises errors.LeaseLost: if somebody else claimed it since.
    """
    _fenced(connection, claimed, state=state, error=error, finished_at=now)


def put_off(
    connection: Connection, claimed: handler_run.HandlerRun, *, at: datetime, error: str, is_counted: bool
) -> None:
    """Write a failure of a claimed one that is tried again.

    :raises errors.LeaseLost: if somebody else claimed it since.
    """
    attempts = claimed.attempts if is_counted else claimed.attempts - 1
    _fenced(connection, claimed, state=delivery.State.RETRYING, error=error, next_attempt_at=at, attempts=attempts)


def drop(connection: Connection, claimed: handler_run.HandlerRun) -> None:
    """Forget a claimed one: its handler does not take this delivery."""
    connection.execute(sa.delete(table).where(table.c.seq == claimed.seq, table.c.epoch == claimed.epoch))


def list_of_delivery(connection: Connection, delivery_seq: int) -> list[handler_run.HandlerRun]:
    """What each handler did with a delivery, by the handlers' names."""
    query = sa.select(table).where(table.c.delivery_seq == delivery_seq).order_by(table.c.handler)
    return [_from_row(row) for row in connection.execute(query)]


def next_due_at(connection: Connection, *, now: datetime) -> datetime | None:
    """When the next one that waits will be due."""
    query = sa.select(sa.func.min(table.c.next_attempt_at)).where(
        _UNFINISHED, table.c.state == delivery.State.RETRYING, table.c.next_attempt_at > now
    )
    found: datetime | None = connection.execute(query).scalar_one()
    return found


def _fenced(connection: Connection, claimed: handler_run.HandlerRun, **values: Any) -> None:
    written = connection.execute(
        sa.update(table)
        .where(table.c.seq == claimed.seq, table.c.epoch == claimed.epoch, table.c.state == delivery.State.HANDLING)
        .values(lease_owner=None, lease_until=None, **values)
    )
    if written.rowcount != 1:
        raise errors.LeaseLost(f"What {claimed.handler} does was taken over by another process.")


def _from_row(row: Row[Any]) -> handler_run.HandlerRun:
    values = {name: value for name, value in row._mapping.items() if name not in {"lease_owner", "lease_until"}}
    values["state"] = delivery.State(values["state"])
    return handler_run.HandlerRun(**values)
