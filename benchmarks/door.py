"""Answers a second at the door, side by side with peers: `wrk` on one core, the server on the other."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks import figures
from tests import recorded

SECONDS = 5
ROUNDS = 3
CONNECTIONS = (8, 64, 256)
_HERE = Path(__file__).parent
SERVERS = {
    "aiohttp, answers only": _HERE / "peers/bare.py",
    "gidgethub's documented server": _HERE / "peers/gidgethub_server.py",
    "buildhook's door, durable": _HERE / "door_server.py",
}
PEER, OURS = "gidgethub's documented server", "buildhook's door, durable"
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


async def measure() -> list[figures.Row]:
    """Every server at every number of connections, in turn, several times."""
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is missing: apt-get install wrk")
    found: dict[tuple[str, int], list[Round]] = {}
    for number in range(ROUNDS):
        for connections in CONNECTIONS:
            for name, script in SERVERS.items():
                result = await _round(script, connections=connections, run=f"r{number}c{connections}")
                found.setdefault((name, connections), []).append(result)
    rows = []
    for (name, connections), rounds in found.items():
        peers = found[PEER, connections]
        ratios = [ours.rate / peer.rate for ours, peer in zip(rounds, peers, strict=True)]
        rows.append(
            figures.Row(
                subject=name,
                case=f"{connections} connections",
                values={
                    "answers/s": figures.spread([one.rate for one in rounds]),
                    "p99 ms": figures.spread([one.p99_ms for one in rounds]),
                    "ratio to gidgethub": figures.spread(ratios, digits=2),
                    "refused": str(sum(one.refused for one in rounds)),
                },
            )
        )
    return rows


async def _round(script: Path, *, connections: int, run: str) -> Round:
    port = _free_port()
    server = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        ".".join(script.relative_to(_HERE.parent).with_suffix("").parts),
        str(port),
        recorded.SECRET.decode(),
        cwd=_HERE.parent,
        preexec_fn=lambda: os.sched_setaffinity(0, {_cores()[0]}),
    )
    try:
        await _listening(port)
        with tempfile.TemporaryDirectory() as folder:
            return await _wrk(port, connections=connections, run=run, folder=Path(folder))
    finally:
        server.kill()
        await server.wait()


async def _wrk(port: int, *, connections: int, run: str, folder: Path) -> Round:
    delivery = recorded.load("pull_request", "opened")
    (folder / "body").write_bytes(delivery.body)
    headers = "\n".join(f'wrk.headers["{name}"] = "{value}"' for name, value in delivery.headers.items())
    (folder / "load.lua").write_text(_SCRIPT.format(body=folder / "body", headers=headers, run=run))
    process = await asyncio.create_subprocess_exec(
        "wrk",
        "--threads=1",
        f"--connections={connections}",
        f"--duration={SECONDS}s",
        "--latency",
        f"--script={folder / 'load.lua'}",
        f"http://127.0.0.1:{port}",
        stdout=asyncio.subprocess.PIPE,
        preexec_fn=lambda: os.sched_setaffinity(0, {_cores()[-1]}),
    )
    out = (await process.communicate())[0].decode()
    rate = re.search(r"Requests/sec:\s+([\d.]+)", out)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", out)
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    if rate is None or p99 is None:
        raise SystemExit(f"wrk said:\n{out}")
    scale = {"us": 0.001, "ms": 1.0, "s": 1000.0}[p99[2]]
    return Round(float(rate[1]), float(p99[1]) * scale, int(refused[1]) if refused else 0)


def _cores() -> list[int]:
    return sorted(os.sched_getaffinity(0))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def _listening(port: int) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return
