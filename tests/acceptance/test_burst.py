"""Many at once: all answered, all built, none twice."""

from __future__ import annotations

import asyncio
import time

import pytest

from bot.simulator import Simulator
from tests.acceptance.conftest import pipeline
from tests.acceptance.process import Process

PUSHES = 200


@pytest.mark.timeout(180)
async def test_f47_200_pushes_to_200_branches_at_once_are_all_green_and_none_is_built_twice(
    github: Simulator, service: Process, record_property: object
) -> None:
    repository = await github.create_repository("octo/hello", files=pipeline("echo ok"))
    branches = [f"topic-{number}" for number in range(PUSHES)]
    began = time.perf_counter()
    sent = await github.push_many(repository, branches)
    heads = [repository.heads[branch] for branch in branches]
    await asyncio.gather(
        *(github.wait_for_check(repository, head, conclusion="success", timeout_seconds=150) for head in heads)
    )
    seconds = time.perf_counter() - began
    assert [one.status_code for one in sent] == [202] * PUSHES
    assert all(len(github.check_runs(repository, head)) == 1 for head in heads)
    built = [one["head_sha"] for one in await service.command("builds", "list", "--limit", "1000")]
    # Where this takes long enough, the head of the main branch is found to have no build, and gets one as well.
    assert sorted(one for one in built if one != repository.heads["main"]) == sorted(heads)
    print(f"{PUSHES} pushes in {seconds:.1f} s: {PUSHES / seconds:.1f} builds a second")  # noqa: T201


async def test_t9_t10_one_push_under_many_delivery_ids_builds_once(github: Simulator, service: Process) -> None:
    repository = await github.create_repository("octo/hello", files=pipeline("echo ok"))
    head = await github.push(repository, "main", {"a.txt": "a"})
    await github.wait_for_check(repository, head, conclusion="success")
    pushed = next(one for one in github.deliveries if one.event == "push")
    same = [github.hooks.post(pushed.body, pushed.headers) for _ in range(50)]
    renamed = [
        github.hooks.post(pushed.body, {**pushed.headers, "X-GitHub-Delivery": f"replayed-{number}"})
        for number in range(50)
    ]
    answers = await asyncio.gather(*same, *renamed)
    assert {status for status, _ in answers} == {202}
    while any(
        one["state"] not in {"handled", "ignored"}
        for one in await service.command("deliveries", "list", "--limit", "1000")
    ):
        pass
    assert len(await service.command("builds", "list")) == 1
    assert len(github.check_runs(repository, head)) == 1
