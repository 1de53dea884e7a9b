"""The process that forks supervisors: one for all jobs of an engine, and no job depends on it."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from bot.engines import contract
from bot.engines.local import engine as local
from bot.engines.local import folder, spawn
from tests.engines import jobs, supervisors
from tests.engines.conftest import Open

#: Runs until its file `go` is there.
_WAIT = "echo begun; until [ -e go ]; do sleep 0.02; done; echo done"


def supervisor_of(data_dir: Path, request: contract.JobRequest) -> int:
    (found,) = supervisors.running(data_dir / "engine" / "jobs" / request.job_id)
    return found


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


async def begun(engine: local.Local, code: jobs.Code) -> contract.JobRequest:
    """A job that runs until it is told to end."""
    request = jobs.make(code.source(), _WAIT)
    await engine.start(request)
    await jobs.until_output(engine, request.job_id, b"begun")
    return request


async def ended(engine: local.Local, data_dir: Path, request: contract.JobRequest) -> jobs.Told:
    """What became of it, once it was told to end."""
    (data_dir / "engine" / "jobs" / request.job_id / "box" / "workspace" / "go").touch()
    return await jobs.follow(engine, request.job_id)


async def test_supervisors_are_forked_and_named_by_their_jobs(
    engine: local.Local, code: jobs.Code, data_dir: Path
) -> None:
    requests = [await begun(engine, code) for _ in range(2)]
    pids = [supervisor_of(data_dir, one) for one in requests]
    assert len({parent_of(one) for one in pids}) == 1
    for pid, request in zip(pids, requests, strict=True):
        assert Path(f"/proc/{pid}/comm").read_text() == f"job-{request.job_id[-11:]}\n"
        # Its session, its input that is used up, and nothing of the server that made it.
        assert os.getsid(pid) == pid
        held = {os.readlink(one) for one in Path(f"/proc/{pid}/fd").iterdir()}
        assert not [one for one in held if one.startswith("socket:")]
        assert (await ended(engine, data_dir, request)).result == "passed"


async def test_jobs_go_on_and_new_ones_come_when_the_server_is_killed(
    engine: local.Local, code: jobs.Code, data_dir: Path
) -> None:
    request = await begun(engine, code)
    server = parent_of(supervisor_of(data_dir, request))
    os.kill(server, signal.SIGKILL)
    later = await jobs.run(engine, jobs.make(code.source(), "echo later"))
    assert (later.result, later.log) == ("passed", "later\n")
    assert not Path(f"/proc/{server}").exists()
    told = await ended(engine, data_dir, request)
    assert (told.result, told.log) == ("passed", "begun\ndone\n")


async def test_a_closed_engine_leaves_no_server_and_its_jobs_go_on(
    open_engine: Open, code: jobs.Code, data_dir: Path
) -> None:
    engine = await open_engine()
    request = await begun(engine, code)
    supervisor = supervisor_of(data_dir, request)
    server = parent_of(supervisor)
    await engine.close()
    assert not Path(f"/proc/{server}").exists()
    assert parent_of(supervisor) != server
    told = await ended(await open_engine(), data_dir, request)
    assert (told.result, told.log) == ("passed", "begun\ndone\n")


@pytest.fixture
def place(tmp_path: Path, code: jobs.Code) -> folder.Folder:
    """The folder of a job that nobody works on."""
    request = jobs.make(code.source(), "true")
    made = folder.Folder(tmp_path, request.job_id)
    made.accept(request)
    return made


async def test_the_lock_of_a_job_is_its_supervisors_alone(place: folder.Folder) -> None:
    starting = spawn.Supervisors()

    def try_it() -> None:
        claim = place.claim()
        assert claim is not None
        with claim:
            supervisor = starting.start(place, claim)
        with supervisor:
            # Here the lock was let go, and the server has none either.
            assert place.claim() is None
            os.kill(supervisor.pid, signal.SIGKILL)
            supervisor.wait()
        again = place.claim()
        assert again is not None
        again.close()
        starting.close()

    await asyncio.to_thread(try_it)


async def test_a_server_that_does_not_answer_is_ended(place: folder.Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    starting = spawn.Supervisors()

    def try_it() -> None:
        claim = place.claim()
        assert claim is not None
        with claim:
            with starting.start(place, claim) as first:
                server = parent_of(first.pid)
            os.kill(server, signal.SIGSTOP)
            with monkeypatch.context() as patched:
                patched.setattr(spawn, "_SECONDS", 0.2)
                with pytest.raises(OSError, match="timed out"):
                    starting.start(place, claim)
            assert not Path(f"/proc/{server}").exists()
            with starting.start(place, claim) as second:
                assert parent_of(second.pid) != server
        starting.close()

    await asyncio.to_thread(try_it)
