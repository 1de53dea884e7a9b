"""Locks within a transaction: what only one at a time may decide. SQLite has one writer, so nothing is to be locked.

https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
"""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot.store.schema import builds

_LOCK = sa.select(sa.func.pg_advisory_xact_lock(sa.bindparam("number", type_=sa.BigInteger())))


def repositories(connection: Connection, repository_ids: Iterable[int]) -> None:
    """Wait until no other transaction makes or ends builds of these repositories; held until this one ends."""
    if connection.dialect.name == "postgresql":
        # In one order everywhere, so that two transactions never wait for each other.
        for repository_id in sorted(set(repository_ids)):
            connection.execute(_LOCK, {"number": repository_id})


def build(connection: Connection, build_id: str) -> None:
    """Wait until no other transaction moves jobs of this build; held until this one ends."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(builds.c.id).where(builds.c.id == build_id).with_for_update()).all()
