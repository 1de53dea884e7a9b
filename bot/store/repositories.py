"""Queries on who may be told of a repository without signing in: everybody, or who shows its badge token.

A repository is public only where GitHub said so last. GitHub does not promise any order: what says that it is private
counts at once, and what says that it is public only where nothing is known, or GitHub was asked for it. Whose event was
lost is corrected by `compare`.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot.model import outcome
from bot.store.repositories_table import repositories as table
from bot.store.schema import builds, installations

#: No list of GitHub's is older than this.
LIST_LAG = timedelta(minutes=5)
_IS_PUBLIC = sa.select(table.c.is_public).where(table.c.id == sa.bindparam("of_id"))


def note(connection: Connection, seen: outcome.Visibility, *, now: datetime) -> None:
    """Write down what an event told."""
    known = connection.execute(_IS_PUBLIC, {"of_id": seen.repository_id}).scalar_one_or_none()
    if seen.is_public is None:
        if known is not None:
            connection.execute(sa.delete(table).where(table.c.id == seen.repository_id))
    elif known is None or (known != seen.is_public and (seen.is_asked or not seen.is_public)):
        is_weak = seen.is_public and not seen.is_asked
        _save(connection, seen.repository_id, now=now, is_weak=is_weak, is_public=seen.is_public)


def compare(connection: Connection, shown: Mapping[int, bool], *, is_whole: bool, now: datetime) -> int:
    """Correct what is known by what GitHub's lists show, for events that never came; gives how many differed.

    :param shown: whether each repository is public.
    :param is_whole: whether these are all that GitHub lets us see: of others nobody hears any more.
    """
    changed = 0
    for row in connection.execute(sa.select(table.c.id, table.c.is_public, table.c.updated_at)).all():
        is_public = shown.get(row.id, False if is_whole else row.is_public)
        # A list may lag behind an event that said it is private; the other way round nothing gets out.
        is_late = is_public and row.updated_at > now - LIST_LAG
        if is_public != row.is_public and not is_late:
            values = {"is_public": is_public, "updated_at": now}
            # Unless an event said more meanwhile.
            is_same = sa.and_(table.c.id == row.id, table.c.updated_at == row.updated_at)
            changed += connection.execute(sa.update(table).where(is_same).values(values)).rowcount
    return changed


def set_badge_digest(connection: Connection, repository_id: int, digest: bytes, *, now: datetime) -> None:
    """Let who shows this see the badge; whatever was given before is good for nothing any more."""
    known = connection.execute(_IS_PUBLIC, {"of_id": repository_id}).scalar_one_or_none()
    _save(connection, repository_id, now=now, is_public=bool(known), badge_digest=digest)


def is_told(connection: Connection, repository_id: int, *, digest: bytes | None) -> bool:
    """Whether whoever asks may be told.

    :param digest: of the token that they show, None where they show none.
    """
    row = connection.execute(sa.select(table).where(table.c.id == repository_id)).first()
    if row is None:
        return False
    if digest is not None and row.badge_digest is not None and hmac.compare_digest(row.badge_digest, digest):
        return True
    return bool(row.is_public) and _is_installed(connection, repository_id)


def forget_unbuilt(connection: Connection) -> int:
    """Forget the repositories that nothing is kept of; gives how many."""
    is_built = sa.exists().where(builds.c.repository_id == table.c.id)
    return connection.execute(sa.delete(table).where(~is_built)).rowcount


def _is_installed(connection: Connection, repository_id: int) -> bool:
    """Whether GitHub still tells of the repository: of others nobody hears that they became private."""
    newest = (
        sa.select(builds.c.installation_id)
        .where(builds.c.repository_id == repository_id)
        .order_by(builds.c.id.desc())
        .limit(1)
    )
    state = sa.select(installations.c.state).where(installations.c.id == newest.scalar_subquery())
    return connection.execute(state).scalar_one_or_none() in (None, "active")


def _save(
    connection: Connection, repository_id: int, *, now: datetime, is_weak: bool = False, **values: object
) -> None:
    """Write a row; where another one wrote it meanwhile, over that, unless this is the weaker word."""
    row = {**values, "updated_at": now}
    # Only the dialect of the database that is there is loaded.
    new: Any
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql

        new = postgresql.insert(table).values(id=repository_id, **row)
    else:
        from sqlalchemy.dialects import sqlite

        new = sqlite.insert(table).values(id=repository_id, **row)
    index = [table.c.id]
    connection.execute(
        new.on_conflict_do_nothing(index_elements=index)
        if is_weak
        else new.on_conflict_do_update(index_elements=index, set_=row)
    )
