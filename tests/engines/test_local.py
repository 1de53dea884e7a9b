"""A job on this machine: what it tells, how it ends, and that a workspace is a real checkout."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bot import errors
from bot.engines import contract
from bot.engines.local import engine as local
from bot.model import job
from tests.engines import jobs
from tests.engines.conftest import Open


async def test_a_job_tells_what_was_tested_its_steps_its_log_and_its_end(engine: local.Local, code: jobs.Code) -> None:
    told = await jobs.run(engine, jobs.make(code.source(), "echo one; cat README.md", "echo two >&2"))
    assert told.result == "passed"
    assert told.reason == ""
    assert told.end.exit_code == 0
    assert told.log == "one\nhello\ntwo\n"
    assert told.steps == [(0, "running"), (0, "passed"), (1, "running"), (1, "passed")]
    assert told.prepared.tested_sha == code.sha
    assert isinstance(told.events[0], contract.Prepared)


async def test_each_steps_part_of_the_log_is_told(engine: local.Local, code: jobs.Code) -> None:
    told = await jobs.run(engine, jobs.make(code.source(), "echo first", "echo second", "exit 9", "echo never"))
    ends = [event.step for event in told.events if isinstance(event, contract.StepChanged)]
    spans = {step.index: (step.log_start_bytes, step.log_end_bytes) for step in ends if step.log_end_bytes is not None}
    assert {index: told.log_bytes[start:end] for index, (start, end) in spans.items()} == {
        0: b"first\n",
        1: b"second\n",
        2: b"",
    }
    assert told.steps[-2:] == [(2, "failed"), (3, "skipped")]
    assert (told.result, told.reason, told.end.exit_code) == ("failed", "exit status 9", 9)


@pytest.mark.parametrize(
    ("script", "exit_code", "reason"),
    [
        ("false; echo not reached", 1, "exit status 1"),
        ("kill -9 $$", 137, "exit status 137: killed by signal 9, often because memory ran out"),
        ("kill -11 $$", 139, "exit status 139: killed by signal 11"),
        ("no-such-command-here", 127, "exit status 127"),
    ],
)
async def test_a_failing_command_fails_the_job(
    engine: local.Local, code: jobs.Code, script: str, exit_code: int, reason: str
) -> None:
    told = await jobs.run(engine, jobs.make(code.source(), script))
    assert (told.result, told.end.exit_code, told.reason) == ("failed", exit_code, reason)
    assert "not reached" not in told.log


async def test_a_steps_environment_wins_over_the_jobs_and_nothing_of_the_service_is_in_it(
    engine: local.Local, code: jobs.Code, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUILDHOOK_PRIVATE_KEY", "canary-of-the-service")
    step = job.Step(name="env", run="env -0 | sort -z | tr '\\0' '\\n'", env={"BOTH": "step", "S": "a b\n$(id)"})
    request = jobs.make(code.source(), step, env={"BOTH": "job", "REQUEST": "yes", "LD_PRELOAD_": "x"})
    told = await jobs.run(engine, request)
    assert "BOTH=step\n" in told.log
    assert "REQUEST=yes\n" in told.log
    assert "S=a b\n$(id)\n" in told.log
    assert f"GITHUB_SHA={code.sha}\n" in told.log
    assert "GITHUB_WORKSPACE=/workspace\n" in told.log
    assert "canary" not in told.log


async def test_the_workspace_is_a_clean_checkout_with_its_history(engine: local.Local, code: jobs.Code) -> None:
    second = code.repository.commit({"README.md": "new\n"}, parent=code.sha)
    script = "git status --porcelain; git log --format=%H; git rev-parse HEAD; git remote get-url origin"
    told = await jobs.run(engine, jobs.make(code.source(second), script))
    assert told.log.split() == [second, code.sha, second, code.server.address()]


async def test_home_and_temporary_files_last_from_step_to_step_and_no_longer(
    engine: local.Local, code: jobs.Code
) -> None:
    source = code.source()
    first = await jobs.run(engine, jobs.make(source, "touch ~/h /tmp/t new", "ls ~/h /tmp/t new"))
    assert first.log.split() == ["/home/build/h", "/tmp/t", "new"]
    second = await jobs.run(engine, jobs.make(source, "ls -A ~ /tmp; ls"))
    assert second.log.split() == ["/home/build:", "/tmp:", "README.md", "src"]


async def test_a_step_runs_in_its_working_directory(engine: local.Local, code: jobs.Code) -> None:
    there = job.Step(name="there", run="pwd", working_directory="src")
    gone = job.Step(name="gone", run="pwd", working_directory="no/such")
    told = await jobs.run(engine, jobs.make(code.source(), there, gone))
    assert told.log.startswith("/workspace/src\n")
    assert (told.result, told.reason) == ("failed", "The step could not begin; the log says why.")
    first = await jobs.run(engine, jobs.make(code.source(), gone))
    assert first.reason == "The step could not begin; the log says why."


@pytest.mark.parametrize("wrong", ["/etc", "../..", "src/../../x", "a\0b"])
async def test_a_working_directory_outside_of_the_workspace_is_refused(
    engine: local.Local, code: jobs.Code, wrong: str
) -> None:
    told = await jobs.run(engine, jobs.make(code.source(), job.Step(name="out", run="pwd", working_directory=wrong)))
    assert told.result == "errored"
    assert "working-directory" in told.reason


@pytest.mark.parametrize("name", ["", "A=B", "N\0UL"])
async def test_an_impossible_variable_is_refused_in_words(engine: local.Local, code: jobs.Code, name: str) -> None:
    told = await jobs.run(engine, jobs.make(code.source(), "true", env={name: "x"}))
    assert told.result == "errored"
    assert "environment variable" in told.reason


async def test_a_trusted_job_without_a_sandbox_is_a_plain_process(open_engine: Open, code: jobs.Code) -> None:
    plain = await open_engine(sandbox="none")
    script = 'test "$PWD" = "$GITHUB_WORKSPACE"; git log --format=%H; echo "$HOME"; exit 4'
    told = await jobs.run(plain, jobs.make(code.source(trust=jobs.TRUSTED), "true", script))
    assert told.log.split()[0] == code.sha
    assert told.log.split()[1].endswith("/box/home")
    assert (told.result, told.end.exit_code) == ("failed", 4)


async def test_without_a_sandbox_untrusted_code_is_not_run(open_engine: Open, code: jobs.Code) -> None:
    plain = await open_engine(sandbox="none")
    told = await jobs.run(plain, jobs.make(code.source(trust=jobs.UNTRUSTED), "echo it ran"))
    assert told.result == "errored"
    assert "SANDBOX=auto" in told.reason
    assert told.log == ""


async def test_what_a_plain_job_leaves_behind_is_ended(open_engine: Open, code: jobs.Code, tmp_path: Path) -> None:
    plain = await open_engine(sandbox="none")
    fifo = tmp_path / "alive"
    script = f"mkfifo {fifo}; (setsid sh -c 'exec 3<>{fifo}; echo $$ >{fifo}.pid; sleep 600' &) ; "
    script += f"while ! test -s {fifo}.pid; do :; done"
    told = await jobs.run(plain, jobs.make(code.source(trust=jobs.TRUSTED), script))
    assert told.result == "passed"
    pid = int(Path(f"{fifo}.pid").read_text())
    assert not Path(f"/proc/{pid}").exists()


async def test_an_ended_job_can_be_removed_and_a_running_one_cannot(
    engine: local.Local, code: jobs.Code, data_dir: Path
) -> None:
    # A folder that is deep, closed, full of links and odd names is removed like any other.
    script = "for i in $(seq 300); do mkdir d && cd d; done; ln -s / root; touch $'a\\nb'; chmod 000 ."
    request = jobs.make(code.source(), script)
    assert (await jobs.run(engine, request)).result == "passed"
    await engine.remove(request.job_id)
    assert not await engine.find(request.job_id)
    with pytest.raises(errors.NotFound):
        await jobs.follow(engine, request.job_id)
    running = jobs.make(code.source(), "echo on; sleep 600")
    await engine.start(running)
    await jobs.until_output(engine, running.job_id, b"on")
    with pytest.raises(errors.EngineError, match="still runs"):
        await engine.remove(running.job_id)
    await engine.cancel(running.job_id, reason="enough")
    assert (await jobs.follow(engine, running.job_id)).result == "cancelled"
    await engine.remove(running.job_id)
    assert list((data_dir / "engine" / "jobs").iterdir()) == []
    assert list((data_dir / "engine" / "trash").iterdir()) == []


async def test_many_jobs_run_side_by_side_and_each_tells_its_own(engine: local.Local, code: jobs.Code) -> None:
    requests = [jobs.make(code.source(), f"echo job {number}") for number in range(20)]
    told = await asyncio.gather(*(jobs.run(engine, request) for request in requests))
    assert [one.log for one in told] == [f"job {number}\n" for number in range(20)]
    # The first one that asks may be under way alone; all others share the next.
    assert code.server.fetches <= 2


async def test_an_impossible_id_is_refused(engine: local.Local, code: jobs.Code) -> None:
    for job_id in ("", "../x", "a/b", ".", "-x", "a" * 65, "a\0"):
        with pytest.raises(errors.EngineError):
            await engine.start(jobs.make(code.source(), "true", job_id=job_id or " "))
        assert not await engine.find(job_id)


async def test_an_offset_that_is_none_of_the_jobs_events_is_an_error_and_no_endless_wait(
    engine: local.Local, code: jobs.Code
) -> None:
    request = jobs.make(code.source(), "true")
    await jobs.run(engine, request)
    with pytest.raises(errors.EngineError, match="offset 7"):
        await jobs.follow(engine, request.job_id, offset=7)
