"""Consent to builds that wait, and groups of builds of which one runs at a time."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_GROUPED = sa.text("concurrency_group IS NOT NULL AND state IN ('waiting', 'queued', 'running')")


def upgrade() -> None:
    """Add the table and the columns; nothing that version 0003 reads is changed."""
    op.add_column("builds", sa.Column("proposal", sa.Text(), nullable=True))
    op.add_column("pulls", sa.Column("is_draft", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("pulls", sa.Column("is_only_authors", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_table(
        "approvals",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("repository_id", sa.BigInteger(), nullable=False),
        sa.Column("pull_number", sa.BigInteger(), nullable=False),
        sa.Column("head_sha", sa.String(length=64), nullable=False),
        sa.Column("base_ref", sa.Text(), nullable=False),
        sa.Column("base_sha", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("approver_id", sa.BigInteger(), nullable=False),
        sa.Column("approver", sa.String(length=255), nullable=False),
        sa.Column("via", sa.String(length=16), nullable=False),
        sa.Column("delivery_id", sa.String(length=72), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("dropped_at", sa.BigInteger(), nullable=True),
        sa.Column("dropped_reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approvals")),
    )
    op.create_index("ix_approvals_pull", "approvals", ["repository_id", "pull_number"], unique=False)
    op.create_index("ix_approvals_created_at", "approvals", ["created_at"], unique=False)
    op.add_column("builds", sa.Column("concurrency_group", sa.Text(), nullable=True))
    op.add_column("builds", sa.Column("cancel_in_progress", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("builds", sa.Column("concurrency_turn", sa.Integer(), nullable=True))
    op.create_index(
        "ix_builds_concurrency",
        "builds",
        ["repository_id", "concurrency_group", "concurrency_turn"],
        unique=False,
        sqlite_where=_GROUPED,
        postgresql_where=_GROUPED,
    )
