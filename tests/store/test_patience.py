"""What was done is written when the database can be written again."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy.engine import Connection
from structlog.testing import capture_logs

from bot import errors
from bot.store import Store, patience, sqlite


def _mark(connection: Connection) -> str:
    connection.exec_driver_sql("PRAGMA user_version = 7")
    return "written"


async def test_f17_a_write_waits_until_the_lock_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_SECONDS", 0.01)
    monkeypatch.setattr(patience, "PAUSE_SECONDS", 0.01)
    store = await Store(f"sqlite:///{tmp_path / 'locked.db'}").open()
    with contextlib.closing(sqlite3.connect(store.path, isolation_level=None)) as other, capture_logs() as logged:
        other.execute("BEGIN IMMEDIATE")
        writing = asyncio.create_task(patience.write(store, _mark))
        while len(logged) < 3:
            await asyncio.sleep(0.01)
        assert not writing.done()
        other.execute("ROLLBACK")
        assert await writing == "written"
        assert other.execute("PRAGMA user_version").fetchone() == (7,)
    assert {line["action"] for line in logged} == {"wait_for_store"}
    await store.close()


async def test_f16_nothing_waits_for_a_database_that_is_broken(tmp_path: Path) -> None:
    store = await Store(f"sqlite:///{tmp_path / 'broken.db'}").open()
    store.broken.set_result(errors.StoreBroken("the disk"))
    with pytest.raises(errors.StoreBroken, match="the disk"):
        await patience.write(store, _mark)
    await store.close()


@pytest.mark.parametrize("error", [errors.LeaseLost(), ValueError("a mistake of ours")])
async def test_what_is_no_trouble_of_the_database_is_not_repeated(store: Store, error: Exception) -> None:
    attempts: list[None] = []

    def work(_connection: Connection) -> None:
        attempts.append(None)
        raise error

    with pytest.raises(type(error)):
        await patience.write(store, work)
    assert len(attempts) == 1
