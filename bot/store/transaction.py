"""Transactions: one function on a connection, run as one transaction, off the event loop.

SQLite has one writer: all writes go through one thread with one connection, so nothing ever waits for a lock that this
process holds. Readers have threads of their own and see the last commit (WAL).
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine, make_url

from bot import errors

P = ParamSpec("P")
T = TypeVar("T")

#: How long a write waits for another process (the command line, a backup) before the door answers 503.
BUSY_TIMEOUT_SECONDS = 8.0
_READERS = 3


class Store:
    """The database of this process."""

    def __init__(self, url: str) -> None:
        """:raises errors.SettingsError: if the URL does not name a SQLite file."""
        self._url = _checked(url)
        self._engine: Engine | None = None
        self._writer: Connection | None = None
        self._write_thread = ThreadPoolExecutor(1, thread_name_prefix="store-write")
        self._read_threads = ThreadPoolExecutor(_READERS, thread_name_prefix="store-read")
        self._checkpoint_thread = ThreadPoolExecutor(1, thread_name_prefix="store-checkpoint")
        self._writes_since_checkpoint = 0

    @property
    def path(self) -> Path:
        """The database file."""
        return Path(self._url.database or "")

    @property
    def writes_since_checkpoint(self) -> int:
        """How many transactions the write-ahead log holds that `checkpoint` would move into the file."""
        return self._writes_since_checkpoint

    async def open(self, *, upgrade: bool = True) -> Self:
        """Connect, and bring the tables to this version.

        :raises errors.StoreUnavailable: if the file cannot be opened, or was written by a newer version.
        """
        await self._run(self._write_thread, self._open, upgrade)
        return self

    async def close(self) -> None:
        """Close all connections; the write-ahead log is merged into the file."""
        await self._run(self._write_thread, self._close)
        for pool in (self._write_thread, self._read_threads, self._checkpoint_thread):
            pool.shutdown()

    async def write(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work(connection, ...)` as one durable transaction; it is committed when this returns.

        Not stopped half-way when the caller is cancelled: either all of it is committed or nothing.

        :raises errors.StoreUnavailable: if the database is locked, full or broken.
        """
        return await self._run(self._write_thread, self._write, work, args, kwargs)

    async def read(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work(connection, ...)` on one consistent snapshot.

        :raises errors.StoreUnavailable: if the database cannot be read.
        """
        return await self._run(self._read_threads, self._read, work, args, kwargs)

    async def checkpoint(self) -> None:
        """Move committed pages from the write-ahead log into the file, out of the writer's way."""
        if self._writes_since_checkpoint:
            await self._run(self._checkpoint_thread, self._checkpoint)

    async def _run(self, pool: ThreadPoolExecutor, work: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(pool, work, *args)

    def _open(self, upgrade: bool) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._engine = sa.create_engine(
            self._url,
            connect_args={"timeout": BUSY_TIMEOUT_SECONDS, "check_same_thread": False},
            pool_size=_READERS + 1,
            # An error's text goes into logs; what was being written does not.
            hide_parameters=True,
        )
        event.listen(self._engine, "connect", _on_connect)
        event.listen(self._engine, "begin", _on_begin)
        with _translated():
            if upgrade:
                from bot.store import upgrade as upgrading

                upgrading.upgrade(self._engine, self.path)
            self._writer = self._engine.connect().execution_options(is_writer=True)

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        if self._engine is not None:
            self._engine.dispose()

    def _write(self, work: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> T:
        assert self._writer is not None, "the store is not open"
        with _translated(), self._writer.begin():
            result = work(self._writer, *args, **kwargs)
        self._writes_since_checkpoint += 1
        return result

    def _read(self, work: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> T:
        assert self._engine is not None, "the store is not open"
        with _translated(), self._engine.connect() as connection:
            return work(connection, *args, **kwargs)

    def _checkpoint(self) -> None:
        assert self._engine is not None, "the store is not open"
        self._writes_since_checkpoint = 0
        with _translated():
            connection = self._engine.raw_connection()
            try:
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            finally:
                connection.close()


def _checked(url: str) -> URL:
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
        raise errors.SettingsError(
            f"DATABASE_URL: {parsed.render_as_string(hide_password=True)!r} is not a SQLite file;"
            " write sqlite:////absolute/path/buildhook.db"
        )
    return parsed.set(drivername="sqlite")


def _on_connect(connection: sqlite3.Connection, _record: object) -> None:
    # The driver's own transaction handling is off: `_on_begin` says what kind of transaction begins.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        # NORMAL may lose the last commits at a power cut; an acknowledged delivery must survive one.
        "synchronous=FULL",
        "foreign_keys=ON",
        # `Store.checkpoint` does it beside the writer: in the writer's way it would be most of the slowest answers.
        "wal_autocheckpoint=0",
        "journal_size_limit=67108864",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _on_begin(connection: Connection) -> None:
    # A writer takes the lock at once: a later upgrade from reading to writing could fail half-way.
    is_writer = connection.get_execution_options().get("is_writer", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writer else "BEGIN")


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """The driver's errors become the one word that callers act on; a broken rule of ours stays what it is."""
    try:
        yield
    except sa.exc.DatabaseError as error:
        if not _is_unavailable(error.orig):
            raise
        raise errors.StoreUnavailable(f"The database cannot be used: {error.orig}") from error
    except sqlite3.DatabaseError as error:
        if not _is_unavailable(error):
            raise
        raise errors.StoreUnavailable(f"The database cannot be used: {error}") from error


def _is_unavailable(error: BaseException | None) -> bool:
    # A file that is broken, or no database, is told by the plain class; its subclasses are mistakes of a statement.
    return isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError
