"""A backup holds everything and is whole or not there; a restore gives all of it back, on either database."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gzip
import hashlib
import io
import json
import shutil
import signal
import sqlite3
import stat
import sys
import tarfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from msgspec.structs import replace
from sqlalchemy.engine import Connection, make_url

from bot import clock, errors
from bot.logs import LogStore
from bot.model import build, job, report
from bot.store import (
    Store,
    archive,
    audit,
    bookmarks,
    builds,
    deliveries,
    dump,
    inbox_list,
    installations,
    jobs,
    outcomes,
    pauses,
    pulls,
    results,
    schema,
    upgrade,
)
from tests import factories, postgresql
from tests.acceptance import process

HOSTILE = 'a\x01\u202e\U0001f600"\\\n\u2028</script>'
BODY = bytes(range(256)) * 40
LOG = b"first\r\n\x1b[31mred\x00\xff\n" * 5000
PLAN_B = factories.make_plan(key="b", name="b")
#: What tells of a moment only.
LEFT_OUT = {"replicas", "leases", "budgets"}


@dataclass(frozen=True, kw_only=True)
class Place:
    """A data folder and its database."""

    data_dir: Path
    url: str

    @property
    def environment(self) -> dict[str, str]:
        return process.environment(self.data_dir, database_url=self.url)

    async def run(self, *arguments: str) -> tuple[int, str]:
        """One command; gives its status and what it said."""
        status, out, err = await process.run(*arguments, environment=self.environment)
        assert "Traceback" not in err
        return status, out + err

    @contextlib.asynccontextmanager
    async def store(self) -> AsyncIterator[Store]:
        opened = await Store(self.url).open()
        try:
            yield opened
        finally:
            await opened.close()

    async def rows(self) -> dict[str, list[dict[str, Any]]]:
        async with self.store() as store:
            return await store.read(_rows)


def _rows(connection: Connection) -> dict[str, list[dict[str, Any]]]:
    found = {}
    for table in schema.metadata.sorted_tables:
        if table.name not in LEFT_OUT:
            query = sa.select(table).order_by(*table.primary_key.columns)
            found[table.name] = [dict(row._mapping) for row in connection.execute(query)]
    return found


def _forge(connection: Connection) -> None:
    connection.execute(sa.update(schema.audit).values(actor="somebody else"))


@contextlib.contextmanager
def a_place(folder: Path, kind: str, *, is_migrated: bool = False) -> Iterator[Place]:
    folder.mkdir()
    if kind == "sqlite":
        yield Place(data_dir=folder, url=f"sqlite:///{folder / 'buildhook.db'}")
        return
    with postgresql.empty(is_migrated=is_migrated) as url:
        yield Place(data_dir=folder, url=url)


async def fill(place: Place) -> None:
    """Something in each table that is kept, and logs."""
    async with place.store() as store:
        await store.write(
            deliveries.insert_many,
            [
                factories.make_verified_delivery(guid=guid, body=BODY, headers={HOSTILE: HOSTILE}, ordering_key=guid)
                for guid in ("a", "b")
            ],
        )
        await store.write(deliveries.claim_next, now=clock.now(), owner="gone", lease=timedelta(hours=1), limit=1)
        for number in range(3):
            made = factories.make_build(title=HOSTILE, head_sha=f"{number:040x}", problems=(factories.make_problem(),))
            new = factories.make_new_build(made, factories.make_job(), factories.make_job(plan=PLAN_B))
            await store.write(outcomes.create, new, now=clock.now())
            one = replace(new.jobs[0], state=job.State.FAILED, reason=HOSTILE, log_size_bytes=len(LOG))
            await store.write(jobs.save, one)
            await store.write(jobs.save_log_tail, one.id, LOG)
            left = factories.make_results(
                factories.make_case(message=HOSTILE, duration_seconds=0.1),
                factories.make_case(file=None, line=None, duration_seconds=None),
                findings=(factories.make_finding(text=HOSTILE),),
                coverage=report.Coverage(lines_covered=1, lines_total=3),
                summary=HOSTILE,
            )
            await store.write(results.insert_cases, one, left.cases, repository_id=factories.REPOSITORY_ID)
            await store.write(results.insert_findings, one, left.findings)
            await store.write(results.insert, one.id, left)
        await store.write(pulls.save, factories.make_pull(runs=True, head_repository_id=None), now=clock.now())
        await store.write(installations.save, factories.make_installation())
        await store.write(bookmarks.save, "read", HOSTILE, now=clock.now())
        await store.write(audit.add, factories.make_audit_entry(actor=HOSTILE), now=clock.now() - timedelta(days=100))
        await store.write(audit.add, factories.make_audit_entry(), now=clock.now())
        logs = LogStore(place.data_dir / "logs")
        for of in await store.read(builds.list_newest, limit=9):
            (one, *_) = await store.read(jobs.list_of_builds, [of.id])
            await logs.append(one.id, offset_bytes=0, data=LOG)
            await logs.seal(one.id)
        await logs.close()


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[Place]:
    with a_place(tmp_path / "source", "sqlite") as place:
        await fill(place)
        yield place


@pytest.fixture(scope="session")
def server() -> None:
    """PostgreSQL with this version's tables, made before a test's loop runs."""
    postgresql.template()


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of what `fill` makes."""
    folder = tmp_path_factory.mktemp("backup")

    async def make() -> None:
        with a_place(folder / "source", "sqlite") as place:
            await fill(place)
            status, said = await place.run("backup", str(folder / "b.tar"))
            assert status == 0, said

    with ThreadPoolExecutor(1) as threads:
        threads.submit(asyncio.run, make()).result()
    return folder / "b.tar"


