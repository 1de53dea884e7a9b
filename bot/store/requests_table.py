"""The table of requests that bear a key, so that asking twice is doing once."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, Table

from bot.store.columns import Instant, Words
from bot.store.metadata import metadata

requests = Table(
    "requests",
    metadata,
    #: GitHub's number of whoever asks; 0 where nobody signs in.
    Column("caller", BigInteger, primary_key=True, autoincrement=False),
    #: SHA-256 of the key: it may be any text.
    Column("digest", LargeBinary(32), primary_key=True),
    #: SHA-256 of what is asked for.
    Column("fingerprint", LargeBinary(32), nullable=False),
    #: Whose turn it is.
    Column("token", Words(26), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("lease_until", Instant, nullable=False),
    #: What came of it, written with it.
    Column("result", Words(72)),
    #: The answer, once it was given.
    Column("status", Integer),
    Column("answer", LargeBinary),
    Index("ix_requests_caller", "caller", "created_at"),
    Index("ix_requests_created_at", "created_at"),
)
