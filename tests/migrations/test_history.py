"""What an earlier version left behind is upgraded whole, whatever happens meanwhile, and goes on being understood."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.engine import make_url

from bot import clock, errors
from bot.model import build, delivery, job
from bot.store import Store, builds, checks, deliveries, inbox_list, installations, jobs, kept, pulls, schema, upgrade
from tests import factories, postgresql
from tests.migrations import history

ROOT = Path(__file__).parent.parent.parent
#: Tables whose rows the database lets nobody change or delete.
ADDED_TO = {"audit"}


#: On the way from the oldest all of them are passed by, so that the others have their turn in `make test-all`.
_OLDEST_AND_NEWEST = [
    version if version in (history.VERSIONS[0], history.VERSIONS[-1]) else pytest.param(version, marks=pytest.mark.long)
    for version in history.VERSIONS
]


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without any tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'buildhook.db'}"
        return
    with postgresql.empty(is_migrated=False) as url:
        yield url


def make_engine(url: str) -> sa.Engine:
    """A synchronous engine, for looking into the database beside the service."""
    made = make_url(url)
    return sa.create_engine(made if made.drivername == "sqlite" else made.set(drivername="postgresql+psycopg"))


@pytest.fixture
def engine(empty_url: str) -> Iterator[sa.Engine]:
    made = make_engine(empty_url)
    yield made
    made.dispose()


def load(engine: sa.Engine, version: str) -> None:
    """The database as this version left it."""
    if engine.url.drivername == "sqlite":
        history.load_file(Path(engine.url.database or ""), version)
    else:
        with engine.begin() as connection:
            history.load_server(connection, version)


def upgrade_all(engine: sa.Engine) -> None:
    """What a start does."""
    if engine.url.drivername == "sqlite":
        upgrade.upgrade(engine, Path(engine.url.database or ""))
    else:
        with engine.connect() as connection:
            upgrade.upgrade_server(connection)


def rows(engine: sa.Engine) -> history.Rows:
    with engine.connect() as connection:
        return history.rows(connection)


def test_there_is_a_filled_database_of_each_earlier_version_with_something_in_each_table() -> None:
    assert set(history.VERSIONS) == upgrade.known_versions() - {upgrade.HEAD}
    for version in history.VERSIONS:
        assert all(history.rows_of(version).values()), version


@pytest.mark.parametrize("version", history.VERSIONS)
def test_the_migrations_still_make_the_tables_that_a_version_had(version: str, tmp_path: Path) -> None:
    """A migration that was shipped is never changed."""
    loaded, made = (sa.create_engine(f"sqlite:///{tmp_path / name}") for name in ("loaded", "made"))
    load(loaded, version)
    with made.connect() as connection:
        upgrade.migrate(connection, to=version)
        connection.commit()
    query = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name"
    found = []
    for engine in (loaded, made):
        with engine.connect() as connection:
            found.append([tuple(row) for row in connection.exec_driver_sql(query)])
        engine.dispose()
    assert found[0] == found[1]


@pytest.mark.parametrize("version", history.VERSIONS)
def test_f82_an_upgrade_of_a_filled_database_keeps_every_row_as_it_was(engine: sa.Engine, version: str) -> None:
    load(engine, version)
    before = rows(engine)
    upgrade_all(engine)
    after = rows(engine)
    for name, of in before.items():
        assert [{key: row[key] for key in old} for row, old in zip(after[name], of, strict=True)] == of, name
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_type": True,
                "compare_server_default": True,
                "target_metadata": schema.metadata,
            },
        )
        assert compare_metadata(context, schema.metadata) == []


def test_t120_what_earlier_versions_kept_is_counted(engine: sa.Engine) -> None:
    load(engine, "0009")
    upgrade_all(engine)
    with engine.begin() as connection:
        ended = sa.and_(
            schema.jobs.c.finished_at.is_not(None), schema.builds.c.repository_id == factories.REPOSITORY_ID
        )
        of_jobs = schema.jobs.join(schema.builds, schema.builds.c.id == schema.jobs.c.build_id)
        of_left = of_jobs.join(schema.artifacts, schema.artifacts.c.job_id == schema.jobs.c.id)
        logs = sa.select(sa.func.sum(schema.jobs.c.log_size_bytes)).select_from(of_jobs).where(ended)
        left = sa.select(sa.func.sum(schema.artifacts.c.size_bytes)).select_from(of_left).where(ended)
        found = kept.of_repository(connection, factories.REPOSITORY_ID)
        assert found.log_bytes == connection.execute(logs).scalar_one()
        assert found.artifact_bytes == connection.execute(left).scalar_one() > 0


@pytest.fixture(params=history.VERSIONS)
def upgraded_url(request: pytest.FixtureRequest, engine: sa.Engine, empty_url: str) -> str:
    """A database that an earlier version filled and this one upgraded."""
    load(engine, request.param)
    upgrade_all(engine)
    return empty_url


async def test_f82_what_an_earlier_version_wrote_is_read_and_worked_on_by_todays_queries(upgraded_url: str) -> None:
    store = await Store(upgraded_url).open()
    found = await store.read(inbox_list.list_newest, limit=99)
    assert {one.state for one in found} == set(delivery.State)
    assert all([await store.read(deliveries.find, one.id) for one in found])
    made = await store.read(builds.list_newest, limit=99)
    assert {one.state for one in made} >= {build.State.RUNNING, build.State.FAILED}
    assert any(one.problems for one in made)
    of_builds = await store.read(jobs.list_of_builds, [one.id for one in made])
    assert {one.state for one in of_builds} >= {job.State.RUNNING, job.State.QUEUED, job.State.WAITING}
    assert any(one.steps for one in of_builds)
    for one in made:
        assert await store.read(checks.list_of_build, one.id)
    assert await store.read(pulls.find, repository_id=factories.REPOSITORY_ID, number=8) is not None
    assert await store.read(installations.find, factories.INSTALLATION_ID) is not None
    # Work goes on with them.
    later: dict[str, Any] = {"now": clock.now(), "owner": "new", "lease": timedelta(minutes=1), "limit": 99}
    claimed = [one.id for one in await store.write(deliveries.claim_next, **later)]
    assert {*claimed} >= {"handling", "recorded-06"}
    assert await store.write(jobs.claim_ready, **later)
    assert await store.write(checks.claim_stale, **later)
    assert await store.write(deliveries.insert_many, [factories.make_verified_delivery()]) == [deliveries.Put.STORED]
    await store.close()


@pytest.mark.parametrize("version", history.VERSIONS)
def test_f82_an_older_version_goes_on_beside_the_new_one(engine: sa.Engine, version: str) -> None:
    """Its statements name its own columns: each still inserts, changes, reads and deletes on the new tables."""
    old = history.rows_of(version)
    upgrade_all(engine)
    with engine.begin() as connection:
        tables = history.reflected(connection)
        for table in tables.sorted_tables:
            for row in old.get(table.name, []):
                connection.execute(sa.insert(table).values(row))
        for table in tables.sorted_tables:
            for row in old.get(table.name, []):
                is_it = sa.and_(*(column == row[column.name] for column in table.primary_key.columns))
                if table.name not in ADDED_TO:
                    connection.execute(sa.update(table).where(is_it).values(row))
                found = connection.execute(sa.select(*(table.c[name] for name in row)).where(is_it)).one()
                assert dict(found._mapping) == row
        for table in reversed(tables.sorted_tables):
            if table.name in old and table.name not in ADDED_TO:
                assert connection.execute(sa.delete(table)).rowcount == len(old[table.name])


@pytest.fixture
def newer_url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server's database that a newer version upgraded."""
    # Looked for in a folder: not within a test's loop.
    known = upgrade.known_versions()
    monkeypatch.setattr(upgrade, "known_versions", lambda: known)
    with postgresql.empty() as url:
        made = make_engine(url)
        with made.begin() as connection:
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
        yield url
        with made.connect() as connection:
            assert upgrade.stands_at(connection) == "9999"
        made.dispose()


