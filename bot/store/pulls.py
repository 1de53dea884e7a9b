"""Queries on pull requests as last heard of."""

from __future__ import annotations

from dataclasses import asdict

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot.model import build
from bot.store.schema import pulls as table


def find(connection: Connection, *, repository_id: int, number: int) -> build.Pull | None:
    """The pull request, or None if we never heard of it."""
    row = connection.execute(
        sa.select(table).where(table.c.repository_id == repository_id, table.c.number == number)
    ).first()
    return None if row is None else build.Pull(**row._mapping)


def find_open_of_branch(connection: Connection, *, repository_id: int, branch: str) -> build.Pull | None:
    """The open pull request whose head is this branch of the same repository, and whose code we run."""
    row = connection.execute(
        sa.select(table)
        .where(
            table.c.repository_id == repository_id,
            table.c.head_repository_id == repository_id,
            table.c.head_ref == branch,
            table.c.state == "open",
            table.c.runs,
        )
        .order_by(table.c.number.desc())
        .limit(1)
    ).first()
    return None if row is None else build.Pull(**row._mapping)


def find_closed_of_branch(connection: Connection, *, repository_id: int, branch: str) -> build.Pull | None:
    """The pull request that was closed last whose head was this branch of the same repository."""
    row = connection.execute(
        sa.select(table)
        .where(
            table.c.repository_id == repository_id,
            table.c.head_repository_id == repository_id,
            table.c.head_ref == branch,
            table.c.state == "closed",
        )
        .order_by(table.c.updated_at.desc())
        .limit(1)
    ).first()
    return None if row is None else build.Pull(**row._mapping)


def save(connection: Connection, seen: build.Pull) -> None:
    """Write what an event told, unless we already know something newer."""
    known = find(connection, repository_id=seen.repository_id, number=seen.number)
    if known is None:
        connection.execute(sa.insert(table).values(asdict(seen)))
    else:
        connection.execute(
            sa.update(table)
            .where(
                table.c.repository_id == seen.repository_id,
                table.c.number == seen.number,
                # Compared where it is written: another replica may have written meanwhile.
                table.c.updated_at <= seen.updated_at,
            )
            .values(asdict(seen))
        )
