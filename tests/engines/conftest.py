"""A git server, a repository with one commit, and local engines."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from blockbuster import BlockBuster

from bot.engines.local import engine as local
from tests.engines import gitserver, jobs

Open = Callable[..., Awaitable[local.Local]]


@pytest.fixture(autouse=True)
def unblocked_engines(unblocked_loop: None) -> Iterator[None]:
    """A blocking call of an engine in the event loop is an error as well."""
    del unblocked_loop
    buster = BlockBuster(scanned_modules=["bot.engines"])
    for name, function in buster.functions.items():
        if not name.startswith("threading.Lock."):
            function.can_block_in("<frozen importlib._bootstrap>", "_find_and_load")
            function.activate()
    yield
    buster.deactivate()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[gitserver.Server]:
    """A git server."""
    async with gitserver.serve(tmp_path / "git") as serving:
        yield serving


@pytest.fixture
def code(server: gitserver.Server) -> jobs.Code:
    """A repository with one commit."""
    repository = server.repository()
    sha = repository.commit({"README.md": "hello\n", "src/main.c": "int main;\n"})
    return jobs.Code(server, repository, sha)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """The data folder of the engines."""
    return tmp_path / "data"


@pytest.fixture
async def open_engine(data_dir: Path) -> AsyncIterator[Open]:
    """Opens local engines on the data folder, each as if the service had been started anew."""
    opened: list[local.Local] = []

    async def open_one(**settings: object) -> local.Local:
        made = local.Local(data_dir, **settings)  # type: ignore[arg-type]
        await made.open()
        opened.append(made)
        return made

    yield open_one
    for made in opened:
        await made.close()


@pytest.fixture
async def engine(open_engine: Open) -> local.Local:
    """A local engine with its sandbox."""
    return await open_engine()
