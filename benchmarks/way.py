"""The way: from a signed push at the door to the first sign on the commit and to its success, with everything real."""

from __future__ import annotations

import asyncio
import functools
import math
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from benchmarks import figures, servers
from benchmarks.peers import buildbot
from bot.settings import Settings
from bot.simulator import Simulator

SINGLE = 25
#: Pushes of the peer, which takes a second for each.
PEER_SINGLE = 8
#: The first ones warm the mirror, the token and the connections.
WARM_UP = 3
BURST = 200
ROUNDS = 3
#: The peer's burst is looked at for so long: what it has built by then counts.
PEER_BURST_SECONDS = 60.0
FILES = {".buildhook.yml": "on: push\njobs:\n  test:\n    steps:\n      - run: echo ok\n", "README.md": "# hello\n"}
_WORKERS = Settings().max_jobs


@dataclass(slots=True)
class Found:
    """What one subject reached."""

    first_ms: list[float] = field(default_factory=list)
    success_ms: list[float] = field(default_factory=list)
    builds_a_second: list[float] = field(default_factory=list)
    #: Of the service and what it started, for each build of a burst.
    cpu_ms: list[float] = field(default_factory=list)


async def measure() -> figures.Part:
    """Ours, then the peer: pushes one after the other, then many at once."""
    ours = await measure_ours()
    notes = []
    try:
        await buildbot.install()
        theirs = await _peer()
        notes.append(f"Buildbot {buildbot.version()}; of its burst what it had built after {PEER_BURST_SECONDS:.0f} s.")
    except servers.Missing as missing:
        print(f"!!! {missing} It is left out.", file=sys.stderr, flush=True)
        notes.append(f"{missing} It was left out.")
        theirs = None
    rows = [_row("buildhook, sandbox on", ours, theirs)]
    rows += [] if theirs is None else [_row("Buildbot, no sandbox", theirs, theirs)]
    targets = [
        figures.Target(name="first check, p50", value=statistics.median(ours.first_ms), must=15, goal=8, unit="ms"),
        figures.Target(name="success, p50", value=statistics.median(ours.success_ms), must=100, goal=60, unit="ms"),
        figures.Target(
            name=f"{BURST} pushes at once, builds a second",
            value=statistics.median(ours.builds_a_second) if ours.builds_a_second else math.nan,
            must=20,
            goal=40,
            is_rate=True,
        ),
    ]
    return figures.Part(rows=rows, targets=targets, notes=notes)


def _row(subject: str, found: Found, peer: Found | None) -> figures.Row:
    values = {
        "first ms": figures.spread(found.first_ms, digits=1),
        "success ms": figures.spread(found.success_ms, digits=1),
        f"{BURST} at once, builds/s": figures.spread(found.builds_a_second, digits=1),
        "CPU ms/build": figures.spread(found.cpu_ms),
    }
    if peer is not None:
        values["times the peer: first, success, burst"] = ", ".join(
            f"{value:.1f}"
            for value in (
                statistics.median(peer.first_ms) / statistics.median(found.first_ms),
                statistics.median(peer.success_ms) / statistics.median(found.success_ms),
                _ratio(found.builds_a_second, peer.builds_a_second),
            )
        )
    return figures.Row(subject=subject, case=f"{len(found.first_ms)} pushes, then {BURST} at once", values=values)


def _ratio(ours: list[float], theirs: list[float]) -> float:
    # One that has built nothing within its time is beaten by any number.
    return statistics.median(ours) / statistics.median(theirs) if statistics.median(theirs) else math.inf


async def measure_ours(*, single: int = SINGLE, rounds: int = ROUNDS, burst: int = BURST) -> Found:
    """`buildhook serve` against the simulator."""
    found = Found()
    async with servers.world() as (github, service):
        repository = await github.create_repository("octo/hello", files=FILES)
        for number in range(single + WARM_UP):
            body, headers, head = await _push(github, f"one-{number}")
            began = time.perf_counter()
            await github.hooks.post(body, headers)
            await github.wait_until(functools.partial(github.check_runs, repository, head))
            seen = time.perf_counter()
            await github.wait_for_check(repository, head, conclusion="success")
            if number >= WARM_UP:
                found.first_ms.append((seen - began) * 1000)
                found.success_ms.append((time.perf_counter() - began) * 1000)
        for number in range(rounds):
            used = servers.cpu_seconds(service.process.pid)
            found.builds_a_second.append(await _burst(github, number, burst=burst))
            found.cpu_ms.append((servers.cpu_seconds(service.process.pid) - used) / burst * 1000)
    return found


async def _push(github: Simulator, branch: str) -> tuple[bytes, dict[str, str], str]:
    (delivery,) = await github.push_many("octo/hello", [branch], send=False)
    return delivery.body, dict(delivery.headers), github.repository("octo/hello").heads[branch]


async def _burst(github: Simulator, number: int, *, burst: int) -> float:
    repository = github.repository("octo/hello")
    branches = [f"burst-{number}-{index}" for index in range(burst)]
    sent = await github.push_many(repository, branches, send=False)
    began = time.perf_counter()
    answers = await asyncio.gather(*(github.hooks.post(one.body, one.headers) for one in sent))
    assert {status for status, _ in answers} == {202}
    heads = [repository.heads[branch] for branch in branches]
    await asyncio.gather(
        *(github.wait_for_check(repository, head, conclusion="success", timeout_seconds=120) for head in heads)
    )
    return burst / (time.perf_counter() - began)


async def _peer() -> Found:
    """Buildbot with the same repository over HTTP and the same deliveries."""
    found = Found()
    with tempfile.TemporaryDirectory() as folder:
        async with Simulator(folder=Path(folder) / "github") as github, aiohttp.ClientSession() as client:
            await github.create_repository("octo/hello", files=FILES)
            repository_url = f"{github.url}/octo/hello.git"
            async with buildbot.running(
                folder=Path(folder) / "master",
                repository_url=repository_url,
                secret=github.webhook_secret or "",
                workers=_WORKERS,
            ) as (hook_url, statuses, pid):

                async def post(body: bytes, headers: dict[str, str]) -> None:
                    async with client.post(hook_url, data=body, headers=headers) as answer:
                        if answer.status != 200:
                            raise RuntimeError(f"Buildbot answered {answer.status}: {await answer.text()}")

                for number in range(PEER_SINGLE + WARM_UP):
                    body, headers, head = await _push(github, f"one-{number}")
                    began = time.perf_counter()
                    await post(body, headers)
                    if not await statuses.wait_for([head], seconds=30):
                        raise RuntimeError(f"Buildbot told of no success: {statuses.states[head]}")
                    if number >= WARM_UP:
                        found.first_ms.append((statuses.first[head] - began) * 1000)
                        found.success_ms.append((statuses.success[head] - began) * 1000)
                branches = [f"burst-{index}" for index in range(BURST)]
                sent = await github.push_many("octo/hello", branches, send=False)
                heads = [github.repository("octo/hello").heads[branch] for branch in branches]
                used = servers.cpu_seconds(pid)
                began = time.perf_counter()
                await asyncio.gather(*(post(one.body, dict(one.headers)) for one in sent))
                done = await statuses.wait_for(heads, seconds=PEER_BURST_SECONDS)
                found.builds_a_second.append(done / (time.perf_counter() - began))
                found.cpu_ms.append((servers.cpu_seconds(pid) - used) / max(1, done) * 1000)
    return found
