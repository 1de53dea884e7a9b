"""`buildhook run` beside the service: the same pipeline, the same steps, environment, order and results."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bot.simulator import Simulator
from tests.acceptance import process

#: What tells one build from another, and who asked for it: of these the names are compared, not the values.
OF_THIS_BUILD = {
    *("BUILDHOOK_BASE_SHA", "BUILDHOOK_BUILD_ID", "BUILDHOOK_HEAD_SHA", "BUILDHOOK_JOB_ID", "GITHUB_ACTOR"),
    *("GITHUB_API_URL", "GITHUB_REF", "GITHUB_REF_NAME", "GITHUB_REPOSITORY_ID", "GITHUB_SERVER_URL", "GITHUB_SHA"),
    "TRACEPARENT",
}
PIPELINE = """\
name: hello
on: [push, pull_request]
env:
  GREETING: hello
defaults:
  run:
    shell: bash
jobs:
  build:
    strategy:
      matrix:
        level: [1, 2]
    outputs:
      tag: ${{ steps.tag.outputs.tag }}
    env:
      LEVEL: ${{ matrix.level }}
    steps:
      - name: Tag
        id: tag
        run: echo "tag=v$LEVEL-$(cat version.txt)" >> "$GITHUB_OUTPUT"; echo "FROM_TAG=yes" >> "$GITHUB_ENV"
      - name: Environment
        run: env -0 | sort -z | tr '\\0' '\\n' | grep -v '^_=\\|^OLDPWD=' | sed 's/^/env /'
      - name: May fail
        continue-on-error: true
        run: exit 4
      - name: Not here
        if: github.event_name == 'schedule'
        run: exit 1
  test:
    needs: build
    steps:
      - name: Test
        env:
          TAG: ${{ needs.build.outputs.tag }}
        run: echo "env TAG=$TAG"; test "$TAG" = v2-7
      - name: Fail
        run: exit 3
      - name: Clean up
        if: failure()
        run: echo "env CLEANED=$GREETING"
  report:
    needs: [build, test]
    if: always() && needs.test.result == 'failure'
    steps:
      - run: echo "env REPORT=${{ needs.build.result }}"
  never:
    needs: test
    steps:
      - run: echo "env NEVER=1"
