"""What lists are filtered by, and the builds of a delivery: found by an index, however many there are."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_SETTLED = sa.text("state IN ('handled', 'ignored', 'parked')")


def upgrade() -> None:
    """Add the indexes; what version 0006 reads and writes is the same."""
    op.create_index("ix_builds_delivery_id", "builds", ["delivery_id"], unique=False)
    op.create_index("ix_builds_repository", "builds", ["repository", "id"], unique=False)
    op.create_index("ix_builds_state", "builds", ["state", "id"], unique=False)
    op.create_index(
        "ix_deliveries_settled",
        "deliveries",
        ["state", "seq"],
        unique=False,
        sqlite_where=_SETTLED,
        postgresql_where=_SETTLED,
    )
