"""Transactions: whole or not at all, durable when they return, one writer, readers on one snapshot."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sqlite3
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from bot import errors
from bot.store import Store, deliveries, schema, sqlite
from tests.databases import on_sqlite
from tests.factories import make_verified_delivery

pytestmark = on_sqlite


def _insert(connection: sa.Connection, *guids: str) -> None:
    deliveries.insert_many(connection, [make_verified_delivery(guid=guid) for guid in guids])


def _ids(connection: sa.Connection) -> list[str]:
    return list(connection.execute(sa.select(schema.deliveries.c.id).order_by(schema.deliveries.c.seq)).scalars())


def _pragmas(connection: sa.Connection) -> dict[str, Any]:
    names = ("journal_mode", "synchronous", "foreign_keys", "wal_autocheckpoint")
    return {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in names}


@pytest.mark.parametrize(
    "url",
    [
        "oracle://octo:hidden@localhost/db",
        "octo:hidden",
        "mysql://octo:hidden@localhost/db",
        "sqlite://",
        "sqlite:///:memory:",
    ],
)
def test_a_url_of_no_database_of_ours_is_a_wrong_setting_and_shows_no_password(url: str) -> None:
    with pytest.raises(errors.SettingsError, match="DATABASE_URL") as caught:
        Store(url)
    assert "hidden" not in str(caught.value)


async def test_f14_every_connection_is_durable(store: Store) -> None:
    """`synchronous` 2 is FULL: NORMAL may lose the last commits at a power cut."""
    wanted = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "wal_autocheckpoint": 0}
    assert await store.write(_pragmas) == wanted
    assert await asyncio.gather(*(store.read(_pragmas) for _ in range(6))) == [wanted] * 6


async def test_what_was_written_is_seen_by_others_when_write_returns(store: Store) -> None:
    await store.write(_insert, "a")
    with contextlib.closing(sqlite3.connect(store.path)) as other:
        assert other.execute("SELECT id FROM deliveries").fetchall() == [("a",)]
    assert await store.read(_ids) == ["a"]


async def test_a_failure_takes_back_all_of_its_transaction(store: Store) -> None:
    def half(connection: sa.Connection) -> None:
        _insert(connection, "a")
        raise errors.Conflict("no")

    with pytest.raises(errors.Conflict):
        await store.write(half)
    assert await store.read(_ids) == []
    await store.write(_insert, "b")
    assert await store.read(_ids) == ["b"]


async def test_a_broken_rule_stays_what_it_is_and_its_text_does_not_tell_what_was_written(store: Store) -> None:
    hostile = make_verified_delivery(headers={"x-secret": "octopus"}, body=b"octopus", repository="octopus")

    def twice(connection: sa.Connection) -> None:
        deliveries.insert_many(connection, [hostile])
        row = connection.execute(sa.select(schema.deliveries)).one()._mapping
        connection.execute(sa.insert(schema.deliveries), [dict(row)])

    with pytest.raises(sa.exc.IntegrityError) as caught:
        await store.write(twice)
    assert "octopus" not in str(caught.value)


async def test_a_read_sees_one_snapshot(store: Store) -> None:
    await store.write(_insert, "a")
    has_read, is_written = threading.Event(), threading.Event()

    def twice(connection: sa.Connection) -> tuple[list[str], list[str]]:
        first = _ids(connection)
        has_read.set()
        assert is_written.wait(10)
        return first, _ids(connection)

    reading = asyncio.create_task(store.read(twice))
    assert await asyncio.to_thread(has_read.wait, 10)
    await store.write(_insert, "b")
    is_written.set()
    assert await reading == (["a"], ["a"])
    assert await store.read(_ids) == ["a", "b"]


async def test_what_a_read_writes_is_not_kept(store: Store) -> None:
    await store.read(_insert, "a")
    assert await store.read(_ids) == []


async def test_writes_never_meet(store: Store) -> None:
    running = itertools.count()
    seen: list[int] = []

    def alone(connection: sa.Connection) -> None:
        before = next(running)
        _insert(connection, f"g-{before}")
        seen.append(next(running) - before)

    await asyncio.gather(*(store.write(alone) for _ in range(50)))
    assert seen == [1] * 50
    assert len(await store.read(_ids)) == 50


async def test_f100_a_write_whose_caller_goes_away_is_whole_or_nothing(store: Store) -> None:
    is_inside, may_end = threading.Event(), threading.Event()

    def slow(connection: sa.Connection) -> None:
        _insert(connection, "a")
        is_inside.set()
        assert may_end.wait(10)
        _insert(connection, "b")

    inside = asyncio.create_task(store.write(slow))
    assert await asyncio.to_thread(is_inside.wait, 10)
    waiting = asyncio.create_task(store.write(_insert, "never"))
    await asyncio.sleep(0)
    inside.cancel()
    waiting.cancel()
    await asyncio.wait([inside, waiting])
    may_end.set()
    await store.write(_insert, "c")
    assert await store.read(_ids) in (["a", "b", "c"], ["a", "b", "never", "c"])


async def test_readers_go_on_while_another_process_writes(store: Store) -> None:
    await store.write(_insert, "a")
    with contextlib.closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("DELETE FROM deliveries")
        assert await store.read(_ids) == ["a"]
        other.execute("ROLLBACK")


async def test_f17_a_lock_that_stays_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_SECONDS", 0.05)
    store = await Store(f"sqlite:///{tmp_path / 'locked.db'}").open()
    with contextlib.closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(errors.StoreUnavailable, match="locked"):
            await store.write(_insert, "a")
        other.execute("ROLLBACK")
    await store.write(_insert, "a")
    await store.close()


async def test_f15_a_full_disk_is_unavailable_and_nothing_is_half_written(store: Store) -> None:
    await store.write(_insert, "a")
    await store.write(lambda connection: connection.exec_driver_sql("PRAGMA max_page_count = 1").scalar_one())
    with pytest.raises(errors.StoreUnavailable, match="full"):
        await store.write(_insert, *(f"g-{number}" for number in range(2000)))
    assert await store.read(_ids) == ["a"]
    await store.write(lambda connection: connection.exec_driver_sql("PRAGMA max_page_count = 1000000").scalar_one())
    await store.write(_insert, "b")
    assert await store.read(_ids) == ["a", "b"]


@pytest.mark.parametrize("content", [b"this is no database" * 100, b"SQLite format 3\0" + bytes(4096)])
async def test_f20_a_broken_file_is_unavailable(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.db"
    path.write_bytes(content)
    store = Store(f"sqlite:///{path}")
    with pytest.raises(errors.StoreUnavailable):
        await store.open()
    await store.close()
    assert path.read_bytes() == content


async def test_f20_a_file_that_breaks_while_it_is_open_is_unavailable(store: Store) -> None:
    await store.write(_insert, *(f"g-{number}" for number in range(500)))
    await store.checkpoint()
    size_bytes = store.path.stat().st_size
    with store.path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size_bytes - 4096))
    with pytest.raises(errors.StoreUnavailable):
        await store.read(lambda connection: connection.execute(sa.select(schema.deliveries)).all())


async def test_a_folder_is_no_database(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}")
    with pytest.raises(errors.StoreUnavailable):
        await store.open()
    await store.close()


async def test_folders_on_the_way_are_made(tmp_path: Path) -> None:
    store = await Store(f"sqlite:///{tmp_path / 'a' / 'b' / 'x.db'}").open()
    assert store.path.exists()
    await store.close()


async def test_a_checkpoint_moves_the_log_into_the_file(store: Store) -> None:
    await store.write(_insert, *(f"g-{number}" for number in range(500)))
    assert store.writes_since_checkpoint == 1
    before = store.path.stat().st_size
    await store.checkpoint()
    assert store.writes_since_checkpoint == 0
    assert store.path.stat().st_size > before
    await store.checkpoint()


async def test_after_close_the_file_alone_holds_everything(tmp_path: Path) -> None:
    store = await Store(f"sqlite:///{tmp_path / 'x.db'}").open()
    await asyncio.gather(store.write(_insert, "a"), *(store.read(_ids) for _ in range(6)))
    await store.close()
    assert not list(tmp_path.glob("*-wal"))
    with contextlib.closing(sqlite3.connect(f"file:{store.path}?immutable=1", uri=True)) as other:
        assert other.execute("SELECT id FROM deliveries").fetchall() == [("a",)]


@pytest.mark.parametrize("acknowledged", [1, 50, 400])
async def test_f14_what_was_acknowledged_survives_kill_9(tmp_path: Path, acknowledged: int) -> None:
    path = tmp_path / "killed.db"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.store.writer", str(path), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    said: list[str] = []
    async with asyncio.timeout(30):
        while len(said) < acknowledged:
            said.append((await process.stdout.readline()).decode().strip())
        process.kill()
        # A last line may be torn: then it was not said.
        *rest, _ = (await process.stdout.read()).decode().split("\n")
        await process.wait()
    store = await Store(f"sqlite:///{path}").open()
    stored = await store.read(_ids)
    assert set(said) | set(rest) <= set(stored)
    assert len(stored) % 3 == 0, "a transaction of three was torn"
    assert await store.read(
        lambda connection: connection.exec_driver_sql("PRAGMA integrity_check").scalars().all()
    ) == ["ok"]
    assert all(await asyncio.gather(*(store.read(deliveries.find, guid) for guid in said[:50])))
    await store.close()
