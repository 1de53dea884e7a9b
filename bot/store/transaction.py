"""Transactions: one function on a connection, run as one transaction, on whichever database the settings name.

The functions are the same for both databases and never wait for anything but the database. What differs (threads,
locks, hints) is in `sqlite.py` and `postgresql.py`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, ParamSpec, Self, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, make_url

from bot import errors
from bot.store.sqlite import Sqlite

if TYPE_CHECKING:
    from bot.store.postgresql import Postgresql

P = ParamSpec("P")
T = TypeVar("T")


class Store:
    """The database of this process."""

    def __init__(self, url: str, *, on_done: Callable[[str, float], None] = lambda *_: None) -> None:
        """:param on_done: is told of each transaction: `read` or `write`, and how many seconds it took.
        :raises errors.SettingsError: if the URL names neither a SQLite file nor a PostgreSQL database.
        """
        self._on_done = on_done
        parsed = _checked(url)
        self._backend: Sqlite | Postgresql
        if parsed.get_backend_name() == "sqlite":
            self._backend = Sqlite(parsed)
        else:
            # A fifth of the time of a start, and megabytes, that a service with a file does not pay.
            from bot.store.postgresql import Postgresql

            self._backend = Postgresql(parsed)

    @property
    def path(self) -> Path:
        """The database file; only where `is_shared` is false."""
        assert isinstance(self._backend, Sqlite), "a database on a server has no file"
        return self._backend.path

    @property
    def is_shared(self) -> bool:
        """Whether other replicas may use the same database."""
        return not isinstance(self._backend, Sqlite)

    @property
    def name(self) -> str:
        """What the database is called in texts for people; no password is in it."""
        return str(self._backend.path) if isinstance(self._backend, Sqlite) else self._backend.name

    @property
    def broken(self) -> Future[errors.StoreBroken]:
        """Done, with the error, once the database cannot be trusted any more: from then on nothing is tried again."""
        return self._backend.broken

    @property
    def writes_since_checkpoint(self) -> int:
        """How many transactions `checkpoint` would move into the file."""
        return self._backend.writes_since_checkpoint if isinstance(self._backend, Sqlite) else 0

    async def open(self, *, upgrade: bool = True) -> Self:
        """Connect, and bring the tables to this version.

        :raises errors.StoreUnavailable: if it cannot be opened, or was written by a newer version.
        """
        try:
            await self._backend.open(upgrade=upgrade)
        except errors.SchemaNewer:
            raise
        except (errors.StoreUnavailable, OSError) as error:
            if isinstance(error, errors.StoreUnavailable) and self.name in str(error):
                raise
            mend = (
                "See that it runs and can be reached from here."
                if self.is_shared
                else "See that its disk has space, and that this user may write there."
            )
            said = f"The database cannot be used: {error.strerror}" if isinstance(error, OSError) else str(error)
            raise errors.StoreUnavailable(f"{said} ({self.name}). {mend}") from error
        return self

    async def close(self) -> None:
        """Close all connections."""
        await self._backend.close()

    async def write(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work(connection, ...)` as one durable transaction; it is committed when this returns.

        Not stopped half-way when the caller is cancelled: either all of it is committed or nothing. On PostgreSQL the
        work may be run more than once; only what its last run did counts.

        :raises errors.StoreUnavailable: if the database is locked, full or away.
        :raises errors.StoreBroken: if it cannot be trusted any more.
        """
        began = time.perf_counter()
        try:
            return await self._backend.write(partial(_call, work, args, kwargs))
        finally:
            self._on_done("write", time.perf_counter() - began)

    async def read(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work(connection, ...)` on one consistent snapshot.

        :raises errors.StoreUnavailable: if the database cannot be read.
        """
        began = time.perf_counter()
        try:
            return await self._backend.read(partial(_call, work, args, kwargs))
        finally:
            self._on_done("read", time.perf_counter() - began)

    async def checkpoint(self) -> None:
        """Do the database's housekeeping that would else be in the way of answers."""
        if isinstance(self._backend, Sqlite):
            await self._backend.checkpoint()

    async def listen(self, on_hint: Callable[[str], None]) -> None:
        """Give on the hints of other replicas, for ever: the words of `hints.Word`, or `*` for all of them."""
        if isinstance(self._backend, Sqlite):
            await asyncio.get_running_loop().create_future()
        else:
            await self._backend.listen(on_hint)


def _call(work: Callable[..., T], args: tuple[object, ...], kwargs: dict[str, object], connection: Connection) -> T:
    return work(connection, *args, **kwargs)


def _checked(url: str) -> URL:
    wanted = "write sqlite:////absolute/path/buildhook.db or postgresql://user:password@host/database"
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except (sa.exc.ArgumentError, ValueError):
        raise errors.SettingsError(f"DATABASE_URL: this is no database URL; {wanted}") from None
    shown = parsed.render_as_string(hide_password=True)
    if backend == "sqlite" and (not parsed.database or parsed.database == ":memory:"):
        raise errors.SettingsError(f"DATABASE_URL: {shown!r} is not a SQLite file; {wanted}")
    if backend not in {"sqlite", "postgresql", "postgres"}:
        raise errors.SettingsError(f"DATABASE_URL: {shown!r} is neither SQLite nor PostgreSQL; {wanted}")
    return parsed
