"""The tables of what jobs' result files say; they go with the job that they are of."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    UniqueConstraint,
)

from bot.store.columns import Instant, Value, Words
from bot.store.metadata import SERIAL, metadata

#: One row for each job that left something behind.
job_results = Table(
    "job_results",
    metadata,
    Column("job_id", Words(26), ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("passed", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("errored", Integer, nullable=False),
    Column("skipped", Integer, nullable=False),
    Column("duration_seconds", Float, nullable=False),
    Column("lines_covered", BigInteger),
    Column("lines_total", BigInteger),
    Column("findings_total", Integer, nullable=False),
    Column("summary", Words(), nullable=False),
    Column("problems", Value(tuple[str, ...]), nullable=False),
)

test_results = Table(
    "test_results",
    metadata,
    Column("seq", SERIAL, primary_key=True, autoincrement=True),
    Column("job_id", Words(26), ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("repository_id", BigInteger, nullable=False),
    # Of class and name, because an index of PostgreSQL takes no text as long as these may be.
    Column("digest", LargeBinary(16), nullable=False),
    Column("name", Words(500), nullable=False),
    Column("classname", Words(500), nullable=False),
    Column("file", Words(1000)),
    Column("line", Integer),
    Column("state", Words(16), nullable=False),
    Column("duration_seconds", Float),
    Column("message", Words(), nullable=False),
    Column("details", Words(), nullable=False),
    Index("ix_test_results_history", "repository_id", "digest", "seq"),
    Index("ix_test_results_job", "job_id", "digest"),
)

findings = Table(
    "findings",
    metadata,
    Column("seq", SERIAL, primary_key=True, autoincrement=True),
    Column("job_id", Words(26), ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("tool", Words(500), nullable=False),
    Column("path", Words(1000), nullable=False),
    Column("line", Integer, nullable=False),
    Column("end_line", Integer, nullable=False),
    Column("is_inside", Boolean, nullable=False),
    Column("level", Words(16), nullable=False),
    Column("text", Words(), nullable=False),
    Column("title", Words(500)),
    Column("details", Words()),
    Index("ix_findings_job", "job_id", "seq"),
)

#: What of jobs' files is kept; the bytes lie beside the logs.
artifacts = Table(
    "artifacts",
    metadata,
    Column("id", Words(26), primary_key=True),
    Column("job_id", Words(26), ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("name", Words(100), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("sha256", Words(64), nullable=False),
    Column("files", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
    UniqueConstraint("job_id", "name"),
    Index("ix_artifacts_expires_at", "expires_at"),
)
