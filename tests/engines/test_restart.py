"""A service that is killed at any moment: the job runs once, its log is whole, and the next service attaches to it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import fields
from pathlib import Path

import pytest

from bot import images
from bot.engines import contract
from bot.engines.local import engine as local
from bot.engines.local import folder
from bot.engines.local.supervisor import frames
from tests.engines import jobs
from tests.engines.conftest import Open

#: Counts its runs in its log, and goes on when a file comes into its workspace.
RUN = "echo begins; n=0; until test -e go; do n=$((n+1)); if [ $((n % 2000)) = 0 ]; then echo tick; fi; done; echo ends"


@contextlib.asynccontextmanager
async def service(
    data_dir: Path,
    code: jobs.Code,
    job_id: str,
    *runs: str,
    waits_for_token: bool = False,
    waits_for_secrets: bool = False,
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A service in a process group of its own that starts a job."""
    given = {
        "url": code.server.address(),
        "sha": code.sha,
        "runs": runs,
        "job_id": job_id,
        "waits_for_token": waits_for_token,
        "waits_for_secrets": waits_for_secrets,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.engines.service", str(data_dir), json.dumps(given)),
        stdout=asyncio.subprocess.PIPE,
        process_group=0,
        cwd=Path(__file__).parents[2],
    )
    try:
        yield process
    finally:
        await kill(process)


async def kill(process: asyncio.subprocess.Process) -> None:
    """Kill the service and all of its process group at once."""
    if process.returncode is None:
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


async def until_said(process: asyncio.subprocess.Process, word: str) -> None:
    """Wait for a line."""
    assert process.stdout is not None
    while line := (await process.stdout.readline()).decode():
        if line.strip() == word:
            return
    raise AssertionError(f"the service ended without saying {word}")


def workspace(data_dir: Path, job_id: str) -> Path:
    """The job's workspace."""
    return data_dir / "engine" / "jobs" / job_id / "box" / "workspace"


@pytest.mark.parametrize("moment", ["started", "Prepared", "StepChanged", "Output"])
async def test_f4_f5_a_killed_service_loses_nothing_and_runs_nothing_twice(
    data_dir: Path, code: jobs.Code, open_engine: Open, moment: str
) -> None:
    job_id = jobs.new_id()
    async with service(data_dir, code, job_id, RUN) as killed:
        await until_said(killed, moment)
        await kill(killed)
    engine = await open_engine()
    assert await engine.find(job_id)
    request = jobs.make(code.source(), RUN, job_id=job_id)
    await engine.start(request)
    await jobs.until_output(engine, job_id, b"begins")
    (workspace(data_dir, job_id) / "go").touch()
    told = await jobs.follow(engine, job_id)
    assert told.result == "passed"
    lines = told.log.split()
    assert (lines.count("begins"), lines.count("ends"), lines[-1]) == (1, 1, "ends")
    again = await jobs.follow(engine, job_id)
    assert (again.log_bytes, again.steps, again.end) == (told.log_bytes, told.steps, told.end)


async def test_f4_a_service_killed_while_it_prepares_is_gone_on_with_by_the_next_start(
    data_dir: Path, code: jobs.Code, open_engine: Open
) -> None:
    job_id = jobs.new_id()
    async with service(data_dir, code, job_id, "echo ran", waits_for_token=True) as killed:
        await until_said(killed, "started")
        await kill(killed)
    engine = await open_engine()
    following = asyncio.create_task(jobs.follow(engine, job_id))

    async def token() -> str:
        return "later"

    await engine.start(jobs.make(code.source(token=token), "echo ran", job_id=job_id))
    told = await following
    assert (told.result, told.log) == ("passed", "ran\n")


