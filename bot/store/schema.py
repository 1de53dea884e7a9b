"""The tables. Migrations reach exactly these: `tests/migrations/test_migrations.py` compares the two."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    UniqueConstraint,
    false,
    text,
)

from bot.model import answer, approval, build, job
from bot.store.audit_table import AUDIT_RULES, audit
from bot.store.budgets_table import budgets
from bot.store.columns import Instant, Value, Words
from bot.store.kept_table import kept
from bot.store.metadata import SERIAL, metadata
from bot.store.people_tables import accounts, api_tokens, logins, sign_ins
from bot.store.repositories_table import repositories
from bot.store.requests_table import requests
from bot.store.results_tables import artifacts, findings, job_results, test_results
from bot.store.schedules_table import schedules
from bot.store.secrets_table import secrets

#: Those of other modules, so that whoever wants all tables finds them here.
__all__ = [
    "AUDIT_RULES",
    "accounts",
    "api_tokens",
    "artifacts",
    "audit",
    "budgets",
    "findings",
    "job_results",
    "kept",
    "logins",
    "metadata",
    "repositories",
    "requests",
    "schedules",
    "secrets",
    "sign_ins",
    "test_results",
]

_SETTLED = text("state IN ('handled', 'ignored', 'parked')")
_UNFINISHED = text("state IN ('received', 'handling', 'retrying')")
_ACTIVE_JOB = text("state IN ('waiting', 'queued', 'starting', 'running')")
_GROUPED = text("concurrency_group IS NOT NULL AND state IN ('waiting', 'queued', 'running')")
_STALE = text("reported_version < desired_version")
_UNSENT = text("state IN ('waiting', 'sending', 'retrying')")
_HAS_HEAD = text("head_sha IS NOT NULL")
_IS_PULL = text("pull_number IS NOT NULL")
#: Written out, so that the partial index is seen to hold them.
IS_OF_PULL = text("event IN ('pull_request', 'pull_request_review', 'issue_comment')")

deliveries = Table(
    "deliveries",
    metadata,
    Column("seq", SERIAL, primary_key=True, autoincrement=True),
    Column("hook_id", BigInteger, nullable=False),
    Column("id", Words(72), nullable=False),
    Column("event", Words(255), nullable=False),
    Column("action", Words(255)),
    Column("installation_id", BigInteger),
    Column("repository_id", BigInteger),
    Column("repository", Words(512)),
    Column("ordering_key", Words(512), nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("state", Words(16), nullable=False),
    Column("reason", Words()),
    Column("error", Words()),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", Instant),
    Column("handled_at", Instant),
    Column("generation", Integer, nullable=False),
    Column("lease_owner", Words(64)),
    Column("lease_until", Instant),
    Column("epoch", BigInteger, nullable=False),
    Column("trail", Value(tuple[str, ...]), nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("body_sha256", LargeBinary(32), nullable=False),
    Column("headers", Value(Mapping[str, str]), nullable=False),
    # lz4 frame of the raw bytes. Behind all that lists read, so that they never read its pages.
    Column("body", LargeBinary, nullable=False),
    # Only looked for, by its index.
    Column("head_sha", Words(64)),
    UniqueConstraint("hook_id", "id"),
    Index("ix_deliveries_unfinished", "ordering_key", "seq", sqlite_where=_UNFINISHED),
    Index("ix_deliveries_due", "seq", sqlite_where=_UNFINISHED),
    Index("ix_deliveries_repository", "repository_id", "seq", sqlite_where=_UNFINISHED),
    Index("ix_deliveries_settled", "state", "seq", sqlite_where=_SETTLED),
    *(
        Index(f"ix_deliveries_settled_{name}", column, "state", "seq", sqlite_where=_SETTLED)
        for name, column in (("event", "event"), ("of", "repository"), ("of_id", "repository_id"))
    ),
    Index("ix_deliveries_id", "id"),
    Index("ix_deliveries_received_at", "received_at"),
    Index("ix_deliveries_head_sha", "head_sha", "seq", sqlite_where=_HAS_HEAD),
    Index("ix_deliveries_pull", "ordering_key", "seq", sqlite_where=IS_OF_PULL),
)

builds = Table(
    "builds",
    metadata,
    Column("id", Words(26), primary_key=True),
    Column("repository_id", BigInteger, nullable=False),
    Column("installation_id", BigInteger, nullable=False),
    Column("repository", Words(512), nullable=False),
    Column("event", Words(64), nullable=False),
    Column("ref", Words(), nullable=False),
    Column("head_sha", Words(64), nullable=False),
    Column("base_sha", Words(64)),
    Column("base_ref", Words()),
    Column("head_ref", Words()),
    Column("pull_number", BigInteger),
    Column("generation", Integer, nullable=False),
    Column("title", Words(), nullable=False),
    Column("sender", Words(255), nullable=False),
    Column("sender_id", BigInteger, nullable=False),
    Column("trust", Words(16), nullable=False),
    Column("plan_digest", Words(64), nullable=False),
    Column("pipeline", Words(), nullable=False),
    Column("state", Words(16), nullable=False),
    Column("reason", Words()),
    Column("problems", Value(tuple[build.Problem, ...]), nullable=False),
    Column("proposal", Value(approval.Proposal)),
    Column("payload", Value(Mapping[str, Any]), nullable=False, server_default="{}"),
    Column("delivery_id", Words(72)),
    Column("origin_id", Words(26)),
    Column("cause", Words(512), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("finished_at", Instant),
    Column("concurrency_group", Words()),
    Column("cancel_in_progress", Boolean, nullable=False, server_default=false()),
    Column("concurrency_turn", Integer),
    UniqueConstraint("repository_id", "head_sha", "generation"),
    UniqueConstraint("repository_id", "cause"),
    Index("ix_builds_pull", "repository_id", "pull_number", "id"),
    Index("ix_builds_ref", "repository_id", "ref", "id"),
    Index("ix_builds_repository_id", "repository_id", "id"),
    Index("ix_builds_repository_state", "repository_id", "state", "id"),
    Index("ix_builds_created_at", "created_at"),
    Index("ix_builds_delivery_id", "delivery_id"),
    Index("ix_builds_head_ref", "head_ref", "id", sqlite_where=_IS_PULL),
    Index("ix_builds_head_sha", "head_sha", "id"),
    Index("ix_builds_repository", "repository", "id"),
    Index("ix_builds_state", "state", "id"),
    Index("ix_builds_concurrency", "repository_id", "concurrency_group", "concurrency_turn", sqlite_where=_GROUPED),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", Words(26), primary_key=True),
    Column("build_id", Words(26), ForeignKey("builds.id", ondelete="CASCADE"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("plan", Value(job.Plan), nullable=False),
    Column("check_name", Words(255), nullable=False),
    Column("state", Words(16), nullable=False),
    Column("reason", Words()),
    Column("engine", Words(64), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("finished_at", Instant),
    Column("exit_code", Integer),
    Column("steps", Value(tuple[job.StepResult, ...]), nullable=False),
    Column("log_size_bytes", BigInteger, nullable=False),
    Column("engine_offset", BigInteger, nullable=False),
    Column("tested_sha", Words(64)),
    Column("tested_tree", Words(64)),
    Column("outputs", Value(Mapping[str, str]), nullable=False, server_default="{}"),
    Column("images", Value(Mapping[str, str]), nullable=False, server_default="{}"),
    Column("cancel_requested_at", Instant),
    Column("cancel_reason", Words()),
    Column("log_tail", LargeBinary),
    Column("origin_id", Words(26)),
    Column("not_before_at", Instant),
    Column("lease_owner", Words(64)),
    Column("lease_until", Instant),
    Column("epoch", BigInteger, nullable=False),
    UniqueConstraint("build_id", "position"),
    Index("ix_jobs_active", "state", "id", sqlite_where=_ACTIVE_JOB),
)

checks = Table(
    "checks",
    metadata,
    Column("id", SERIAL, primary_key=True, autoincrement=True),
    Column("build_id", Words(26), ForeignKey("builds.id", ondelete="CASCADE"), nullable=False),
    Column("job_id", Words(26), ForeignKey("jobs.id", ondelete="CASCADE")),
    Column("repository_id", BigInteger, nullable=False),
    Column("installation_id", BigInteger, nullable=False),
    Column("repository", Words(512), nullable=False),
    Column("head_sha", Words(64), nullable=False),
    Column("name", Words(255), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("external_id", Words(64), nullable=False),
    Column("github_id", BigInteger),
    Column("desired_version", Integer, nullable=False),
    Column("reported_version", Integer, nullable=False),
    Column("reported_status", Words(16)),
    Column("reported_at", Instant),
    Column("sent_at", Instant),
    Column("create_begun_at", Instant),
    Column("wanted_at", Instant),
    Column("is_conclusion", Boolean, nullable=False, server_default=false()),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", Instant),
    Column("error", Words()),
    Column("lease_owner", Words(64)),
    Column("lease_until", Instant),
    Column("epoch", BigInteger, nullable=False),
    UniqueConstraint("repository_id", "head_sha", "name", "generation"),
    UniqueConstraint("external_id"),
    Index("ix_checks_stale", "id", sqlite_where=_STALE),
    Index("ix_checks_build_id", "build_id"),
    Index("ix_checks_github_id", "github_id"),
    Index("ix_checks_sent_at", "sent_at"),
)

#: Our one comment on each pull request.
answers = Table(
    "answers",
    metadata,
    Column("repository_id", BigInteger, primary_key=True, autoincrement=False),
    Column("pull_number", BigInteger, primary_key=True, autoincrement=False),
    Column("installation_id", BigInteger, nullable=False),
    Column("repository", Words(512), nullable=False),
    Column("entries", Value(tuple[answer.Entry, ...]), nullable=False),
    Column("hides_builds", Boolean, nullable=False, server_default=false()),
    Column("github_id", BigInteger),
    Column("desired_version", Integer, nullable=False),
    Column("reported_version", Integer, nullable=False),
    Column("sent_at", Instant),
    Column("create_begun_at", Instant),
    Column("wanted_at", Instant, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", Instant),
    Column("error", Words()),
    Column("lease_owner", Words(64)),
    Column("lease_until", Instant),
    Column("epoch", BigInteger, nullable=False),
    Index("ix_answers_stale", "wanted_at", sqlite_where=_STALE),
)

pulls = Table(
    "pulls",
    metadata,
    Column("repository_id", BigInteger, primary_key=True, autoincrement=False),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("head_repository_id", BigInteger),
    Column("head_ref", Words(), nullable=False),
    Column("head_sha", Words(64), nullable=False),
    Column("base_ref", Words(), nullable=False),
    Column("base_sha", Words(64), nullable=False),
    Column("author_id", BigInteger, nullable=False),
    Column("state", Words(16), nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("runs", Boolean, nullable=False),
    Column("is_draft", Boolean, nullable=False, server_default=false()),
    Column("is_only_authors", Boolean, nullable=False, server_default=false()),
    Column("shows_builds", Boolean, nullable=False, server_default=false()),
)

installations = Table(
    "installations",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("account", Words(255), nullable=False),
    Column("state", Words(16), nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("permissions", Value(Mapping[str, Any]), nullable=False),
)

#: Services that take part, or did so a moment ago.
replicas = Table(
    "replicas",
    metadata,
    Column("id", Words(64), primary_key=True),
    Column("name", Words(255), nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("lease_until", Instant, nullable=False),
)

#: Work that one replica does for all.
leases = Table(
    "leases",
    metadata,
    Column("name", Words(255), primary_key=True),
    Column("owner", Words(64), nullable=False),
    Column("until", Instant, nullable=False),
)

#: How far something was read.
bookmarks = Table(
    "bookmarks",
    metadata,
    Column("name", Words(255), primary_key=True),
    Column("value", Words(), nullable=False),
    Column("updated_at", Instant, nullable=False),
)

#: Consent to builds that waited for it. Rows stay when it ends, so that it can be told who had given it.
approvals = Table(
    "approvals",
    metadata,
    Column("id", Words(26), primary_key=True),
    Column("repository_id", BigInteger, nullable=False),
    Column("pull_number", BigInteger, nullable=False),
    Column("head_sha", Words(64), nullable=False),
    Column("base_ref", Words(), nullable=False),
    Column("base_sha", Words(64), nullable=False),
    Column("digest", Words(64), nullable=False),
    Column("approver_id", BigInteger, nullable=False),
    Column("approver", Words(255), nullable=False),
    Column("via", Words(16), nullable=False),
    Column("delivery_id", Words(72), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("dropped_at", Instant),
    Column("dropped_reason", Words()),
    Index("ix_approvals_pull", "repository_id", "pull_number"),
    Index("ix_approvals_created_at", "created_at"),
)

#: What each of the users' own handlers did with a delivery.
handler_runs = Table(
    "handler_runs",
    metadata,
    Column("seq", SERIAL, primary_key=True, autoincrement=True),
    Column("delivery_seq", BigInteger, ForeignKey("deliveries.seq", ondelete="CASCADE"), nullable=False),
    Column("handler", Words(255), nullable=False),
    Column("state", Words(16), nullable=False),
    Column("error", Words()),
    Column("received_at", Instant, nullable=False),
    Column("finished_at", Instant),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", Instant),
    Column("lease_owner", Words(64)),
    Column("lease_until", Instant),
    Column("epoch", BigInteger, nullable=False),
    UniqueConstraint("delivery_seq", "handler"),
    Index("ix_handler_runs_due", "seq", sqlite_where=_UNFINISHED),
)

#: Who hears of builds, as the policy of the service that started last says.
subscribers = Table(
    "subscribers",
    metadata,
    Column("name", Words(63), primary_key=True),
    Column("origin", Words(), nullable=False),
    Column("url_digest", Words(64), nullable=False),
    Column("events", Value(tuple[str, ...]), nullable=False),
    Column("state", Words(16), nullable=False),
    Column("reason", Words()),
    Column("failing_since", Instant),
    Column("updated_at", Instant, nullable=False),
)

#: What subscribers are sent, each until it has it.
notifications = Table(
    "notifications",
    metadata,
    Column("seq", SERIAL, primary_key=True, autoincrement=True),
    Column("id", Words(64), nullable=False),
    Column("subscriber", Words(63), ForeignKey("subscribers.name", ondelete="CASCADE"), nullable=False),
    Column("build_id", Words(26), ForeignKey("builds.id", ondelete="CASCADE"), nullable=False),
    Column("event", Words(64), nullable=False),
    Column("data", Value(Mapping[str, Any]), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("state", Words(16), nullable=False),
    Column("status", Integer),
    Column("error", Words()),
    Column("finished_at", Instant),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", Instant),
    Column("lease_owner", Words(64)),
    Column("lease_until", Instant),
    Column("epoch", BigInteger, nullable=False),
    UniqueConstraint("subscriber", "id"),
    Index("ix_notifications_build_id", "build_id"),
    Index("ix_notifications_unsent", "subscriber", "seq", sqlite_where=_UNSENT),
)