@pytest.fixture
def file(made_once: Path, tmp_path: Path) -> Path:
    """A backup of what `fill` makes, free to be changed."""
    return Path(shutil.copy(made_once, tmp_path / "b.tar"))


@pytest.mark.parametrize("source_kind", ["sqlite", "postgresql"])
@pytest.mark.parametrize("target_kind", ["sqlite", "postgresql"])
async def test_a_restore_gives_back_every_row_and_log_on_either_database(
    server: None, tmp_path: Path, source_kind: str, target_kind: str
) -> None:
    path = tmp_path / "b.tar"
    with (
        a_place(tmp_path / "source", source_kind, is_migrated=True) as source,
        a_place(tmp_path / "target", target_kind) as target,
    ):
        await fill(source)
        before = await source.rows()
        begun_at = clock.now()
        status, out, err = await process.run("backup", str(path), "--json", environment=source.environment)
        assert status == 0, err
        told = json.loads(out)
        assert (told["schema"], told["logs"]) == (upgrade.HEAD, 3)
        assert told["rows"] == {name: len(rows) for name, rows in before.items()}
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        status, said = await target.run("restore", str(path))
        assert status == 0, said
        after = await target.rows()
        (paused,) = (one for one in after["bookmarks"] if one["name"] == pauses.NAME)
        after["bookmarks"].remove(paused)
        # What a process had claimed is given back.
        for table in ("deliveries", "checks", "jobs"):
            for row in (*before[table], *after[table]):
                row["lease_owner"] = row["lease_until"] = None
                if row["state" if "state" in row else "id"] == "handling":
                    row["state"] = "received"
        assert after == before
        async with target.store() as store:
            pause = await store.read(pauses.find)
            assert pause is not None
            assert begun_at <= pause.at <= clock.now()
            # The database's own numbers go on behind those that were restored.
            await store.write(deliveries.insert_many, [factories.make_verified_delivery(guid="c")])
            await store.write(outcomes.create, factories.make_new_build(), now=clock.now())
            assert [one.seq for one in await store.read(inbox_list.list_newest, limit=9)] == [3, 2, 1]
            newest = (await store.read(builds.list_newest, limit=1))[0]
            (new, *_) = await store.read(jobs.list_of_builds, [newest.id])
            await store.write(results.insert_cases, new, [factories.make_case()], repository_id=1)
            await store.write(results.insert_findings, new, [factories.make_finding()])
            await store.write(audit.add, factories.make_audit_entry(), now=clock.now())
            assert [one.id for one in await store.read(audit.list_newest, limit=9)] == [3, 2, 1]
            # What was restored is held as what was written there.
            with pytest.raises(sa.exc.IntegrityError, match="append-only"):
                await store.write(_forge)
        logs = LogStore(target.data_dir / "logs")
        found = [one async for some in logs.list_ids() for one in some]
        assert len(found) == 3
        for one in found:
            assert await logs.read(one) == LOG
            assert await logs.is_sealed(one)
        await logs.close()


