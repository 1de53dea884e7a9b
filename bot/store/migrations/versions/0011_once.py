"""Which pull requests have a comment that shows how their builds stand, and requests that bear a key.

And indexes by which the builds of a commit, and of pull requests from a branch, are found among very many.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns, the table and the indexes; what version 0010 reads and writes is the same."""
    op.add_column("pulls", sa.Column("shows_builds", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("answers", sa.Column("hides_builds", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_table(
        "requests",
        sa.Column("caller", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(length=32), nullable=False),
        sa.Column("token", sa.String(length=26), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.Column("result", sa.String(length=72), nullable=True),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("answer", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("caller", "digest", name=op.f("pk_requests")),
    )
    op.create_index("ix_requests_caller", "requests", ["caller", "created_at"], unique=False)
    op.create_index("ix_requests_created_at", "requests", ["created_at"], unique=False)
    is_pull = sa.text("pull_number IS NOT NULL")
    op.create_index(
        "ix_builds_head_ref",
        "builds",
        ["head_ref", "id"],
        unique=False,
        sqlite_where=is_pull,
        postgresql_where=is_pull,
    )
    op.create_index("ix_builds_head_sha", "builds", ["head_sha", "id"], unique=False)
