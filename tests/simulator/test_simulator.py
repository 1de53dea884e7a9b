"""The simulator as a whole: it starts, listens where it is told, and leaves nothing behind."""

from __future__ import annotations

import time
from pathlib import Path

import aiohttp
import pytest

import bot.simulator
from bot.simulator import Repository, Simulator
from tests.simulator.conftest import Client


async def test_without_a_folder_it_leaves_nothing_behind() -> None:
    async with Simulator() as github:
        folder = github.folder
        await github.create_repository("octo/hello")
        assert folder.exists()
    assert not folder.exists()


async def test_a_folder_that_was_given_stays(tmp_path: Path) -> None:
    async with Simulator(folder=tmp_path / "new" / "folder") as github:
        repository = await github.create_repository("octo/hello")
    assert (tmp_path / "new" / "folder" / f"{repository.id}.git" / "HEAD").exists()


async def test_serve_gives_a_running_simulator(tmp_path: Path) -> None:
    async with bot.simulator.serve(folder=tmp_path, webhook_url="http://127.0.0.1:1/", app_id=7) as github:
        assert github.url.startswith("http://127.0.0.1:")
        assert github.api_url == f"{github.url}/api/v3"
        assert (github.app_id, github.webhook_url) == (7, "http://127.0.0.1:1/")
        async with aiohttp.ClientSession() as session, session.get(github.url) as answer:
            assert answer.status == 200
    with pytest.raises(aiohttp.ClientError):
        async with aiohttp.ClientSession() as session:
            await session.get(github.url)


async def test_a_port_that_is_taken_is_an_error(github: Simulator, tmp_path: Path) -> None:
    port = int(github.url.rpartition(":")[2])
    with pytest.raises(OSError, match="address"):
        async with Simulator(folder=tmp_path / "other", port=port):
            pass


async def test_it_answers_fast(client: Client, repository: Repository) -> None:
    token = client.github.installation_token("octo")
    body = {"name": "buildhook", "head_sha": repository.heads["main"]}

    async def seconds_each(method: str, path: str, sent: dict[str, str] | None = None) -> float:
        best = 1.0
        for _ in range(5):
            started = time.perf_counter()
            for _ in range(20):
                assert (await client(method, path, sent, token=token)).status in (200, 201)
            best = min(best, (time.perf_counter() - started) / 20)
        return best

    client.github.webhook_url = None
    assert await seconds_each("POST", "/repos/octo/hello/check-runs", body) < 0.01
    assert await seconds_each("GET", "/repos/octo/hello/contents/README.md?ref=main") < 0.01


async def test_one_can_wait_for_anything(github: Simulator, repository: Repository) -> None:
    await github.wait_until(lambda: "main" in repository.heads)
    with pytest.raises(TimeoutError, match=r"not within 0\.01 s: what was waited for did not come"):
        await github.wait_until(lambda: "nope" in repository.heads, timeout_seconds=0.01)


def test_the_public_names_are_there() -> None:
    for name in bot.simulator.__all__:
        assert hasattr(bot.simulator, name)


def test_it_imports_nothing_of_ours() -> None:
    for file in Path(bot.simulator.__file__).parent.rglob("*.py"):
        for line in file.read_text().splitlines():
            if line.startswith(("import bot", "from bot")):
                assert line.startswith(("from bot.simulator", "import bot.simulator")), (file.name, line)
