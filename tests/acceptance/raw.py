"""Connections byte by byte: requests that begin and do not end yet, clients that go away, answers as they were sent."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Connection:
    """One connection to the service."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Write these bytes."""
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> str:
        """The head of the next answer."""
        return (await self.reader.readuntil(b"\r\n\r\n")).decode()

    async def rest(self) -> bytes:
        """Everything until the service closes the connection."""
        return await self.reader.read()


@contextlib.asynccontextmanager
async def connected(port: int) -> AsyncIterator[Connection]:
    """A connection to this machine's port."""
    connection = await connect(port)
    try:
        yield connection
    finally:
        connection.writer.transport.abort()


async def connect(port: int) -> Connection:
    """A connection that the caller closes. :raises OSError: if nobody listens."""
    return Connection(*await asyncio.open_connection("127.0.0.1", port))


def request(path: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None) -> bytes:
    """A request as its bytes: GET, or POST where there is a body."""
    lines = [f"{'GET' if body is None else 'POST'} {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")
