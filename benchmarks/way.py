"""The way: from a signed push at the door to the first check run and to its success, with everything real."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

from benchmarks import figures
from bot.simulator import Simulator
from tests.acceptance import process

SINGLE = 25
#: The first ones warm the mirror, the token and the connections.
WARM_UP = 3
BURST = 200
ROUNDS = 3
FILES = {".buildhook.yml": "on: push\njobs:\n  test:\n    steps:\n      - run: echo ok\n", "README.md": "# hello\n"}


async def measure() -> list[figures.Row]:
    """One push after the other, then many at once."""
    first, green = list[float](), list[float]()
    async with _world() as (github, _):
        repository = await github.create_repository("octo/hello", files=FILES)
        for number in range(SINGLE + WARM_UP):
            began, head = await _push(github, f"one-{number}")
            await github.wait_until(functools.partial(github.check_runs, repository, head))
            seen = time.perf_counter()
            await github.wait_for_check(repository, head, conclusion="success")
            if number >= WARM_UP:
                first.append((seen - began) * 1000)
                green.append((time.perf_counter() - began) * 1000)
        rates = [await _burst(github, number) for number in range(ROUNDS)]
    return [
        figures.Row(
            subject="buildhook",
            case=f"{SINGLE} pushes, one after the other; {ROUNDS} x {BURST} at once",
            values={
                "first check ms": figures.spread(first, digits=1),
                "success ms": figures.spread(green, digits=1),
                "builds/s at once": figures.spread(rates, digits=1),
            },
        )
    ]


async def _push(github: Simulator, branch: str) -> tuple[float, str]:
    (delivery,) = await github.push_many("octo/hello", [branch], send=False)
    head = github.repository("octo/hello").heads[branch]
    began = time.perf_counter()
    await github.hooks.post(delivery.body, delivery.headers)
    return began, head


async def _burst(github: Simulator, number: int) -> float:
    repository = github.repository("octo/hello")
    branches = [f"burst-{number}-{index}" for index in range(BURST)]
    sent = await github.push_many(repository, branches, send=False)
    began = time.perf_counter()
    answers = await asyncio.gather(*(github.hooks.post(one.body, one.headers) for one in sent))
    assert {status for status, _ in answers} == {202}
    heads = [repository.heads[branch] for branch in branches]
    await asyncio.gather(
        *(github.wait_for_check(repository, head, conclusion="success", timeout_seconds=120) for head in heads)
    )
    return BURST / (time.perf_counter() - began)


@contextlib.asynccontextmanager
async def _world() -> AsyncIterator[tuple[Simulator, process.Process]]:
    with tempfile.TemporaryDirectory() as folder:
        async with Simulator(folder=Path(folder) / "github") as github:
            environment = process.environment(
                Path(folder) / "data",
                github_api_url=github.api_url,
                app_id=github.app_id,
                private_key=github.private_key,
                webhook_secret=github.webhook_secret,
                log_level="warning",
            )
            async with process.serving(environment, log=Path(folder) / "service.log") as service:
                github.webhook_url = service.webhook_url
                yield github, service
