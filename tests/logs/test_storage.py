"""What is whole goes to the object store and is read from there, and nothing is lost while the store is away."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bot import errors
from bot.logs import Storage, objects
from bot.logs import packed as packed_logs
from tests.logs import s3

pytestmark = pytest.mark.xdist_group("s3")

JOB = "01J00000000000000000000XYZ"
OTHER = "01J00000000000000000000ABC"
ARTIFACT = "01J00000000000000000000ART"
LATER = datetime(2100, 1, 1, tzinfo=UTC)
TEXT = b"".join(b"line %d \xff\r\n" % number for number in range(1, 60_001))


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    with s3.serving() as port:
        yield port


@pytest.fixture
async def line(server: int, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[s3.Line]:
    async with s3.Line(server).open() as line:
        for name, value in line.environment.items():
            monkeypatch.setenv(name, value)
        yield line


@pytest.fixture(params=["file", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "file":
        return f"file://{tmp_path}/a%20store/deep"
    request.getfixturevalue("line")
    return f"{s3.URL}/{tmp_path.name}"


@contextlib.asynccontextmanager
async def opened(data_dir: Path, url: str) -> AsyncIterator[Storage]:
    storage = Storage(data_dir, url=url)
    yield storage
    await storage.close()


async def write(storage: Storage, job_id: str = JOB, text: bytes = TEXT) -> None:
    await storage.logs.append(job_id, offset_bytes=0, data=text)
    await storage.logs.seal(job_id)
    storage.logs.let_go(job_id)


async def keep(storage: Storage, data: bytes) -> None:
    async def copy(path: Path) -> None:
        await asyncio.to_thread(path.write_bytes, data)

    await storage.artifacts.put(ARTIFACT, copy)


async def content(storage: Storage) -> bytes:
    async with storage.artifacts.opened(ARTIFACT) as source:
        data = b"".join([part async for part in source.chunks()])
        assert len(data) == source.size_bytes
    return data


def files_of(data_dir: Path) -> set[str]:
    return {path.suffix for folder in ("logs", "artifacts") for path in (data_dir / folder).rglob("*.*")}


async def test_every_replica_serves_what_one_has_taken_to_the_store(url: str, tmp_path: Path) -> None:
    async with opened(tmp_path / "one", url) as one, opened(tmp_path / "two", url) as two:
        await one.check()
        await write(one)
        await keep(one, b"PK a zip" * 1000)
        assert await two.logs.size(JOB) == 0
        await one.carry()
        assert files_of(tmp_path / "one") == set()
        assert one.logs.goes_away
        two.logs._elsewhere.forget(JOB)  # type: ignore[union-attr]
        for storage in (one, two):
            assert await storage.logs.size(JOB) == len(TEXT)
            assert await storage.logs.read(JOB, start=100_000, limit=500_000) == TEXT[100_000:600_000]
            at = await storage.logs.find_line(JOB, number=50_000)
            assert at == TEXT.index(b"line 50000 ")
            assert await storage.logs.line_numbers(JOB, at=[at, len(TEXT)]) == [50_000, 60_001]
            assert await storage.logs.tail(JOB, lines=1) == "line 60000 \ufffd\r"
            assert await storage.logs.is_sealed(JOB)
            async with storage.logs.opened(JOB) as log:
                assert await log.read(start=5, limit=10) == TEXT[5:15]
            assert await content(storage) == b"PK a zip" * 1000
        target = tmp_path / "saved.zip"
        await two.artifacts.save(ARTIFACT, target, replaces=False)
        assert target.read_bytes() == b"PK a zip" * 1000
        assert [ids async for ids in two.logs.list_far_ids(before=LATER) if ids] == [[JOB]]
        assert [list(ids) async for ids in two.artifacts.list_far_ids(before=LATER) if ids] == [[ARTIFACT]]
        assert [ids async for ids in two.logs.list_far_ids(before=LATER - timedelta(days=40_000)) if ids] == []
        await two.logs.delete(JOB, OTHER)
        await two.artifacts.delete(ARTIFACT, OTHER)
        assert await two.logs.size(JOB) == 0
        with pytest.raises(errors.NotFound):
            await content(one)
        # Whoever has its index still learns it from the store.
        assert await one.logs.read(JOB, start=300_000, limit=10) == b""
        assert await one.logs.size(JOB) == 0


async def test_what_a_process_left_is_taken_by_the_next_one_and_twice_is_no_harm(url: str, tmp_path: Path) -> None:
    async with opened(tmp_path / "one", url) as one:
        await write(one)
        await write(one, OTHER, b"")
        await keep(one, b"zip")
        name = f"logs/{JOB[-2:]}/{JOB}.packed"
        # Cut off between both: it is there, and still here.
        (packed,) = (tmp_path / "one" / "logs" / JOB[-2:]).iterdir()
        await objects.Objects(url).put(name, packed)
    async with opened(tmp_path / "one", url) as again:
        await again.carry_all()
        await again.carry_all()
        assert files_of(tmp_path / "one") == set()
        assert await again.logs.read(JOB, limit=len(TEXT)) == TEXT
        assert await again.logs.is_sealed(OTHER)
        assert await content(again) == b"zip"


async def test_a_log_that_still_grows_stays_here(url: str, tmp_path: Path) -> None:
    async with opened(tmp_path / "one", url) as one:
        await one.logs.append(JOB, offset_bytes=0, data=b"still ")
        await one.carry_all()
        assert files_of(tmp_path / "one") == {".log"}
        await one.logs.append(JOB, offset_bytes=6, data=b"growing")
        await one.logs.seal(JOB)
        await one.carry()
        assert files_of(tmp_path / "one") == {".packed"}, "somebody may still read it"
        one.logs.let_go(JOB)
        await one.carry()
        assert await one.logs.read(JOB) == b"still growing"
    # A follower that was killed before it wrote that the job has ended reads some of it again.
    async with opened(tmp_path / "one", url) as again:
        assert await again.logs.append(JOB, offset_bytes=6, data=b"growing") == 13
        await again.logs.sync(JOB)
        with pytest.raises(errors.Conflict):
            await again.logs.append(JOB, offset_bytes=6, data=b"another")
        with pytest.raises(errors.Conflict):
            await again.logs.append(JOB, offset_bytes=20, data=b"more")
        await again.logs.seal(JOB)
        await again.carry_all()
        assert files_of(tmp_path / "one") == set()
        assert await again.logs.read(JOB) == b"still growing"
        await again.logs.append(JOB, offset_bytes=0, data=b"still")
        await again.logs.append(JOB, offset_bytes=5, data=b" growing")
        await again.logs.seal(JOB)
        await again.carry_all()
        assert await again.logs.read(JOB) == b"still growing"


async def test_one_that_is_deleted_before_it_is_taken_is_wanted_by_nobody(url: str, tmp_path: Path) -> None:
    async with opened(tmp_path / "one", url) as one:
        await write(one)
        await keep(one, b"zip")
        await one.logs.delete(JOB)
        await one.artifacts.delete(ARTIFACT)
        await one.carry()
        assert await one.logs.size(JOB) == 0


async def test_f22_while_the_store_is_away_everything_stays_here_and_comes_there_later(
    line: s3.Line, tmp_path: Path
) -> None:
    url = f"{s3.URL}/away"
    async with opened(tmp_path / "one", url) as one, opened(tmp_path / "two", url) as two:
        running = asyncio.create_task(one.run())
        line.is_up = False
        with capture_logs() as logged:
            await write(one)
            await keep(one, b"zip")
            while not any(entry["log_level"] == "warning" for entry in logged):
                await asyncio.sleep(0.01)
            assert files_of(tmp_path / "one") == {".packed", ".zip"}
            assert await one.logs.read(JOB, limit=len(TEXT)) == TEXT
            with pytest.raises(errors.StoreUnavailable, match=r"The object store s3://.*: no connection") as told:
                await two.logs.read(JOB)
            assert "127.0.0.1" not in str(told.value)
            with pytest.raises(errors.StoreUnavailable, match="no connection"):
                await content(two)
            with pytest.raises(errors.StoreUnavailable, match="no connection"):
                await two.logs.delete(JOB)
            line.is_up = True
            while files_of(tmp_path / "one") or logged[-1]["log_level"] != "info":
                await asyncio.sleep(0.01)
        assert [entry["event"] for entry in logged if entry["log_level"] == "info"] == ["The object store is back."]
        assert [entry["event"] for entry in logged if entry["log_level"] == "warning"] == [
            "Logs and artifacts stay here for now."
        ]
        assert await two.logs.read(JOB, limit=len(TEXT)) == TEXT
        assert await content(two) == b"zip"
        running.cancel()


async def test_f22_lost_connections_and_errors_of_the_server_are_tried_again(line: s3.Line, tmp_path: Path) -> None:
    async with opened(tmp_path / "one", f"{s3.URL}/tried") as one:
        await write(one)
        data = os.urandom(objects.PART_BYTES * 2 + 1000)
        await keep(one, data)
        line.errors = 2
        # Of the three parts two break off on their way, and the answers of another one.
        line.cuts = [3_000_000, 10_000_000, 300]
        await one.carry()
        assert line.requests > 4
        assert line.cuts == []
        assert files_of(tmp_path / "one") == set()
        line.errors = 1
        line.cuts = [200]
        assert await content(one) == data
        assert await one.logs.read(JOB, limit=len(TEXT)) == TEXT


async def test_f20_what_was_damaged_in_the_store_is_told(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/store"
    async with opened(tmp_path / "one", url) as one:
        await write(one)
        await one.carry()
        (there,) = (tmp_path / "store").rglob("*.packed")
        data = bytearray(there.read_bytes())
        data[5000] ^= 1
        there.write_bytes(data)
        read = await one.logs.read(JOB, limit=len(TEXT))
        assert read.startswith(b"[buildhook: bytes 0 to 262144 of this log were damaged where it is kept]")
        assert read[packed_logs.PIECE_BYTES :] == TEXT[packed_logs.PIECE_BYTES :]
        there.write_bytes(b"something else")
    async with opened(tmp_path / "one", url) as one:
        with pytest.raises(errors.LogUnreadable, match="no log"):
            await one.logs.read(JOB)


async def test_f86_a_store_that_cannot_be_is_told_at_the_start(
    line: s3.Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(errors.SettingsError, match="no such bucket"):
        await Storage(tmp_path, url="s3://nobody-has-this/x").check()
    line.is_refused = True
    with pytest.raises(errors.SettingsError, match=r"refused \(403 AccessDenied\)") as told:
        await Storage(tmp_path, url=s3.URL).check()
    assert "\n" not in str(told.value)
    line.is_refused, line.is_up = False, False
    with capture_logs() as logged:
        await Storage(tmp_path, url=s3.URL).check()
    assert [entry["log_level"] for entry in logged] == ["warning"]
    with pytest.raises(errors.SettingsError, match="AZURE_STORAGE_ACCOUNT_NAME"):
        Storage(tmp_path, url="az://container/x")
    (tmp_path / "a file").touch()
    with pytest.raises(errors.SettingsError, match="a%20file"):
        Storage(tmp_path, url=f"file://{tmp_path}/a%20file/x")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", f"http://127.0.0.1:{line.port}")
    line.is_up, line.is_refused = True, True
    with pytest.raises(errors.SettingsError, match="credentials"):
        await Storage(tmp_path, url=s3.URL).check()


async def test_a_store_belongs_to_the_first_that_says_so(url: str, tmp_path: Path) -> None:
    one, two = Storage(tmp_path / "one", url=url), Storage(tmp_path / "two", url=url)
    assert await one.is_of("first")
    assert await two.is_of("first")
    assert not await two.is_of("second")
    assert not await Storage(tmp_path / "three").is_of("first")