async def test_no_secret_of_the_settings_is_in_a_backup(sqlite: Place, tmp_path: Path) -> None:
    secrets = {"app_id": "7", "private_key": "KEYCANARY", "webhook_secret": "WORDCANARY"}
    environment = process.environment(sqlite.data_dir, **secrets)
    (sqlite.data_dir / "settings.env").write_text("BUILDHOOK_WEBHOOK_SECRET_PREVIOUS=OLDCANARY\n")
    await process.run("backup", str(tmp_path / "b.tar"), environment=environment)
    with tarfile.open(tmp_path / "b.tar") as opened:
        for member in opened.getmembers():
            data = opened.extractfile(member)
            assert data is not None
            whole = data.read()
            assert b"CANARY" not in (gzip.decompress(whole) if member.name.endswith(".gz") else whole)


async def test_a_backup_is_one_instant_while_the_database_is_written(sqlite: Place, tmp_path: Path) -> None:
    """Each transaction makes a build with its job and check: never may one be there without the others."""
    async with sqlite.store() as store:
        stop = asyncio.Event()

        async def write() -> int:
            number = 0
            while not stop.is_set():
                number += 1
                made = factories.make_new_build(factories.make_build(head_sha=f"{number:039x}f"))
                await store.write(outcomes.create, made, now=clock.now())
            return number

        writing = asyncio.create_task(write())
        status, said = await sqlite.run("backup", str(tmp_path / "b.tar"), "--json")
        stop.set()
        assert await writing > 10
    assert status == 0, said
    rows = json.loads(said)["rows"]
    assert rows["builds"] > 3
    assert rows["jobs"] == rows["checks"] - 3 == rows["builds"] + 3


async def test_a_log_that_grows_is_backed_up_as_far_as_the_database_knows_it(sqlite: Place, tmp_path: Path) -> None:
    async with sqlite.store() as store:
        new = factories.make_new_build(factories.make_build())
        await store.write(outcomes.create, new, now=clock.now())
        one = replace(new.jobs[0], build_id=new.build.id, state=job.State.RUNNING, log_size_bytes=4)
        await store.write(jobs.save, one)
    logs = LogStore(sqlite.data_dir / "logs")
    await logs.append(one.id, offset_bytes=0, data=b"one\ntwo\n")
    await logs.close()
    await sqlite.run("backup", str(tmp_path / "b.tar"))
    with a_place(tmp_path / "target", "sqlite") as target:
        assert (await target.run("restore", str(tmp_path / "b.tar")))[0] == 0
        restored = LogStore(target.data_dir / "logs")
        assert await restored.read(one.id) == b"one\n"
        assert not await restored.is_sealed(one.id)
        await restored.close()


async def test_a_backup_that_is_killed_leaves_the_last_one_and_the_next_one_goes_well(
    sqlite: Place, file: Path
) -> None:
    before = file.read_bytes()
    code = (
        "import os, sys\n"
        "from bot.store import archive\n"
        "archive.Writer.finish = lambda *_: os.kill(os.getpid(), 9)\n"
        "from bot import cli\n"
        "cli.main(sys.argv[1:])\n"
    )
    killed = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, "backup", str(file), env=sqlite.environment
    )
    assert await killed.wait() == -signal.SIGKILL
    assert file.read_bytes() == before
    assert (await sqlite.run("backup", str(file)))[0] == 0
    assert sorted(path.name for path in file.parent.iterdir() if path.is_file()) == [file.name]


async def test_a_backup_that_cannot_be_written_says_so_in_one_line(sqlite: Place, tmp_path: Path) -> None:
    status, said = await sqlite.run("backup", str(tmp_path / "nowhere" / "b.tar"))
    assert (status, said.count("\n")) == (1, 1)
    assert "cannot be written: No such file or directory" in said


async def test_a_restore_refuses_a_database_with_something_in_it(sqlite: Place, file: Path) -> None:
    before = await sqlite.rows()
    status, said = await sqlite.run("restore", str(file))
    assert (status, said.count("\n")) == (1, 1)
    assert "not empty" in said
    assert await sqlite.rows() == before


async def test_a_restore_refuses_a_database_that_is_somebody_elses(file: Path, tmp_path: Path) -> None:
    with a_place(tmp_path / "target", "postgresql") as target:
        engine = postgresql.engine(make_url(target.url).database or "")
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE customers (id int)")
        engine.dispose()
        status, said = await target.run("restore", str(file))
        assert (status, said.count("\n")) == (1, 1)
        assert "customers" in said


