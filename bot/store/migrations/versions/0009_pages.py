"""What the pages show of a repository, a branch, a pull request, or of whatever somebody may see, found by an index.

Each of these lists ends with the newest first, so each index ends with the build's id: none of them has to be sorted,
however many builds a repository or a person has.

And which repositories are public, so that badges and feeds of these can be asked for without signing in.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the indexes and the table; what version 0008 reads and writes is the same."""
    op.create_table(
        "repositories",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("is_public", sa.Boolean(), nullable=False),
        sa.Column("badge_digest", sa.LargeBinary(length=32), nullable=True),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_repositories")),
    )
    op.create_index("ix_builds_repository_id", "builds", ["repository_id", "id"], unique=False)
    op.create_index("ix_builds_repository_state", "builds", ["repository_id", "state", "id"], unique=False)
    op.drop_index("ix_builds_ref", table_name="builds")
    op.create_index("ix_builds_ref", "builds", ["repository_id", "ref", "id"], unique=False)
    op.drop_index("ix_builds_pull", table_name="builds")
    op.create_index("ix_builds_pull", "builds", ["repository_id", "pull_number", "id"], unique=False)
