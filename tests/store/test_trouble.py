"""Which errors of SQLite pass, and after which the file cannot be trusted any more."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from bot import errors
from bot.store import Store, trouble


def error(kind: type[sqlite3.DatabaseError], code: int) -> sqlite3.DatabaseError:
    made = kind("told by the driver")
    made.sqlite_errorcode = code
    return made


@pytest.mark.parametrize(
    ("kind", "code", "is_broken"),
    [
        (sqlite3.OperationalError, sqlite3.SQLITE_BUSY, False),
        (sqlite3.OperationalError, sqlite3.SQLITE_BUSY_SNAPSHOT, False),
        (sqlite3.OperationalError, sqlite3.SQLITE_LOCKED, False),
        (sqlite3.OperationalError, sqlite3.SQLITE_FULL, False),
        (sqlite3.OperationalError, sqlite3.SQLITE_CANTOPEN, False),
        (sqlite3.OperationalError, sqlite3.SQLITE_READONLY, False),
        (sqlite3.OperationalError, sqlite3.SQLITE_IOERR_SHMSIZE, False),
        (sqlite3.OperationalError, sqlite3.SQLITE_IOERR_READ, False),
        (sqlite3.OperationalError, sqlite3.SQLITE_IOERR_FSYNC, True),
        (sqlite3.OperationalError, sqlite3.SQLITE_IOERR_DIR_FSYNC, True),
        (sqlite3.OperationalError, sqlite3.SQLITE_IOERR_WRITE, True),
        (sqlite3.OperationalError, sqlite3.SQLITE_IOERR_CORRUPTFS, True),
        (sqlite3.DatabaseError, sqlite3.SQLITE_CORRUPT, True),
        (sqlite3.DatabaseError, sqlite3.SQLITE_CORRUPT_INDEX, True),
        (sqlite3.DatabaseError, sqlite3.SQLITE_NOTADB, True),
    ],
)
def test_f16_an_error_passes_or_the_file_is_broken(
    kind: type[sqlite3.DatabaseError], code: int, is_broken: bool
) -> None:
    assert trouble.classify(error(kind, code)) is (errors.StoreBroken if is_broken else errors.StoreUnavailable)


@pytest.mark.parametrize(
    "mistake",
    [
        error(sqlite3.IntegrityError, sqlite3.SQLITE_CONSTRAINT_UNIQUE),
        error(sqlite3.ProgrammingError, sqlite3.SQLITE_MISUSE),
        ValueError("no error of the driver"),
        None,
    ],
)
def test_a_mistake_of_ours_is_no_trouble_of_the_database(mistake: BaseException | None) -> None:
    assert trouble.classify(mistake) is None


def test_an_error_without_a_code_passes() -> None:
    assert trouble.classify(sqlite3.OperationalError("told by the driver")) is errors.StoreUnavailable


async def test_f16_once_broken_nothing_is_tried_again(tmp_path: Path) -> None:
    store = await Store(f"sqlite:///{tmp_path / 'buildhook.db'}").open()
    store.broken.set_result(errors.StoreBroken("the disk"))
    with pytest.raises(errors.StoreBroken, match="the disk"):
        await store.write(lambda connection: connection.exec_driver_sql("CREATE TABLE written (a)"))
    with pytest.raises(errors.StoreBroken, match="the disk"):
        await store.read(lambda connection: connection.exec_driver_sql("SELECT 1").scalar_one())
    with contextlib.closing(sqlite3.connect(tmp_path / "buildhook.db")) as other:
        assert other.execute("SELECT name FROM sqlite_master WHERE name = 'written'").fetchall() == []
    await store.close()


async def test_f20_a_file_that_is_no_database_is_told_as_broken_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "broken.db"
    path.write_bytes(b"this is no database" * 100)
    store = Store(f"sqlite:///{path}")
    with pytest.raises(errors.StoreBroken, match=r"broken\.db"):
        await store.open()
    assert isinstance(store.broken.result(timeout=0), errors.StoreBroken)
    await store.close()
