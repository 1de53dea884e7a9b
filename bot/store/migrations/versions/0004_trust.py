"""Consent to builds that wait, and groups of builds of which one runs at a time."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_GROUPED = sa.text("concurrency_group IS NOT NULL AND state IN ('waiting', 'queued', 'running')")
_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_UNFINISHED = sa.text("state IN ('received', 'handling', 'retrying')")
_UNSENT = sa.text("state IN ('waiting', 'sending', 'retrying')")
_STALE = sa.text("reported_version < desired_version")
_RULES = {
    "sqlite": (
        "CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit"
        " BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END",
        "CREATE TRIGGER audit_is_not_replaced BEFORE INSERT ON audit"
        " WHEN EXISTS (SELECT 1 FROM audit WHERE id = NEW.id)"
        " BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END",
        "CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit"
        " WHEN OLD.at > (julianday('now') - 2440587.5 - 90) * 86400000000"
        " BEGIN SELECT RAISE(ABORT, 'the audit is append-only: an entry is kept for 90 days'); END",
    ),
    "postgresql": (
        "CREATE OR REPLACE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$"
        " BEGIN"
        " IF TG_OP = 'DELETE' THEN"
        " IF OLD.at <= (extract(epoch FROM now()) - 90 * 86400) * 1000000 THEN RETURN OLD; END IF;"
        " END IF;"
        " RAISE EXCEPTION 'the audit is append-only: an entry is kept for 90 days' USING ERRCODE = '23001';"
        " END $$",
        "CREATE TRIGGER audit_is_not_changed BEFORE UPDATE OR DELETE ON audit"
        " FOR EACH ROW EXECUTE FUNCTION audit_is_append_only()",
        "CREATE TRIGGER audit_is_kept BEFORE TRUNCATE ON audit"
        " FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()",
    ),
}
_HAS_HEAD = sa.text("head_sha IS NOT NULL")
_IS_OF_PULL = sa.text("event IN ('pull_request', 'pull_request_review', 'issue_comment')")


def upgrade() -> None:
    """Add the tables and the columns; nothing that version 0003 reads is changed."""
    _consent()
    _hooks()
    _answers()
    _audit()


def _consent() -> None:
    op.add_column("builds", sa.Column("proposal", sa.Text(), nullable=True))
    op.add_column("pulls", sa.Column("is_draft", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("pulls", sa.Column("is_only_authors", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_table(
        "approvals",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("repository_id", sa.BigInteger(), nullable=False),
        sa.Column("pull_number", sa.BigInteger(), nullable=False),
        sa.Column("head_sha", sa.String(length=64), nullable=False),
        sa.Column("base_ref", sa.Text(), nullable=False),
        sa.Column("base_sha", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("approver_id", sa.BigInteger(), nullable=False),
        sa.Column("approver", sa.String(length=255), nullable=False),
        sa.Column("via", sa.String(length=16), nullable=False),
        sa.Column("delivery_id", sa.String(length=72), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("dropped_at", sa.BigInteger(), nullable=True),
        sa.Column("dropped_reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approvals")),
    )
    op.create_index("ix_approvals_pull", "approvals", ["repository_id", "pull_number"], unique=False)
    op.create_index("ix_approvals_created_at", "approvals", ["created_at"], unique=False)
    op.add_column("builds", sa.Column("concurrency_group", sa.Text(), nullable=True))
    op.add_column("builds", sa.Column("cancel_in_progress", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("builds", sa.Column("concurrency_turn", sa.Integer(), nullable=True))
    op.create_index(
        "ix_builds_concurrency",
        "builds",
        ["repository_id", "concurrency_group", "concurrency_turn"],
        unique=False,
        sqlite_where=_GROUPED,
        postgresql_where=_GROUPED,
    )


def _hooks() -> None:
    op.create_table(
        "handler_runs",
        sa.Column("seq", _SERIAL, autoincrement=True, nullable=False),
        sa.Column("delivery_seq", sa.BigInteger(), nullable=False),
        sa.Column("handler", sa.String(length=255), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", sa.BigInteger(), nullable=True),
        sa.Column("lease_owner", sa.String(length=64), nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["delivery_seq"], ["deliveries.seq"], name=op.f("fk_handler_runs_delivery_seq"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_handler_runs")),
        sa.UniqueConstraint("delivery_seq", "handler", name=op.f("uq_handler_runs_delivery_seq_handler")),
    )
    op.create_index(
        "ix_handler_runs_due",
        "handler_runs",
        ["seq"],
        unique=False,
        sqlite_where=_UNFINISHED,
        postgresql_where=_UNFINISHED,
    )
    op.create_table(
        "subscribers",
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("url_digest", sa.String(length=64), nullable=False),
        sa.Column("events", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("failing_since", sa.BigInteger(), nullable=True),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_subscribers")),
    )
    op.create_table(
        "notifications",
        sa.Column("seq", _SERIAL, autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("subscriber", sa.String(length=63), nullable=False),
        sa.Column("build_id", sa.String(length=26), nullable=False),
        sa.Column("event", sa.String(length=64), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", sa.BigInteger(), nullable=True),
        sa.Column("lease_owner", sa.String(length=64), nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["subscriber"], ["subscribers.name"], name=op.f("fk_notifications_subscriber"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["build_id"], ["builds.id"], name=op.f("fk_notifications_build_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_notifications")),
        sa.UniqueConstraint("subscriber", "id", name=op.f("uq_notifications_subscriber_id")),
    )
    op.create_index("ix_notifications_build_id", "notifications", ["build_id"], unique=False)
    op.create_index(
        "ix_notifications_unsent",
        "notifications",
        ["subscriber", "seq"],
        unique=False,
        sqlite_where=_UNSENT,
        postgresql_where=_UNSENT,
    )


def _answers() -> None:
    op.create_table(
        "answers",
        sa.Column("repository_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("pull_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("installation_id", sa.BigInteger(), nullable=False),
        sa.Column("repository", sa.String(length=512), nullable=False),
        sa.Column("entries", sa.Text(), nullable=False),
        sa.Column("github_id", sa.BigInteger(), nullable=True),
        sa.Column("desired_version", sa.Integer(), nullable=False),
        sa.Column("reported_version", sa.Integer(), nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=True),
        sa.Column("create_begun_at", sa.BigInteger(), nullable=True),
        sa.Column("wanted_at", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("lease_owner", sa.String(length=64), nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("repository_id", "pull_number", name=op.f("pk_answers")),
    )
    op.create_index(
        "ix_answers_stale",
        "answers",
        ["wanted_at"],
        unique=False,
        sqlite_where=_STALE,
        postgresql_where=_STALE,
    )


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("via", sa.String(length=16), nullable=False),
        sa.Column("actor_id", sa.BigInteger(), nullable=True),
        sa.Column("actor", sa.String(length=255), nullable=True),
        sa.Column("repository_id", sa.BigInteger(), nullable=True),
        sa.Column("repository", sa.String(length=512), nullable=True),
        sa.Column("pull_number", sa.BigInteger(), nullable=True),
        sa.Column("build_id", sa.String(length=26), nullable=True),
        sa.Column("head_sha", sa.String(length=64), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("delivery_id", sa.String(length=72), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_index("ix_audit_at", "audit", ["at"], unique=False)
    for rule in _RULES[op.get_bind().dialect.name]:
        op.execute(rule)
    op.add_column("deliveries", sa.Column("head_sha", sa.String(length=64), nullable=True))
    op.create_index(
        "ix_deliveries_head_sha",
        "deliveries",
        ["head_sha", "seq"],
        unique=False,
        sqlite_where=_HAS_HEAD,
        postgresql_where=_HAS_HEAD,
    )
    op.create_index(
        "ix_deliveries_pull",
        "deliveries",
        ["ordering_key", "seq"],
        unique=False,
        sqlite_where=_IS_OF_PULL,
        postgresql_where=_IS_OF_PULL,
    )
