"""How the cost of a claim grows with what waits and with the repositories, and of a build with the replicas."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy.engine import Connection

from benchmarks import figures, filling, pages, servers
from bot.simulator import Simulator
from bot.store import checks, deliveries, jobs
from tests import factories
from tests.acceptance import process

QUEUES = (100, 1_000, 10_000)
REPOSITORIES = (10, 1_000, 10_000)
REPLICAS = (1, 2, 4)
#: Pushes that the replicas build together.
PUSHES = 40
ROUNDS = 20
_LEASE = timedelta(minutes=5)
_FILL_SECONDS = 60.0


async def measure() -> figures.Part:
    """Claims on both databases, then whole builds by several replicas on PostgreSQL."""
    folder = Path(tempfile.mkdtemp(prefix="buildhook-bench-"))
    rows = []
    try:
        async with pages.server(folder / "server") as make_database:
            for waiting, repositories in [(count, 10) for count in QUEUES] + [(10_000, n) for n in REPOSITORIES[1:]]:
                name = f"{waiting}_{repositories}"
                urls = {"SQLite": f"sqlite:///{folder}/{name}.db", "PostgreSQL": make_database(f"queue_{name}")}
                rows += [
                    await _queue(kind, url, waiting=waiting, repositories=repositories) for kind, url in urls.items()
                ]
            for count in REPLICAS:
                rows.append(await _replicas(count, make_database(f"replicas_{count}"), folder / f"replicas-{count}"))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return figures.Part(rows=rows)


async def _queue(kind: str, url: str, *, waiting: int, repositories: int) -> figures.Row:
    """What one claim of 16 takes while so much waits: of deliveries, jobs and checks."""
    await filling.fill(url, count=waiting, repositories=repositories, seconds=_FILL_SECONDS, is_over=False)
    async with pages.opened(url) as store:
        given: dict[str, Any] = {"now": factories.NOW + timedelta(hours=1), "owner": "bench", "lease": _LEASE}
        asked: dict[str, Callable[[Connection], Any]] = {
            "claim deliveries ms": partial(deliveries.claim_next, limit=16, most_each=16, **given),
            "claim jobs ms": partial(jobs.claim_ready, limit=16, **given),
            "claim checks ms": partial(checks.claim_stale, limit=16, **given),
        }
        values = {}
        for label, ask in asked.items():
            took = []
            for _ in range(ROUNDS):
                began = time.perf_counter()
                await store.write(_undone, ask)
                took.append((time.perf_counter() - began) * 1000)
            values[label] = figures.spread(took, digits=1)
    return figures.Row(subject=kind, case=f"{waiting:,} waiting, {repositories:,} repositories", values=values)


def _undone(connection: Connection, ask: Callable[[Connection], object]) -> None:
    """So that each round finds the same."""
    with connection.begin_nested() as point:
        ask(connection)
        point.rollback()


async def _replicas(count: int, url: str, folder: Path) -> figures.Row:
    """Pushes at once to so many replicas on one database; each takes its share of the deliveries."""
    folder.mkdir()
    async with contextlib.AsyncExitStack() as stack:
        github = await stack.enter_async_context(Simulator(folder=folder / "github"))
        services = [await stack.enter_async_context(_service(github, url, folder, number)) for number in range(count)]
        await github.create_repository(
            "octo/hello", files={".buildhook.yml": "on: push\njobs:\n  test:\n    steps:\n      - run: echo ok\n"}
        )
        used = sum(servers.cpu_seconds(one.process.pid) for one in services)
        began = time.perf_counter()
        for number, service in enumerate(services):
            github.webhook_url = service.webhook_url
            await github.push_many("octo/hello", [f"to-{number}-{index}" for index in range(PUSHES // count)])
        repository = github.repository("octo/hello")
        heads = [head for branch, head in repository.heads.items() if branch.startswith("to-")]
        await asyncio.gather(
            *(github.wait_for_check(repository, head, conclusion="success", timeout_seconds=120) for head in heads)
        )
        took = time.perf_counter() - began
        used = sum(servers.cpu_seconds(one.process.pid) for one in services) - used
    values = {"builds/s": f"{len(heads) / took:.1f}", "CPU ms/build": f"{used / len(heads) * 1000:.0f}"}
    return figures.Row(subject="PostgreSQL", case=f"{count} replicas, {PUSHES} pushes at once", values=values)


@contextlib.asynccontextmanager
async def _service(github: Simulator, url: str, folder: Path, number: int) -> AsyncIterator[process.Process]:
    environment = process.for_github(
        github,
        folder / f"data-{number}",
        database_url=url,
        log_level="warning",
    )
    async with servers.serving(environment, log=folder / f"service-{number}.log") as service:
        yield service
