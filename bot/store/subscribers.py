"""Queries on subscribers: those of the policy, and which of them are sent nothing any more."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from bot import errors
from bot.model import notification
from bot.model.notification import SubscriberState
from bot.store import notifications
from bot.store.schema import subscribers as table


def keep(connection: Connection, wanted: Sequence[notification.Wanted], *, now: datetime) -> None:
    """Let these be the subscribers. One with another URL begins anew; of those left out everything is forgotten."""
    known = {one.name: one for one in list_all(connection)}
    names = {one.name for one in wanted}
    connection.execute(sa.delete(table).where(table.c.name.in_(sorted(known.keys() - names))))
    for one in wanted:
        before = known.get(one.name)
        values: dict[str, Any] = {"origin": one.origin, "url_digest": one.url_digest, "events": one.events}
        if before is None or before.url_digest != one.url_digest:
            values |= {"state": SubscriberState.ACTIVE, "reason": None, "failing_since": None, "updated_at": now}
        if before is None:
            connection.execute(sa.insert(table).values(name=one.name, **values))
        else:
            connection.execute(sa.update(table).where(table.c.name == one.name).values(values))


def list_all(connection: Connection) -> list[notification.Subscriber]:
    """All subscribers, by name."""
    return [_from_row(row) for row in connection.execute(sa.select(table).order_by(table.c.name))]


def disable(connection: Connection, name: str, *, reason: str, now: datetime) -> bool:
    """Send a subscriber nothing any more, and give up what waits for it. False where that was so already."""
    written = connection.execute(
        sa.update(table)
        .where(table.c.name == name, table.c.state == SubscriberState.ACTIVE)
        .values(state=SubscriberState.DISABLED, reason=reason, updated_at=now)
    )
    notifications.give_up_all(connection, name, error=reason, now=now)
    return written.rowcount == 1


def enable(connection: Connection, name: str, *, now: datetime) -> None:
    """Send to a subscriber again, from now on.

    :raises errors.NotFound: if there is no such subscriber.
    :raises errors.Conflict: if it is not disabled.
    """
    state = connection.execute(sa.select(table.c.state).where(table.c.name == name).with_for_update()).scalar()
    if state is None:
        raise errors.NotFound(f"There is no subscriber {name}: the policy file names them, and the service reads it.")
    if state == SubscriberState.ACTIVE:
        raise errors.Conflict(f"Subscriber {name} is not disabled.")
    connection.execute(
        sa.update(table)
        .where(table.c.name == name)
        .values(state=SubscriberState.ACTIVE, reason=None, failing_since=None, updated_at=now)
    )


def _from_row(row: Row[Any]) -> notification.Subscriber:
    values = dict(row._mapping)
    values["state"] = SubscriberState(values["state"])
    return notification.Subscriber(**values)
