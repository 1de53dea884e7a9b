"""What expressions may name of an event, what jobs give to those that need them, and times of builds."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; nothing that version 0004 reads is changed."""
    op.add_column("builds", sa.Column("payload", sa.Text(), nullable=False, server_default="{}"))
    op.add_column("jobs", sa.Column("outputs", sa.Text(), nullable=False, server_default="{}"))
    op.create_table(
        "schedules",
        sa.Column("repository_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("cron", sa.String(length=512), nullable=False),
        sa.Column("installation_id", sa.BigInteger(), nullable=False),
        sa.Column("repository", sa.String(length=512), nullable=False),
        sa.Column("ref", sa.Text(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("repository_id", "cron"),
    )
    op.create_index("ix_schedules_next_at", "schedules", ["next_at"])
