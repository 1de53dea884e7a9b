"""Whatever a command is told by GitHub, a repository, a job or a service: it moves no terminal."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
import typer
from msgspec.structs import replace
from typer.core import TyperGroup

from bot import cli
from bot.cli import output
from bot.logs import LogStore
from bot.model import artifact, build, job
from bot.store import Store, artifacts, builds, checks, jobs, outcomes
from tests import factories
from tests.acceptance import process
from tests.cli import terminal
from tests.cli.conftest import HOSTILE, Shell

#: Commands whose output nobody from outside has a word in, or that are shown elsewhere.
LEFT_OUT = {
    "serve": "writes its log through bot.telemetry, which cleans each line: tests/test_telemetry.py",
    "dev": "prints each line through the same cleaning: tests/acceptance/test_dev.py",
    "setup": "tells addresses of its own, and the service's log as `serve`",
    "demo": "shows a pull request of its own",
    "simulator": "tells addresses of its own",
    "builds watch": "tests/cli/test_watch.py",
    "engines test": "tells probes of its own",
    "schema": "is a constant",
    "version": "is a constant",
    "doctor": "asks GitHub and the machine, and prints through the same cleaning: tests/doctor",
}
QUOTED = json.dumps(HOSTILE)
#: What may stand in a pipeline file, and what may not.
PIPELINE = """\
on: push
jobs:
  test:
    steps:
      - name: "[red]Say hello[/red]"
        run: printf '\\033]0;owned\\007\\033[2J\\302\\2332J\\033[31mred\\033[0m\\033]52;c;aGk=\\007\\n'
"""
HOSTILE_PIPELINE = f"""\
name: {QUOTED}
on: push
jobs:
  test:
    name: {QUOTED}
    steps:
      - name: {QUOTED}
        run: make