async def test_a_restore_refuses_to_work_beside_a_service(file: Path, tmp_path: Path) -> None:
    with a_place(tmp_path / "target", "postgresql") as target:
        environment = target.environment
        async with process.serving(environment, log=tmp_path / "service.log"):
            # From here, and from another machine.
            for place in (target, dataclasses.replace(target, data_dir=tmp_path / "elsewhere")):
                status, said = await place.run("restore", str(file))
                assert (status, "stop it first" in said) == (1, True)


async def test_a_restore_that_is_killed_changes_nothing_and_the_next_one_goes_well(file: Path, tmp_path: Path) -> None:
    with a_place(tmp_path / "target", "sqlite") as target:
        code = (
            "import os, sys\n"
            "from bot.store import dump\n"
            "dump._set_counters = lambda *_: os.kill(os.getpid(), 9)\n"
            "from bot import cli\n"
            "cli.main(sys.argv[1:])\n"
        )
        killed = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, "restore", str(file), env=target.environment
        )
        assert await killed.wait() == -signal.SIGKILL
        with contextlib.closing(sqlite3.connect(target.data_dir / "buildhook.db")) as other:
            assert other.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
        assert (await target.run("restore", str(file)))[0] == 0


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Place]:
    """A database as version 0001 left it."""
    with a_place(tmp_path / "old", "sqlite") as place:
        engine = sa.create_engine(place.url)
        with engine.connect() as connection:
            upgrade.migrate(connection, to="0001")
            connection.exec_driver_sql(
                "INSERT INTO installations VALUES (7, 'octo', 'active', 1767225600000000, '{\"checks\": \"write\"}')"
            )
            connection.commit()
        engine.dispose()
        yield place


async def test_a_backup_of_an_older_schema_is_restored_and_upgraded(old: Place, tmp_path: Path) -> None:
    path = tmp_path / "b.tar"
    assert (await old.run("backup", str(path)))[0] == 0
    with contextlib.closing(sqlite3.connect(old.data_dir / "buildhook.db")) as other:
        assert other.execute("SELECT version_num FROM alembic_version").fetchone() == ("0001",)
    with a_place(tmp_path / "target", "postgresql") as target:
        status, said = await target.run("restore", str(path))
        assert status == 0, said
        async with target.store() as store:
            found = await store.read(installations.find, 7)
            assert found == build.Installation(
                id=7,
                account="octo",
                state="active",
                updated_at=datetime(2026, 1, 1, tzinfo=UTC),
                permissions={"checks": "write"},
            )


async def test_a_database_of_a_newer_version_is_not_backed_up(sqlite: Place, tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(sqlite.data_dir / "buildhook.db", isolation_level=None)) as other:
        other.execute("UPDATE alembic_version SET version_num = '9999'")
    status, said = await sqlite.run("backup", str(tmp_path / "b.tar"))
    assert (status, "newer version" in said) == (1, True)
    assert not (tmp_path / "b.tar").exists()


# Files that are no backups.


Members = Mapping[str, bytes | tarfile.TarInfo | None]


def rewritten(
    file: Path, members: Members | None = None, *, change: Callable[[dict[str, Any]], None] = lambda _: None
) -> Path:
    """The backup with other members (None: without it), and its list changed; its checksums are right."""
    parts: dict[str, bytes] = {}
    with tarfile.open(file) as opened:
        for member in opened.getmembers():
            read = opened.extractfile(member)
            assert read is not None
            parts[member.name] = read.read()
    contents = json.loads(parts.pop("backup.json"))
    special = []
    for name, data in (members or {}).items():
        parts.pop(name, None)
        if isinstance(data, tarfile.TarInfo):
            special.append(data)
        elif data is not None:
            parts[name] = data
    known = {one["name"]: one for one in contents["members"]}
    contents["members"] = [
        {
            **known.get(name, {"content_bytes": len(data)}),
            "name": name,
            "size_bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
        }
        for name, data in parts.items()
    ]
    change(contents)
    parts["backup.json"] = json.dumps(contents).encode()
    path = file.with_name("rewritten.tar")
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as made:
        for info in special:
            made.addfile(info)
        for name, data in parts.items():
            header = tarfile.TarInfo(name)
            header.size = len(data)
            made.addfile(header, io.BytesIO(data))
    return path


def refused(path: Path) -> str:
    """What a restore of it says."""
    engine = sa.create_engine("sqlite://")
    with (
        pytest.raises(errors.BackupUnusable) as raised,
        archive.reading(path) as reader,
        engine.connect() as connection,
        connection.begin(),
    ):
        dump.load(connection, reader)
    engine.dispose()
    (line,) = str(raised.value).splitlines()
    return line


