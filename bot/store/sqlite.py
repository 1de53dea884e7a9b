"""SQLite: one writer thread with one connection, readers beside it, checkpoints out of the writer's way.

All writes of this process go through one thread, so nothing ever waits for a lock that this process holds. Readers have
threads of their own and see the last commit (WAL).
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine

from bot import errors
from bot.store import trouble

T = TypeVar("T")

#: How long a write waits for another process (the command line, a backup) before the door answers 503.
BUSY_TIMEOUT_SECONDS = 8.0
_READERS = 3


class Sqlite:
    """A database file of this machine."""

    def __init__(self, url: URL) -> None:
        self._url = url.set(drivername="sqlite")
        self._engine: Engine | None = None
        self._writer: Connection | None = None
        self._write_thread = ThreadPoolExecutor(1, thread_name_prefix="store-write")
        self._read_threads = ThreadPoolExecutor(_READERS, thread_name_prefix="store-read")
        self._checkpoint_thread = ThreadPoolExecutor(1, thread_name_prefix="store-checkpoint")
        self._writes_since_checkpoint = 0
        #: Done, with the error, once the file cannot be trusted any more: from then on nothing is tried again.
        self.broken: Future[errors.StoreBroken] = Future()

    @property
    def path(self) -> Path:
        """The database file."""
        return Path(self._url.database or "")

    @property
    def writes_since_checkpoint(self) -> int:
        """How many transactions the write-ahead log holds that `checkpoint` would move into the file."""
        return self._writes_since_checkpoint

    async def open(self, *, upgrade: bool) -> None:
        """Connect, and bring the tables to this version.

        :raises errors.StoreUnavailable: if the file cannot be opened, or was written by a newer version.
        """
        await self._run(self._write_thread, self._open, upgrade)

    async def close(self) -> None:
        """Close all connections; the write-ahead log is merged into the file."""
        await self._run(self._write_thread, self._close)
        for pool in (self._write_thread, self._read_threads, self._checkpoint_thread):
            pool.shutdown()

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run the work as one durable transaction."""
        return await self._run(self._write_thread, self._write, work)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run the work on one consistent snapshot."""
        return await self._run(self._read_threads, self._read, work)

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
        with self._guarded():
            if upgrade:
                from bot.store import upgrade as upgrading

                upgrading.upgrade(self._engine, self.path)
            self._writer = self._engine.connect().execution_options(is_writer=True)

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        if self._engine is not None:
            self._engine.dispose()

    def _write(self, work: Callable[[Connection], T]) -> T:
        assert self._writer is not None, "the store is not open"
        with self._guarded(), self._writer.begin():
            result = work(self._writer)
        self._writes_since_checkpoint += 1
        return result

    def _read(self, work: Callable[[Connection], T]) -> T:
        assert self._engine is not None, "the store is not open"
        with self._guarded(), self._engine.connect() as connection:
            return work(connection)

    def _checkpoint(self) -> None:
        assert self._engine is not None, "the store is not open"
        self._writes_since_checkpoint = 0
        with self._guarded():
            connection = self._engine.raw_connection()
            try:
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            finally:
                connection.close()

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        if self.broken.done():
            raise errors.StoreBroken(str(self.broken.result()))
        try:
            with _translated():
                yield
        except errors.StoreBroken as error:
            told = errors.StoreBroken(f"{error} ({self.path}). Look after its disk, then start again.")
            # Two threads may find it at once.
            with contextlib.suppress(InvalidStateError):
                self.broken.set_result(told)
            raise told from error


def _on_connect(connection: sqlite3.Connection, _record: object) -> None:
    prepare(connection)


def prepare(connection: sqlite3.Connection) -> None:
    """Make a new connection what every connection of ours is."""
    # The driver's own transaction handling is off: `_on_begin` says what kind of transaction begins.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        # NORMAL may lose the last commits at a power cut; an acknowledged delivery must survive one.
        "synchronous=FULL",
        "foreign_keys=ON",
        # `Sqlite.checkpoint` does it beside the writer: in the writer's way it would be most of the slowest answers.
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
    """The driver's errors become the words that callers act on; a broken rule of ours stays what it is."""
    try:
        yield
    except (sa.exc.DatabaseError, sqlite3.DatabaseError) as error:
        cause = error.orig if isinstance(error, sa.exc.DatabaseError) else error
        kind = trouble.classify(cause)
        if kind is None:
            raise
        raise kind(f"The database cannot be used: {cause}") from error
