"""The proxy of the egress list among real servers: `python -m tests.engines.proxied FOLDER`, in a `world`'s namespaces.

Prints as JSON what came of each attempt.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from bot import egress
from bot.engines.local.supervisor import tunnels
from tests.engines import world

ALLOW = (
    *(f"{host}:{world.PORT}" for host in ("www.example", "flip.example", "mixed.example", "own.example")),
    *("www.example:80", "www.example:9", "nowhere.example", "internal.example:80"),
)
POST = b"POST http://www.example/path?q HTTP/1.1\r\nHost: evil.example\r\n"
SECOND = b"GET /second HTTP/1.1\r\nHost: evil.example\r\n\r\n"
#: What clients send, each over a connection of its own.
REQUESTS: dict[str, bytes] = {
    "a body": POST + b"Content-Length: 4\r\nProxy-Authorization: x\r\nConnection: close, X-One\r\nX-One: 1\r\n\r\nbody",
    "a second request behind a body": POST + b"Content-Length: 4\r\n\r\nbody" + SECOND,
    "a second request behind no body": POST + b"\r\n" + SECOND,
    "a second request behind an empty body": POST + b"Content-Length: 0\r\n\r\n" + SECOND,
    "chunks": POST + b"Transfer-Encoding: chunked\r\n\r\n2;x=y\r\nbo\r\n2\r\ndy\r\n0\r\nX: y\r\n\r\n",
    "a second request behind chunks": POST + b"Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n" + SECOND,
    "an address without a path": b"GET HTTP://WWW.example.:80?q HTTP/1.0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nbody!",
    "a length and chunks": POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SECOND,
    "another coding": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a coding with a blank": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "a field that goes on": POST + b"X: y\r\n Content-Length: 4\r\n\r\nbody",
    "a line end of one byte": POST + b"X: y\nContent-Length: 4\r\n\r\nbody",
    "a zero byte": POST + b"X: \x00\r\n\r\n",
    "no request": b"\x16\x03\x01\x02\x00\x01\r\n\r\n",
    "a path": b"GET / HTTP/1.1\r\nHost: www.example\r\n\r\n",
    "https without a tunnel": b"GET https://www.example/ HTTP/1.1\r\n\r\n",
    "a user": b"GET http://www.example@evil.example/ HTTP/1.1\r\n\r\n",
    "another version": b"GET http://www.example/ HTTP/2.0\r\n\r\n",
    "a tunnel without a port": b"CONNECT www.example HTTP/1.1\r\n\r\n",
    "many fields": POST + b"X: y\r\n" * 200 + b"\r\n",
    "a giant head": POST + b"X: " + b"y" * 1_000_000,
    "what is not listed": b"CONNECT evil.example:443 HTTP/1.1\r\n\r\n",
    "another port": b"CONNECT www.example:22 HTTP/1.1\r\n\r\n",
    "this host": b"CONNECT own.example:8099 HTTP/1.1\r\n\r\n",
    "a private address": b"GET http://internal.example/ HTTP/1.1\r\n\r\n",
    "a name that is none": b"CONNECT nowhere.example:443 HTTP/1.1\r\n\r\n",
    "a port where nobody is": b"CONNECT www.example:9 HTTP/1.1\r\n\r\n",
}
TUNNEL = b"CONNECT %b:8099 HTTP/1.1\r\n\r\n"


class Client:
    """Talks to a proxy of its own."""

    def __init__(self, port: int, notes: int) -> None:
        self._port = port
        self._notes = notes

    async def ask(self, data: bytes) -> str:
        """All that is answered."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        with contextlib.suppress(OSError):
            writer.write(data)
            await writer.drain()
        said = b""
        with contextlib.suppress(OSError):
            while part := await reader.read(65536):
                said += part
        writer.close()
        return said.decode("latin-1")

    async def begin(self, data: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection that stays."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(data)
        return reader, writer

    def told(self) -> list[str]:
        """The refusals that were told."""
        try:
            return os.read(self._notes, 1 << 17).decode().splitlines()
        except BlockingIOError:
            return []


@contextlib.asynccontextmanager
async def client(**constants: float) -> AsyncIterator[Client]:
    """A client of a proxy with these of its bounds changed."""
    before = {name: getattr(tunnels, name) for name in constants}
    for name, value in constants.items():
        setattr(tunnels, name, value)
    hearing, saying = os.pipe()
    os.set_blocking(hearing, False)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        proxy = tunnels.Proxy(listening, hosts=egress.Hosts(ALLOW), notes=saying)
        serving = asyncio.create_task(proxy.serve())
        try:
            yield Client(listening.getsockname()[1], hearing)
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
    for fd in (hearing, saying):
        os.close(fd)
    for name, value in before.items():
        setattr(tunnels, name, value)


async def requests(made: world.World) -> object:
    """What is answered to each request, and what the server has seen of it."""
    found = {}
    async with client(_LINGER_SECONDS=0.1) as talking:
        for name, data in REQUESTS.items():
            before = len(made.requests)
            said = await talking.ask(data)
            if "HTTP/1.1 200" in said:
                while len(made.requests) == before:
                    await asyncio.sleep(0.01)
            found[name] = [said, *made.requests[before:]]
        return {"answers": found, "told": talking.told()}


async def rebinding(made: world.World) -> object:
    """A name whose second answer is another one."""
    async with client(_LINGER_SECONDS=0.1) as talking:
        said = [await talking.ask(TUNNEL % b"flip.example") for _ in range(2)]
        mixed = await talking.ask(TUNNEL % b"mixed.example")
    return {"said": said, "mixed": mixed, "lookups": [one for one in made.lookups if one.startswith("flip")]}


async def many(_: world.World) -> object:
    """Many at once, more than are served at once."""
    async with client(_MOST=20) as talking:
        asked = await asyncio.gather(*(talking.ask(TUNNEL % b"www.example") for _ in range(120)))
        held = [await talking.begin(b"CONNECT www.example:80 HTTP/1.1\r\n\r\n") for _ in range(20)]
        for reader, _writer in held:
            await reader.readuntil(b"\r\n\r\n")
        one_more = asyncio.create_task(talking.ask(TUNNEL % b"www.example"))
        waits = not (await asyncio.wait({one_more}, timeout=0.3))[0]
        held[0][1].transport.abort()
        after = await one_more
        for _reader, writer in held:
            writer.transport.abort()
    return {"reached": sum("reached" in one for one in asked), "waits": waits, "after": "reached" in after}


async def slow(_: world.World) -> object:
    """Who says nothing, or goes on too slowly."""
    async with client(_HEAD_SECONDS=0.3, _IDLE_SECONDS=0.3, _LINGER_SECONDS=0.1) as talking:
        silent = await talking.ask(b"")
        half = await talking.ask(b"CONNECT www.example:80 HTTP/1.1\r\n")
        idle = await talking.ask(b"CONNECT www.example:80 HTTP/1.1\r\n\r\n")
        body = await talking.ask(POST + b"Content-Length: 4\r\n\r\nbo")
    return [one.partition("\r\n")[0] for one in (silent, half, idle, body)]


async def ends(_: world.World) -> object:
    """One side of a tunnel says that it is done, and still hears the other."""
    async with client() as talking:
        reader, writer = await talking.begin(b"CONNECT www.example:80 HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nA: b\r\n\r\n")
        writer.write_eof()
        said = await reader.read()
        writer.close()
    return said.decode("latin-1")


async def telling(_: world.World) -> object:
    """Each refusal is told once, and not too many of them."""
    async with client(_LINGER_SECONDS=0.1) as talking:
        for _again in range(3):
            await talking.ask(b"CONNECT evil.example:443 HTTP/1.1\r\n\r\n")
        first = talking.told()
        await asyncio.gather(*(talking.ask(b"CONNECT evil%d.example:443 HTTP/1.1\r\n\r\n" % n) for n in range(150)))
        return {"first": first, "then": talking.told()}


ATTEMPTS: tuple[Callable[[world.World], Awaitable[object]], ...] = (requests, rebinding, many, slow, ends, telling)


async def _main() -> None:
    async with world.made(Path(sys.argv[1])) as made:
        found = {one.__name__: await one(made) for one in ATTEMPTS}
    print(json.dumps(found))  # noqa: T201


if __name__ == "__main__":
    asyncio.run(_main())