async def test_a_rewritten_backup_whose_checksums_are_right_is_restored(file: Path, tmp_path: Path) -> None:
    """Shows that the refusals below are not due to the rewriting."""
    with a_place(tmp_path / "target", "sqlite") as target:
        status, said = await target.run("restore", str(rewritten(file)))
        assert status == 0, said


def test_a_broken_file_is_refused_wherever_it_is_broken(file: Path, tmp_path: Path) -> None:
    whole = file.read_bytes()
    broken = tmp_path / "broken.tar"
    for wanted in (0, 300, 600, 5_000, len(whole) // 2):
        # What fills the blocks of the archive up means nothing, and is zero.
        at = next(place for place in range(wanted, len(whole)) if whole[place])
        broken.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        assert "broken" in refused(broken)
    for length in (0, 100, 512, len(whole) // 2, len(whole) - 1024):
        broken.write_bytes(whole[:length])
        assert "broken" in refused(broken)


def _link(name: str, target: str, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def test_t118_a_hostile_backup_is_refused_before_anything_is_written(file: Path) -> None:
    log = "logs/01J0000000000000000000ESCP.log.gz"
    hostile: list[Members] = [
        {"../escaped": b"x"},
        {"/tmp/escaped": b"x"},
        {"logs/../../escaped.log.gz": b"x"},
        {"tables/customers.jsonl.gz": gzip.compress(b"")},
        {log: _link(log, "/tmp", tarfile.SYMTYPE)},
        {log: _link(log, "backup.json", tarfile.LNKTYPE)},
        {log: _link(log, "", tarfile.DIRTYPE)},
        {log: _link(log, "", tarfile.FIFOTYPE)},
        {"tables/builds.jsonl.gz": None},
    ]
    for members in hostile:
        assert "broken" in refused(rewritten(file, members))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b'{"name": "x", "value": "y"}', "missing required field"),
        (b'{"name": "x", "value": "y", "updated_at": "z"}', "Expected `int`"),
        (b'{"name": "x", "value": "y", "updated_at": 1, "more": 1}', "unknown field"),
        (b'{"name": "x", "value": "y", "updated_at": 99999999999999999999}', "Expected `int`"),
        (b'{"name": "x", "value": "y", "updated_at": 1}\n{"name": "x", "value": "y", "updated_at": 1}', "contradict"),
        (b"[]", "Expected `object`"),
        (b"\xff", "bookmarks"),
    ],
)
def test_rows_that_no_backup_has_are_refused(file: Path, line: bytes, says: str) -> None:
    name = "tables/bookmarks.jsonl.gz"

    def change(contents: dict[str, Any]) -> None:
        (member,) = (one for one in contents["members"] if one["name"] == name)
        member["content_bytes"] = len(line)
        contents["rows"]["bookmarks"] = line.count(b"\n") + 1

    assert says in refused(rewritten(file, {name: gzip.compress(line)}, change=change))


def test_a_member_that_unpacks_to_more_than_it_says_is_cut_off(file: Path) -> None:
    name = "tables/bookmarks.jsonl.gz"
    bomb = gzip.compress(bytes(64 * 1024 * 1024))
    said = refused(rewritten(file, {name: bomb}))
    assert "not as long as its list says" in said


@pytest.mark.parametrize(("field", "value"), [("format", 2), ("schema", "9999")])
def test_a_backup_of_a_newer_version_is_refused(file: Path, field: str, value: object) -> None:
    def change(contents: dict[str, Any]) -> None:
        contents[field] = value

    assert "newer version" in refused(rewritten(file, change=change))


async def test_a_paused_database_is_backed_up_and_is_as_old_as_what_it_was_restored_from(
    file: Path, tmp_path: Path
) -> None:
    with tarfile.open(file) as opened:
        contents = opened.extractfile("backup.json")
        assert contents is not None
        made_at = datetime.fromisoformat(json.load(contents)["created_at"])
    with a_place(tmp_path / "second", "sqlite") as second, a_place(tmp_path / "third", "sqlite") as third:
        assert (await second.run("restore", str(file)))[0] == 0
        assert (await second.run("backup", str(tmp_path / "again.tar")))[0] == 0
        assert (await third.run("restore", str(tmp_path / "again.tar")))[0] == 0
        async with third.store() as store:
            pause = await store.read(pauses.find)
            assert pause is not None
            assert pause.at == made_at
