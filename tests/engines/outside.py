"""A world of two networks for one test: "this host" with an engine on it, and an outside with servers.

Run in a network namespace of its own: `unshare --net python -m tests.engines.outside DATA_DIR`. It prints
which addresses a trusted job with NETWORK=full reaches, and which an untrusted one does, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

from bot.engines.local import engine as local
from bot.model import build
from tests.engines import gitserver, jobs

#: Addresses of "this host".
OWN = ("192.0.2.1", "203.0.113.9")
#: Addresses of the outside, all of which "this host" itself reaches.
OUTSIDE = ("192.0.2.2", "198.51.100.7", "169.254.169.254", "100.100.100.200", "168.63.129.16")
PORT = 8099
ANSWER = (
    "import socket\n"
    f"listening = socket.create_server(('0.0.0.0', {PORT}))\n"
    "print('ready', flush=True)\n"
    "while True:\n"
    "    one, _ = listening.accept()\n"
    "    one.sendall(b'reached')\n"
    "    one.close()\n"
)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


async def _answering(*before: str) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(*before, sys.executable, "-c", ANSWER, stdout=-1)
    assert process.stdout is not None
    await process.stdout.readline()
    return process


async def _make_world() -> list[asyncio.subprocess.Process]:
    _ip("link", "set", "lo", "up")
    outside = await _answering("unshare", "--net")
    _ip("link", "add", "here", "type", "veth", "peer", "name", "there", "netns", str(outside.pid))
    for address in OWN:
        _ip("address", "add", f"{address}/24", "dev", "here")
    _ip("link", "set", "here", "up")
    enter = ("nsenter", f"--net=/proc/{outside.pid}/ns/net", "ip")
    for words in (("address", "add", f"{OUTSIDE[0]}/24", "dev", "there"), ("link", "set", "there", "up")):
        subprocess.run([*enter, *words], check=True)
    for address in OUTSIDE[1:]:
        subprocess.run([*enter, "address", "add", f"{address}/32", "dev", "there"], check=True)
    _ip("route", "add", "default", "via", OUTSIDE[0])
    return [outside, await _answering()]


async def _reached(engine: local.Local, code: jobs.Code, trust: build.Trust) -> list[str]:
    addresses = (*OWN, *OUTSIDE, "127.0.0.1", "10.0.2.2", "localhost", "0.0.0.0")
    tries = "\n".join(
        f"(exec 3<>/dev/tcp/{address}/{PORT} && read -t 5 word <&3; echo $word {address}) 2>/dev/null"
        for address in addresses
    )
    script = (
        f"{tries}\nip route del unreachable {OWN[0]} 2>/dev/null && echo routes are mine; cat /etc/resolv.conf\ntrue"
    )
    told = await jobs.run(engine, jobs.make(code.source(trust=trust), f"set +e\n{script}", "cat /proc/net/dev"))
    return [
        told.result,
        *(line for line in told.log.splitlines() if line.startswith(("reached", "routes", "nameserver"))),
    ]


async def _main() -> None:
    data_dir = Path(sys.argv[1])
    processes = await _make_world()
    try:
        async with gitserver.serve(data_dir / "git") as server:
            repository = server.repository()
            code = jobs.Code(server, repository, repository.commit({"a": "a"}))
            direct = [address for address in (*OWN, *OUTSIDE) if await _answers(address)]
            engine = local.Local(data_dir, network="full")
            await engine.open()
            found: dict[str, list[str]] = {
                "direct": direct,
                "trusted": await _reached(engine, code, jobs.TRUSTED),
                "untrusted": await _reached(engine, code, jobs.UNTRUSTED),
            }
            await engine.close()
            found["left"] = [line for line in _commands() if line.startswith("slirp4netns")]
    finally:
        for process in processes:
            process.kill()
            await process.wait()
    print(json.dumps(found))  # noqa: T201


def _commands() -> list[str]:
    network = os.readlink("/proc/self/ns/net")
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(process / "ns" / "net") == network:
                found.append(Path((process / "cmdline").read_text().split("\0")[0]).name)
        except OSError:
            continue
    return found


async def _answers(address: str) -> bool:
    reader, writer = await asyncio.open_connection(address, PORT)
    said = await reader.read()
    writer.close()
    return said == b"reached"


if __name__ == "__main__":
    asyncio.run(_main())