async def test_f4_a_service_killed_before_it_gave_the_secrets_leaves_a_job_that_gets_them_by_the_next_start(
    data_dir: Path, code: jobs.Code, open_engine: Open
) -> None:
    job_id = jobs.new_id()
    async with service(data_dir, code, job_id, "echo ran", waits_for_secrets=True) as killed:
        await until_said(killed, "started")
        await kill(killed)
    engine = await open_engine()
    following = asyncio.create_task(jobs.follow(engine, job_id))

    async def secrets() -> contract.Secrets:
        return contract.Secrets({"KEY": "correct-horse"})

    source = code.source(trust=jobs.TRUSTED)
    await engine.start(jobs.make(source, "echo ${#KEY}", job_id=job_id, variables={"KEY": "KEY"}, secrets=secrets))
    told = await following
    assert (told.result, told.log) == ("passed", "13\n")


async def test_f4_a_service_that_stops_while_it_fetches_stops_at_once_and_the_next_goes_on(
    data_dir: Path, code: jobs.Code, open_engine: Open
) -> None:
    code.server.is_open.clear()
    request = jobs.make(code.source(), "echo ran")
    stopping = local.Local(data_dir)
    await stopping.open()
    await stopping.start(request)
    await jobs.until_true(lambda: bool(code.server.requests))
    async with asyncio.timeout(10):
        await stopping.close()
    code.server.is_open.set()
    engine = await open_engine()
    await engine.start(request)
    told = await jobs.follow(engine, request.job_id)
    assert (told.result, told.log) == ("passed", "ran\n")


async def test_f4_reading_the_events_goes_on_with_a_preparation_that_needs_no_token(
    data_dir: Path, code: jobs.Code, open_engine: Open
) -> None:
    job_id = jobs.new_id()
    code.server.is_open.clear()
    async with service(data_dir, code, job_id, "echo ran") as killed:
        await until_said(killed, "started")
        await kill(killed)
    code.server.is_open.set()
    told = await jobs.follow(await open_engine(), job_id)
    assert (told.result, told.log) == ("passed", "ran\n")


@pytest.mark.parametrize("needs_secrets", [False, True])
async def test_f4_a_preparation_that_nobody_goes_on_with_ends_in_words(
    data_dir: Path, code: jobs.Code, open_engine: Open, needs_secrets: bool
) -> None:
    job_id = jobs.new_id()
    waits = {"waits_for_secrets" if needs_secrets else "waits_for_token": True}
    async with service(data_dir, code, job_id, "echo ran", **waits) as killed:
        await until_said(killed, "started")
        await kill(killed)
    engine = await open_engine(limits=local.Limits(patience_seconds=0.0))
    told = await jobs.follow(engine, job_id)
    assert told.result == "errored"
    assert "nobody started it again" in told.reason


async def test_f69_a_preparation_cut_off_by_a_restart_can_be_cancelled(
    data_dir: Path, code: jobs.Code, open_engine: Open
) -> None:
    job_id = jobs.new_id()
    async with service(data_dir, code, job_id, "echo ran", waits_for_token=True) as killed:
        await until_said(killed, "started")
        await kill(killed)
    engine = await open_engine()
    await engine.cancel(job_id, reason="not wanted any more")
    told = await jobs.follow(engine, job_id)
    assert (told.result, told.reason, told.log) == ("cancelled", "not wanted any more", "")


async def test_f8_f13_a_lost_supervisor_ends_the_job_as_errored_for_every_follower(
    data_dir: Path, code: jobs.Code, engine: local.Local, open_engine: Open
) -> None:
    request = jobs.make(code.source(), "echo alive; sleep 600")
    await engine.start(request)
    await jobs.until_output(engine, request.job_id, b"alive")
    following = [asyncio.create_task(jobs.follow(engine, request.job_id)) for _ in range(3)]
    await jobs.until_output(engine, request.job_id, b"alive")
    pid = jobs.launched_pid(data_dir, request.job_id)
    inside = _processes_of(pid)
    os.kill(pid, signal.SIGKILL)
    told = [await task for task in following]
    assert {one.result for one in told} == {"errored"}
    assert all("supervisor was lost" in one.reason for one in told)
    assert told[0].events[-1] == told[1].events[-1] == told[2].events[-1]
    # What it ran died with it, and starting the job again does not run it again.
    await jobs.until_true(lambda: not any(Path(f"/proc/{one}").exists() for one in inside))
    await engine.start(request)
    later = await open_engine()
    await later.start(request)
    assert (await jobs.follow(later, request.job_id)).events[-1] == told[0].events[-1]


