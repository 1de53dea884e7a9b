"""What a job cannot do too much of: time, output, and ways not to end."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import random
import shutil
import time
from pathlib import Path

import pytest

from bot import errors
from bot.engines import contract
from bot.engines.local import cgroups, folder, orphans, podman
from bot.engines.local import engine as local
from bot.model import job
from tests.engines import jobs
from tests.engines.conftest import Open

MIB = 1 << 20


async def test_f69_a_cancelled_step_is_asked_first_and_may_tidy_up(open_engine: Open, code: jobs.Code) -> None:
    engine = await open_engine()
    script = "trap 'echo tidied; exit 7' TERM; echo ready; while :; do sleep 0.05; done"
    request = jobs.make(code.source(), script, "echo never")
    await engine.start(request)
    await jobs.until_output(engine, request.job_id, b"ready")
    await engine.cancel(request.job_id, reason="A newer commit came.")
    told = await jobs.follow(engine, request.job_id)
    assert (told.result, told.reason) == ("cancelled", "A newer commit came.")
    assert told.log.startswith("ready\n")
    assert told.log.endswith("tidied\n")
    assert told.steps == [(0, "running"), (0, "cancelled"), (1, "skipped")]


@pytest.mark.parametrize("sandbox", ["auto", "none"])
async def test_f69_a_step_that_does_not_listen_is_killed_after_the_grace(
    open_engine: Open, code: jobs.Code, sandbox: str
) -> None:
    engine = await open_engine(sandbox=sandbox, limits=local.Limits(grace_seconds=0.3))
    script = "trap '' TERM; (trap '' TERM; setsid sleep 600) & echo ready; while :; do sleep 0.05; done"
    request = jobs.make(code.source(trust=jobs.TRUSTED), script)
    await engine.start(request)
    await jobs.until_output(engine, request.job_id, b"ready")
    began = time.monotonic()
    await engine.cancel(request.job_id, reason="now")
    told = await jobs.follow(engine, request.job_id)
    assert told.result == "cancelled"
    assert 0.3 <= time.monotonic() - began < 5


async def test_f69_a_cancellation_that_was_only_written_down_is_heeded_before_the_next_step(
    open_engine: Open, code: jobs.Code, data_dir: Path
) -> None:
    engine = await open_engine()
    request = jobs.make(code.source(), "echo ready; until test -e go; do sleep 0.01; done", "echo never")
    await engine.start(request)
    await jobs.until_output(engine, request.job_id, b"ready")
    job_folder = jobs.stream_path(data_dir, request.job_id).parent
    await asyncio.to_thread(folder.cancel_in, job_folder / "cancel", "written down")
    (job_folder / "box" / "workspace" / "go").touch()
    told = await jobs.follow(engine, request.job_id)
    assert (told.result, told.reason, told.log) == ("cancelled", "written down", "ready\n")
    assert told.steps == [(0, "running"), (0, "passed"), (1, "skipped")]


async def test_f69_a_job_that_is_removed_while_it_is_cancelled_needs_no_cancelling(
    open_engine: Open, code: jobs.Code, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = await open_engine()
    request = jobs.make(code.source(), "true")
    await jobs.run(engine, request)
    look_after = orphans.look_after

    def removed_before(place: folder.Folder, *, is_late: bool, held: cgroups.Cgroups, program: podman.Podman) -> object:
        shutil.rmtree(place.path)
        return look_after(place, is_late=is_late, held=held, program=program)

    monkeypatch.setattr(orphans, "look_after", removed_before)
    await engine.cancel(request.job_id, reason="late")
    assert not await engine.find(request.job_id)


async def test_f69_a_job_is_cancelled_while_its_code_is_fetched(open_engine: Open, code: jobs.Code) -> None:
    engine = await open_engine()
    code.server.is_open.clear()
    request = jobs.make(code.source(), "echo never")
    await engine.start(request)
    await jobs.until_true(lambda: bool(code.server.requests))
    await engine.cancel(request.job_id, reason="too slow")
    told = await jobs.follow(engine, request.job_id)
    assert (told.result, told.reason, told.log) == ("cancelled", "too slow", "")
    # Others that wait for the same fetch get it.
    other = jobs.make(code.source(), "echo other")
    await engine.start(other)
    code.server.is_open.set()
    assert (await jobs.follow(engine, other.job_id)).log == "other\n"


async def test_f70_a_time_limit_that_falls_on_the_end_gives_one_conclusion(open_engine: Open, code: jobs.Code) -> None:
    engine = await open_engine(limits=local.Limits(grace_seconds=0.2))
    requests = [
        jobs.make(code.source(), "sleep 0.2", timeout_seconds=limit_seconds)
        for limit_seconds in (0.18, 0.2, 0.21, 0.22, 0.23, 0.24, 0.26, 0.3)
    ]
    for told in await asyncio.gather(*(jobs.run(engine, request) for request in requests)):
        assert told.result in {"passed", "timed_out"}
        assert sum(isinstance(event, contract.Finished) for event in told.events) == 1
        assert told.steps in ([], [(0, told.result)], [(0, "running"), (0, told.result)])


@pytest.mark.long
@pytest.mark.timeout(1800)
async def test_f70_ten_thousand_time_limits_around_the_end_give_one_conclusion_each(
    open_engine: Open, code: jobs.Code
) -> None:
    engine = await open_engine(sandbox="none", limits=local.Limits(grace_seconds=0.2))
    chance = random.Random(70)
    results: collections.Counter[str] = collections.Counter()
    edge_seconds = 0.03

    async def race() -> None:
        nonlocal edge_seconds
        limit_seconds = edge_seconds * chance.uniform(0.9, 1.1)
        request = jobs.make(code.source(trust=jobs.TRUSTED), "sleep 0.01", timeout_seconds=limit_seconds)
        told = await jobs.run(engine, request)
        assert sum(isinstance(event, contract.Finished) for event in told.events) == 1
        assert told.steps in ([], [(0, told.result)], [(0, "running"), (0, told.result)])
        # Its supervisor may still be about to end.
        with contextlib.suppress(errors.EngineError):
            await engine.remove(request.job_id)
        results[told.result] += 1
        # The limits stay where about half of the jobs are just in time, however fast the machine is by now.
        edge_seconds *= 0.99 if told.result == "passed" else 1.01

    for _ in range(10_000 // 20):
        await asyncio.gather(*(race() for _ in range(20)))
    assert set(results) == {"passed", "timed_out"}
    assert min(results.values()) > 1000


async def test_a_time_limit_counts_over_all_steps(open_engine: Open, code: jobs.Code) -> None:
    engine = await open_engine(limits=local.Limits(grace_seconds=0.2))
    told = await jobs.run(engine, jobs.make(code.source(), *["sleep 0.3"] * 5, timeout_seconds=1.0))
    assert (told.result, told.reason) == ("timed_out", "It ran longer than 1 seconds, its time limit.")
    assert told.steps[-1][1] == "skipped"


async def test_f61_of_a_flood_the_beginning_and_the_end_are_kept(open_engine: Open, code: jobs.Code) -> None:
    engine = await open_engine(limits=local.Limits(log_bytes=4 * MIB))
    script = "echo the beginning; head -c 60000000 /dev/zero | tr '\\0' x; echo; echo the end; exit 5"
    began = time.monotonic()
    told = await jobs.run(engine, jobs.make(code.source(), "echo before", script, "echo never"))
    took_seconds = time.monotonic() - began
    assert (told.result, told.end.exit_code) == ("failed", 5)
    assert told.log.startswith("before\nthe beginning\nxxx")
    assert told.log.endswith("xxx\nthe end\n")
    dropped = int(told.log.partition("[buildhook dropped ")[2].split()[0])
    mark = told.log_bytes.index(b"\n[buildhook dropped")
    assert len(told.log_bytes) <= 4 * MIB
    assert mark >= 3 * MIB
    length = len(told.log_bytes) - (told.log_bytes.index(b"bytes]\n") + 7 - mark)
    assert length + dropped == len("before\nthe beginning\n") + 60_000_000 + len("\nthe end\n")
    assert took_seconds < 20


async def test_f61_several_floods_stay_within_one_limit_and_each_shows_its_end(
    open_engine: Open, code: jobs.Code
) -> None:
    engine = await open_engine(limits=local.Limits(log_bytes=MIB))
    flood = "head -c 3000000 /dev/zero | tr '\\0' y; echo end of $N"
    steps = [job.Step(name=f"flood {number}", run=flood, env={"N": str(number)}) for number in range(6)]
    told = await jobs.run(engine, jobs.make(code.source(), *steps))
    assert told.result == "passed"
    assert len(told.log_bytes) <= MIB
    ends = [event.step for event in told.events if isinstance(event, contract.StepChanged) if event.step.log_end_bytes]
    for step in ends:
        part = told.log_bytes[step.log_start_bytes : step.log_end_bytes]
        assert part.endswith(f"end of {step.index}\n".encode())


async def test_f61_output_without_end_of_line_and_of_any_bytes_comes_through(
    open_engine: Open, code: jobs.Code
) -> None:
    engine = await open_engine()
    octal = "".join(f"\\{number:03o}" for number in range(256))
    told = await jobs.run(engine, jobs.make(code.source(), f"printf '{octal}'"))
    assert told.log_bytes == bytes(range(256))


async def test_f61_output_that_trickles_comes_while_it_trickles(open_engine: Open, code: jobs.Code) -> None:
    engine = await open_engine()
    request = jobs.make(code.source(), "echo one; until test -e two; do sleep 0.01; done; echo two")
    await engine.start(request)
    await jobs.until_output(engine, request.job_id, b"one")
    told = asyncio.create_task(jobs.follow(engine, request.job_id))
    await engine.cancel(request.job_id, reason="seen")
    assert (await told).log == "one\n"