async def test_f84_a_server_of_a_newer_version_is_refused_and_left_alone(newer_url: str) -> None:
    store = Store(newer_url)
    with pytest.raises(errors.StoreUnavailable, match=r"newer version.*9999.*install that version"):
        await store.open()
    await store.close()


async def test_replicas_that_start_together_upgrade_once() -> None:
    with postgresql.empty(is_migrated=False) as url:
        code = "import asyncio, sys; from bot.store import Store; asyncio.run(Store(sys.argv[1]).open())"
        processes = [
            await asyncio.create_subprocess_exec(sys.executable, "-c", code, url, stderr=asyncio.subprocess.PIPE)
            for _ in range(4)
        ]
        async with asyncio.timeout(55):
            said = [(await process.communicate())[1].decode() for process in processes]
        assert [process.returncode for process in processes] == [0] * 4, said
        made = make_engine(url)
        with made.connect() as connection:
            assert upgrade.stands_at(connection) == upgrade.HEAD
        made.dispose()


@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.long, id="each"), pytest.param(48, id="some")])
@pytest.mark.parametrize("version", [None, *_OLDEST_AND_NEWEST])
async def test_f83_an_upgrade_that_is_killed_behind_any_statement_is_done_by_the_next_start(
    empty_url: str, tmp_path: Path, version: str | None, every: int
) -> None:
    """A death leaves the tables of before or of after, and the next start makes the same of both."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.migrations.interrupted",
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    asked = {"url": empty_url, "version": version, "every": every, "folder": str(tmp_path)}
    out, _ = await process.communicate(json.dumps(asked).encode())
    told: dict[str, Any] = json.loads(out)
    assert process.returncode == 0
    assert told["statements"] > 10
    assert len(told["deaths"]) == len(range(1, told["statements"] + 1, every))
    for death in told["deaths"]:
        assert (death["first"], death["second"]) == (-signal.SIGKILL, 0), death
        assert death["is_whole"], death
    if version is not None:
        rows_before = {name: len(of) for name, of in history.rows_of(version).items()}
        assert {name: told["rows"][name] for name in rows_before} == rows_before
