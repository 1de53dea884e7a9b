"""Counts for the metrics: each by an index, so that whoever asks often costs little."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot.model import build
from bot.store import due
from bot.store.schema import budgets, builds, deliveries

# Written out, and all that the partial index holds: only then does SQLite see that it holds these.
_PARKED = sa.select(sa.func.count()).select_from(deliveries).where(sa.text("state = 'parked'"), due.SETTLED)
_UNFINISHED = sorted(state.value for state in set(build.State) - build.FINAL)


def parked(connection: Connection) -> int:
    """How many deliveries wait for a replay."""
    return connection.execute(_PARKED).scalar_one()


def unfinished_builds(connection: Connection, *, among: Collection[int] | None = None) -> dict[build.State, int]:
    """How many builds have not ended, by state.

    :param among: only those of these repositories.
    """
    query = sa.select(builds.c.state, sa.func.count()).where(builds.c.state.in_(_UNFINISHED)).group_by(builds.c.state)
    if among is not None:
        # Added to, so that no index on it is taken: few builds are unfinished, and many may be theirs.
        query = query.where((builds.c.repository_id + 0).in_(sorted(among)))
    return {build.State(row[0]): row[1] for row in connection.execute(query)}


def lowest_budget(connection: Connection, *, now: datetime) -> float | None:
    """What is left of the smallest budget that GitHub told of, as a part of it; None where each is full again."""
    left = sa.cast(budgets.c.remaining, sa.Float) / budgets.c.limit_points
    query = sa.select(sa.func.min(left)).where(budgets.c.limit_points > 0, budgets.c.reset_at > now)
    found = connection.execute(query).scalar()
    return None if found is None else float(found)
