"""Hints between replicas: a commit that makes work says so to all of them. On SQLite there is nobody else to tell.

https://www.postgresql.org/docs/current/sql-notify.html
"""

from __future__ import annotations

import enum

import sqlalchemy as sa
from sqlalchemy.engine import Connection

#: Where hints between replicas travel.
CHANNEL = "buildhook"


class Word(enum.StrEnum):
    """What there is to look at."""

    DELIVERIES = "deliveries"
    JOBS = "jobs"
    CHECKS = "checks"
    ANSWERS = "answers"
    BUDGETS = "budgets"
    NOTIFICATIONS = "notifications"
    HANDLERS = "handlers"


_NOTIFY = sa.select(sa.func.pg_notify(CHANNEL, sa.bindparam("word", type_=sa.Text)))


def give(connection: Connection, word: Word) -> None:
    """Tell all replicas when this transaction is committed; the same word in one transaction is told once."""
    if connection.dialect.name == "postgresql":
        connection.execute(_NOTIFY, {"word": word.value})
