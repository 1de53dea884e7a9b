"""Looks at a database from outside, without changing it: what stands in it, and whether commits there are durable."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot import errors
from bot.store import sqlite, upgrade
from bot.store.secrets_table import secrets

#: What has to be on for a commit to survive a power cut: https://www.postgresql.org/docs/current/runtime-config-wal.html
_SERVER = ("fsync", "synchronous_commit", "full_page_writes", "default_transaction_read_only")


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    """What was found."""

    #: The migration that it stands at; None where it has no tables yet.
    stands_at: str | None
    #: Whether a newer version of buildhook wrote it.
    is_newer: bool = False
    #: The ids of the keys that sealed the secrets in it.
    key_ids: frozenset[str] = frozenset()
    #: What the database itself says of how it writes.
    writes: Mapping[str, str] = msgspec.field(default_factory=dict)


def look_file(path: Path) -> Looked:
    """A file of SQLite. How commits are written is tried in a file beside it, which is gone again. It blocks.

    :raises errors.StoreUnavailable: if it cannot be read, or nothing can be written there; the text says why.
    """
    try:
        writes = _try_beside(path)
        if not path.exists():
            return Looked(stands_at=None, writes=writes)
        for one in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
            if one.exists() and not os.access(one, os.R_OK | os.W_OK):
                raise errors.StoreUnavailable(f"{one} cannot be written by this user.")
        # Where there is no log beside it nothing else is to be read, and none is made.
        is_whole = not path.with_name(f"{path.name}-wal").exists()
        engine = sa.create_engine(
            "sqlite://", creator=lambda: sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable={int(is_whole)}", uri=True)
        )
        try:
            with engine.connect() as connection:
                return _looked(connection, writes)
        finally:
            engine.dispose()
    except (OSError, sqlite3.Error, sa.exc.DatabaseError) as error:
        cause = error.orig if isinstance(error, sa.exc.DatabaseError) else error
        said = cause.strerror if isinstance(cause, OSError) else str(cause)
        raise errors.StoreUnavailable(f"{path} cannot be used: {said}.") from error


def look_server(connection: Connection) -> Looked:
    """A database on a server."""
    writes = {name: str(connection.exec_driver_sql(f"SHOW {name}").scalar_one()) for name in _SERVER}
    return _looked(connection, writes)


def _looked(connection: Connection, writes: Mapping[str, str]) -> Looked:
    found = upgrade.stands_at(connection)
    key_ids: frozenset[str] = frozenset()
    if sa.inspect(connection).has_table(secrets.name):
        key_ids = frozenset(connection.execute(sa.select(secrets.c.key_id).distinct()).scalars())
    is_newer = found not in (None, upgrade.HEAD) and found not in upgrade.known_versions()
    return Looked(stands_at=found, is_newer=is_newer, key_ids=key_ids, writes=writes)


def _try_beside(path: Path) -> Mapping[str, str]:
    """What the service's own connection would get where the file lies."""
    folder = path.parent
    while not folder.exists():
        # The service makes it.
        folder = folder.parent
    with tempfile.TemporaryDirectory(prefix=".doctor-", dir=folder) as tried:
        connection = sqlite3.connect(Path(tried, "trial.db"))
        try:
            sqlite.prepare(connection)
            connection.execute("CREATE TABLE trial (number INTEGER)")
            return {
                name: str(connection.execute(f"PRAGMA {name}").fetchone()[0])
                for name in ("journal_mode", "synchronous")
            }
        finally:
            connection.close()
