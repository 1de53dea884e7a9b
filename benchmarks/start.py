"""From the start of `buildhook serve` until it is ready, and the memory that it holds while there is nothing to do."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import aiohttp

from benchmarks import figures, servers
from bot.simulator import Simulator
from tests.acceptance import process

STARTS = 10
#: What the start needed is given back by then.
IDLE_SECONDS = 5.0
_MIB = 1024**2


async def measure() -> figures.Part:
    """Start it several times with a database that is there, and look at the last one when it is idle."""
    took, cpu = list[float](), list[float]()
    with tempfile.TemporaryDirectory() as folder:
        async with Simulator(folder=Path(folder) / "github") as github, aiohttp.ClientSession() as client:
            environment = process.for_github(
                github,
                Path(folder) / "data",
                log_level="warning",
            )
            for number in range(STARTS + 1):
                began = time.perf_counter()
                async with servers.serving(environment, log=Path(folder) / "service.log") as service:
                    await _ready(client, service.url)
                    # The first one makes the database.
                    if number:
                        took.append(time.perf_counter() - began)
                        cpu.append(servers.cpu_seconds(service.process.pid))
                    if number == STARTS:
                        await asyncio.sleep(IDLE_SECONDS)
                        memory = _memory(service.process.pid)
                    else:
                        await service.stop()
    values = {
        "start to ready, s": figures.spread(took, digits=2),
        "CPU s": figures.spread(cpu, digits=2),
        "idle RSS MB": f"{memory['Rss'] / _MIB:.1f}",
        "idle PSS MB": f"{memory['Pss'] / _MIB:.1f}",
        "of it private MB": f"{(memory['Private_Clean'] + memory['Private_Dirty']) / _MIB:.1f}",
    }
    targets = [
        figures.Target(name="start to ready, p50", value=statistics.median(took), must=1, goal=0.5, unit="s"),
        figures.Target(name="idle memory (RSS)", value=memory["Rss"] / _MIB, must=80, goal=60, unit="MB"),
    ]
    return figures.Part(
        rows=[figures.Row(subject="buildhook serve", case=f"{STARTS} starts, SQLite", values=values)], targets=targets
    )


async def _ready(client: aiohttp.ClientSession, url: str) -> None:
    async with asyncio.timeout(20):
        while True:
            async with client.get(f"{url}/readyz") as answer:
                if answer.status == 200:
                    return
            await asyncio.sleep(0.005)


def _memory(pid: int) -> dict[str, int]:
    """Bytes by kind, as the kernel counts them."""
    found = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, _, rest = line.partition(":")
        found[name] = int(rest.split()[0]) * 1024
    return found
