"""Few calls: what one build may ask of GitHub's API, counted by the simulator from the push until all is at rest.

Requests for tokens are counted apart: each serves all builds of its repository for 50 minutes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from benchmarks.calls import BROKEN, MANY
from tests.acceptance import calls


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[calls.Stage]:
    """A service that nothing happened to yet."""
    async with calls.stage(tmp_path) as stage:
        yield stage


async def test_a_build_of_one_job_takes_three_calls_and_that_of_a_pull_request_five(stage: calls.Stage) -> None:
    repository = await stage.github.create_repository("octo/hello", private=True, files=calls.pipeline("echo ok"))
    first = await stage.count(calls.push, repository, "first")
    # One to report and one to fetch with, for all builds of the next 50 minutes.
    assert (first.calls <= 3, first.tokens <= 2) == (True, True), first
    pushed = await stage.count(calls.push, repository, "topic")
    assert (pushed.calls <= 3, pushed.tokens) == (True, 0), pushed
    pulled = await stage.count(calls.pull_request, repository, "pull")
    assert (pulled.calls <= 5, pulled.tokens) == (True, 0), pulled


@pytest.mark.parametrize("command", ["echo ok", pytest.param(BROKEN, marks=pytest.mark.long)])
async def test_a_build_of_fifty_jobs_takes_twelve_calls_at_the_most(stage: calls.Stage, command: str) -> None:
    files = calls.pipeline(command, jobs=MANY)
    repository = await stage.github.create_repository("octo/hello", private=True, files=files)
    found = await stage.count(calls.push, repository, "topic")
    assert found.calls <= 12, found
    shown = stage.github.check_runs(repository, repository.heads["topic"])
    assert len(shown) == MANY + 1
    assert {run.conclusion for run in shown} == {"success" if command == "echo ok" else "failure"}
    assert all(run.annotations for run in shown if run.name != "buildhook") == (command == BROKEN)
