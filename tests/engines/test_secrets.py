"""Secrets on their way into a job: by a pipe into the environment of its steps; on no disk, in no argument or log."""

from __future__ import annotations

import asyncio
import base64
import marshal
import os
import resource
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import pytest

from bot import errors
from bot.engines import contract
from bot.engines.local import engine as local
from bot.engines.local import folder, spawn
from bot.model import job
from tests.engines import jobs, supervisors
from tests.engines.conftest import Open

CANARY = "correct-horse/battery=staple"
#: Says that it is there, and goes on when a file comes into its workspace.
_WAIT = "echo begun; until test -e go; do read -t 0.05 < /dev/zero || :; done"


def giving(
    values: Mapping[str, str] | None = None, *, note: str | None = None
) -> Callable[[], Awaitable[contract.Secrets]]:
    async def secrets() -> contract.Secrets:
        return contract.Secrets({"KEY": CANARY} if values is None else values, note=note)

    return secrets


def make(
    code: jobs.Code,
    *runs: str | job.Step,
    secrets: Callable[[], Awaitable[contract.Secrets]] | None = None,
    variables: Mapping[str, str] | None = None,
    **more: object,
) -> contract.JobRequest:
    source = code.source(trust=jobs.TRUSTED)
    asked = {"DEPLOY": "KEY"} if variables is None else variables
    return jobs.make(source, *runs, secrets=secrets or giving(), variables=asked, **more)  # type: ignore[arg-type]


