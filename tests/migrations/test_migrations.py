"""Migrations reach exactly the tables of the schema, once, under a lock, and never touch a newer database."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from bot import errors
from bot.store import Store, deliveries, received, schema, upgrade
from tests.factories import make_verified_delivery

_FOLDER = Path(upgrade.__file__).parent / "migrations"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    """An engine on a file that does not exist yet."""
    made = sa.create_engine(f"sqlite:///{tmp_path / 'buildhook.db'}")
    yield made
    made.dispose()


def _path(engine: sa.Engine) -> Path:
    assert engine.url.database is not None
    return Path(engine.url.database)


def _definitions(engine: sa.Engine) -> dict[str, str]:
    """The text of every table and index as the database keeps it, without spaces that say nothing."""
    with engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").all()
    return {name: re.sub(r"\s+", " ", sql).strip() for name, sql in rows if name != "alembic_version"}


def _parts(definition: str) -> list[str]:
    """Columns and constraints of a table in any order: their order has no meaning to a query that names columns."""
    return sorted(part.strip() for part in re.split(r",\s+(?![^()]*\))", definition.partition("(")[2].rstrip(")")))


def test_the_migrations_reach_the_tables_of_the_schema(engine: sa.Engine) -> None:
    upgrade.upgrade(engine, _path(engine))
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True, "target_metadata": schema.metadata}
        )
        assert compare_metadata(context, schema.metadata) == []


def test_the_migrations_reach_every_constraint_and_partial_index_too(engine: sa.Engine) -> None:
    upgrade.upgrade(engine, _path(engine))
    direct = sa.create_engine("sqlite://")
    schema.metadata.create_all(direct)
    migrated, wanted = _definitions(engine), _definitions(direct)
    direct.dispose()
    assert migrated.keys() == wanted.keys()
    for name, definition in wanted.items():
        assert _parts(migrated[name]) == _parts(definition), name
        assert migrated[name].partition(" WHERE ")[2] == definition.partition(" WHERE ")[2], name


def test_bodies_stand_behind_all_columns_that_lists_read(engine: sa.Engine) -> None:
    upgrade.upgrade(engine, _path(engine))
    columns = [column["name"] for column in sa.inspect(engine).get_columns("deliveries")]
    read = [column.name for column in received.LISTED]
    assert set(columns[columns.index("body") :]) == set(columns) - {*read, "headers", "body_sha256"}


def test_head_is_the_newest_migration_and_the_only_end() -> None:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_heads() == [upgrade.HEAD]
    assert {one.revision for one in scripts.walk_revisions()} == upgrade.known_versions()


def test_a_new_database_stands_nowhere_and_then_at_head(engine: sa.Engine) -> None:
    assert upgrade.current(engine) is None
    upgrade.upgrade(engine, _path(engine))
    assert upgrade.current(engine) == upgrade.HEAD


async def test_opening_again_keeps_everything(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    for guid in ("a", "b"):
        store = await Store(url).open()
        await store.write(deliveries.insert_many, [make_verified_delivery(guid=guid)])
        await store.close()
    store = await Store(url).open()
    assert (await store.read(deliveries.backlog)).rows == 2
    await store.close()


async def test_a_database_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    store = await Store(f"sqlite:///{path}").open()
    await store.close()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("UPDATE alembic_version SET version_num = '9999'")
    before = path.read_bytes()
    store = Store(f"sqlite:///{path}")
    with pytest.raises(errors.StoreUnavailable, match=r"newer version.*9999.*install that version"):
        await store.open()
    await store.close()
    assert path.read_bytes() == before


async def test_processes_that_start_together_upgrade_once(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    code = "import asyncio, sys; from bot.store import Store; asyncio.run(Store(sys.argv[1]).open())"
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, f"sqlite:///{path}", stderr=asyncio.subprocess.PIPE
        )
        for _ in range(4)
    ]
    async with asyncio.timeout(50):
        said = [(await process.communicate())[1].decode() for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, said
    with contextlib.closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT version_num FROM alembic_version").fetchall() == [(upgrade.HEAD,)]


async def test_an_upgrade_that_is_killed_is_done_by_the_next_start(tmp_path: Path) -> None:
    """A migration is one transaction: the database stands before it or behind it."""
    path = tmp_path / "x.db"
    code = (
        "import asyncio, os, sys, sqlalchemy as sa\n"
        "from bot.store import Store\n"
        "@sa.event.listens_for(sa.Engine, 'after_cursor_execute')\n"
        "def die(connection, cursor, text, *rest):\n"
        "    if 'CREATE TABLE jobs' in text:\n"
        "        os.kill(os.getpid(), 9)\n"
        "asyncio.run(Store(sys.argv[1]).open())\n"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, f"sqlite:///{path}")
    assert await process.wait() == -9
    store = await Store(f"sqlite:///{path}").open()
    await store.write(deliveries.insert_many, [make_verified_delivery()])
    await store.close()
    with contextlib.closing(sqlite3.connect(path)) as other:
        assert other.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
