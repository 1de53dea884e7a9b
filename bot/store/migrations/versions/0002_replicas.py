"""Replicas, leases, bookmarks and budgets; what a check and a failed job have to remember."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_UNFINISHED = sa.text("state IN ('received', 'handling', 'retrying')")


def upgrade() -> None:
    """Add the tables and columns that several replicas need; nothing that version 0001 reads is changed."""
    op.create_index(
        "ix_deliveries_repository",
        "deliveries",
        ["repository_id", "seq"],
        unique=False,
        sqlite_where=_UNFINISHED,
        postgresql_where=_UNFINISHED,
    )
    op.add_column("jobs", sa.Column("log_tail", sa.LargeBinary(), nullable=True))
    op.add_column("checks", sa.Column("sent_at", sa.BigInteger(), nullable=True))
    op.add_column("checks", sa.Column("create_begun_at", sa.BigInteger(), nullable=True))
    op.add_column("checks", sa.Column("is_conclusion", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_index("ix_checks_sent_at", "checks", ["sent_at"], unique=False)
    # Of these GitHub may hold a check run whose answer never came.
    op.execute("UPDATE checks SET create_begun_at = 0 WHERE github_id IS NULL AND attempts > 0")
    op.create_table(
        "replicas",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_replicas")),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
    )
    op.create_table(
        "bookmarks",
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_bookmarks")),
    )
    op.create_table(
        "budgets",
        sa.Column("installation_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("limit_points", sa.Integer(), nullable=True),
        sa.Column("remaining", sa.Integer(), nullable=True),
        sa.Column("reset_at", sa.BigInteger(), nullable=True),
        sa.Column("blocked_until", sa.BigInteger(), nullable=True),
        sa.Column("blocked_text", sa.Text(), nullable=True),
        sa.Column("is_secondary", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("streak", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("minute_at", sa.BigInteger(), nullable=True),
        sa.Column("minute_points", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("installation_id", name=op.f("pk_budgets")),
    )
