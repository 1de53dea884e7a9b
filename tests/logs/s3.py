"""A server of S3 over real HTTP, and a line to it that can be cut, or answer with errors in its place.

`python -m tests.logs.s3` serves until its input ends, and first says its port.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from urllib.request import Request, urlopen

BUCKET = "logs-of-ours"
URL = f"s3://{BUCKET}/here"
_REFUSED = b"<Error><Code>AccessDenied</Code><Message>No.</Message></Error>"
_SLOW = b"<Error><Code>SlowDown</Code><Message>Later.</Message></Error>"


@contextlib.contextmanager
def serving() -> Iterator[int]:
    """A server with the bucket; gives its port."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.logs.s3"]
    pipe, null = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=null) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            port = int(process.stdout.readline())
            urlopen(Request(f"http://127.0.0.1:{port}/{BUCKET}", method="PUT")).close()
            yield port
        finally:
            process.stdin.close()


class Line:
    """A line to the server: what passes it is up to the test."""

    def __init__(self, port: int) -> None:
        self._to = port
        self.port = 0
        #: Whether connections are taken at all.
        self.is_up = True
        #: So many requests are answered 503 first.
        self.errors = 0
        self.is_refused = False
        #: So many bytes of a connection come through before it breaks off, each for one connection.
        self.cuts: list[int] = []
        self.requests = 0

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables of the provider, for whoever comes this way."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "somebody",
            "AWS_SECRET_ACCESS_KEY": "correct-horse-battery",
            "AWS_REGION": "us-east-1",
        }

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[Line]:
        """The line while the block runs."""
        server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            self.requests += 1
            if not self.is_up:
                writer.transport.abort()
            elif self.is_refused or self.errors:
                await self._refuse(reader, writer)
            else:
                await self._pass(reader, writer)

    async def _refuse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        lines = [line.partition(b":") for line in head.lower().splitlines()]
        length = next((int(value) for name, _, value in lines if name == b"content-length"), 0)
        await reader.readexactly(length)
        self.errors -= not self.is_refused
        status, body = (b"403 Forbidden", _REFUSED) if self.is_refused else (b"503 Slow Down", _SLOW)
        writer.write(b"HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))
        await writer.drain()
        writer.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        most = self.cuts.pop(0) if self.cuts else None
        back, on = await asyncio.open_connection("127.0.0.1", self._to)
        try:
            ways = {asyncio.create_task(_copy(reader, on, most=most)), asyncio.create_task(_copy(back, writer))}
            _, others = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for one in others:
                one.cancel()
            await asyncio.wait(ways)
        finally:
            on.transport.abort()
            writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, most: int | None = None) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65_536 if most is None else min(most, 65_536)):
            writer.write(data)
            await writer.drain()
            if most is not None:
                most -= len(data)


def _main() -> None:
    from moto.moto_server.threaded_moto_server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    sys.stdout.write(f"{server.get_host_and_port()[1]}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    _main()
