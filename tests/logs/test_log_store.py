"""The log store keeps every byte once, in order, and tells watchers."""

from __future__ import annotations

import asyncio
import os
import resource
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import errors
from bot.logs import LogStore, files, lines, reading

JOB = "01J00000000000000000000XYZ"
OTHER = "01J00000000000000000000ABC"


@pytest.fixture
async def logs(tmp_path: Path) -> AsyncIterator[LogStore]:
    store = LogStore(tmp_path / "logs")
    yield store
    await store.close()


def the_file(logs_folder: Path) -> Path:
    return next(logs_folder.rglob("*.log"))


async def test_what_is_appended_is_read_from_any_offset(logs: LogStore) -> None:
    assert await logs.append(JOB, offset_bytes=0, data=b"hello ") == 6
    assert await logs.append(JOB, offset_bytes=6, data=b"world") == 11
    assert await logs.read(JOB) == b"hello world"
    assert await logs.read(JOB, start=6) == b"world"
    assert await logs.read(JOB, start=4, limit=3) == b"o w"
    assert await logs.read(JOB, start=99) == b""
    assert await logs.size(JOB) == 11


async def test_a_log_that_is_not_there_is_empty(logs: LogStore) -> None:
    assert await logs.read(JOB) == b""
    assert await logs.size(JOB) == 0
    assert await logs.tail(JOB) == ""
    assert await logs.line_numbers(JOB, at=[0, 10]) == [1, 1]
    assert await logs.find_line(JOB, number=1) is None
    assert not await logs.is_sealed(JOB)


async def test_appending_the_same_bytes_again_changes_nothing(logs: LogStore) -> None:
    await logs.append(JOB, offset_bytes=0, data=b"one two")
    assert await logs.append(JOB, offset_bytes=0, data=b"one") == 7
    assert await logs.append(JOB, offset_bytes=4, data=b"two three") == 13
    assert await logs.read(JOB) == b"one two three"


async def test_a_gap_is_refused_and_says_where_to_go_on(logs: LogStore) -> None:
    await logs.append(JOB, offset_bytes=0, data=b"abc")
    with pytest.raises(errors.Conflict, match="append from 3"):
        await logs.append(JOB, offset_bytes=5, data=b"x")
    assert await logs.read(JOB) == b"abc"


async def test_a_torn_end_is_cut_and_written_anew(logs: LogStore, tmp_path: Path) -> None:
    await logs.append(JOB, offset_bytes=0, data=b"whole\n")
    with the_file(tmp_path).open("ab") as file:
        file.write(b"li\0\0\0\0")
    assert await logs.append(JOB, offset_bytes=6, data=b"line 2\n") == 13
    assert await logs.read(JOB) == b"whole\nline 2\n"


async def test_a_sealed_log_takes_nothing_new_but_repeats_are_harmless(logs: LogStore) -> None:
    await logs.append(JOB, offset_bytes=0, data=b"done\n")
    await logs.seal(JOB)
    await logs.seal(JOB)
    assert await logs.is_sealed(JOB)
    assert await logs.append(JOB, offset_bytes=0, data=b"done\n") == 5
    with pytest.raises(errors.Conflict, match="sealed"):
        await logs.append(JOB, offset_bytes=5, data=b"more")
    with pytest.raises(errors.Conflict, match="sealed"):
        await logs.append(JOB, offset_bytes=0, data=b"DONE\n")
    assert await logs.read(JOB) == b"done\n"


async def test_a_deleted_log_is_gone_and_deleting_again_is_harmless(logs: LogStore, tmp_path: Path) -> None:
    await logs.append(JOB, offset_bytes=0, data=b"x")
    await logs.seal(JOB)
    await logs.delete(JOB)
    await logs.delete(JOB)
    assert await logs.size(JOB) == 0
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    "job_id",
    ["", "..", "../../etc/passwd", "/etc/passwd", JOB.lower(), JOB + "\n", JOB + "0", JOB[:-1] + "\0", "８" * 26],
)
async def test_what_is_not_a_job_id_reaches_no_file(logs: LogStore, tmp_path: Path, job_id: str) -> None:
    with pytest.raises(errors.NotFound):
        await logs.append(job_id, offset_bytes=0, data=b"x")
    with pytest.raises(errors.NotFound):
        await logs.read(job_id)
    assert not list(tmp_path.iterdir())


