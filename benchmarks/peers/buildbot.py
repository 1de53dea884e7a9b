"""Buildbot: installed into the cache of the benchmarks, run with the same job; a stub of the API takes its statuses."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web

from benchmarks import servers

VERSION = "4.3"
_FOLDER = servers.CACHE / "buildbot"
_PYTHON = _FOLDER / "venv/bin/python"
_CONFIG = Path(__file__).with_name("buildbot_master.cfg")


async def install() -> None:
    """Install it where it is not.

    :raises servers.Missing: if it cannot be installed.
    """
    if (_FOLDER / "installed").exists():
        return
    shutil.rmtree(_FOLDER, ignore_errors=True)
    await servers.install([sys.executable, "-m", "venv", _FOLDER / "venv"], folder=_FOLDER, what="Buildbot")
    packages = [f"{name}=={VERSION}.*" for name in ("buildbot", "buildbot-worker", "buildbot-www")]
    await servers.install(
        [_PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages],
        folder=_FOLDER,
        what="Buildbot",
    )
    (_FOLDER / "installed").touch()


class Statuses:
    """Takes statuses as GitHub's API does, and remembers when each commit had its first one and its success."""

    def __init__(self) -> None:
        self.first: dict[str, float] = {}
        self.success: dict[str, float] = {}
        self.states: defaultdict[str, list[str]] = defaultdict(list)
        self._changed = asyncio.Condition()

    async def take(self, request: web.Request) -> web.Response:
        """`POST /repos/{owner}/{repo}/statuses/{sha}`."""
        sha = request.match_info["sha"]
        state = (await request.json())["state"]
        async with self._changed:
            self.states[sha].append(state)
            self.first.setdefault(sha, time.perf_counter())
            if state == "success":
                self.success.setdefault(sha, time.perf_counter())
            self._changed.notify_all()
        return web.json_response({"state": state}, status=201)

    async def wait_for(self, heads: list[str], *, seconds: float) -> int:
        """Wait until all of these commits succeeded, or for so long; gives how many did."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._changed:
                await self._changed.wait_for(lambda: all(head in self.success for head in heads))
        return sum(head in self.success for head in heads)


@contextlib.asynccontextmanager
async def running(
    *, folder: Path, repository_url: str, secret: str, workers: int
) -> AsyncIterator[tuple[str, Statuses, int]]:
    """A master with its workers; gives where deliveries go, what it tells, and its process id."""
    statuses = Statuses()
    app = web.Application()
    app.router.add_post("/repos/{owner}/{repo}/statuses/{sha}", statuses.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    api_port, port = runner.addresses[0][1], servers.free_port()
    environment = {
        "BENCH_REPOSITORY": repository_url,
        "BENCH_WORKERS": str(workers),
        "BENCH_PORT": str(port),
        "BENCH_SECRET": secret,
        "BENCH_API": f"http://127.0.0.1:{api_port}",
    }
    try:
        folder.mkdir()
        buildbot = _PYTHON.with_name("buildbot")
        await servers.install([buildbot, "create-master", "--quiet", folder], folder=folder, what="Buildbot")
        shutil.copy(_CONFIG, folder / "master.cfg")
        command: list[str | Path] = [buildbot, "start", "--nodaemon", folder]
        log = folder / "twistd.log"
        async with servers.running(command, port=port, env=environment, folder=folder, log=log) as master:
            yield f"http://127.0.0.1:{port}/change_hook/github", statuses, master.pid
    finally:
        await runner.cleanup()


def version() -> str:
    """The version that is installed."""
    (found,) = _FOLDER.glob("venv/lib/python*/site-packages/buildbot-*.dist-info")
    return found.name.removeprefix("buildbot-").removesuffix(".dist-info")
