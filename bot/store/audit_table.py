"""The table of the audit, with the rules by which the database itself keeps it as it was written."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Index, Table, event, text
from sqlalchemy.engine import Connection

from bot.store.columns import Instant, Words
from bot.store.metadata import SERIAL, metadata

#: Who caused what. Only added to.
audit = Table(
    "audit",
    metadata,
    Column("id", SERIAL, primary_key=True, autoincrement=True),
    Column("at", Instant, nullable=False),
    Column("action", Words(16), nullable=False),
    Column("via", Words(16), nullable=False),
    Column("actor_id", BigInteger),
    Column("actor", Words(255)),
    Column("repository_id", BigInteger),
    Column("repository", Words(512)),
    Column("pull_number", BigInteger),
    Column("build_id", Words(26)),
    Column("head_sha", Words(64)),
    Column("detail", Words()),
    Column("delivery_id", Words(72)),
    Index("ix_audit_at", "at"),
)

#: What the database itself holds about the audit: no entry is changed, and none deleted that is younger than 90 days.
#: SQLite's REPLACE deletes without asking the trigger for that, so it has one of its own.
#: https://www.sqlite.org/lang_createtrigger.html, https://www.postgresql.org/docs/current/plpgsql-trigger.html
AUDIT_RULES = {
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


@event.listens_for(audit, "after_create")
def _add_rules(_table: Table, connection: Connection, **_: Any) -> None:
    for rule in AUDIT_RULES[connection.dialect.name]:
        connection.execute(text(rule))
