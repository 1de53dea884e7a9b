"""Floods of output, from the step to the packed log: the right bytes are kept, the rest is counted, memory is flat."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bot.engines import contract
from bot.engines.local import engine as local
from bot.logs import LogStore
from tests.engines import jobs, supervisors
from tests.engines.conftest import Open

MIB = 1 << 20
_LINE = "2026-01-01T12:00:00.000Z INFO building target //foo/bar:baz with 120 objects in the pipeline"


@dataclass(frozen=True, slots=True)
class Flood:
    """A step that says much."""

    script: str
    #: How much it says.
    size_bytes: int
    #: What its output repeats.
    period: bytes
    limit_bytes: int = local.Limits().log_bytes


def one_line(size_bytes: int, *, limit_bytes: int) -> Flood:
    """One line without an end."""
    return Flood(f"head -c {size_bytes} /dev/zero | tr '\\0' x", size_bytes, b"x", limit_bytes)


def binary(size_bytes: int, *, limit_bytes: int) -> Flood:
    """Bytes that are no text."""
    script = f"yes \"$(printf '\\377\\376\\r\\033[31m\\200')\" | head -c {size_bytes}"
    return Flood(script, size_bytes, b"\xff\xfe\r\x1b[31m\x80\n", limit_bytes)


def lines(size_bytes: int, *, limit_bytes: int) -> Flood:
    """Lines as builds write them."""
    return Flood(f"yes '{_LINE}' | head -c {size_bytes}", size_bytes, f"{_LINE}\n".encode(), limit_bytes)


FLOODS = {
    "one line": one_line(12_000_000, limit_bytes=4 * MIB),
    "binary": binary(12_000_000, limit_bytes=4 * MIB),
    "lines": lines(12_000_000, limit_bytes=4 * MIB),
}
LONG_FLOODS = {
    "a line of 200 MB": one_line(200_000_000, limit_bytes=64 * MIB),
    "200 MB of noise": binary(200_000_000, limit_bytes=64 * MIB),
    "1 GB": lines(1_000_000_000, limit_bytes=64 * MIB),
    "1 GB, all of it kept": lines(1_000_000_000, limit_bytes=2_000 * MIB),
}


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "flood",
    [
        *(pytest.param(one, id=name) for name, one in FLOODS.items()),
        *(pytest.param(one, id=name, marks=pytest.mark.long) for name, one in LONG_FLOODS.items()),
    ],
)
async def test_f61_a_flood_is_kept_as_far_as_its_limit_goes_and_memory_stays_flat(
    open_engine: Open, code: jobs.Code, tmp_path: Path, flood: Flood
) -> None:
    engine = await open_engine(limits=local.Limits(log_bytes=flood.limit_bytes))
    logs = LogStore(tmp_path / "logs")
    request = jobs.make(code.source(), flood.script, timeout_seconds=600.0)
    before = _memory(os.getpid(), "VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    await engine.start(request)
    peaks: list[int] = []
    watching = asyncio.create_task(_watch(tmp_path, peaks))
    await _follow(engine, request.job_id, into=logs.append)
    watching.cancel()
    await logs.seal(request.job_id)
    assert _memory(os.getpid(), "VmHWM") - before < 50 * MIB
    assert 0 < max(peaks, default=0) < 70 * MIB
    size_bytes = await logs.size(request.job_id)
    assert size_bytes <= flood.limit_bytes
    await _compare(logs, request.job_id, flood, size_bytes=size_bytes)
    await logs.close()


async def test_t120_a_job_is_asked_to_keep_less_and_keeps_its_end(
    open_engine: Open, code: jobs.Code, tmp_path: Path
) -> None:
    engine, logs = await open_engine(), LogStore(tmp_path / "logs")
    flood = lines(3_000_000, limit_bytes=MIB)
    request = replace(jobs.make(code.source(), flood.script), log_bytes=MIB)
    await engine.start(request)
    await _follow(engine, request.job_id, into=logs.append)
    await logs.seal(request.job_id)
    await _compare(logs, request.job_id, flood, size_bytes=await logs.size(request.job_id))
    assert await logs.size(request.job_id) <= MIB
    await logs.close()


async def _follow(engine: local.Local, job_id: str, *, into: Callable[..., Awaitable[int]]) -> None:
    async for event in engine.events(job_id):
        if isinstance(event, contract.Output):
            await into(job_id, offset_bytes=event.log_offset_bytes, data=event.data)
        if isinstance(event, contract.Finished):
            assert event.result == contract.Result.PASSED, event.reason


async def _compare(logs: LogStore, job_id: str, flood: Flood, *, size_bytes: int) -> None:
    """The beginning and the end are those of the output, and between them stands how much is missing."""
    data = await logs.read(job_id, limit=size_bytes)
    head, mark, rest = data.partition(b"\n[buildhook dropped ")
    repeated = flood.period * (MIB // len(flood.period) + 1)
    for at in range(0, len(head), MIB):
        shift = at % len(flood.period)
        assert head[at : at + MIB] == (repeated[shift:] + repeated)[: min(MIB, len(head) - at)]
    if not mark:
        assert len(head) == flood.size_bytes
        return
    dropped, _, tail = rest.partition(b" bytes here: a job's log keeps %d bytes]\n" % flood.limit_bytes)
    assert len(head) + int(dropped) + len(tail) == flood.size_bytes
    assert len(tail) > flood.limit_bytes // 64
    shift = (flood.size_bytes - len(tail)) % len(flood.period)
    assert tail[:MIB] == (repeated[shift:] + repeated)[: min(MIB, len(tail))]


async def _watch(data_dir: Path, peaks: list[int]) -> None:
    """Note the memory of the supervisor, until this is cancelled."""
    while True:
        for one in supervisors.running(data_dir):
            with contextlib.suppress(OSError, StopIteration):
                peaks.append(_memory(one, "VmHWM"))
        await asyncio.sleep(0.05)


def _memory(pid: int, name: str) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith(f"{name}:"))
