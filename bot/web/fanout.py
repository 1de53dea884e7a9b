"""One log for all who follow it: each piece is read and made into rows once, however many look, and sent to each.

Who follows stands at a place of the log. Whoever stands at the same place is given the same piece; who lags behind
stands elsewhere and is given pieces of their own, few at once, so that the slow cost the others nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Hashable
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from bot.logs import LogStore, OpenedLog, Watcher
from bot.model import job
from bot.web import loglines

#: Of a log this much is read at once; pieces end at its multiples, so that those who catch up meet.
READ_BYTES = 128 * 1024
#: So many pieces are kept for those who come to the same place a moment later.
KEPT_PIECES = 16
#: So many pieces of one log are made at once.
_MADE_AT_ONCE = 2
_SEPARATOR = "\r\n"
K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody stands: what comes next, and the line that is not whole before it, which nobody changes."""

    at_bytes: int
    assembler: loglines.Assembler = field(compare=False)

    @property
    def key(self) -> tuple[int, int]:
        """Who stands here has the same before them and the same line begun."""
        return self.at_bytes, self.assembler.next_bytes


class Piece(msgspec.Struct, frozen=True):
    """The next rows, as they are sent."""

    event: bytes
    #: Where they lead to.
    to: Place


def encoded(data: str, *, event: str, id: str | None = None, retry: int | None = None) -> bytes:
    """An event as it is sent; `data` has no line breaks.

    https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
    """
    lines = [*([] if id is None else [f"id: {id}"]), f"event: {event}", f"data: {data}"]
    lines += [] if retry is None else [f"retry: {retry}"]
    return "".join(line + _SEPARATOR for line in [*lines, ""]).encode()


class Row(msgspec.Struct, frozen=True):
    """A job's row, as it was when somebody looked."""

    #: Which look of the channel it is of.
    number: int
    job: job.Job


class Channel:
    """A job's log and its row, for all who follow it."""

    def __init__(self, log: OpenedLog, *, find: Callable[[], Awaitable[job.Job]]) -> None:
        """:param find: reads the job's row."""
        self._log = log
        self._find = find
        self._row: Row | None = None
        self._looked_at = 0.0
        self._looking = asyncio.Lock()
        self._end_bytes = 0
        self._pieces: OrderedDict[tuple[int, int], asyncio.Task[Piece]] = OrderedDict()
        self._heads: OrderedDict[Hashable, asyncio.Task[bytes]] = OrderedDict()
        self._making = asyncio.Semaphore(_MADE_AT_ONCE)
        self._changed = asyncio.Event()

    async def measure(self) -> int:
        """How much there is now; what comes next goes so far."""
        self._end_bytes = max(self._end_bytes, await self._log.size())
        return self._end_bytes

    async def look(self, *, every_seconds: float) -> Row:
        """The job's row, at most so old.

        :raises bot.errors.NotFound: if it is gone.
        """
        async with self._looking:
            now = asyncio.get_running_loop().time()
            if self._row is None or (now - self._looked_at >= every_seconds and self._row.job.state not in job.FINAL):
                found = await self._find()
                # Bytes are stored before the state that they led to, so nothing comes after an end seen here.
                await self.measure()
                if self._row is None or found != self._row.job:
                    self._row = Row(0 if self._row is None else self._row.number + 1, found)
                self._looked_at = now
            return self._row

    async def next(self, place: Place) -> Piece | None:
        """What comes behind a place; None where that is nothing yet."""
        if place.at_bytes >= self._end_bytes:
            return None
        made = await _once(self._pieces, place.key, lambda: self._make(place), most=KEPT_PIECES)
        if made.to.at_bytes > place.at_bytes:
            return made
        # What was measured is not there any more.
        self._pieces.pop(place.key, None)
        return None

    async def head(self, key: Hashable, make: Callable[[], Coroutine[None, None, bytes]]) -> bytes:
        """What stands above the log, made once for all whose key is the same."""
        return await _once(self._heads, key, make, most=KEPT_PIECES)

    async def _make(self, place: Place) -> Piece:
        async with self._making:
            most = READ_BYTES - place.at_bytes % READ_BYTES
            data = await self._log.read(start=place.at_bytes, limit=min(most, self._end_bytes - place.at_bytes))
            return await asyncio.to_thread(_piece, place, data)

    async def wait(self, seconds: float) -> None:
        """Wait until there is more, or so long."""
        changed = self._changed
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await changed.wait()

    def wake(self) -> None:
        """Let all that wait look."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def run(self, watcher: Watcher, *, pace: Callable[[], float]) -> None:
        """Tell all of what is new, once for all of them and not more often than they can be told."""
        while True:
            if await watcher.wait(3600.0):
                before = self._end_bytes
                with contextlib.suppress(Exception):
                    # Whoever reads on finds out why.
                    await self.measure()
                if self._end_bytes != before:
                    self.wake()
            await asyncio.sleep(pace())


async def _once(
    known: OrderedDict[K, asyncio.Task[T]], key: K, make: Callable[[], Coroutine[None, None, T]], *, most: int
) -> T:
    task = known.get(key)
    if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
        task = known[key] = asyncio.create_task(make())
        while len(known) > most:
            known.popitem(last=False)
    # Who asked first may go away; the others still wait.
    return await asyncio.shield(task)


def _piece(place: Place, data: bytes) -> Piece:
    assembler = place.assembler.copy()
    found = assembler.feed(data)
    rest = assembler.rest()
    rows = [*found, *(() if rest is None else (rest,))]
    shown = json.dumps([{"number": row.number, "html": loglines.html(row)} for row in rows])
    event = encoded(shown, event="lines", id=str(assembler.next_bytes))
    return Piece(event, Place(place.at_bytes + len(data), assembler))


class Channels:
    """All channels, by the log that they are of; each is there as long as somebody follows."""

    def __init__(self, logs: LogStore, *, pace: Callable[[], float]) -> None:
        """:param pace: gives the shortest time between two pieces."""
        self._logs = logs
        self._pace = pace
        self._all: dict[str, tuple[Channel, contextlib.AsyncExitStack]] = {}
        self._counts: dict[str, int] = {}
        self._opening = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def of(self, one: job.Job, log_id: str, find: Callable[[], Awaitable[job.Job]]) -> AsyncIterator[Channel]:
        """The channel of a job, as long as the block runs."""
        # What was taken over has a row of its own and another's log.
        key = f"{one.id} {log_id}"
        async with self._opening:
            if key not in self._all:
                self._all[key] = await self._open(log_id, find)
            self._counts[key] = self._counts.get(key, 0) + 1
            channel, stack = self._all[key]
        try:
            yield channel
        finally:
            self._counts[key] -= 1
            if not self._counts[key]:
                del self._counts[key], self._all[key]
                await stack.aclose()

    async def _open(
        self, log_id: str, find: Callable[[], Awaitable[job.Job]]
    ) -> tuple[Channel, contextlib.AsyncExitStack]:
        stack = contextlib.AsyncExitStack()
        try:
            log = await stack.enter_async_context(self._logs.opened(log_id))
            watcher = await stack.enter_async_context(self._logs.watch(log_id))
        except BaseException:
            await stack.aclose()
            raise
        channel = Channel(log, find=find)
        running = asyncio.create_task(channel.run(watcher, pace=self._pace))

        async def stop() -> None:
            running.cancel()
            await asyncio.wait({running})

        stack.push_async_callback(stop)
        return channel, stack
