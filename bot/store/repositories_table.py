"""The table of what may be told of repositories to whoever asks."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, LargeBinary, Table

from bot.store.columns import Instant
from bot.store.metadata import metadata

repositories = Table(
    "repositories",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("is_public", Boolean, nullable=False),
    # Of what lets programs see a badge that do not sign in.
    Column("badge_digest", LargeBinary(32)),
    Column("updated_at", Instant, nullable=False),
)
