"""A packed log reads exactly as the plain one did, and what is damaged of it is told and costs nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import io
import itertools
import os
import random
import resource
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import errors, failpoint
from bot.logs import LogStore, files, lines, packed, reading
from tests.logs import writer

JOB = "01J00000000000000000000XYZ"
#: Bytes with many line ends, carriage returns, colours and what is no UTF-8.
texts = st.lists(
    st.sampled_from([b"\n", b"\r", b"ab", b"\x1b[31mred", b"\xff\xfe", b"\0", "ü".encode(), b"a longer line\n"]),
    max_size=60,
).map(b"".join) | st.binary(max_size=300)


class Bytes:
    """Bytes to read a packed log from."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size_bytes = len(data)
        #: How many were asked for.
        self.asked = 0

    def read(self, start: int, limit: int) -> bytes:
        self.asked += limit
        return self._data[start : start + limit]


def pack(text: bytes, *, piece_bytes: int, cuts: list[int] | None = None) -> bytes:
    into = io.BytesIO()
    ends = [0, *sorted(min(one, len(text)) for one in cuts or []), len(text)]
    packed.write((text[a:b] for a, b in itertools.pairwise(ends)), into, piece_bytes=piece_bytes)
    return into.getvalue()


@contextlib.contextmanager
def plain(text: bytes) -> Iterator[reading.Plain]:
    fd = os.memfd_create("log", os.MFD_CLOEXEC)
    os.write(fd, text)
    log = reading.Plain(fd, index=lines.Index())
    yield log
    log.close()


@given(
    text=texts,
    piece_bytes=st.integers(1, 400),
    cuts=st.lists(st.integers(0, 300), max_size=5),
    at=st.integers(0, 320),
    limit=st.integers(0, 320),
)
def test_f5_a_packed_log_reads_as_the_plain_one(
    text: bytes, piece_bytes: int, cuts: list[int], at: int, limit: int
) -> None:
    log = packed.Packed(Bytes(pack(text, piece_bytes=piece_bytes, cuts=cuts)), name="x")
    with plain(text) as other:
        assert log.size_bytes == other.size() == len(text)
        assert log.read(0, len(text)) == text
        assert log.read(at, limit) == other.read(at, limit) == text[at : at + limit]
        places = [at, 0, len(text), max(0, at - 1)]
        expected = [text.count(b"\n", 0, one) + 1 for one in places]
        assert log.line_numbers(places) == other.line_numbers(places) == expected
        starts = [0, *(index + 1 for index, byte in enumerate(text) if byte == 10 and index + 1 < len(text))]
        for number in (1, 2, text.count(b"\n"), text.count(b"\n") + 1, text.count(b"\n") + 2, at):
            right = starts[max(number, 1) - 1] if max(number, 1) <= len(starts) else None
            assert log.find_line(number) == other.find_line(number) == right
        tails = [reading.tail(one, start=0, end=at, lines=3) for one in (reading.Packed(log), other)]
        assert tails[0] == tails[1]