async def test_a_full_disk_leaves_no_half_of_the_bytes(logs: LogStore) -> None:
    await logs.append(JOB, offset_bytes=0, data=b"kept")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # As on a full disk: the first 4096 bytes fit, the rest is refused.
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(errors.StoreUnavailable, match=JOB):
            await logs.append(JOB, offset_bytes=4, data=b"x" * 10_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert await logs.read(JOB) == b"kept"
    assert await logs.append(JOB, offset_bytes=4, data=b"x" * 10_000) == 10_004


async def test_tail_gives_the_last_lines_of_a_range(logs: LogStore) -> None:
    await logs.append(JOB, offset_bytes=0, data=b"a\nb\nc\nd\n")
    assert await logs.tail(JOB, lines=2) == "c\nd"
    assert await logs.tail(JOB, start=2, end=6, lines=9) == "b\nc"
    assert await logs.tail(JOB, start=2, end=5) == "b\nc"
    assert await logs.tail(JOB, end=99, lines=1) == "d"
    assert await logs.tail(JOB, start=6, end=2) == ""
    assert await logs.tail(JOB, lines=0) == ""


async def test_tail_is_bounded_and_never_fails_on_bytes(logs: LogStore) -> None:
    await logs.append(JOB, offset_bytes=0, data=b"\xff\xfe" * reading.TAIL_BYTES)
    assert len(await logs.tail(JOB)) <= reading.TAIL_BYTES


@pytest.mark.parametrize("step_bytes", [1, 3, 1024])
@pytest.mark.parametrize("is_whole", [False, True])
async def test_lines_are_counted_and_found(
    logs: LogStore, monkeypatch: pytest.MonkeyPatch, step_bytes: int, is_whole: bool
) -> None:
    monkeypatch.setattr(lines, "STEP_BYTES", step_bytes)
    await logs.append(JOB, offset_bytes=0, data=b"one\ntwo\n\nfour")
    if is_whole:
        await logs.seal(JOB)
    assert await logs.line_numbers(JOB, at=[8, 0, 3, 4, 99, 9, 8]) == [3, 1, 1, 2, 4, 4, 3]
    assert await logs.line_numbers(JOB, at=[]) == []
    assert [await logs.find_line(JOB, number=number) for number in (1, 2, 3, 4, 5)] == [0, 4, 8, 9, None]


async def test_a_watcher_wakes_on_append_and_on_seal_only_of_its_job(logs: LogStore) -> None:
    async with logs.watch(JOB) as watcher, logs.watch(OTHER) as other:
        waiting = asyncio.ensure_future(watcher.wait(30))
        await logs.append(JOB, offset_bytes=0, data=b"x")
        assert await waiting
        await logs.seal(JOB)
        assert await watcher.wait(30)
        assert not await watcher.wait(0)
        assert not await other.wait(0)


async def test_a_change_before_the_wait_is_not_lost(logs: LogStore) -> None:
    async with logs.watch(JOB) as watcher:
        await logs.append(JOB, offset_bytes=0, data=b"x")
        assert await watcher.wait(30)


async def test_appends_at_once_for_one_job_keep_order_by_offset(logs: LogStore) -> None:
    text = bytes(range(200))
    pieces = [(start, text[start : start + 40]) for start in range(0, 200, 10)]
    await logs.append(JOB, offset_bytes=0, data=text[:160])
    await asyncio.gather(*(logs.append(JOB, offset_bytes=start, data=data) for start, data in pieces if start <= 160))
    assert await logs.read(JOB) == text


async def test_who_reads_to_the_end_of_the_service_lets_go_of_the_file(tmp_path: Path) -> None:
    store = LogStore(tmp_path)
    await store.append(JOB, offset_bytes=0, data=b"x")
    before = len(os.listdir("/proc/self/fd"))
    async with store.opened(JOB) as log:
        assert await log.read() == b"x"
        await store.close()
    assert len(os.listdir("/proc/self/fd")) <= before


async def test_files_are_for_their_owner_only(logs: LogStore, tmp_path: Path) -> None:
    await logs.append(JOB, offset_bytes=0, data=b"x")
    assert the_file(tmp_path).stat().st_mode & 0o077 == 0


@given(
    text=st.binary(max_size=60),
    moves=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 30), st.sampled_from(["append", "tear"])), max_size=30),
)
def test_any_order_of_repeats_and_torn_ends_ends_in_the_same_log(
    text: bytes, moves: list[tuple[int, int, str]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x" / "log.log"
        index = lines.Index()

        def append(offset_bytes: int, data: bytes) -> int:
            return files.append(path, index=index, offset_bytes=offset_bytes, data=data)

        def size() -> int:
            return path.stat().st_size if path.exists() else 0

        for start, length, kind in moves:
            if kind == "append" and start <= size():
                assert append(start, text[start : start + length]) == size()
            elif kind == "tear" and path.exists():
                # Zeros behind the end, or a few bytes less: what a power cut leaves of bytes not yet synced.
                os.truncate(path, max(0, size() + length % 7 - 3))
        for start in range(0, len(text), 7):
            append(start, text[start : start + 7])
        log = files.opened(path, index=index)
        assert (b"" if log is None else log.read(0, len(text))) == text
        if log is not None:
            assert log.line_numbers([len(text)]) == [text.count(b"\n") + 1]
            log.close()