async def test_f8_a_killed_sandbox_is_our_fault_and_a_killed_command_is_the_builds(
    data_dir: Path, code: jobs.Code, engine: local.Local
) -> None:
    async def killed(which: int) -> jobs.Told:
        request = jobs.make(code.source(), "echo alive; sleep 600; true")
        await engine.start(request)
        await jobs.until_output(engine, request.job_id, b"alive")
        supervisor = jobs.launched_pid(data_dir, request.job_id)
        await jobs.until_true(lambda: len(_processes_of(supervisor)) == 4)
        os.kill(_processes_of(supervisor)[which], signal.SIGKILL)
        return await jobs.follow(engine, request.job_id)

    # In order of birth: bubblewrap, its first process inside, the shell, sleep.
    outer = await killed(0)
    assert (outer.result, outer.reason[:12]) == ("errored", "The sandbox ")
    # Bubblewrap tells of its own first process as of the command; never that it went well.
    init = await killed(1)
    assert (init.result, init.end.exit_code) == ("failed", 137)
    shell = await killed(2)
    assert (shell.result, shell.end.exit_code) == ("failed", 137)
    assert (await killed(3)).result == "failed"


def _processes_of(pid: int) -> list[int]:
    """The processes below one, oldest first."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [one for child in children for one in (int(child), *_processes_of(int(child)))]


async def test_f5_a_torn_end_of_the_stream_is_cut_off_and_the_job_ended(
    data_dir: Path, code: jobs.Code, engine: local.Local, open_engine: Open
) -> None:
    request = jobs.make(code.source(), "seq 100")
    whole = await jobs.run(engine, request)
    path = jobs.stream_path(data_dir, request.job_id)
    data = path.read_bytes()
    ends = [frame.end for frame in frames.decode(data)]
    for cut in (len(data) - 1, ends[-2] + 3, ends[-2], ends[2] + 1, ends[0]):
        path.write_bytes(data[:cut])
        told = await jobs.follow(await open_engine(), request.job_id)
        assert (told.result, whole.log_bytes.startswith(told.log_bytes)) == ("errored", True)
        kept = [event for event in told.events[:-1] if not _is_output(event)]
        assert kept == [event for event in whole.events if not _is_output(event)][: len(kept)]


def _is_output(event: object) -> bool:
    return type(event).__name__ == "Output"


async def test_f20_a_damaged_stream_ends_its_own_job_only(
    data_dir: Path, code: jobs.Code, engine: local.Local, open_engine: Open
) -> None:
    damaged, well = jobs.make(code.source(), "seq 100"), jobs.make(code.source(), "echo well")
    for request in (damaged, well):
        await jobs.run(engine, request)
    path = jobs.stream_path(data_dir, damaged.job_id)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)
    later = await open_engine()
    assert (await jobs.follow(later, damaged.job_id)).result == "errored"
    assert (await jobs.follow(later, well.job_id)).log == "well\n"


def test_f4_a_request_is_kept_whole_for_a_service_that_comes_back(tmp_path: Path) -> None:
    source = contract.Source(
        repository_id=1,
        url="https://github.com/octo/hello.git",
        head_sha="a" * 40,
        base_sha="b" * 40,
        trust=jobs.TRUSTED,
    )
    asked = dataclasses.replace(
        jobs.make(source, "echo ok", env={"CI": "true"}, timeout_seconds=7.0),
        trace_parents=(f"00-{'ab' * 16}-{'cd' * 8}-01",),
        contexts={"github": {"ref": "refs/heads/main"}},
        cache_scopes=contract.CacheScopes(write="own", read=("own", "main")),
        images=images.Rules(allow=("docker.io/library/*",)),
        log_bytes=5 << 20,
    )
    left_out = {"secrets", "engine"}
    given = {one.name for one in fields(asked) if getattr(asked, one.name) != one.default}
    # Another field has to be given here, and kept.
    assert given | left_out == {one.name for one in fields(asked)}
    one = folder.Folder(tmp_path, asked.job_id)
    assert one.accept(asked)
    assert one.request() == (asked, False)
