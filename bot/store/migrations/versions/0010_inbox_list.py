"""What deliveries are listed by, found by an index; each holds those alone whose handling has ended."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_SETTLED = sa.text("state IN ('handled', 'ignored', 'parked')")


def upgrade() -> None:
    """Add the indexes; what version 0009 reads and writes is the same."""
    for name, column in (("event", "event"), ("of", "repository"), ("of_id", "repository_id")):
        op.create_index(
            f"ix_deliveries_settled_{name}",
            "deliveries",
            [column, "state", "seq"],
            unique=False,
            sqlite_where=_SETTLED,
            postgresql_where=_SETTLED,
        )
