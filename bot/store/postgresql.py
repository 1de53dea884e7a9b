"""PostgreSQL: for more than one replica. Many transactions at once, in the event loop, over a bounded pool.

Where two replicas touch the same rows the second waits, or finds its transaction broken off; such a one is run again
from its start, on what the first has written.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

import asyncpg
import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from bot import errors, telemetry
from bot.store import hints

T = TypeVar("T")

_CONNECTIONS = 10
_CONNECT_SECONDS = 5.0
#: How long a transaction waits for a connection, and a statement for a lock, before the door answers 503.
_BUSY_SECONDS = 8.0
#: How often a transaction is run that others break off.
_ATTEMPTS = 10
#: Serialization failure, deadlock, unique violation: the transaction is right once it sees what the other one wrote.
#: https://www.postgresql.org/docs/current/errcodes-appendix.html
_AGAIN = frozenset({"40001", "40P01", "23505"})
#: Connection, resources, shutdown, recovery, lock not available, statement cancelled.
_UNAVAILABLE = ("08", "53", "57", "58", "25006", "55P03")
_SETTINGS = {
    "application_name": "buildhook",
    "lock_timeout": "8s",
    "statement_timeout": "60s",
    # A replica that stands still within a transaction must not hold its locks for ever.
    "idle_in_transaction_session_timeout": "60s",
}
_LISTEN_PAUSE_SECONDS = 1.0
_log = telemetry.log("store")


class Postgresql:
    """A database on a server."""

    def __init__(self, url: URL) -> None:
        self._url = url.set(drivername="postgresql+asyncpg")
        self._engine: AsyncEngine | None = None
        self._under_way: set[asyncio.Future[Any]] = set()
        #: Never done: a server that cannot trust its disk ends by itself, and is away then.
        self.broken: Future[errors.StoreBroken] = Future()

    @property
    def name(self) -> str:
        """Where it is, without the password."""
        return self._url.set(drivername="postgresql").render_as_string(hide_password=True)

    async def open(self, *, upgrade: bool) -> None:
        """Connect, and bring the tables to this version.

        :raises errors.StoreUnavailable: if the server cannot be reached, or holds the tables of a newer version.
        """
        if self._engine is not None:
            await self._engine.dispose()
        engine = create_async_engine(
            self._url,
            connect_args={"timeout": _CONNECT_SECONDS, "server_settings": _SETTINGS},
            pool_size=_CONNECTIONS,
            max_overflow=0,
            pool_timeout=_BUSY_SECONDS,
            # A server that was started anew leaves dead connections behind.
            pool_pre_ping=True,
            # An error's text goes into logs; what was being written does not.
            hide_parameters=True,
        )
        try:
            with _translated():
                async with engine.connect() as connection:
                    await connection.run_sync(_upgrade if upgrade else _look)
        except BaseException:
            self._engine = None
            await engine.dispose()
            raise
        self._engine = engine

    async def close(self) -> None:
        """Let transactions under way end, and close all connections."""
        if self._under_way:
            await asyncio.wait(self._under_way)
        if self._engine is not None:
            await self._engine.dispose()
            self._engine = None

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run the work as one durable transaction; it may be run more than once, only the last counts."""
        # Its own task: a caller that is cancelled takes back nothing of what may be committed already.
        task = asyncio.ensure_future(self._write(work))
        self._under_way.add(task)
        task.add_done_callback(self._landed)
        return await asyncio.shield(task)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run the work on one consistent snapshot."""
        with _translated():
            async with self._connected() as connection:
                await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
                found: T = await connection.run_sync(work)
                return found

    async def listen(self, on_hint: Callable[[str], None]) -> None:
        """Give on the hints of all replicas, for ever; one that is lost meanwhile costs time, never work.

        https://www.postgresql.org/docs/current/sql-notify.html
        """

        def take(_connection: object, _pid: int, _channel: str, word: object) -> None:
            on_hint(str(word))

        while True:
            try:
                connection = await asyncpg.connect(
                    self._url.set(drivername="postgresql").render_as_string(hide_password=False),
                    timeout=_CONNECT_SECONDS,
                    server_settings={"application_name": "buildhook listener"},
                )
                try:
                    await connection.add_listener(hints.CHANNEL, take)
                    # What was told while nobody listened.
                    on_hint("*")
                    while True:
                        await asyncio.sleep(_LISTEN_PAUSE_SECONDS * 5)
                        # Finds a connection that died without a word.
                        await connection.execute("SELECT 1", timeout=_CONNECT_SECONDS)
                finally:
                    connection.terminate()
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                _log.warning("The database tells no hints for now.", action="listen", error=str(error))
                await asyncio.sleep(_LISTEN_PAUSE_SECONDS)

    async def _write(self, work: Callable[[Connection], T]) -> T:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with _translated():
                    async with self._connected() as connection, connection.begin():
                        result: T = await connection.run_sync(work)
                    return result
            except sa.exc.DBAPIError as error:
                if attempt == _ATTEMPTS or _sqlstate(error) not in _AGAIN:
                    raise
        raise AssertionError("the last attempt returns or raises")

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[AsyncConnection]:
        if self._engine is None:
            raise errors.StoreUnavailable("The database is not open yet.")
        async with self._engine.connect() as connection:
            yield connection

    def _landed(self, task: asyncio.Future[Any]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            # Looked at here, because its caller may have gone away.
            task.exception()


def _upgrade(connection: Connection) -> None:
    from bot.store import upgrade as upgrading

    upgrading.upgrade_server(connection)


def _look(connection: Connection) -> None:
    connection.exec_driver_sql("SELECT 1")


def _sqlstate(error: BaseException) -> str:
    return str(getattr(getattr(error, "orig", error), "sqlstate", None) or "")


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """The driver's errors become the one word that callers act on; a broken rule of ours stays what it is."""
    try:
        yield
    except sa.exc.DBAPIError as error:
        if not (error.connection_invalidated or _is_unavailable(error)):
            raise
        raise errors.StoreUnavailable(f"The database cannot be used: {_said(error.orig)}") from error
    except sa.exc.TimeoutError as error:
        raise errors.StoreUnavailable("The database cannot be used: all its connections are busy.") from error
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise errors.StoreUnavailable(f"The database cannot be used: {_said(error)}") from error


def _is_unavailable(error: sa.exc.DBAPIError) -> bool:
    state = _sqlstate(error)
    # Without a state it is the connection's trouble, not a statement's.
    return (
        state.startswith(_UNAVAILABLE) if state else isinstance(error, sa.exc.InterfaceError | sa.exc.OperationalError)
    )


def _said(error: BaseException | None) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
