"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables of deliveries, builds, jobs, checks, pull requests and installations."""

    op.create_table(
        "builds",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("repository_id", sa.BigInteger(), nullable=False),
        sa.Column("installation_id", sa.BigInteger(), nullable=False),
        sa.Column("repository", sa.String(length=512), nullable=False),
        sa.Column("event", sa.String(length=64), nullable=False),
        sa.Column("ref", sa.Text(), nullable=False),
        sa.Column("head_sha", sa.String(length=64), nullable=False),
        sa.Column("base_sha", sa.String(length=64), nullable=True),
        sa.Column("base_ref", sa.Text(), nullable=True),
        sa.Column("head_ref", sa.Text(), nullable=True),
        sa.Column("pull_number", sa.BigInteger(), nullable=True),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("sender", sa.String(length=255), nullable=False),
        sa.Column("sender_id", sa.BigInteger(), nullable=False),
        sa.Column("trust", sa.String(length=16), nullable=False),
        sa.Column("plan_digest", sa.String(length=64), nullable=False),
        sa.Column("pipeline", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("problems", sa.Text(), nullable=False),
        sa.Column("delivery_id", sa.String(length=72), nullable=True),
        sa.Column("origin_id", sa.String(length=26), nullable=True),
        sa.Column("cause", sa.String(length=512), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=True),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_builds")),
        sa.UniqueConstraint("repository_id", "cause", name=op.f("uq_builds_repository_id_cause")),
        sa.UniqueConstraint(
            "repository_id", "head_sha", "generation", name=op.f("uq_builds_repository_id_head_sha_generation")
        ),
    )
    op.create_index("ix_builds_created_at", "builds", ["created_at"], unique=False)
    op.create_index("ix_builds_pull", "builds", ["repository_id", "pull_number"], unique=False)
    op.create_index("ix_builds_ref", "builds", ["repository_id", "ref"], unique=False)
    op.create_table(
        "deliveries",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("hook_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.String(length=72), nullable=False),
        sa.Column("event", sa.String(length=255), nullable=False),
        sa.Column("action", sa.String(length=255), nullable=True),
        sa.Column("installation_id", sa.BigInteger(), nullable=True),
        sa.Column("repository_id", sa.BigInteger(), nullable=True),
        sa.Column("repository", sa.String(length=512), nullable=True),
        sa.Column("ordering_key", sa.String(length=512), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", sa.BigInteger(), nullable=True),
        sa.Column("handled_at", sa.BigInteger(), nullable=True),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("lease_owner", sa.String(length=64), nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("trail", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("body_sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("headers", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_deliveries")),
        sa.UniqueConstraint("hook_id", "id", name=op.f("uq_deliveries_hook_id_id")),
    )
    op.create_index(
        "ix_deliveries_due",
        "deliveries",
        ["seq"],
        unique=False,
        sqlite_where=sa.text("state IN ('received', 'handling', 'retrying')"),
        postgresql_where=sa.text("state IN ('received', 'handling', 'retrying')"),
    )
    op.create_index("ix_deliveries_id", "deliveries", ["id"], unique=False)
    op.create_index("ix_deliveries_received_at", "deliveries", ["received_at"], unique=False)
    op.create_index(
        "ix_deliveries_unfinished",
        "deliveries",
        ["ordering_key", "seq"],
        unique=False,
        sqlite_where=sa.text("state IN ('received', 'handling', 'retrying')"),
        postgresql_where=sa.text("state IN ('received', 'handling', 'retrying')"),
    )
    op.create_table(
        "installations",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("account", sa.String(length=255), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("permissions", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_installations")),
    )
    op.create_table(
        "pulls",
        sa.Column("repository_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("head_repository_id", sa.BigInteger(), nullable=True),
        sa.Column("head_ref", sa.Text(), nullable=False),
        sa.Column("head_sha", sa.String(length=64), nullable=False),
        sa.Column("base_ref", sa.Text(), nullable=False),
        sa.Column("base_sha", sa.String(length=64), nullable=False),
        sa.Column("author_id", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("runs", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("repository_id", "number", name=op.f("pk_pulls")),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("build_id", sa.String(length=26), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("plan", sa.Text(), nullable=False),
        sa.Column("check_name", sa.String(length=255), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("engine", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=True),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("steps", sa.Text(), nullable=False),
        sa.Column("log_size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("engine_offset", sa.BigInteger(), nullable=False),
        sa.Column("tested_sha", sa.String(length=64), nullable=True),
        sa.Column("tested_tree", sa.String(length=64), nullable=True),
        sa.Column("cancel_requested_at", sa.BigInteger(), nullable=True),
        sa.Column("cancel_reason", sa.Text(), nullable=True),
        sa.Column("origin_id", sa.String(length=26), nullable=True),
        sa.Column("not_before_at", sa.BigInteger(), nullable=True),
        sa.Column("lease_owner", sa.String(length=64), nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["build_id"], ["builds.id"], name=op.f("fk_jobs_build_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
        sa.UniqueConstraint("build_id", "position", name=op.f("uq_jobs_build_id_position")),
    )
    op.create_index(
        "ix_jobs_active",
        "jobs",
        ["state", "id"],
        unique=False,
        sqlite_where=sa.text("state IN ('waiting', 'queued', 'starting', 'running')"),
        postgresql_where=sa.text("state IN ('waiting', 'queued', 'starting', 'running')"),
    )
    op.create_table(
        "checks",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("build_id", sa.String(length=26), nullable=False),
        sa.Column("job_id", sa.String(length=26), nullable=True),
        sa.Column("repository_id", sa.BigInteger(), nullable=False),
        sa.Column("installation_id", sa.BigInteger(), nullable=False),
        sa.Column("repository", sa.String(length=512), nullable=False),
        sa.Column("head_sha", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("external_id", sa.String(length=64), nullable=False),
        sa.Column("github_id", sa.BigInteger(), nullable=True),
        sa.Column("desired_version", sa.Integer(), nullable=False),
        sa.Column("reported_version", sa.Integer(), nullable=False),
        sa.Column("reported_status", sa.String(length=16), nullable=True),
        sa.Column("reported_at", sa.BigInteger(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("lease_owner", sa.String(length=64), nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["build_id"], ["builds.id"], name=op.f("fk_checks_build_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_checks_job_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_checks")),
        sa.UniqueConstraint("external_id", name=op.f("uq_checks_external_id")),
        sa.UniqueConstraint(
            "repository_id",
            "head_sha",
            "name",
            "generation",
            name=op.f("uq_checks_repository_id_head_sha_name_generation"),
        ),
    )
    op.create_index("ix_checks_build_id", "checks", ["build_id"], unique=False)
    op.create_index("ix_checks_github_id", "checks", ["github_id"], unique=False)
    op.create_index(
        "ix_checks_stale",
        "checks",
        ["id"],
        unique=False,
        sqlite_where=sa.text("reported_version < desired_version"),
        postgresql_where=sa.text("reported_version < desired_version"),
    )
