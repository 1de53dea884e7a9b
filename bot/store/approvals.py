"""Queries on approvals: consent to one commit, and what ended it. Whatever changes about a pull request ends it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import sqlalchemy as sa
from msgspec.structs import asdict
from sqlalchemy.engine import Connection

from bot.model import approval, build
from bot.store.schema import approvals as table


def insert(connection: Connection, given: approval.Approval) -> None:
    """Write down that somebody consented."""
    connection.execute(sa.insert(table).values(asdict(given)))


def find_valid(
    connection: Connection, *, repository_id: int, pull_number: int, head_sha: str, base_sha: str, digest: str
) -> approval.Approval | None:
    """The newest consent that holds for this commit on this base with this plan, or None."""
    row = connection.execute(
        sa.select(table)
        .where(
            table.c.repository_id == repository_id,
            table.c.pull_number == pull_number,
            table.c.head_sha == head_sha,
            table.c.base_sha == base_sha,
            table.c.digest == digest,
            table.c.dropped_at.is_(None),
        )
        .order_by(table.c.id.desc())
        .limit(1)
    ).first()
    return None if row is None else approval.Approval(**row._mapping)


def find_of_build(connection: Connection, of: build.Build) -> approval.Approval | None:
    """The consent that an untrusted build runs by, if it still holds."""
    if of.pull_number is None or of.base_sha is None:
        return None
    return find_valid(
        connection,
        repository_id=of.repository_id,
        pull_number=of.pull_number,
        head_sha=of.head_sha,
        base_sha=of.base_sha,
        digest=of.plan_digest,
    )


def list_of_pull(connection: Connection, *, repository_id: int, pull_number: int) -> list[approval.Approval]:
    """All consent that was given to a pull request, newest first."""
    query = sa.select(table).where(table.c.repository_id == repository_id, table.c.pull_number == pull_number)
    return [approval.Approval(**row._mapping) for row in connection.execute(query.order_by(table.c.id.desc()))]


def drop(connection: Connection, *, repository_id: int, pull_number: int, reason: str, now: datetime) -> int:
    """End all consent to a pull request. Returns how much of it held until now."""
    return connection.execute(
        sa.update(table)
        .where(
            table.c.repository_id == repository_id,
            table.c.pull_number == pull_number,
            table.c.dropped_at.is_(None),
        )
        .values(dropped_at=now, dropped_reason=reason)
    ).rowcount


def delete_of_pulls(connection: Connection, keys: Collection[tuple[int, int]]) -> int:
    """Delete all consent to pull requests, by repository id and number. Returns how much."""
    is_one = sa.tuple_(table.c.repository_id, table.c.pull_number).in_(keys)
    return connection.execute(sa.delete(table).where(is_one)).rowcount


def delete_old(connection: Connection, *, before: datetime, limit: int) -> int:
    """Delete consent that was given before an instant. Returns how much."""
    found = sa.select(table.c.id).where(table.c.created_at < before).order_by(table.c.created_at).limit(limit)
    ids = list(connection.execute(found).scalars())
    return connection.execute(sa.delete(table).where(table.c.id.in_(ids))).rowcount if ids else 0
