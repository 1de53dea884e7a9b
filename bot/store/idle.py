"""Queries on deliveries from which nothing follows here: many are settled at once, without reading them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot.model import delivery
from bot.store import due, handler_runs
from bot.store.schema import deliveries as table


def ignore_idle(
    connection: Connection,
    *,
    why: Callable[[str, str | None], str | None],
    now: datetime,
    limit: int,
    hand_on: Callable[[str, str | None], Sequence[str]] = lambda *_: (),
) -> Counter[str]:
    """Write the end of those of the oldest deliveries from which nothing follows here, all at once.

    :param why: gives the reason for an event and its action, None where something may follow.
    :param hand_on: gives the users' own handlers that may take them.
    :return: how many, by event.
    """
    idle: dict[str, list[int]] = {}
    taken: dict[int, Sequence[str]] = {}
    counts: Counter[str] = Counter()
    for row in connection.execute(due.OLDEST, {"most": limit}):
        reason = why(row.event, row.action)
        if reason is not None:
            idle.setdefault(reason, []).append(row.seq)
            taken[row.seq] = hand_on(row.event, row.action)
            counts[row.event] += 1
    for reason, seqs in idle.items():
        connection.execute(
            sa.update(table)
            .where(table.c.seq.in_(seqs))
            .values(
                state=delivery.State.IGNORED,
                reason=reason,
                error=None,
                trail=(reason,),
                handled_at=now,
                next_attempt_at=None,
                attempts=table.c.attempts + 1,
                epoch=table.c.epoch + 1,
            )
        )
    handler_runs.hand_on(connection, taken, now=now)
    return counts
