"""Services that are killed again and again, one alone or two on one database: nothing lost, nothing done twice."""

from __future__ import annotations

import asyncio
import collections
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from bot.simulator import Simulator
from bot.simulator.values import Repository
from tests.acceptance import cluster, process
from tests.acceptance.conftest import pipeline
from tests.databases import on_postgresql


async def judge(github: Simulator, repository: Repository, heads: Sequence[str], replica: process.Process) -> None:
    """Each head has one build that passed, and one check run that says so."""
    made = await replica.command("builds", "list", "--limit", "10000")
    # The state of GitHub may have brought the default branch as well.
    of_pushes = [one for one in made if one["head_sha"] in heads]
    assert collections.Counter(one["head_sha"] for one in of_pushes) == dict.fromkeys(heads, 1)
    assert {one["state"] for one in made} == {"passed"}
    for head in heads:
        runs = github.check_runs(repository, head)
        assert [(one.status, one.conclusion) for one in runs] == [("completed", "success")], head
    stuck = await replica.command("deliveries", "list", "--limit", "10000")
    assert {one["state"] for one in stuck} <= {"handled", "ignored"}


async def redeliver_failed(github: Simulator) -> None:
    """What GitHub could not deliver is delivered again, as its owner would."""
    await github.hooks.settle()
    answered = {one.guid for one in github.deliveries if one.status_code == 202}
    for guid, last in {one.guid: one for one in github.deliveries}.items():
        if guid not in answered:
            await github.redeliver(last.id).done.wait()


async def wait_for_all(github: Simulator, repository: Repository, heads: Sequence[str], *, seconds: float) -> None:
    """Wait until every head is green; what was not delivered meanwhile is asked for again."""

    def is_green(head: str) -> bool:
        return any(one.conclusion == "success" for one in github.check_runs(repository, head))

    async with asyncio.timeout(seconds):
        for head in heads:
            while not is_green(head):
                await redeliver_failed(github)
                try:
                    await github.wait_for_check(repository, head, conclusion="success", timeout_seconds=2)
                except TimeoutError:
                    continue


async def push_and_kill(
    github: Simulator,
    settings: Sequence[Mapping[str, str]],
    folder: Path,
    *,
    pushes: int,
    kills: int,
    every_seconds: float,
) -> None:
    repository = await github.create_repository("octo/hello", files=pipeline("echo ok"))
    began = time.perf_counter()
    async with cluster.running(settings, folder=folder) as replicas:
        github.webhook_url = replicas.webhook_url

        async def kill_on() -> None:
            for number in range(kills):
                await asyncio.sleep(every_seconds)
                await replicas.kill(number % len(settings))

        killing = asyncio.create_task(kill_on())
        heads = []
        waves = 10
        for wave in range(waves):
            branches = [f"topic-{wave}-{number}" for number in range(pushes // waves)]
            await github.push_many(repository, branches)
            heads += [repository.heads[branch] for branch in branches]
            # The next wave comes when half of this one is done, so that each kill meets work of every kind.
            while sum(bool(github.check_runs(repository, head)) for head in heads) < len(heads) - pushes // waves // 2:
                await redeliver_failed(github)
                await asyncio.sleep(0.05)
        # A check run whose answer was lost with the process is looked for half a minute before it is made.
        await wait_for_all(github, repository, heads, seconds=max(100, pushes))
        await killing
        assert replicas.kills == kills
        await judge(github, repository, heads, replicas.any())
        for number in range(len(settings)):
            assert "Traceback" not in replicas.log(number).read_text()
    seconds = time.perf_counter() - began
    print(f"{pushes} pushes through {kills} kills: {seconds:.0f} s")  # noqa: T201


# A kill between a call and its mark costs the half minute in which a lost answer is looked for; `test_restart.py` kills
# at chosen places in every run of the tests.
@pytest.mark.long
@pytest.mark.parametrize(
    ("pushes", "kills"),
    [
        pytest.param(20, 4, marks=pytest.mark.timeout(180)),
        pytest.param(100, 20, marks=pytest.mark.timeout(600)),
    ],
    ids=["20 pushes", "100 pushes"],
)
async def test_f3_pushes_through_kill_9_of_the_service_are_all_built_once(
    github: Simulator, database_url: str, tmp_path: Path, pushes: int, kills: int
) -> None:
    settings = cluster.environments(github, database_url, tmp_path, count=1)
    await push_and_kill(github, settings, tmp_path, pushes=pushes, kills=kills, every_seconds=1.0)


@on_postgresql
@pytest.mark.parametrize(
    ("pushes", "kills"),
    [
        pytest.param(20, 4, marks=pytest.mark.timeout(180)),
        pytest.param(200, 30, marks=[pytest.mark.long, pytest.mark.timeout(600)]),
    ],
    ids=["20 pushes", "200 pushes"],
)
async def test_f77_two_replicas_one_killed_every_two_seconds_lose_nothing_and_do_nothing_twice(
    github: Simulator, database_url: str, tmp_path: Path, pushes: int, kills: int
) -> None:
    settings = cluster.environments(github, database_url, tmp_path, count=2)
    await push_and_kill(github, settings, tmp_path, pushes=pushes, kills=kills, every_seconds=2.0)


@on_postgresql
@pytest.mark.long
@pytest.mark.timeout(600)
async def test_two_replicas_share_the_builds_of_many_pushes(
    github: Simulator, database_url: str, tmp_path: Path
) -> None:
    """And the figures: how fast one is, and two that run as many jobs at once together, on the same machine."""
    for count in (1, 2):
        folder = tmp_path / str(count)
        folder.mkdir()
        # Of another account: what one spends of its minute is not the other's.
        repository = await github.create_repository(f"octo-{count}/hello", files=pipeline("echo ok"))
        settings = cluster.environments(github, database_url, folder, count=count, max_jobs=4 // count)
        async with cluster.running(settings, folder=folder) as replicas:
            github.webhook_url = replicas.webhook_url
            branches = [f"topic-{number}" for number in range(200)]
            began = time.perf_counter()
            await github.push_many(repository, branches)
            heads = [repository.heads[branch] for branch in branches]
            await asyncio.gather(
                *(github.wait_for_check(repository, head, conclusion="success", timeout_seconds=280) for head in heads)
            )
            seconds = time.perf_counter() - began
        ran = [
            sum("A job ended" in line for line in replicas.log(one).read_text().splitlines()) for one in range(count)
        ]
        # The state of GitHub may have brought the default branches as well.
        assert sum(ran) >= 200
        assert all(ran)
        print(f"{count} replicas: 200 pushes in {seconds:.1f} s, {200 / seconds:.1f} builds a second, shared {ran}")  # noqa: T201