@given(text=texts.filter(bool), piece_bytes=st.integers(1, 400), data=st.data())
def test_f20_a_changed_bit_costs_one_part_and_is_told(text: bytes, piece_bytes: int, data: st.DataObject) -> None:
    whole = pack(text, piece_bytes=piece_bytes)
    at = data.draw(st.integers(8, len(whole) - 1))
    broken = bytearray(whole)
    broken[at] ^= 1 << data.draw(st.integers(0, 7))
    log = packed.Packed(Bytes(bytes(broken)), name="x")
    read = log.read(0, len(text))
    assert log.size_bytes == len(text) == len(read)
    assert log.line_numbers([len(text)]) == [text.count(b"\n") + 1]
    damaged = {index // piece_bytes for index in range(len(text)) if read[index] != text[index]}
    assert len(damaged) <= 1
    for index in damaged:
        start, end = index * piece_bytes, min((index + 1) * piece_bytes, len(text))
        told = f"[buildhook: bytes {start} to {end} of this log were damaged where it is kept]".encode()
        assert read[start:end].rstrip(b"\n ") == told[: end - start - text.count(b"\n", start, end)].rstrip(b" ")
        assert read.count(b"\n", start, end) == text.count(b"\n", start, end)


@given(text=texts, piece_bytes=st.integers(1, 400), data=st.data())
def test_f20_of_a_torn_one_is_read_what_is_whole(text: bytes, piece_bytes: int, data: st.DataObject) -> None:
    whole = pack(text, piece_bytes=piece_bytes)
    torn = whole[: data.draw(st.integers(0, len(whole) - 1))]
    if len(torn) < 8:
        with pytest.raises(errors.LogUnreadable, match="damaged"):
            packed.Packed(Bytes(torn), name="x")
        return
    log = packed.Packed(Bytes(torn), name="x")
    read = log.read(0, len(text))
    assert len(read) == log.size_bytes
    # The last piece may be cut: it is told as damaged.
    kept = len(read) if read == text[: len(read)] else (len(read) - 1) // piece_bytes * piece_bytes
    assert read[:kept] == text[:kept]


def test_what_is_no_log_and_one_of_a_newer_version_are_refused() -> None:
    whole = pack(b"text", piece_bytes=4)
    with pytest.raises(errors.LogUnreadable, match="no log"):
        packed.Packed(Bytes(b"PK\3\4" + whole), name="x")
    with pytest.raises(errors.LogUnreadable, match="newer version"):
        packed.Packed(Bytes(whole[:7] + b"\2" + whole[8:]), name="x")


def test_a_line_of_a_million_is_found_by_reading_one_piece() -> None:
    text = b"".join(b"%064d\n" % number for number in range(100_000))
    source = Bytes(pack(text, piece_bytes=packed.PIECE_BYTES))
    log = packed.Packed(source, name="x")
    source.asked = 0
    assert log.find_line(90_000) == 89_999 * 65
    assert source.asked < packed.PIECE_BYTES


@pytest.mark.parametrize("at", ["log.mid_chunk", "artifact.mid_write", "log.packed"])
async def test_f5_whatever_breaks_off_leaves_a_whole_log(tmp_path: Path, at: str) -> None:
    logs = LogStore(tmp_path)
    text = b"line\r\n\xff" * 1000
    await logs.append(JOB, offset_bytes=0, data=text[:5000])

    async def write_rest() -> None:
        await logs.append(JOB, offset_bytes=5000, data=text[5000:])
        await logs.seal(JOB)

    failpoint.arm(failpoint.parse(f"{at}:exception"), on_fire=lambda _: None)
    try:
        with pytest.raises(failpoint.Fired):
            await write_rest()
    finally:
        failpoint.arm((), on_fire=lambda _: None)
    await logs.close()
    # As the next process finds it.
    again = LogStore(tmp_path)
    assert text.startswith(await again.read(JOB))
    assert await again.append(JOB, offset_bytes=4000, data=text[4000:]) == len(text)
    await again.seal(JOB)
    assert await again.read(JOB) == text
    assert await again.is_sealed(JOB)
    assert [path.suffix for path in tmp_path.rglob("*.*")] == [".packed"]
    await again.close()


async def test_a_log_that_an_older_version_sealed_is_read_and_packed_later(tmp_path: Path) -> None:
    logs = LogStore(tmp_path)
    await logs.append(JOB, offset_bytes=0, data=b"one\ntwo\n")
    (path,) = tmp_path.rglob("*.log")
    files.seal_of(path).touch()
    assert await logs.is_sealed(JOB)
    assert await logs.read(JOB) == b"one\ntwo\n"
    with pytest.raises(errors.Conflict, match="sealed"):
        await logs.append(JOB, offset_bytes=8, data=b"three")
    await logs.seal(JOB)
    assert not path.exists()
    assert await logs.read(JOB) == b"one\ntwo\n"
    await logs.close()


async def test_f15_a_disk_without_room_for_packing_keeps_the_plain_log(tmp_path: Path) -> None:
    logs = LogStore(tmp_path)
    text = os.urandom(20_000)
    await logs.append(JOB, offset_bytes=0, data=text)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        await logs.seal(JOB)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert await logs.is_sealed(JOB)
    assert await logs.read(JOB) == text
    assert {path.suffix for path in tmp_path.rglob("*.*")} == {".log", ".sealed"}
    await logs.seal(JOB)
    assert await logs.read(JOB) == text
    assert {path.suffix for path in tmp_path.rglob("*.*")} == {".packed"}
    await logs.close()


async def test_who_reads_a_log_while_it_is_packed_gets_all_of_it(tmp_path: Path) -> None:
    logs = LogStore(tmp_path)
    text = b"some line\n" * 100_000
    is_over = threading.Event()

    async def look() -> int:
        looks = 0
        while not is_over.is_set():
            size_bytes = await logs.size(JOB)
            data = await logs.read(JOB, start=max(0, size_bytes - 1000))
            assert size_bytes == 0 or data == text[max(0, size_bytes - 1000) :][: len(data)] != b""
            looks += 1
        return looks

    async with logs.opened(JOB) as log:
        readers = [asyncio.create_task(look()) for _ in range(3)]
        for start in range(0, len(text), 250_000):
            await logs.append(JOB, offset_bytes=start, data=text[start : start + 250_000])
        assert await log.size() == len(text)
        await logs.seal(JOB)
        assert await logs.size(JOB) == len(text)
        assert await log.read(limit=len(text)) == text
        is_over.set()
        assert all(looks > 0 for looks in await asyncio.gather(*readers))
        await logs.delete(JOB)
        assert await log.read(start=5, limit=5) == text[5:10]
    await logs.close()


async def test_an_append_meets_a_log_that_another_process_packs(tmp_path: Path) -> None:
    one, other = LogStore(tmp_path), LogStore(tmp_path)
    await one.append(JOB, offset_bytes=0, data=b"all of it\n")
    results = await asyncio.gather(
        other.seal(JOB),
        *(one.append(JOB, offset_bytes=0, data=b"all of it\n") for _ in range(20)),
        one.seal(JOB),
        other.sync(JOB),
    )
    assert [found for found in results if found is not None] == [10] * 20
    assert await one.read(JOB) == await other.read(JOB) == b"all of it\n"
    assert [path.suffix for path in tmp_path.rglob("*.*")] == [".packed"]
    await one.close()
    await other.close()


async def test_an_append_that_waited_while_another_process_packed_the_log_is_not_lost_unseen(tmp_path: Path) -> None:
    logs = LogStore(tmp_path)
    await logs.append(JOB, offset_bytes=0, data=b"all of it\n")
    (path,) = tmp_path.rglob("*.log")
    with path.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        waiting = asyncio.create_task(logs.append(JOB, offset_bytes=0, data=b"all of it\nand more"))
        while "->" not in Path("/proc/locks").read_text():
            await asyncio.sleep(0.01)
        with files.packed_of(path).open("wb") as into:
            packed.write(iter([b"all of it\n"]), into)
        path.unlink()
    with pytest.raises(errors.Conflict, match="sealed"):
        await waiting
    assert await logs.read(JOB) == b"all of it\n"
    assert [one.suffix for one in tmp_path.rglob("*.*")] == [".packed"]
    await logs.close()


@pytest.fixture
async def logs(tmp_path: Path) -> AsyncIterator[LogStore]:
    store = LogStore(tmp_path)
    yield store
    await store.close()


async def test_f61_a_million_lines_are_found_at_once_while_they_come_and_afterwards(logs: LogStore) -> None:
    text = b"".join(b"%d\n" % number for number in range(1, 1_000_001))
    for start in range(0, len(text), 1 << 20):
        await logs.append(JOB, offset_bytes=start, data=text[start : start + (1 << 20)])
    await logs.line_numbers(JOB, at=[len(text)])
    for is_whole in (False, True):
        if is_whole:
            await logs.seal(JOB)
        at = await logs.find_line(JOB, number=900_000)
        assert at is not None
        assert await logs.read(JOB, start=at, limit=14) == b"900000\n900001\n"
        assert await logs.line_numbers(JOB, at=[at, at - 1]) == [900_000, 899_999]
        assert await logs.find_line(JOB, number=1_000_001) is None


async def test_f61_one_line_without_end_and_binary_noise_come_back_as_they_were(logs: LogStore) -> None:
    line = bytes(range(1, 10)) * 1000 + bytes(range(11, 256)) * 8000
    for start in range(0, len(line), 1 << 18):
        await logs.append(JOB, offset_bytes=start, data=line[start : start + (1 << 18)])
    await logs.seal(JOB)
    assert await logs.find_line(JOB, number=2) is None
    assert await logs.line_numbers(JOB, at=[len(line) - 1]) == [1]
    assert await logs.read(JOB, limit=len(line)) == line


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_f5_a_thousand_logs_killed_anywhere_compare_byte_for_byte(tmp_path: Path) -> None:
    await _kill_and_compare(tmp_path, count=1000)


async def test_f5_logs_killed_anywhere_compare_byte_for_byte(tmp_path: Path) -> None:
    await _kill_and_compare(tmp_path, count=40)


async def _kill_and_compare(folder: Path, *, count: int) -> None:
    """Write each log in a process that is killed somewhere, then go on as the follower does: from where it was."""
    assert await writer.write(folder, first=0, count=count) == count
    chance = random.Random(count)
    again = LogStore(folder)
    for number in range(count):
        job_id, text = writer.job_id(number), writer.text(number)
        kept = await again.read(job_id, limit=len(text) + 1)
        assert kept == text[: len(kept)], "a beginning of it, without a gap"
        start = chance.randrange(len(kept) + 1)
        assert await again.append(job_id, offset_bytes=start, data=text[start:]) == len(text)
        await again.seal(job_id)
        assert await again.read(job_id, limit=len(text) + 1) == text
        assert await again.line_numbers(job_id, at=[len(text)]) == [text.count(b"\n") + 1]
    await again.close()
