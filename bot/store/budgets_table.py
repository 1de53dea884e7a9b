"""The table of what GitHub lets each installation do."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Integer, Table, false

from bot.store.columns import Instant, Words
from bot.store.metadata import metadata

#: What GitHub lets an installation do, as all replicas learnt it.
budgets = Table(
    "budgets",
    metadata,
    Column("installation_id", BigInteger, primary_key=True, autoincrement=False),
    Column("limit_points", Integer),
    Column("remaining", Integer),
    Column("reset_at", Instant),
    Column("blocked_until", Instant),
    Column("blocked_text", Words()),
    Column("is_secondary", Boolean, nullable=False, server_default=false()),
    Column("streak", Integer, nullable=False, server_default="0"),
    Column("minute_at", Instant),
    Column("minute_points", Integer, nullable=False, server_default="0"),
    Column("updated_at", Instant, nullable=False),
)