"""


async def fill(shell: Shell) -> dict[str, str]:
    """A build of a pull request whose every name and reason is hostile; gives its ids."""
    store = await Store(f"sqlite:///{shell.data_dir / 'buildhook.db'}").open()
    plan = factories.make_plan(name=HOSTILE, steps=(factories.make_step(name=HOSTILE, run=HOSTILE),))
    new = factories.make_new_build(
        factories.make_pull_build(title=HOSTILE, sender=HOSTILE, head_ref="fix", state=build.State.QUEUED),
        factories.make_job(plan=plan),
        factories.make_job(plan=factories.make_plan(key="other")),
    )
    await store.write(outcomes.create, new, now=factories.NOW)
    one = new.jobs[0]
    steps = (factories.make_step_result(state="failed", exit_code=1),)
    await store.write(jobs.save, replace(one, state=job.State.FAILED, reason=HOSTILE, steps=steps))
    await store.write(builds.save_state, new.build.id, state=build.State.FAILED, started_at=None, finished_at=None)
    (claimed, *_) = await store.write(
        checks.claim_stale, now=factories.NOW, owner="test", lease=factories.NOW - factories.NOW, limit=9
    )
    await store.write(checks.give_up, claimed, error=HOSTILE)
    kept = artifact.Artifact(
        id=factories.new_id(),
        job_id=one.id,
        name=HOSTILE,
        size_bytes=3,
        sha256="0" * 64,
        files=1,
        created_at=factories.NOW,
    )
    await store.write(artifacts.replace_of_job, one.id, [kept])
    await store.close()
    logs = LogStore(shell.data_dir / "logs")
    await logs.append(one.id, offset_bytes=0, data=f"{HOSTILE}\x1b[31mred\x1b[0m\x1b]52;c;aGk=\x07\n".encode())
    await logs.close()
    return {
        "build": new.build.id,
        "job": one.id,
        "artifact": kept.id,
        "pull": str(new.build.pull_number),
        "delivery": shell.delivery_id,
    }


def checkout(folder: Path) -> None:
    """A working tree whose pipeline file, workflow and branch are hostile."""
    folder.mkdir()
    (folder / ".buildhook.yml").write_text(PIPELINE)
    (folder / "hostile.yml").write_text(HOSTILE_PIPELINE)
    (folder / "wrong.yml").write_text(f"on: push\njobs:\n  test:\n    {QUOTED}: 1\n    steps:\n      - run: {QUOTED}\n")
    (folder / "raw.yml").write_text(f"on: push\n# {HOSTILE}\njobs: [\n")
    (folder / "workflow.yml").write_text(PIPELINE.replace("steps:", f"{QUOTED}: 1\n    uses: {QUOTED}\n    steps:"))
    for arguments in (
        ("init", "-q", "-b", "fix"),
        ("remote", "add", "origin", "https://github.com/octo/hello.git"),
        ("add", "."),
        ("-c", "user.name=mona", "-c", "user.email=mona@example.com", "commit", "-q", "-m", HOSTILE),
    ):
        subprocess.run(("git", *arguments), cwd=folder, check=True)


#: Commands with words that strangers write; what is in braces is an id. These first ones are tried by `make test`.
FIRST = (
    ("deliveries", "list"),
    ("builds", "list"),
    ("builds", "show", "{build}"),
    ("pr", "checks", "{pull}", "--repo", "octo/hello"),
    ("logs", "{job}"),
    ("explain", "octo/hello#{pull}"),
    ("lint", "wrong.yml", "raw.yml", "workflow.yml", "hostile.yml"),
)
OTHERS = (
    ("deliveries", "show", "{delivery}"),
    ("deliveries", "show", "{delivery}", "--json"),
    ("deliveries", "replay", HOSTILE),
    ("deliveries", "recover", "--since", HOSTILE),
    ("builds", "list", "--json"),
    ("builds", "show", HOSTILE),
    ("builds", "cancel", HOSTILE),
    ("builds", "retry", "{build}", "--job", HOSTILE),
    ("builds", "start", HOSTILE, "--ref", HOSTILE, "--wait", "0"),
    ("pr", "checks", "{pull}", "--repo", "octo/hello", "--watch"),
    ("pr", "checks", "{pull}", "--repo", HOSTILE),
    ("pr", "checks"),
    ("artifacts", "list", "{build}"),
    ("artifacts", "get", "{artifact}"),
    ("explain", "{delivery}"),
    ("explain", HOSTILE),
    ("logs", "{build}"),
    ("logs", "{job}", "--json"),
    ("logs", "{job}", "--raw"),
    ("lint",),
    ("lint", "wrong.yml", "--json"),
    ("lint", "wrong.yml", "--format", "sarif"),
    ("lint", HOSTILE),
    ("plan",),
    ("plan", "--json"),
    ("plan", "wrong.yml"),
    ("init", "--from", "workflow.yml", "--force"),
    ("init", "--from", "hostile.yml", "--force"),
    ("init", HOSTILE),
    ("subscribers", "list"),
    ("subscribers", "enable", HOSTILE),
    ("engines", "list"),
    ("secrets", "list", "--repo", HOSTILE),
    ("secrets", "set", HOSTILE, "--repo", "octo/hello", "--file", "raw.yml"),
    ("secrets", "remove", HOSTILE, "--repo", "octo/hello"),
    ("secrets", "rotate"),
    ("backup", HOSTILE),
    ("restore", HOSTILE),
    (HOSTILE,),
)


@pytest.mark.parametrize("commands", [FIRST, pytest.param(OTHERS, marks=pytest.mark.long)], ids=["first", "others"])
async def test_t86_no_byte_outside_of_text_and_colours_reaches_a_terminal(
    shell: Shell, tmp_path: Path, commands: Sequence[tuple[str, ...]]
) -> None:
    ids, folder = await fill(shell), tmp_path / "checkout"
    checkout(folder)
    environment = {**process.environment(shell.data_dir), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    for command in commands:
        arguments = [word.format(**ids) if word.startswith(("{", "octo/hello#")) else word for word in command]
        async with terminal.running(*arguments, environment=environment, folder=folder) as shown:
            await shown.end()
        allowed = terminal.DRAWN if "--watch" in command else terminal.SHOWN
        assert allowed.fullmatch(shown.text), (command, shown.text)
        assert "Traceback" not in shown.text, command


def test_t86_every_command_is_tried_on_a_terminal() -> None:
    tried = {path_of(one) for one in (*FIRST, *OTHERS)}
    assert leaves() == tried | {"run"} | set(LEFT_OUT)
    assert not tried & set(LEFT_OUT)


async def test_t86_a_step_of_a_run_here_moves_no_terminal(tmp_path: Path) -> None:
    folder = tmp_path / "checkout"
    checkout(folder)
    environment = {**process.environment(tmp_path / "data"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    async with terminal.running("run", environment=environment, folder=folder) as shown:
        assert await shown.end() == 0
    assert terminal.SHOWN.fullmatch(shown.text), shown.text
    assert "\x1b[31mred\x1b[0m" in shown.text


async def test_t86_a_log_goes_raw_into_files_and_pipes_only(shell: Shell) -> None:
    command = ("logs", shell.job_id, "--raw")
    async with terminal.running(*command, environment=process.environment(shell.data_dir)) as shown:
        assert await shown.end() == 2
    assert "into a" in shown.text
    assert (await shell.run(*command))[1].count("\x1b") == 3


def test_t86_what_nobody_cleaned_is_cleaned_where_it_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """As an id that a service elsewhere made up."""
    output.table(("id",), [(f"01J{HOSTILE}",)], empty="")
    output.facts({"id": HOSTILE})
    output.json({"id": HOSTILE})
    written = capsys.readouterr().out
    assert terminal.SHOWN.fullmatch(written)
    assert json.loads(written.splitlines()[-1]) == {"id": HOSTILE}


def path_of(command: tuple[str, ...]) -> str:
    """The command's name, without what it is given."""
    group = cli.COMMANDS.get(command[0], "")
    return " ".join(command[: 2 if group.endswith(":app") else 1]) if group else "run"


def leaves() -> set[str]:
    """Every command's name."""
    root = typer.main.get_command(cli.make())
    assert isinstance(root, TyperGroup)
    found = set()
    for name, command in root.commands.items():
        inner = command.commands if isinstance(command, TyperGroup) else {"": None}
        found |= {f"{name} {one}".strip() for one in inner}
    return found
