"""The table of how much each job that has ended keeps; its rows go with the job."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Table

from bot.store.columns import Words
from bot.store.metadata import metadata

kept = Table(
    "kept",
    metadata,
    Column("job_id", Words(26), ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("repository_id", BigInteger, nullable=False),
    Column("log_bytes", BigInteger, nullable=False),
    Column("report_bytes", BigInteger, nullable=False),
    Column("artifact_bytes", BigInteger, nullable=False),
    # All that a sum over one repository reads.
    Index("ix_kept_repository_id", "repository_id", "log_bytes", "report_bytes", "artifact_bytes"),
)
