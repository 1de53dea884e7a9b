"""Several replicas behind one address, each of which can be killed at any moment and comes back by itself."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

from bot.simulator import Simulator
from tests.acceptance import process


def environments(
    github: Simulator, database_url: str, folder: Path, *, count: int, max_jobs: int = 4
) -> list[dict[str, str]]:
    """The settings of each replica: a data folder of its own, one database.

    :param max_jobs: how many jobs each of them runs at once.
    """
    return [
        process.for_github(
            github,
            folder / f"data-{number}",
            database_url=database_url,
            public_url="http://builds.example",
            max_jobs=max_jobs,
        )
        for number in range(count)
    ]


class Balancer:
    """One address for all replicas: a connection goes to the next one that takes it, and to none if all are down."""

    def __init__(self) -> None:
        self.ports: dict[int, int] = {}
        self._turn = 0
        self._server: asyncio.Server | None = None
        self._pipes: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Where it listens."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def open(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def close(self) -> None:
        """Stop, and cut what is open."""
        assert self._server is not None
        self._server.close()
        for pipe in self._pipes:
            pipe.cancel()
        if self._pipes:
            await asyncio.wait(self._pipes)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._pipes.add(task)
        task.add_done_callback(self._pipes.discard)
        with contextlib.closing(writer), contextlib.suppress(OSError, asyncio.CancelledError):
            there = await self._connected()
            if there is None:
                return
            with contextlib.closing(there[1]):
                ways = {
                    asyncio.create_task(_pipe(reader, there[1])),
                    asyncio.create_task(_pipe(there[0], writer)),
                }
                _, open_ways = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                for way in open_ways:
                    way.cancel()
                await asyncio.wait(ways)

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        self._turn += 1
        ports = list(self.ports.values())
        for number in range(len(ports)):
            with contextlib.suppress(OSError):
                return await asyncio.open_connection("127.0.0.1", ports[(self._turn + number) % len(ports)])
        return None


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(64 * 1024):
            writer.write(data)
            await writer.drain()


class Cluster:
    """Replicas that are kept running."""

    def __init__(self, environments: Sequence[Mapping[str, str]], *, folder: Path) -> None:
        self._environments = environments
        self._folder = folder
        self.balancer = Balancer()
        self._running: dict[int, process.Process] = {}
        self._is_back = asyncio.Condition()
        self.kills = 0

    @property
    def webhook_url(self) -> str:
        """Where deliveries go."""
        return f"{self.balancer.url}/webhook"

    def any(self) -> process.Process:
        """A replica that runs, for commands."""
        return next(iter(self._running.values()))

    def log(self, number: int) -> Path:
        """The log of a replica."""
        return self._folder / f"replica-{number}.log"

    async def keep(self, number: int) -> None:
        """Run one replica for ever, anew each time it ends."""
        while True:
            async with process.serving(self._environments[number], log=self.log(number)) as replica:
                self.balancer.ports[number] = replica.port
                async with self._is_back:
                    self._running[number] = replica
                    self._is_back.notify_all()
                await replica.process.wait()
                self.balancer.ports.pop(number, None)
                self._running.pop(number, None)

    async def kill(self, number: int) -> None:
        """`kill -9` of one replica, as soon as it runs; returns when it is back."""
        await self.wait_for(number)
        victim = self._running[number]
        await victim.kill()
        self.kills += 1
        async with self._is_back:
            await self._is_back.wait_for(lambda: self._running.get(number) not in (None, victim))

    def signal(self, number: int, what: signal.Signals) -> None:
        """Send a signal to a replica, if it runs."""
        replica = self._running.get(number)
        if replica is not None and replica.process.returncode is None:
            replica.process.send_signal(what)

    async def wait_for(self, number: int) -> None:
        """Wait until a replica runs."""
        async with self._is_back:
            await self._is_back.wait_for(lambda: number in self._running)


@contextlib.asynccontextmanager
async def running(environments: Sequence[Mapping[str, str]], *, folder: Path) -> AsyncIterator[Cluster]:
    """A cluster that runs while the block does."""
    cluster = Cluster(environments, folder=folder)
    await cluster.balancer.open()
    keepers = [asyncio.create_task(cluster.keep(number)) for number in range(len(environments))]
    try:
        for number in range(len(environments)):
            await cluster.wait_for(number)
        yield cluster
    finally:
        for keeper in keepers:
            keeper.cancel()
        await asyncio.wait(keepers)
        await cluster.balancer.close()
