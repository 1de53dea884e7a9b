"""Queries on pull requests as last heard of."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from msgspec.structs import asdict
from sqlalchemy.engine import Connection

from bot import trust
from bot.model import build
from bot.store import answers, approvals
from bot.store.schema import builds, deliveries
from bot.store.schema import pulls as table


def find(connection: Connection, *, repository_id: int, number: int) -> build.Pull | None:
    """The pull request, or None if we never heard of it."""
    row = connection.execute(
        sa.select(table).where(table.c.repository_id == repository_id, table.c.number == number)
    ).first()
    return None if row is None else build.Pull(**row._mapping)


def find_open_of_branch(connection: Connection, *, repository_id: int, branch: str) -> build.Pull | None:
    """The open pull request whose head is this branch of the same repository, and whose code we run."""
    is_open = sa.and_(table.c.state == "open", table.c.runs)
    query = _of_branch(repository_id, branch).where(is_open).order_by(table.c.number.desc())
    return _first(connection, query)


def find_closed_of_branch(connection: Connection, *, repository_id: int, branch: str) -> build.Pull | None:
    """The pull request that was closed last whose head was this branch of the same repository."""
    query = _of_branch(repository_id, branch).where(table.c.state == "closed").order_by(table.c.updated_at.desc())
    return _first(connection, query)


def _of_branch(repository_id: int, branch: str) -> sa.Select[Any]:
    return sa.select(table).where(
        table.c.repository_id == repository_id,
        table.c.head_repository_id == repository_id,
        table.c.head_ref == branch,
    )


def _first(connection: Connection, query: sa.Select[Any]) -> build.Pull | None:
    row = connection.execute(query.limit(1)).first()
    return None if row is None else build.Pull(**row._mapping)


def delete_old(connection: Connection, *, before: datetime, limit: int) -> int:
    """Delete pull requests that were last heard of before an instant. Returns how many."""
    return _delete(connection, _KEYS.where(table.c.updated_at < before).order_by(table.c.updated_at).limit(limit))


def delete_of_installation(connection: Connection, installation_id: int, *, limit: int) -> int:
    """Delete the pull requests of repositories that only this installation reached. Returns how many."""
    own = [_seen(one).where(one.c.installation_id == installation_id) for one in (builds, deliveries)]
    others = [_seen(one).where(one.c.installation_id != installation_id) for one in (builds, deliveries)]
    is_own = table.c.repository_id.in_(sa.union(*own))
    return _delete(connection, _KEYS.where(is_own, table.c.repository_id.not_in(sa.union(*others))).limit(limit))


_KEYS = sa.select(table.c.repository_id, table.c.number)


def _seen(by: sa.Table) -> sa.Select[Any]:
    return sa.select(by.c.repository_id).where(by.c.repository_id.is_not(None))


def _delete(connection: Connection, query: sa.Select[Any]) -> int:
    keys = [(row.repository_id, row.number) for row in connection.execute(query)]
    if not keys:
        return 0
    approvals.delete_of_pulls(connection, keys)
    is_one = sa.tuple_(table.c.repository_id, table.c.number).in_(keys)
    return connection.execute(sa.delete(table).where(is_one)).rowcount


def save(connection: Connection, seen: build.Pull, *, now: datetime) -> None:
    """Write what an event told, unless we already know something newer. Consent ends with what it was given to."""
    known = find(connection, repository_id=seen.repository_id, number=seen.number)
    if known is None:
        connection.execute(sa.insert(table).values(asdict(seen)))
    else:
        written = connection.execute(
            sa.update(table)
            .where(
                table.c.repository_id == seen.repository_id,
                table.c.number == seen.number,
                # Compared where it is written: another replica may have written meanwhile.
                table.c.updated_at <= seen.updated_at,
            )
            .values(asdict(seen))
        )
        if written.rowcount and known.shows_builds and not seen.shows_builds:
            # So that it does not go on showing what is no longer true.
            answers.touch(connection, repository_id=seen.repository_id, pull_number=seen.number, now=now)
        reason = trust.why_approval_ends(known, seen) if written.rowcount else None
        if reason is not None:
            approvals.drop(
                connection, repository_id=seen.repository_id, pull_number=seen.number, reason=reason, now=now
            )
