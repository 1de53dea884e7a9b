"""Since when GitHub does not show a check as it should: what waits for long is a backlog, and is paced."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, and say of what waits now that it has waited since its build was made."""
    op.add_column("checks", sa.Column("wanted_at", sa.BigInteger(), nullable=True))
    op.execute(
        "UPDATE checks SET wanted_at = (SELECT created_at FROM builds WHERE builds.id = checks.build_id)"
        " WHERE reported_version < desired_version"
    )
