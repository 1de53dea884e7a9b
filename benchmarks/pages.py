"""Every page and every list with very many builds in the database, over HTTP and as the commands ask for them."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
from sqlalchemy.engine import Connection

from benchmarks import figures, filling, servers
from bot.model import build, delivery
from bot.store import Store, builds, checks, inbox_list, jobs
from tests import postgresql
from tests.acceptance import process

BUILDS = 1_000_000
REPOSITORIES = 1_000
#: Filling stops here on a slow machine.
FILL_SECONDS = 150.0
ROUNDS = 30
#: Of a page that is far slower than it may be, so many are enough.
_FEW_ROUNDS, _SLOW_SECONDS = 5, 0.5
_Ask = Callable[[Connection], Any]


def pages(middle: int) -> dict[str, str]:
    """Every page: with something old, something new, something rare and something that is not there.

    :param middle: the number of a build.
    """
    return {
        "builds": "/",
        "builds, far back": f"/?before={middle:026d}",
        "failed builds": "/?state=failed",
        "builds in a state that none has": "/?state=timed_out",
        "builds of a repository": "/?repository=octo/repo-7",
        "builds of one that has none": "/?repository=octo/unknown",
        "failed builds of a repository": "/?repository=octo/repo-7&state=failed",
        "the queue": "/queue",
        "engines": "/engines",
        "a repository": "/repos/octo/repo-7",
        "a badge": "/badge/octo/repo-7.svg",
        "a badge of pull requests, of which there are none": "/badge/octo/repo-7.svg?event=pull_request",
        "a badge of a job": "/badge/octo/repo-7.svg?job=test",
        "a feed": "/feed/octo/repo-7.atom",
        "all projects": "/cc.xml",
        "artifacts of a repository": "/repos/octo/repo-7/artifacts",
        "a branch": "/repos/octo/repo-7?branch=main",
        "a pull request that there is none of": "/repos/octo/repo-7?pull=7",
        "a build": f"/builds/{middle:026d}",
        "a job": f"/jobs/{middle:026d}",
        "deliveries": "/deliveries",
        "deliveries, far back": f"/deliveries?before={middle}",
        "parked deliveries, of which there are none": "/deliveries?state=parked",
        "ignored deliveries, of which there are none": "/deliveries?state=ignored",
        "deliveries that wait, of which there are none": "/deliveries?state=received",
        "a delivery": f"/deliveries/d{middle}",
        "explain a commit": f"/explain?q=octo/repo-{middle % REPOSITORIES}@{middle:040x}",
        "explain a pull request": "/explain?q=octo/repo-7%237",
        "audit": "/audit",
        "budget": "/budget",
        "subscribers": "/subscribers",
        "readiness": "/readyz",
        "metrics": "/metrics",
    }


def lists(middle: int) -> dict[str, _Ask]:
    """What the commands ask the database for.

    :param middle: the number of a build.
    """
    none_parked = partial(inbox_list.list_newest, limit=20, state=delivery.State.PARKED)
    return {
        "`builds list`": partial(builds.list_newest, limit=20),
        "`builds list --state errored`, none": partial(builds.list_newest, limit=20, states=(build.State.ERRORED,)),
        "`builds list --head`, none": partial(builds.list_newest, limit=20, head_ref="topic"),
        "`builds list --sha`": partial(builds.list_newest, limit=20, head_sha=f"{middle:040x}"),
        "`builds list --repo`": partial(builds.list_newest, limit=20, repository="octo/repo-7"),
        "`deliveries list`": partial(inbox_list.list_newest, limit=20),
        "`deliveries list --state parked`, none": none_parked,
        "`deliveries list --event`, none": partial(inbox_list.list_newest, limit=20, event="release"),
        "`deliveries list --repo`": partial(inbox_list.list_newest, limit=20, repository="octo/repo-7"),
        "`deliveries list --repo`, none": partial(inbox_list.list_newest, limit=20, repository="octo/unknown"),
        "deliveries that a person of one repository sees": partial(inbox_list.list_newest, limit=20, among=[7]),
        "deliveries that a person of every repository sees": partial(
            inbox_list.list_newest, limit=20, among=range(1, REPOSITORIES + 1)
        ),
        "jobs of a build": partial(jobs.list_of_builds, build_ids=[f"{middle:026d}"]),
        "checks of a build": partial(checks.list_of_build, build_id=f"{middle:026d}"),
        "builds of a delivery": partial(builds.list_of_delivery, delivery_id=f"d{middle}"),
    }


async def on_sqlite() -> figures.Part:
    """With everything in a file."""
    with tempfile.TemporaryDirectory(prefix="buildhook-bench-") as folder:
        return await measure("SQLite", f"sqlite:///{folder}/buildhook.db", Path(folder))


async def on_postgresql() -> figures.Part:
    """With everything on a server of its own."""
    folder = Path(tempfile.mkdtemp(prefix="buildhook-bench-"))
    try:
        async with server(folder / "server") as make_database:
            return await measure("PostgreSQL", make_database("buildhook"), folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.asynccontextmanager
async def server(folder: Path) -> AsyncIterator[Callable[[str], str]]:
    """A server of PostgreSQL, as careful as it comes; gives what makes a database and tells its URL."""
    started = postgresql.start(folder)

    def make(name: str) -> str:
        started.psql(f'CREATE DATABASE "{name}";')
        return str(started.get_uri(name))

    try:
        yield make
    finally:
        started.cleanup()


async def measure(name: str, url: str, folder: Path) -> figures.Part:
    """Fill an empty database, then ask for everything."""
    began = time.monotonic()
    count = await filling.fill(url, count=BUILDS, repositories=REPOSITORIES, seconds=FILL_SECONDS)
    filled = time.monotonic() - began
    found: dict[tuple[str, str], Sequence[float]] = {}
    async with opened(url) as store:
        for label, ask in lists(count // 2).items():
            found[label, "the query"] = await _times(partial(store.read, ask))
    environment = process.environment(folder / "data", database_url=url, log_level="warning")
    slowest, p95_ms = "", 0.0
    async with servers.serving(environment, log=folder / "service.log") as service, aiohttp.ClientSession() as client:
        for label, path in pages(count // 2).items():
            found[label, f"`{path[:40]}`"] = times = await _times(partial(_get, client, service.url + path))
            if figures.percentile(times, 0.95) > p95_ms:
                slowest, p95_ms = label, figures.percentile(times, 0.95)
    rows = [figures.Row(subject=label, case=case, values=_values(times)) for (label, case), times in found.items()]
    target = figures.Target(
        name=f"p95 of any page, the slowest of which is: {slowest}", value=p95_ms, must=50, goal=20, unit="ms"
    )
    notes = [f"{name}: {count:,} builds of {REPOSITORIES:,} repositories, filled in {filled:.0f} s."]
    if count < BUILDS:
        notes.append(f"{BUILDS:,} were meant; no more could be filled in within {FILL_SECONDS:.0f} s.")
    return figures.Part(rows=rows, targets=[target], notes=notes)


def _values(times: Sequence[float]) -> dict[str, str]:
    return {f"p{part} ms": f"{figures.percentile(times, part / 100):.1f}" for part in (50, 95)}


@contextlib.asynccontextmanager
async def opened(url: str) -> AsyncIterator[Store]:
    """The database while the block runs."""
    store = await Store(url).open()
    try:
        yield store
    finally:
        await store.close()


async def _times(ask: Callable[[], Awaitable[object]]) -> Sequence[float]:
    await ask()
    took = list[float]()
    while len(took) < ROUNDS:
        began = time.perf_counter()
        await ask()
        took.append((time.perf_counter() - began) * 1000)
        if len(took) >= _FEW_ROUNDS and sum(took) > _SLOW_SECONDS * 1000 * _FEW_ROUNDS:
            break
    return took


async def _get(client: aiohttp.ClientSession, url: str) -> None:
    async with client.get(url, headers={"Accept": "text/html"}) as answer:
        await answer.read()
        # Readiness says 503 here, because there are no credentials.
        if answer.status not in (200, 503):
            raise RuntimeError(f"{url} was answered {answer.status}")
