"""The table of schedules: when repositories want to be built, as their default branches' files say."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Table

from bot.store.columns import Instant, Words
from bot.store.metadata import metadata

schedules = Table(
    "schedules",
    metadata,
    Column("repository_id", BigInteger, primary_key=True, autoincrement=False),
    Column("cron", Words(512), primary_key=True),
    Column("installation_id", BigInteger, nullable=False),
    Column("repository", Words(512), nullable=False),
    Column("ref", Words(), nullable=False),
    Column("next_at", Instant),
    Index("ix_schedules_next_at", "next_at"),
)
