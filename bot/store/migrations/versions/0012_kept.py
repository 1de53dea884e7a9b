"""How much each job keeps, so that what its repository keeps altogether is a sum over one index.

Of jobs that ended before, reports count as nothing: to add up their rows would hold up the start, and they go with the
retention. A job that version 0011 ends beside this one is not counted.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table, and a row for each job that left something; what version 0011 reads and writes is the same."""
    op.create_table(
        "kept",
        sa.Column("job_id", sa.String(length=26), nullable=False),
        sa.Column("repository_id", sa.BigInteger(), nullable=False),
        sa.Column("log_bytes", sa.BigInteger(), nullable=False),
        sa.Column("report_bytes", sa.BigInteger(), nullable=False),
        sa.Column("artifact_bytes", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_kept_job_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_kept")),
    )
    op.create_index(
        "ix_kept_repository_id", "kept", ["repository_id", "log_bytes", "report_bytes", "artifact_bytes"], unique=False
    )
    op.execute(
        "INSERT INTO kept (job_id, repository_id, log_bytes, report_bytes, artifact_bytes)"
        " SELECT jobs.id, builds.repository_id, jobs.log_size_bytes, 0, COALESCE(left_behind.size_bytes, 0)"
        " FROM jobs JOIN builds ON builds.id = jobs.build_id LEFT JOIN"
        " (SELECT job_id, SUM(size_bytes) AS size_bytes FROM artifacts GROUP BY job_id) AS left_behind"
        " ON left_behind.job_id = jobs.id"
        " WHERE jobs.finished_at IS NOT NULL AND (jobs.log_size_bytes > 0 OR left_behind.size_bytes > 0)"
    )
