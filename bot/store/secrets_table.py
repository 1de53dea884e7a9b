"""The table of secrets: sealed values, by repository, environment and name."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, LargeBinary, Table

from bot.store.columns import Instant, Words
from bot.store.metadata import metadata

secrets = Table(
    "secrets",
    metadata,
    Column("repository_id", BigInteger, primary_key=True, autoincrement=False),
    # Empty for the repository as a whole: a part of the key cannot be missing.
    Column("environment", Words(255), primary_key=True),
    Column("name", Words(255), primary_key=True),
    Column("repository", Words(512), nullable=False),
    Column("key_id", Words(16), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("updated_by", Words(255), nullable=False),
)
