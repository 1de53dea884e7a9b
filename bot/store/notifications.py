"""Queries on notifications: made together with what they tell of, claimed, and written off behind a fence."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from bot import errors
from bot.model import build, notification
from bot.model.notification import State
from bot.store import hints, owners
from bot.store.columns import Instant
from bot.store.schema import notifications as table
from bot.store.schema import subscribers

# Written out, not bound: only then does SQLite see that the partial index holds them.
_UNSENT = sa.text("notifications.state IN ('waiting', 'sending', 'retrying')")
_now = sa.bindparam("now", type_=Instant())
_IS_DUE = sa.or_(
    sa.and_(table.c.state == State.SENDING, owners.is_free(table)),
    table.c.state == State.WAITING,
    sa.and_(table.c.state == State.RETRYING, table.c.next_attempt_at <= _now),
)
_DUE = (
    sa.select(table.c.seq)
    .where(_UNSENT, table.c.subscriber == sa.bindparam("subscriber"), _IS_DUE)
    .order_by(table.c.seq)
    .limit(sa.bindparam("most", type_=sa.Integer()))
    .with_for_update(skip_locked=True, of=table)
)
_IS_LISTENING = subscribers.c.state == notification.SubscriberState.ACTIVE
# Held until the end of the transaction: one that is forgotten meanwhile would break off the build's own change.
_LISTENING = (
    sa.select(subscribers.c.name, subscribers.c.events)
    .where(_IS_LISTENING)
    .order_by(subscribers.c.name)
    .with_for_update(read=True, key_share=True)
)


def note(connection: Connection, before: build.Build | None, after: build.Build, *, now: datetime) -> int:
    """Make what is to be told of a build's change, for each subscriber that wants to hear of it. Gives how many.

    :param before: the build as it was; None where it was not there.
    """
    event = notification.event_of(before, after)
    if event is None:
        return 0
    listening = sorted(row.name for row in connection.execute(_LISTENING) if event in row.events)
    if not listening:
        return 0
    made = notification.id_of(event, after)
    known = set(connection.execute(sa.select(table.c.subscriber).where(table.c.id == made)).scalars())
    rows = [
        {
            "id": made,
            "subscriber": name,
            "build_id": after.id,
            "event": event,
            "data": notification.data_of(after),
            "created_at": now,
            "state": State.WAITING,
            "attempts": 0,
            "epoch": 0,
        }
        for name in listening
        if name not in known
    ]
    if rows:
        connection.execute(sa.insert(table), rows)
        hints.give(connection, hints.Word.NOTIFICATIONS)
    return len(rows)


def claim_due(
    connection: Connection, *, most: Mapping[str, int], now: datetime, owner: str, lease: timedelta
) -> list[notification.Notification]:
    """Claim the oldest that are due, of each of these subscribers at most so many. The attempt is counted here."""
    seqs = [
        seq
        for name, limit in most.items()
        if limit > 0
        for seq in connection.execute(_DUE, {"now": now, "subscriber": name, "most": limit}).scalars()
    ]
    if not seqs:
        return []
    connection.execute(
        sa.update(table)
        .where(table.c.seq.in_(seqs))
        .values(
            state=State.SENDING,
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
    query = sa.update(table).where(table.c.state == State.SENDING)
    if owner is not None:
        query = query.where(table.c.lease_owner == owner)
    return connection.execute(query.values(state=State.WAITING, lease_owner=None, lease_until=None)).rowcount


def succeed(connection: Connection, claimed: notification.Notification, *, status: int, now: datetime) -> None:
    """Write that its subscriber took a claimed one.

    :raises errors.LeaseLost: if somebody else claimed it since.
    """
    _fenced(connection, claimed, state=State.SENT, status=status, error=None, finished_at=now)
    is_it = subscribers.c.name == claimed.subscriber
    connection.execute(
        sa.update(subscribers).where(is_it, subscribers.c.failing_since.is_not(None)).values(failing_since=None)
    )


def fail(
    connection: Connection,
    claimed: notification.Notification,
    *,
    status: int | None,
    error: str,
    next_attempt_at: datetime | None,
    now: datetime,
) -> datetime:
    """Write a failure of a claimed one; without a next attempt, or a subscriber that is sent anything, it is given up.

    :return: since when nothing reaches its subscriber.
    :raises errors.LeaseLost: if somebody else claimed it since.
    """
    is_it = subscribers.c.name == claimed.subscriber
    is_listening = connection.execute(sa.select(subscribers.c.name).where(is_it, _IS_LISTENING)).first() is not None
    is_over = next_attempt_at is None or not is_listening
    _fenced(
        connection,
        claimed,
        state=State.GIVEN_UP if is_over else State.RETRYING,
        status=status,
        error=error,
        next_attempt_at=None if is_over else next_attempt_at,
        finished_at=now if is_over else None,
    )
    is_first = subscribers.c.failing_since.is_(None)
    connection.execute(sa.update(subscribers).where(is_it, is_first).values(failing_since=now))
    since: datetime | None = connection.execute(sa.select(subscribers.c.failing_since).where(is_it)).scalar()
    return since or now


def give_up_all(connection: Connection, subscriber: str, *, error: str, now: datetime) -> int:
    """Give up what a subscriber was still to be sent; what is being sent right now is not touched. Returns how many."""
    return connection.execute(
        sa.update(table)
        .where(_UNSENT, table.c.subscriber == subscriber, table.c.state != State.SENDING)
        .values(state=State.GIVEN_UP, error=error, finished_at=now, next_attempt_at=None)
    ).rowcount


def next_due_at(connection: Connection, names: Collection[str], *, now: datetime) -> datetime | None:
    """When the next one that waits for one of these subscribers will be due."""
    query = sa.select(sa.func.min(table.c.next_attempt_at)).where(
        _UNSENT, table.c.subscriber.in_(sorted(names)), table.c.state == State.RETRYING, table.c.next_attempt_at > now
    )
    found: datetime | None = connection.execute(query).scalar_one()
    return found


def count_unsent(connection: Connection) -> dict[str, int]:
    """How many wait to be sent, by subscriber."""
    query = sa.select(table.c.subscriber, sa.func.count()).where(_UNSENT).group_by(table.c.subscriber)
    return {row[0]: row[1] for row in connection.execute(query)}


def list_newest(connection: Connection, *, subscriber: str, limit: int) -> list[notification.Notification]:
    """What was made for a subscriber, newest first."""
    query = sa.select(table).where(table.c.subscriber == subscriber).order_by(table.c.seq.desc()).limit(limit)
    return [_from_row(row) for row in connection.execute(query)]


def _fenced(connection: Connection, claimed: notification.Notification, **values: Any) -> None:
    written = connection.execute(
        sa.update(table)
        .where(table.c.seq == claimed.seq, table.c.epoch == claimed.epoch, table.c.state == State.SENDING)
        .values(lease_owner=None, lease_until=None, **values)
    )
    if written.rowcount != 1:
        raise errors.LeaseLost(f"Notification {claimed.id} was taken over by another process.")


def _from_row(row: Row[Any]) -> notification.Notification:
    values = {name: value for name, value in row._mapping.items() if name not in {"lease_owner", "lease_until"}}
    values["state"] = State(values["state"])
    return notification.Notification(**values)
