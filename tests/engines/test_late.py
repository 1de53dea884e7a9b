"""What of a step is known only when its turn comes, as in Actions: conditions, outputs, variables, limits, shells."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

import bot
from bot.engines import contract
from bot.engines.local import engine as local
from bot.engines.local import spawn
from bot.model import job
from tests.engines import jobs

CONTEXTS: Mapping[str, Any] = {
    "github": {"ref": "refs/heads/main", "event": {"pull_request": {"title": '"; touch stolen; echo "'}}},
    "needs": {"build": {"result": "success", "outputs": {"tag": "v1"}}},
    "inputs": {},
}


def step(run: str, **more: Any) -> job.Step:
    return job.Step(name=run[:40], run=run, **more)


def request(code: jobs.Code, *steps: job.Step, **more: Any) -> contract.JobRequest:
    made = jobs.make(code.source(), *steps)
    return dataclasses.replace(made, plan=msgspec.structs.replace(made.plan, **more), contexts=CONTEXTS)


def states(told: jobs.Told) -> list[str]:
    return [state for _, state in sorted(dict(told.steps).items())]


async def test_outputs_go_from_step_to_step_and_out_of_the_job(engine: local.Local, code: jobs.Code) -> None:
    told = await jobs.run(
        engine,
        request(
            code,
            step('echo "tag=v1" >> "$GITHUB_OUTPUT"; printf "more<<E\\na\\nb\\nE\\n" >> "$GITHUB_OUTPUT"', id="first"),
            step('echo "[$TAG]"', env={"TAG": "${{ steps.first.outputs.tag }}"}),
            outputs={"tag": "${{ steps.first.outputs.tag }}", "more": "x${{ steps.FIRST.outputs.more }}", "no": ""},
        ),
    )
    assert told.result == "passed", told.reason
    assert "[v1]" in told.log
    assert told.end.outputs == {"tag": "v1", "more": "xa\nb"}


async def test_variables_and_paths_are_for_the_steps_behind(engine: local.Local, code: jobs.Code) -> None:
    told = await jobs.run(
        engine,
        request(
            code,
            step('echo "A=new" >> "$GITHUB_ENV"; echo "B=b" >> "$GITHUB_ENV"; echo "[$A]"'),
            step(
                'mkdir bin; printf "#!/bin/sh\\necho mine" > bin/ls; chmod +x bin/ls; echo "$PWD/bin" >> "$GITHUB_PATH"'
            ),
            step('echo "[$A$B]"; ls'),
            step('echo "[$A]"', env={"A": "own"}),
            env={"A": "old"},
        ),
    )
    assert told.result == "passed", told.reason
    assert told.log.split() == ["[old]", "[newb]", "mine", "[own]"]


@pytest.mark.parametrize(
    ("condition", "runs"),
    [
        (None, False),
        ("true", False),
        ("success()", False),
        ("failure()", True),
        ("always()", True),
        ("cancelled()", False),
        ("!cancelled()", True),
        ("failure() && github.ref == 'refs/heads/main'", True),
        ("failure() && github.ref == 'refs/heads/other'", False),
        ("failure() && steps.bad.outcome == 'failure'", True),
        ("always() && steps.good.conclusion == 'success' && env.LEVEL == '2'", True),
        ("always() && needs.build.outputs.tag == 'v1' && job.status == 'failure'", True),
        ("always() && matrix.os == 'linux' && strategy.job-total == 3", True),
    ],
)
async def test_a_condition_decides_behind_a_failure(
    engine: local.Local, code: jobs.Code, condition: str | None, runs: bool
) -> None:
    told = await jobs.run(
        engine,
        request(
            code,
            step("true", id="good"),
            step("exit 3", id="bad"),
            step("echo here", condition=condition),
            env={"LEVEL": "2"},
            matrix={"os": "linux"},
            job_total=3,
        ),
    )
    assert (told.result, told.end.exit_code) == ("failed", 3)
    assert states(told) == ["passed", "failed", "passed" if runs else "skipped"]
    assert ("here" in told.log) == runs


async def test_a_step_that_may_fail_lets_the_job_go_on(engine: local.Local, code: jobs.Code) -> None:
    told = await jobs.run(
        engine,
        request(
            code,
            step("exit 3", id="a", continue_on_error=True),
            step('echo "[$O $C]"', env={"O": "${{ steps.a.outcome }}", "C": "${{ steps.a.conclusion }}"}),
        ),
    )
    assert told.result == "passed"
    assert states(told) == ["ignored", "passed"]
    assert "[failure success]" in told.log


async def test_the_code_is_there_whichever_step_is_the_first_to_run(engine: local.Local, code: jobs.Code) -> None:
    told = await jobs.run(engine, request(code, step("true", condition="false"), step("git rev-parse HEAD")))
    assert told.result == "passed", told.reason
    assert code.sha in told.log
    assert states(told) == ["skipped", "passed"]


async def test_a_job_of_which_no_step_runs_passes(engine: local.Local, code: jobs.Code) -> None:
    told = await jobs.run(engine, request(code, step("false", condition="false")))
    assert told.result == "passed"
    assert states(told) == ["skipped"]


async def test_a_step_has_a_time_limit_of_its_own(engine: local.Local, code: jobs.Code) -> None:
    told = await jobs.run(
        engine, request(code, step("sleep 60", timeout_minutes=0.005), step("echo after", condition="failure()"))
    )
    assert (told.result, told.reason) == ("failed", "The step ran longer than 0.3 seconds, its time limit.")
    assert "after" in told.log


async def test_steps_that_clean_up_run_behind_a_cancellation(engine: local.Local, code: jobs.Code) -> None:
    made = request(
        code,
        step("echo ready; sleep 60"),
        step("echo not this"),
        step("echo cleaned", condition="always()"),
        step("echo told", condition="cancelled()"),
    )
    await engine.start(made)
    await jobs.until_output(engine, made.job_id, b"ready")
    await engine.cancel(made.job_id, reason="enough")
    told = await jobs.follow(engine, made.job_id)
    assert told.result == "cancelled"
    assert told.log.split() == ["ready", "cleaned", "told"]


@pytest.mark.parametrize(
    ("shell", "run", "passes"),
    [
        (None, "false | cat", True),
        ("bash", "false | cat", False),
        ("sh", "false\ntrue", False),
        ("python", "import sys\nprint('from python')\nsys.exit(0)", True),
        ("python", "raise SystemExit(4)", False),
        ("python3 -I {0}", "import sys\nassert sys.flags.isolated", True),
        ("bash {0}", "false\ntrue", True),
    ],
)
async def test_a_shell_means_what_it_means_in_actions(
    engine: local.Local, code: jobs.Code, shell: str | None, run: str, passes: bool
) -> None:
    told = await jobs.run(engine, request(code, step(run, shell=shell)))
    assert told.result == ("passed" if passes else "failed"), told.log


async def test_t33_text_from_outside_stays_a_value(engine: local.Local, code: jobs.Code) -> None:
    told = await jobs.run(
        engine,
        request(
            code, step('echo "[$TITLE]"; test ! -e stolen', env={"TITLE": "${{ github.event.pull_request.title }}"})
        ),
    )
    assert told.result == "passed"
    assert '["; touch stolen; echo "]' in told.log


async def test_an_expression_in_a_script_is_put_in(engine: local.Local, code: jobs.Code) -> None:
    files = "echo x > a.txt; mkdir d; echo y > d/b.txt; ln -s /etc/passwd d/link.txt; mkfifo d/pipe.txt"
    told = await jobs.run(
        engine,
        request(
            code,
            step(files),
            step("echo '<${{ matrix.version }}> <${{ hashFiles('**/*.txt') }}> <${{ hashFiles('none') }}>'"),
            step("echo '<${{ hashFiles('*.txt', 'd/b.txt') }}>'"),
            matrix={"version": 3.0},
        ),
    )
    assert told.result == "passed", told.reason
    first, digest, none, again = told.log.split()
    assert (first, none, len(digest)) == ("<3>", "<>", 66)
    # Links and pipes do not count.
    assert digest == again


@pytest.mark.parametrize(
    ("written", "told_of"),
    [
        ("no equals sign", "`no equals sign`, which is no `name=value`"),
        ("a<<E\nb", "`a<<E`, and no line that ends it"),
        ("a b=c", "the name `a b`"),
    ],
)
async def test_what_a_step_writes_wrong_is_told(
    engine: local.Local, code: jobs.Code, written: str, told_of: str
) -> None:
    told = await jobs.run(engine, request(code, step(f"printf '%s\\n' '{written}' >> \"$GITHUB_OUTPUT\"", id="a")))
    assert told.result == "failed"
    assert told_of in told.reason


@pytest.mark.parametrize(
    "hostile",
    [
        "ln -s /etc/passwd $GITHUB_OUTPUT",
        "mkfifo $GITHUB_OUTPUT",
        "mkdir $GITHUB_OUTPUT",
        "ln -s $GITHUB_OUTPUT $GITHUB_OUTPUT",
        "printf 'GITHUB_TOKEN=x\\n' > $GITHUB_ENV",
        "{ printf 'A<<E\\n'; head -c 200000 /dev/zero | tr '\\0' x; printf '\\nE\\n'; } > $GITHUB_ENV",
        "head -c 3000000 /dev/zero > $GITHUB_OUTPUT",
    ],
)
async def test_t67_the_files_may_be_anything(engine: local.Local, code: jobs.Code, hostile: str) -> None:
    told = await jobs.run(engine, request(code, step(hostile, id="a"), outputs={"a": "${{ toJSON(steps.a.outputs) }}"}))
    assert told.end.outputs in ({"a": "{}"}, {})
    assert told.result in ("passed", "failed")
    assert "root:" not in told.log + told.reason


async def test_a_wrong_expression_fails_its_step_alone(engine: local.Local, code: jobs.Code) -> None:
    told = await jobs.run(
        engine,
        request(
            code,
            step("echo a", env={"A": "${{ fromJSON(github.ref) }}"}, id="a"),
            step("echo cleaned", condition="always()"),
        ),
    )
    assert told.result == "failed"
    assert "`fromJSON` was given text that is not JSON" in told.reason
    assert "cleaned" in told.log


async def test_the_code_is_found_also_where_a_mount_covers_its_path(
    engine: local.Local, code: jobs.Code, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        top = Path(folder, "bot")
        shutil.copytree(Path(bot.__file__).parent, top, ignore=shutil.ignore_patterns("simulator", "web"))
        monkeypatch.setattr(spawn, "_ROOM", str(top / "engines" / "local"))
        monkeypatch.setattr(bot, "__file__", str(top / "__init__.py"))
        told = await jobs.run(
            engine,
            request(
                code,
                step("mkdir out; echo x > out/a.txt; echo a=1 >> $GITHUB_OUTPUT", id="a"),
                step("echo '<${{ hashFiles('out/*') }}>'"),
                outputs={"a": "${{ steps.a.outputs.a }}"},
                artifacts=(job.Artifact(name="out", paths=("out/**",)),),
            ),
        )
    assert told.result == "passed", told.reason
    assert told.end.outputs == {"a": "1"}
    assert len(told.log.strip()) == 66
    (kept,) = (one for one in told.events if isinstance(one, contract.ResultFile))
    assert (kept.kind, kept.path, kept.problem) == (contract.ARTIFACT, "out", None)
