"""Which pull requests have a comment that shows how their builds stand."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; what version 0009 reads and writes is the same."""
    op.add_column("pulls", sa.Column("shows_builds", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("answers", sa.Column("hides_builds", sa.Boolean(), nullable=False, server_default=sa.false()))