def files_with(folder: Path, text: str) -> list[Path]:
    """The files below a folder that hold a text as it is."""
    return [path for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


def processes_with(text: str, *, what: str) -> list[int]:
    """Processes of this machine that have a text in a file of theirs below /proc."""
    found = []
    for one in Path("/proc").iterdir():
        if one.name.isdigit():
            try:
                has_it = text.encode() in (one / what).read_bytes()
            except OSError:
                continue
            found += [int(one.name)] if has_it else []
    return found


@pytest.mark.parametrize("sandbox", ["auto", "none"])
async def test_a_step_has_the_secrets_that_its_job_names(open_engine: Open, code: jobs.Code, sandbox: str) -> None:
    engine = await open_engine(sandbox=sandbox)
    own = job.Step(name="own", run='echo "$DEPLOY, $OTHER."', env={"DEPLOY": "mine"})
    request = make(
        code,
        f'test "$DEPLOY" = {CANARY} && echo it is',
        own,
        'echo "[$NOT_SET] [${KEY-none}]"',
        variables={"DEPLOY": "KEY", "OTHER": "OTHER", "NOT_SET": "NOT_SET"},
        secrets=giving({"KEY": CANARY, "OTHER": "other-value"}),
    )
    told = await jobs.run(engine, request)
    assert told.log == "it is\nmine, ***.\n[] [none]\n"
    assert told.result == "passed"


async def test_t71_what_a_job_prints_of_its_secrets_is_not_in_the_log_and_offsets_are_those_of_what_is(
    engine: local.Local, code: jobs.Code, data_dir: Path
) -> None:
    encoded = base64.b64encode(CANARY.encode()).decode()
    request = make(
        code,
        'echo "a $DEPLOY b"; printf %s "${DEPLOY:0:9}"; printf "%s\\n" "${DEPLOY:9}"; printf %s "$DEPLOY" | base64',
        'echo "second: $DEPLOY$DEPLOY"; printf corr',
        "echo ect; exit 3",
    )
    told = await jobs.run(engine, request)
    lines = ["a *** b", "***", "***", "second: ***", "correct", ""]
    assert told.log == "\n".join(lines)
    assert encoded not in told.log
    ended = [one.step for one in told.events if isinstance(one, contract.StepChanged) and one.step.state != "running"]
    parts = [told.log_bytes[one.log_start_bytes : one.log_end_bytes] for one in ended]
    assert parts == [b"a *** b\n***\n***\n", b"second: ***\ncorr", b"ect\n"]
    assert files_with(data_dir, CANARY) == files_with(data_dir, encoded) == []


async def test_t71_reasons_are_masked_and_the_words_of_the_engine_are_not(engine: local.Local, code: jobs.Code) -> None:
    values = {"KEY": "exit status", "STATE": "failed", "INDEX": "index"}
    told = await jobs.run(engine, make(code, "exit 3", secrets=giving(values)))
    assert (told.result, told.reason, told.steps) == ("failed", "*** 3", [(0, "running"), (0, "failed")])


async def test_t71_output_that_pauses_is_told_though_a_secret_may_have_begun(
    engine: local.Local, code: jobs.Code, data_dir: Path
) -> None:
    request = make(
        code, f"printf 'password: corr'; {_WAIT.removeprefix('echo begun; ')}; echo ect-horse/battery=staple"
    )
    await engine.start(request)
    await jobs.until_output(engine, request.job_id, b"password: corr")
    (data_dir / "engine" / "jobs" / request.job_id / "box" / "workspace" / "go").touch()
    told = await jobs.follow(engine, request.job_id)
    assert told.log == "password: corr***\n"


async def test_t74_a_secret_is_on_no_disk_and_in_no_argument_while_its_job_runs(
    engine: local.Local, code: jobs.Code, data_dir: Path
) -> None:
    request = make(code, _WAIT, _WAIT)
    await engine.start(request)
    await jobs.until_output(engine, request.job_id, b"begun")
    found, arguments = files_with(data_dir, CANARY), processes_with(CANARY, what="cmdline")
    environments = processes_with(CANARY, what="environ")
    (data_dir / "engine" / "jobs" / request.job_id / "box" / "workspace" / "go").touch()
    told = await jobs.follow(engine, request.job_id)
    assert told.result == "passed"
    assert (found, arguments) == ([], [])
    # Those of the step: the one thing that has to know it.
    assert environments != []
    assert files_with(data_dir, CANARY) == []


def test_t74_the_representation_of_secrets_and_requests_shows_names_only(code: jobs.Code) -> None:
    secrets = contract.Secrets({"KEY": CANARY})
    assert (repr(secrets), str(secrets), f"{secrets}") == ("Secrets(KEY)",) * 3
    assert CANARY not in repr(make(code, "true"))


async def test_t74_steps_and_supervisor_leave_no_core_dump(
    engine: local.Local, code: jobs.Code, data_dir: Path
) -> None:
    told = await jobs.run(engine, make(code, "ulimit -c; ulimit -Hc"))
    assert told.log == "0\n0\n"
    request = make(code, _WAIT)
    await engine.start(request)
    await jobs.until_output(engine, request.job_id, b"begun")
    (supervisor,) = supervisors.running(data_dir / "engine" / "jobs" / request.job_id)
    assert resource.prlimit(supervisor, resource.RLIMIT_CORE) == (0, 0)
    (data_dir / "engine" / "jobs" / request.job_id / "box" / "workspace" / "go").touch()
    await jobs.follow(engine, request.job_id)


async def test_t32_the_engine_runs_nothing_that_is_not_trusted_with_secrets(
    engine: local.Local, code: jobs.Code
) -> None:
    request = jobs.make(code.source(trust=jobs.UNTRUSTED), "echo ran", variables={"KEY": "KEY"}, secrets=giving())
    told = await jobs.run(engine, request)
    assert (told.result, told.log, told.steps) == ("errored", "", [])
    assert "code that is not trusted" in told.reason


async def test_t32_a_job_without_its_secrets_runs_and_its_log_says_why(engine: local.Local, code: jobs.Code) -> None:
    note = "[buildhook] No secrets were given (KEY): the code is not trusted."
    request = jobs.make(
        code.source(trust=jobs.UNTRUSTED), 'echo "[$KEY]"', variables={"KEY": "KEY"}, secrets=giving({}, note=note)
    )
    told = await jobs.run(engine, request)
    assert (told.result, told.log) == ("passed", f"{note}\n[]\n")
    first = next(event.step for event in told.events if isinstance(event, contract.StepChanged))
    assert first.log_start_bytes == len(note) + 1


async def test_many_large_values_reach_the_job(engine: local.Local, code: jobs.Code) -> None:
    values = {f"K{number}": chr(65 + number) * 8 + os.urandom(24_000).hex()[8:] for number in range(5)}
    run = 'test ${#K0} = 48000 && test ${#K4} = 48000 && echo "${K3:0:3}" "$K2"'
    told = await jobs.run(engine, make(code, run, secrets=giving(values), variables={name: name for name in values}))
    assert (told.log, told.result) == ("DDD ***\n", "passed")


async def test_where_secrets_cannot_be_had_the_job_is_errored(engine: local.Local, code: jobs.Code) -> None:
    async def secrets() -> contract.Secrets:
        raise errors.SettingsError("BUILDHOOK_ENCRYPTION_KEY: it is another one.")

    told = await jobs.run(engine, make(code, "echo ran", secrets=secrets))
    assert (told.result, told.log, told.steps) == ("errored", "", [])
    assert "it is another one" in told.reason


async def test_a_value_that_could_say_more_to_the_sandbox_is_refused(engine: local.Local, code: jobs.Code) -> None:
    told = await jobs.run(engine, make(code, "echo ran", secrets=giving({"KEY": "a\0--bind\0/\0/\0"})))
    assert (told.result, told.log) == ("errored", "")
    assert "KEY has a byte that no variable can hold" in told.reason


async def test_a_job_that_waits_for_its_secrets_can_be_cancelled(engine: local.Local, code: jobs.Code) -> None:
    is_asked = asyncio.Event()

    async def secrets() -> contract.Secrets:
        is_asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    request = make(code, "echo ran", secrets=secrets)
    await engine.start(request)
    await is_asked.wait()
    await engine.cancel(request.job_id, reason="Nobody wants it.")
    told = await jobs.follow(engine, request.job_id)
    assert (told.result, told.reason, told.log) == ("cancelled", "Nobody wants it.", "")


@pytest.mark.parametrize("length", [0, 1, 2, 20, -1])
async def test_f4_a_supervisor_that_got_half_of_its_word_leaves_the_job_to_be_launched(
    engine: local.Local, code: jobs.Code, data_dir: Path, length: int
) -> None:
    request = make(code, "echo ran")
    word = b"g" + marshal.dumps({"secrets": {"KEY": CANARY}, "note": None})

    starting = spawn.Supervisors()

    def leave_half() -> bool:
        place = folder.Folder(data_dir / "engine" / "jobs", request.job_id)
        place.accept(request)
        claim = place.claim()
        assert claim is not None
        with claim:
            half = starting.start(place, claim)
        with half:
            half._word.write(word[:length])
            half._word.close()
            half.wait()
        assert place.last_words() == ""
        return place.was_launched()

    assert not await asyncio.to_thread(leave_half)
    await asyncio.to_thread(starting.close)
    told = await jobs.run(engine, request)
    assert (told.result, told.log) == ("passed", "ran\n")
