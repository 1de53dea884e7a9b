"""Queries on what is known already of things that GitHub names: the reconcilers ask before they take something in."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot.store.schema import deliveries

#: A statement may not bear any number of values.
_AT_ONCE = 500


def guids(connection: Connection, asked: Collection[str]) -> frozenset[str]:
    """Those of the delivery ids that are in the inbox, in whatever state."""
    found: set[str] = set()
    for some in _chunks(sorted(asked)):
        found.update(connection.execute(sa.select(deliveries.c.id).where(deliveries.c.id.in_(some))).scalars())
    return frozenset(found)


def _chunks(values: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(values), _AT_ONCE):
        yield values[start : start + _AT_ONCE]
