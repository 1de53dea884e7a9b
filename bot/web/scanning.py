"""Whole logs are looked through: some bytes at a time, so that builds write meanwhile, and by few readers at once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import msgspec
from aiohttp import web

from bot.logs import LogStore

#: How many logs are looked through at once, and how many wait for that at most.
AT_ONCE = 2
MAX_WAITING = 16
#: How much is taken at a time.
STEP_BYTES = 4 * 1024 * 1024


class Piece(msgspec.Struct, frozen=True):
    """Some lines of a log; a very long line is in several pieces."""

    data: bytes
    #: The number of the first line, from 1.
    number: int


class Scans:
    """The scans that are under way: bounded."""

    def __init__(self) -> None:
        self._running = asyncio.Semaphore(AT_ONCE)
        self._open = 0

    @contextlib.asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """A place for one scan, waited for.

        :raises web.HTTPServiceUnavailable: if too many wait already.
        """
        if self._open >= AT_ONCE + MAX_WAITING:
            raise web.HTTPServiceUnavailable(headers={"Retry-After": "2"})
        self._open += 1
        try:
            async with self._running:
                yield
        finally:
            self._open -= 1


async def pieces(
    logs: LogStore, job_id: str, *, line: int = 1, overlap: int = 0, is_wanted: Callable[[], bool] = lambda: True
) -> AsyncIterator[Piece]:
    """A log from a line on, to the end that it has now.

    :param overlap: so many bytes of a very long line come twice, so that nothing is missed where it is cut.
    :param is_wanted: says whether anybody still waits for it.
    """
    start = await logs.find_line(job_id, number=line)
    if start is None:
        return
    async with logs.opened(job_id) as log:
        end, number, rest = await log.size(), line, b""
        while start < end and is_wanted():
            data = await log.read(start=start, limit=min(STEP_BYTES, end - start))
            if not data:
                break
            start += len(data)
            data = rest + data
            cut = data.rfind(b"\n") + 1 if start < end else len(data)
            if cut == 0 and len(data) < STEP_BYTES:
                rest = data
                continue
            # Without a break it is a very long line.
            given = data[:cut] if cut else data
            rest = data[cut:] if cut else data[max(0, len(data) - overlap) :]
            yield Piece(given, number)
            number += await asyncio.to_thread(given.count, b"\n")
