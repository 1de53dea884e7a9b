"""Which images a job ran in and beside, with their digests."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; nothing that version 0005 reads is changed."""
    op.add_column("jobs", sa.Column("images", sa.Text(), nullable=False, server_default="{}"))
