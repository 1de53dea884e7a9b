"""Logs: a flood of a gigabyte through the whole service, its memory meanwhile, and a line found among a million."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from aiohttp import web
from playwright.async_api import async_playwright

from benchmarks import figures, servers
from bot.engines import contract
from bot.engines.local import engine as local
from bot.logs import LogStore
from bot.model import job
from bot.web import groups, logparts, logsearch
from tests.engines import gitserver, jobs, supervisors
from tests.web.house import build_house, close_house

FLOOD_BYTES = 1_000_000_000
ROUNDS = 3
LINES = 1_000_000
WANTED = 900_000
LOOKS = 25
SEARCHES = 5
CHROMIUM = "/usr/bin/chromium"
JOB = "01J00000000000000000000XYZ"
_LINE = "2026-01-01T12:00:00.000Z INFO building target //foo/bar:baz with 120 objects in the pipeline"
_FLOOD = f"yes '{_LINE}' | head -c {FLOOD_BYTES}"
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Flood:
    """What one flood cost."""

    rate: float
    service_bytes: int
    supervisor_bytes: int


async def measure() -> figures.Part:
    """All figures, each beside what is promised."""
    floods = await _floods()
    kept = [await _kept_whole() for _ in range(ROUNDS)]
    rows = [
        _row("1 GB written by a step, 64 MiB of it kept: MB/s", [one.rate for one in floods]),
        _row("the same: more memory of the service, MiB", [one.service_bytes / _MIB for one in floods]),
        _row(
            "the same: more memory of the supervisor, MiB",
            [one.supervisor_bytes / _MIB for one in floods],
        ),
        _row("1 GB kept whole, from the step to a durable log: MB/s", [one.rate for one in kept]),
        _row("the same: more memory of who follows, MiB", [one.service_bytes / _MIB for one in kept]),
    ]
    rate, more = statistics.median(one.rate for one in floods), max(one.service_bytes for one in floods)
    whole = statistics.median(one.rate for one in kept)
    supervisor = max(one.supervisor_bytes for one in floods)
    return figures.Part(
        rows=[*rows, *await _lines()],
        targets=[
            figures.Target(name="1 GB of output", value=rate, must=100, goal=200, unit="MB/s", is_rate=True),
            figures.Target(name="1 GB kept whole", value=whole, must=100, goal=200, unit="MB/s", is_rate=True),
            figures.Target(name="more memory of the service", value=more / _MIB, must=50, goal=20, unit="MiB"),
            figures.Target(name="more memory of the supervisor", value=supervisor / _MIB, must=50, goal=20, unit="MiB"),
        ],
    )


def _row(case: str, values: list[float]) -> figures.Row:
    spread = figures.spread(values, digits=2 if statistics.median(values) < 10 else 0)
    return figures.Row(subject="buildhook", case=case, values={"measured": spread})


async def _floods() -> list[Flood]:
    steps = {"flood": _FLOOD, "quiet": "echo ok"}
    pipeline = "on: push\njobs:\n  test:\n    steps:\n      - run: {run}\n"
    async with servers.world() as (github, service):
        found = []
        repository = await github.create_repository("octo/hello", files={"README.md": "# hello\n"})
        for number in range(ROUNDS + 1):
            # The first one only warms everything up.
            step = steps["flood" if number else "quiet"]
            files = {".buildhook.yml": pipeline.format(run=step), "number": str(number)}
            Path(f"/proc/{service.process.pid}/clear_refs").write_text("5")
            before = _memory(service.process.pid, "VmRSS")
            growth: list[int] = []
            watching = asyncio.create_task(_watch_supervisor(service.environment["BUILDHOOK_DATA_DIR"], growth))
            head = await github.push("octo/hello", f"b{number}", files)
            await github.wait_for_check(repository, head, conclusion="success", timeout_seconds=120)
            watching.cancel()
            if number:
                taken = (await service.command("builds", "list"))[0]["id"]
                (job,) = (await service.command("builds", "show", taken))["jobs"]
                found.append(
                    Flood(
                        rate=FLOOD_BYTES / 1e6 / _seconds(job["steps"][0]),
                        service_bytes=_memory(service.process.pid, "VmHWM") - before,
                        supervisor_bytes=max(growth),
                    )
                )
    return found


def _seconds(step: dict[str, Any]) -> float:
    start, end = (datetime.fromisoformat(step[name]) for name in ("started_at", "finished_at"))
    return (end - start).total_seconds()


def _memory(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


async def _watch_supervisor(data_dir: str, growth: list[int]) -> None:
    """Note how much the supervisor of the job that comes grows, until this is cancelled."""
    first: dict[int, int] = {}
    while True:
        for one in supervisors.running(Path(data_dir)):
            with contextlib.suppress(OSError, StopIteration):
                first.setdefault(one, _memory(one, "VmRSS"))
                growth.append(_memory(one, "VmHWM") - first[one])
        await asyncio.sleep(0.01)


async def _kept_whole() -> Flood:
    """A log without a limit: from the step to the log store, as the follower does it."""
    with tempfile.TemporaryDirectory() as folder:
        async with gitserver.serve(Path(folder) / "git") as server:
            repository = server.repository()
            code = jobs.Code(server, repository, repository.commit({"README.md": "hello\n"}))
            engine = local.Local(Path(folder) / "data", limits=local.Limits(log_bytes=4 * FLOOD_BYTES))
            await engine.open()
            logs = LogStore(Path(folder) / "logs")
            request = jobs.make(code.source(), _FLOOD, timeout_seconds=600.0, job_id=JOB)
            Path("/proc/self/clear_refs").write_text("5")
            before = _memory(os.getpid(), "VmRSS")
            began = time.perf_counter()
            await engine.start(request)
            unsynced = 0
            async for event in engine.events(JOB):
                if isinstance(event, contract.Output):
                    await logs.append(JOB, offset_bytes=event.log_offset_bytes, data=event.data)
                    unsynced += len(event.data)
                    if unsynced >= _MIB:
                        await logs.sync(JOB)
                        unsynced = 0
            await logs.seal(JOB)
            seconds = time.perf_counter() - began
            assert await logs.size(JOB) == FLOOD_BYTES
            more = _memory(os.getpid(), "VmHWM") - before
            await engine.close()
            await logs.close()
    return Flood(rate=FLOOD_BYTES / 1e6 / seconds, service_bytes=more, supervisor_bytes=0)


async def _lines() -> list[figures.Row]:
    text = _text()
    with tempfile.TemporaryDirectory() as folder:
        logs = LogStore(Path(folder))
        for start in range(0, len(text), _MIB):
            await logs.append(JOB, offset_bytes=start, data=text[start : start + _MIB])
        again = LogStore(Path(folder))
        cold = await _timed(again)
        await again.close()
        running = [await _timed(logs) for _ in range(LOOKS)]
        began = time.perf_counter()
        await logs.seal(JOB)
        packing = time.perf_counter() - began
        sealed = [await _timed(logs) for _ in range(LOOKS)]
        pages = [await _seconds_of(logparts.load(logs, JOB, line=WANTED)) for _ in range(LOOKS)]
        absent = [await _seconds_of(_absent(logs)) for _ in range(SEARCHES)]
        folding = [await _seconds_of(groups.load(logs, JOB)) for _ in range(SEARCHES)]
        packed_bytes = sum(path.stat().st_size for path in Path(folder).rglob("*.packed"))
        await logs.close()
        seen, jumped, searched = await _opened(Path(folder), state=job.State.PASSED)
    what = f"line {WANTED:,} of {LINES:,} ({len(text) / _MIB:.0f} MiB)"
    return [
        _row(f"{what} while the job runs, ms", running),
        _row("the same, first look after a restart, ms", [cold]),
        _row("the same when the job has ended, ms", sealed),
        _row(f"the {logparts.PART_LINES} lines around it as rows, ms", [1000 * one for one in pages]),
        _row("a text searched that is nowhere in it, ms", [1000 * one for one in absent]),
        _row("its groups found, ms", [1000 * one for one in folding]),
        _row("a page of it in Chromium, until its end is seen, ms", seen),
        _row("the same: until line 900,000 is seen from there, ms", jumped),
        _row("the same: until a text is found after it was typed, ms", searched),
        _row("packing it, MB/s", [len(text) / 1e6 / packing]),
        _row("how many times smaller it is packed", [len(text) / packed_bytes]),
    ]


async def _opened(data_dir: Path, *, state: job.State) -> list[list[float]]:
    """A page of the log in Chromium, in ms: until its end is seen, then the wanted line, then a text that is typed."""
    found: list[list[float]] = [[], [], []]
    house = await build_house(data_dir)
    one = await house.add_job(state=state)
    text = _text()
    for start in range(0, len(text), _MIB):
        await house.logs.append(one.id, offset_bytes=start, data=text[start : start + _MIB])
    if state in job.FINAL:
        await house.logs.seal(one.id)
    runner = web.AppRunner(house.app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for _ in range(SEARCHES):
            page = await browser.new_page()
            steps = (
                page.goto(f"http://127.0.0.1:{runner.addresses[0][1]}/jobs/{one.id}#L{LINES}"),
                page.goto(f"http://127.0.0.1:{runner.addresses[0][1]}/jobs/{one.id}#L{WANTED}"),
                page.locator("#q").fill("0123456 "),
            )
            for times, step, line in zip(found, steps, (LINES, WANTED, 123_456), strict=True):
                began = time.perf_counter()
                await step
                await page.wait_for_selector(f"#L{line}", state="visible")
                times.append(1000 * (time.perf_counter() - began))
            await page.close()
        await browser.close()
    await runner.cleanup()
    await close_house(house)
    return found


async def _seconds_of(work: Awaitable[object]) -> float:
    began = time.perf_counter()
    await work
    return time.perf_counter() - began


async def _absent(logs: LogStore) -> None:
    """Look for what is nowhere, so that all is looked through."""
    found = await logsearch.search(logs, JOB, logsearch.Wanted(text="Nothing like it"))
    assert found.lines == ()


async def _timed(logs: LogStore) -> float:
    began = time.perf_counter()
    at = await logs.find_line(JOB, number=WANTED)
    assert at is not None
    assert (await logs.read(JOB, start=at, limit=100)).startswith(b"%07d " % WANTED)
    return (time.perf_counter() - began) * 1000


@functools.cache
def _text() -> bytes:
    chance = random.Random(1)
    words = ["PASSED", "tests/test_", "src/module", "INFO", "building", "warning:", "in 0.0", "s", "[gw1]", "%"]
    lines = (
        f"{number:07d} {chance.choice(words)}{chance.getrandbits(24):x} {' '.join(chance.choices(words, k=6))}\n"
        for number in range(1, LINES + 1)
    )
    return "".join(lines).encode()
