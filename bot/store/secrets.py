"""Queries on secrets: sealed values only; whoever has the keys opens them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from msgspec.structs import asdict
from sqlalchemy.engine import Connection

from bot import errors
from bot.model import secret
from bot.store import locks
from bot.store.schema import builds, deliveries
from bot.store.secrets_table import secrets as table

_LISTED = [column for column in table.c if column.name != "sealed"]


def save(connection: Connection, given: secret.Secret) -> bool:
    """Write a secret in the place of what has its name; True where there was none.

    :raises errors.Conflict: if the repository, or its environment, has as many as it may have.
    """
    locks.repositories(connection, [given.repository_id])
    values = {**asdict(given), "environment": given.environment or ""}
    if connection.execute(sa.update(table).where(_is(given)).values(values)).rowcount:
        return False
    of_place = sa.and_(table.c.repository_id == given.repository_id, table.c.environment == values["environment"])
    count = connection.execute(sa.select(sa.func.count()).select_from(table).where(of_place)).scalar_one()
    if count >= secret.MAX_OF_PLACE:
        raise errors.Conflict(f"There are {count} secrets here already: remove one that is not needed.")
    connection.execute(sa.insert(table).values(values))
    return True


def list_all(connection: Connection, *, repository_id: int | None = None) -> list[secret.Listed]:
    """All secrets, or those of a repository, without their values."""
    query = sa.select(*_LISTED).order_by(table.c.repository, table.c.environment, table.c.name)
    if repository_id is not None:
        query = query.where(table.c.repository_id == repository_id)
    return [secret.Listed(**_values(row)) for row in connection.execute(query)]


def list_of_job(
    connection: Connection, *, repository_id: int, environment: str | None, names: Collection[str]
) -> list[secret.Secret]:
    """The secrets with these names: for each that of the environment, or else that of the repository."""
    places = ["", environment] if environment else [""]
    query = (
        sa.select(table)
        .where(table.c.repository_id == repository_id, table.c.environment.in_(places), table.c.name.in_(sorted(names)))
        .order_by(table.c.environment)
    )
    # The repository's own come first, so that an environment's take their place.
    found = {row.name: secret.Secret(**_values(row)) for row in connection.execute(query)}
    return [found[name] for name in sorted(found)]


def delete(connection: Connection, *, repository_id: int, environment: str | None, name: str) -> bool:
    """Delete a secret; False where there was none."""
    is_it = sa.and_(
        table.c.repository_id == repository_id, table.c.environment == (environment or ""), table.c.name == name
    )
    return bool(connection.execute(sa.delete(table).where(is_it)).rowcount)


def delete_of_installation(connection: Connection, installation_id: int, *, limit: int) -> int:
    """Delete the secrets of repositories that only this installation reached. Returns how many."""
    own = [_seen(one).where(one.c.installation_id == installation_id) for one in (builds, deliveries)]
    others = [_seen(one).where(one.c.installation_id != installation_id) for one in (builds, deliveries)]
    is_own = sa.and_(table.c.repository_id.in_(sa.union(*own)), table.c.repository_id.not_in(sa.union(*others)))
    keys = sa.select(table.c.repository_id, table.c.environment, table.c.name).where(is_own).limit(limit)
    found = [tuple(row) for row in connection.execute(keys)]
    is_one = sa.tuple_(table.c.repository_id, table.c.environment, table.c.name).in_(found)
    return connection.execute(sa.delete(table).where(is_one)).rowcount if found else 0


def list_sealed_otherwise(connection: Connection, *, key_id: str) -> list[secret.Secret]:
    """The secrets that another key than this one sealed."""
    query = sa.select(table).where(table.c.key_id != key_id)
    query = query.order_by(table.c.repository_id, table.c.environment, table.c.name)
    return [secret.Secret(**_values(row)) for row in connection.execute(query)]


def reseal(connection: Connection, before: secret.Secret, *, key_id: str, sealed: bytes) -> bool:
    """Put the same value under another key in the place of what was there; False where that was changed meanwhile."""
    is_same = sa.and_(_is(before), table.c.sealed == before.sealed)
    return bool(connection.execute(sa.update(table).where(is_same).values(key_id=key_id, sealed=sealed)).rowcount)


def _is(one: secret.Listed) -> sa.ColumnElement[bool]:
    return sa.and_(
        table.c.repository_id == one.repository_id,
        table.c.environment == (one.environment or ""),
        table.c.name == one.name,
    )


def _seen(by: sa.Table) -> sa.Select[Any]:
    return sa.select(by.c.repository_id).where(by.c.repository_id.is_not(None))


def _values(row: sa.Row[Any]) -> dict[str, Any]:
    return {**row._mapping, "environment": row.environment or None}