"""
FILES = {".buildhook.yml": PIPELINE, "version.txt": "7\n", ".gitignore": "ignored.txt\n"}


async def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=mona", "-c", "user.email=mona@example.com")
    await asyncio.to_thread(subprocess.run, ["git", *identity, *arguments], cwd=folder, check=True)


@pytest.fixture
async def tree(tmp_path: Path) -> Path:
    """A working tree in which nothing but the pipeline file is committed."""
    folder = tmp_path / "hello"
    folder.mkdir()
    (folder / ".buildhook.yml").write_text(PIPELINE)
    await git(folder, "init", "--quiet", "--initial-branch=topic")
    await git(folder, "add", "--all")
    await git(folder, "commit", "--quiet", "--message=first")
    await git(folder, "remote", "add", "origin", "https://github.com/octo/hello.git")
    for name, content in FILES.items():
        (folder / name).write_text(content)
    (folder / "ignored.txt").write_text("not for the build\n")
    return folder


async def run(tree: Path, *arguments: str) -> tuple[int, str, str]:
    env = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    env |= {"HOME": str(tree.parent), "XDG_CACHE_HOME": str(tree.parent / "cache"), "PYTHONPATH": str(Path.cwd())}
    command = [sys.executable, *process.PROGRAM, "run", *arguments]
    done = await asyncio.to_thread(
        subprocess.run, command, cwd=tree, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def told(log: str) -> list[str]:
    """The lines that the steps wrote for this test; of some variables only the name."""
    lines = [line.removeprefix("env ") for line in log.splitlines() if line.startswith("env ")]
    return [line.partition("=")[0] if line.partition("=")[0] in OF_THIS_BUILD else line for line in lines]


def shape(one: Mapping[str, Any]) -> dict[str, Any]:
    """What has to be equal of a job."""
    steps = [(step["index"], step["state"], step["exit_code"]) for step in one["steps"]]
    return {"key": one["key"], "state": one["state"], "exit_code": one["exit_code"], "steps": steps}


async def test_the_same_pipeline_means_the_same_here_and_in_a_pull_request(
    github: Simulator, service: process.Process, tree: Path
) -> None:
    repository = await github.create_repository("octo/hello", files={"README.md": "# hello\n"})
    await github.commit(repository, "topic", FILES)
    pull = await github.open_pull_request(repository, "topic")
    await github.wait_for_check(repository, pull.head_sha, name="buildhook", conclusion="failure")
    (made,) = await service.command("builds", "list")
    shown = await service.command("builds", "show", made["id"])
    logs = []
    for one in shown["jobs"]:
        if one["steps"]:
            status, out, err = await process.run("logs", one["id"], environment=service.environment)
            assert status == 0, err
            logs += told(out)

    status, out, err = await run(tree, "--event", "pull_request")
    assert status == 3, err
    assert told(out) == logs
    assert "TAG=v2-7" in logs
    assert {"FROM_TAG=yes", "GREETING=hello", "CLEANED=hello", "REPORT=success"} <= set(logs)
    assert "NEVER=1" not in logs
    status, out, err = await run(tree, "--event", "pull_request", "--json")
    assert status == 3, err
    here = json.loads(out)
    assert here["state"] == shown["state"] == "failed"
    assert [shape(one) for one in here["jobs"]] == [shape(one) for one in shown["jobs"]]


async def test_a_run_leaves_the_repository_as_it_is(tree: Path) -> None:
    def seen() -> dict[str, bytes]:
        return {
            str(path.relative_to(tree)): path.read_bytes()
            for path in sorted(tree.rglob("*"))
            if path.is_file() and path.name != "index"
        }

    before = seen()
    status, out, _ = await run(tree, "build")
    assert status == 0, out
    assert seen() == before


async def test_one_job_runs_with_what_it_needs(tree: Path) -> None:
    status, out, err = await run(tree, "test", "--json")
    assert status == 3, err
    assert [one["key"] for one in json.loads(out)["jobs"]] == ["build (1)", "build (2)", "test"]
    status, _, err = await run(tree, "tset")
    assert status == 1
    assert "There is no job `tset`; there are: build, test, report, never." in err


async def test_mistakes_of_the_file_are_told_with_their_place(tree: Path) -> None:
    (tree / ".buildhook.yml").write_text("on: push\njobs:\n  test:\n    stepz: []\n")
    status, _, err = await run(tree)
    assert status == 1
    assert ".buildhook.yml:4:5: `stepz` is not a key of a job. Did you mean `steps`?" in err


async def test_an_event_of_the_service_is_repeated(github: Simulator, service: process.Process, tree: Path) -> None:
    file = PIPELINE.replace("if: github.event_name == 'schedule'", "if: github.event.head_commit.message == 'Special'")
    repository = await github.create_repository("octo/hello", files={"README.md": "# hello\n"})
    head = await github.push(repository, "main", {**FILES, ".buildhook.yml": file}, message="Special")
    await github.wait_for_check(repository, head, name="buildhook", conclusion="failure")
    (made,) = await service.command("builds", "list")
    (tree / ".buildhook.yml").write_text(file)
    for name in ("BUILDHOOK_DATA_DIR", "BUILDHOOK_DATABASE_URL"):
        if name in service.environment:
            (tree / ".env").write_text(f"{name}={service.environment[name]}\n")
    status, out, err = await run(tree, "build", "--from", made["id"], "--json")
    assert status == 3, err
    assert json.loads(out)["jobs"][0]["steps"][3]["state"] == "failed"
