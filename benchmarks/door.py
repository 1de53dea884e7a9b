"""The door beside its peers: answers a second with `wrk`, and how late answers are at a rate that is offered."""

from __future__ import annotations

import asyncio
import json
import math
import os
import re
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import figures, servers
from benchmarks.peers import probot
from tests import recorded

SECONDS = 4
ROUNDS = 3
CONNECTIONS = (8, 64, 256)
#: What is offered, whether it is answered or not.
OFFERED_A_SECOND = 3000
OFFERED_CONNECTIONS = 64
OURS, GIDGETHUB, PROBOT = "buildhook's door, durable", "gidgethub's documented server", "Probot with no-op handlers"
_SHORT = {GIDGETHUB: "gidgethub", PROBOT: "Probot"}
_Command = Callable[[int, str], Sequence[str | Path]]
_SCRIPT = """
local file = io.open("{body}", "rb")
wrk.body = file:read("*a")
wrk.method = "POST"
{headers}
local counter = 0
local run = "{run}"
request = function()
  counter = counter + 1
  wrk.headers["X-GitHub-Delivery"] = run .. "-" .. counter
  return wrk.format(nil, "/webhook")
end
"""


@dataclass(frozen=True, slots=True)
class Round:
    """One run of the load generator."""

    rate: float
    p99_ms: float
    refused: int
    #: Of the server, for each answer.
    cpu_us: float


def _python(module: str) -> _Command:
    return lambda port, secret: [sys.executable, "-m", f"benchmarks.{module}", str(port), secret]


async def measure() -> figures.Part:
    """Every server at every number of connections, in turn, several times; then each at the same rate."""
    if shutil.which("wrk") is None:
        raise servers.Missing("wrk is missing: apt-get install wrk")
    commands: dict[str, _Command] = {
        "aiohttp, answers only": _python("peers.bare"),
        GIDGETHUB: _python("peers.gidgethub_server"),
        PROBOT: probot.command,
        OURS: _python("door_server"),
    }
    notes = []
    try:
        await probot.install()
        notes.append(f"Probot {probot.version()}.")
    except servers.Missing as missing:
        print(f"!!! {missing} It is left out.", file=sys.stderr, flush=True)
        notes.append(f"{missing} It was left out.")
        del commands[PROBOT]
    most: dict[tuple[str, int], list[Round]] = {}
    offered: dict[str, list[Round]] = {}
    for number in range(ROUNDS):
        for name, command in commands.items():
            for connections in CONNECTIONS:
                found = await _most(command, connections=connections, run=f"r{number}c{connections}")
                most.setdefault((name, connections), []).append(found)
            offered.setdefault(name, []).append(await _offered(command, run=f"o{number}"))
    return figures.Part(rows=_rows(most, offered), targets=_targets(most, offered), notes=notes)


def _rows(most: dict[tuple[str, int], list[Round]], offered: dict[str, list[Round]]) -> list[figures.Row]:
    rows = []
    for connections in CONNECTIONS:
        for name in offered:
            rounds = most[name, connections]
            values = _values(rounds)
            values |= {
                f"times {short}": _ratio(rounds, most[other, connections])
                for other, short in _SHORT.items()
                if other in offered
            }
            rows.append(figures.Row(subject=name, case=f"{connections} connections", values=values))
    for name, rounds in offered.items():
        case = f"{OFFERED_A_SECOND:,} a second offered, {OFFERED_CONNECTIONS} connections"
        rows.append(figures.Row(subject=name, case=case, values=_values(rounds)))
    return rows


def _values(rounds: list[Round]) -> dict[str, str]:
    return {
        "answers/s": figures.spread([one.rate for one in rounds]),
        "p99 ms": figures.spread([one.p99_ms for one in rounds], digits=1),
        "CPU us/answer": figures.spread([one.cpu_us for one in rounds]),
        "refused or lost": str(sum(one.refused for one in rounds)),
    }


def _ratio(ours: list[Round], theirs: list[Round]) -> str:
    return figures.spread([one.rate / other.rate for one, other in zip(ours, theirs, strict=True)], digits=2)


