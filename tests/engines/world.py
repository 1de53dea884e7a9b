"""A small world for tests of the network: "this host", and an outside with servers and a resolver of its own.

A program that makes one runs in namespaces of its own for the network and for mounts: `unshare --net --mount`. Each
address of the outside is one that "this host" itself reaches, so that whatever does not was kept from it.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

#: As real root, whose jobs become other users, and as root of a user namespace, who can become nobody else.
WAYS = {
    "root": ("unshare", "--net", "--mount"),
    "namespace": ("unshare", "--user", "--map-root-user", "--net", "--mount"),
}
#: Addresses of "this host"; one of them looks like anybody's.
OWN = ("192.0.2.1", "203.0.113.9", "8.8.4.4", "2001:db8::1")
#: A server that everybody may reach.
PUBLIC, PUBLIC_6 = "93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"
#: Services that only this network reaches.
INTERNAL, MIRROR, INTERNAL_6 = "10.9.9.9", "10.9.9.10", "fd12:3456:789a::9"
METADATA = (
    *("169.254.169.254", "169.254.170.2", "169.254.1.1", "100.100.100.200", "168.63.129.16", "192.0.0.192"),
    *("fd00:ec2::254", "fd20:ce::254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1"),
)
OUTSIDE = ("192.0.2.2", PUBLIC, PUBLIC_6, INTERNAL, MIRROR, INTERNAL_6, *METADATA)
#: Says at which address it was reached, on both hosts.
PORT = 8099
#: What the resolver says: each name's answers in turn, the last one for ever. One answer may hold several addresses.
NAMES = {
    "www.example": ((PUBLIC,),),
    "six.example": ((PUBLIC_6,),),
    "deep.wild.example": ((PUBLIC,),),
    "mirror.example": ((MIRROR,),),
    "internal.example": ((INTERNAL,),),
    "own.example": ((OWN[0],),),
    "metadata.google.internal": (("169.254.169.254",),),
    "rebind.example": (("127.0.0.1",), (PUBLIC,), ("127.0.0.1",), ("192.0.2.1",)),
    "flip.example": ((PUBLIC,), ("127.0.0.1",)),
    "mixed.example": (("127.0.0.1", "192.0.2.1", PUBLIC, "169.254.169.254"),),
    "git.example": ((PUBLIC,),),
}


@dataclass(frozen=True)
class World:
    """What was made."""

    folder: Path

    @property
    def lookups(self) -> list[str]:
        """Each IPv4 look-up that the resolver answered: the name, and what it said."""
        return self._lines("lookups")

    @property
    def requests(self) -> list[str]:
        """All that each connection to the HTTP server brought, as the `repr` of its bytes."""
        return self._lines("requests")

    def _lines(self, name: str) -> list[str]:
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []


@contextlib.asynccontextmanager
async def made(folder: Path) -> AsyncIterator[World]:
    """Make it, in the namespaces that we are in."""
    folder.mkdir(parents=True, exist_ok=True)
    _ip("link", "set", "lo", "up")
    async with _server(folder, before=("unshare", "--net")) as outside:
        _ip("link", "add", "here", "type", "veth", "peer", "name", "there", "netns", str(outside.pid))
        there = ("nsenter", f"--net=/proc/{outside.pid}/ns/net")
        _ip("link", "set", "lo", "up", before=there)
        for device, addresses, before in (("here", OWN, ()), ("there", OUTSIDE, there)):
            for address in addresses:
                width = {"192.0.2.1": 24, "192.0.2.2": 24, "2001:db8::1": 64}.get(
                    address, 128 if ":" in address else 32
                )
                more = ("nodad",) if ":" in address else ()
                _ip("address", "add", f"{address}/{width}", "dev", device, *more, before=before)
            _ip("link", "set", device, "up", before=before)
        _ip("address", "add", "2001:db8::2/64", "dev", "there", "nodad", before=there)
        _ip("route", "add", "default", "via", "192.0.2.2")
        _ip("-6", "route", "add", "default", "via", "2001:db8::2")
        _be_resolved(folder)
        assert outside.stdin is not None
        outside.stdin.write(b"\n")
        async with _server(folder / "here", ready=b"\n"):
            assert outside.stdout is not None
            assert await outside.stdout.readline() == b"ready\n"
            yield World(folder)


def _ip(*words: str, before: tuple[str, ...] = ()) -> None:
    subprocess.run([*before, "ip", *words], check=True)


def _be_resolved(folder: Path) -> None:
    files = {
        "resolv.conf": "nameserver 192.0.2.2\noptions timeout:2 attempts:1\n",
        "hosts": "127.0.0.1 localhost\n",
        "nsswitch.conf": "hosts: files dns\n",
    }
    for name, text in files.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o644)
        subprocess.run(["mount", "--bind", str(folder / name), f"/etc/{name}"], check=True)


@contextlib.asynccontextmanager
async def _server(
    folder: Path, *, before: tuple[str, ...] = (), ready: bytes = b""
) -> AsyncIterator[asyncio.subprocess.Process]:
    """The servers of one host; they listen once they read a line."""
    folder.mkdir(parents=True, exist_ok=True)
    process = await asyncio.create_subprocess_exec(
        *(*before, sys.executable, "-m", "tests.engines.world_servers", str(folder)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert await process.stdout.readline() == b"made\n"
        if ready:
            process.stdin.write(ready)
            assert await process.stdout.readline() == b"ready\n"
        yield process
    finally:
        process.kill()
        await process.wait()


def run(module: str, *words: str, way: str = "root" if os.geteuid() == 0 else "namespace") -> bytes:
    """Run a program that makes a world; gives the last line that it prints."""
    done = subprocess.run(
        [*WAYS[way], sys.executable, "-m", module, *words],
        capture_output=True,
        cwd=Path(__file__).parents[2],
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-4000:]
    return done.stdout.splitlines()[-1]


def once(factory: pytest.TempPathFactory, worker_id: str, module: str, *words: str) -> Any:
    """What a program says, from its JSON; it is run once for all processes of the tests."""
    base = factory.getbasetemp() if worker_id == "master" else factory.getbasetemp().parent
    name = "-".join((module, *words))
    with (base / f"{name}.json").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        told = file.read()
        if not told:
            told = run(module, str(factory.mktemp(name)), *words).decode()
            file.write(told)
    return json.loads(told)
