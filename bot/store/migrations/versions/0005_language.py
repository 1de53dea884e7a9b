"""What expressions may name of an event, and what jobs give to those that need them."""

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