def _targets(most: dict[tuple[str, int], list[Round]], offered: dict[str, list[Round]]) -> list[figures.Target]:
    targets = []
    for peer, label in _SHORT.items():
        rate = late = math.nan
        theirs = math.nan
        if peer in offered:
            pairs = zip(most[OURS, 64], most[peer, 64], strict=True)
            rate = statistics.median(one.rate / other.rate for one, other in pairs)
            theirs = statistics.median(one.p99_ms for one in offered[peer])
            late = statistics.median(one.p99_ms for one in offered[OURS])
        targets.append(
            figures.Target(
                name=f"answers a second at 64 connections, by those of {label}",
                value=rate,
                must=1.5,
                goal=2,
                is_rate=True,
            )
        )
        targets.append(
            figures.Target(
                name=f"p99 at {OFFERED_A_SECOND:,} a second, by that of {label}", value=late / theirs, must=1, goal=0.5
            )
        )
    return targets


async def _most(command: _Command, *, connections: int, run: str) -> Round:
    port = servers.free_port()
    started = servers.running(command(port, recorded.SECRET.decode()), port=port, core=servers.cores()[0])
    with tempfile.TemporaryDirectory() as folder:
        async with started as server:
            used = servers.cpu_seconds(server.pid)
            out = await _wrk(port, connections=connections, run=run, folder=Path(folder))
            used = servers.cpu_seconds(server.pid) - used
    rate = re.search(r"Requests/sec:\s+([\d.]+)", out)
    count = re.search(r"(\d+) requests in", out)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", out)
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    if rate is None or p99 is None or count is None:
        raise RuntimeError(f"wrk said:\n{out}")
    scale = {"us": 0.001, "ms": 1.0, "s": 1000.0}[p99[2]]
    return Round(
        rate=float(rate[1]),
        p99_ms=float(p99[1]) * scale,
        refused=int(refused[1]) if refused else 0,
        cpu_us=used / max(1, int(count[1])) * 1e6,
    )


async def _offered(command: _Command, *, run: str) -> Round:
    port = servers.free_port()
    delivery = recorded.load("pull_request", "opened")
    started = servers.running(command(port, recorded.SECRET.decode()), port=port, core=servers.cores()[0])
    with tempfile.TemporaryDirectory() as folder:
        async with started as server:
            (Path(folder) / "body").write_bytes(delivery.body)
            (Path(folder) / "headers.json").write_text(json.dumps(dict(delivery.headers)))
            # A moment at the same rate first: what a server compiles or opens at its first requests is not asked here.
            await _load(port, seconds=1, folder=folder, run=f"{run}w")
            used = servers.cpu_seconds(server.pid)
            found = await _load(port, seconds=SECONDS, folder=folder, run=run)
            used = servers.cpu_seconds(server.pid) - used
    return Round(
        rate=found["answered"] / SECONDS,
        p99_ms=found["p99"],
        refused=int(found["refused"] + found["lost"]),
        cpu_us=used / max(1.0, found["answered"]) * 1e6,
    )


async def _load(port: int, *, seconds: int, folder: str, run: str) -> dict[str, float]:
    arguments = (port, OFFERED_A_SECOND, seconds, OFFERED_CONNECTIONS, folder, run)
    out = await _out([sys.executable, "-m", "benchmarks.load", *map(str, arguments)])
    found: dict[str, float] = json.loads(out)
    return found


async def _wrk(port: int, *, connections: int, run: str, folder: Path) -> str:
    delivery = recorded.load("pull_request", "opened")
    (folder / "body").write_bytes(delivery.body)
    headers = "\n".join(f'wrk.headers["{name}"] = "{value}"' for name, value in delivery.headers.items())
    (folder / "load.lua").write_text(_SCRIPT.format(body=folder / "body", headers=headers, run=run))
    arguments = ["--threads=1", f"--connections={connections}", f"--duration={SECONDS}s", "--latency"]
    return await _out(["wrk", *arguments, f"--script={folder / 'load.lua'}", f"http://127.0.0.1:{port}"])


async def _out(command: Sequence[str]) -> str:
    """What a load generator says, on the core that is left for it."""
    core = servers.cores()[1]
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=servers.ROOT,
        stdout=asyncio.subprocess.PIPE,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    try:
        async with asyncio.timeout(60):
            return (await process.communicate())[0].decode()
    finally:
        if process.returncode is None:
            process.kill()
