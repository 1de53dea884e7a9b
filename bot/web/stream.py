"""The live log: server-sent events whose id is a byte offset, so that a reconnect goes on without a gap.

Events: `lines` (JSON: rows as HTML, each with its number; a row with a known number replaces it), `head` (JSON: what
stands above the log), `done`, and `gone` where the job is deleted meanwhile. Rows and head are made by the same code as
the page.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Iterator

from aiohttp import web
from aiohttp_sse import EventSourceResponse

from bot import errors, telemetry
from bot.logs import OpenedLog, Watcher
from bot.model import job
from bot.store import jobs
from bot.web import loglines, viewing
from bot.web.page import Sources
from bot.web.pages import job as job_page
from bot.web.templating import Templates

#: How many streams may be open at once.
MAX_STREAMS = 200
HEARTBEAT_SECONDS = 15.0
#: A reader that takes nothing for so long is let go.
SEND_TIMEOUT_SECONDS = 30.0
#: How often the job's row is read while nothing else happens.
LOOK_SECONDS = 1.0
#: The shortest time between two events with lines.
PACE_SECONDS = 0.05
RETRY_MILLISECONDS = 1000
_log = telemetry.log("web")
_READ_BYTES = 128 * 1024


class Streams:
    """The open streams: bounded, and ended together when the service stops."""

    def __init__(self, *, limit: int = MAX_STREAMS) -> None:
        self._limit = limit
        self._wakes: set[Callable[[], None]] = set()
        self.is_closed = False

    def __len__(self) -> int:
        return len(self._wakes)

    def close(self) -> None:
        """End all streams; browsers come back to the next process and go on where they were."""
        self.is_closed = True
        for wake in self._wakes:
            wake()

    @contextlib.contextmanager
    def place(self, wake: Callable[[], None]) -> Iterator[None]:
        """A place for one stream.

        :raises web.HTTPServiceUnavailable: if there is none.
        """
        if self.is_closed or len(self._wakes) >= self._limit:
            raise web.HTTPServiceUnavailable(headers={"Retry-After": "10"})
        self._wakes.add(wake)
        try:
            yield
        finally:
            self._wakes.discard(wake)


class _Reader:
    """One browser that follows one job."""

    def __init__(
        self, sources: Sources, *, one: job.Job, log: OpenedLog, assembler: loglines.Assembler, start_bytes: int
    ) -> None:
        self._sources = sources
        self._job_id = one.id
        self._log = log
        self._assembler = assembler
        self._at_bytes = start_bytes
        self._shown: job.Job | None = None

    async def head(self, templates: Templates, shell: viewing.Shell) -> tuple[bool, str | None]:
        """Whether the job has ended, and what to send if its row changed."""
        one = await self._sources.store.read(jobs.get, self._job_id)
        is_changed = self._shown is None or _visible(one) != _visible(self._shown)
        self._shown = one
        if not is_changed:
            return one.state in job.FINAL, None
        head = await job_page.load_head(self._sources, self._job_id)
        context = job_page.HeadContext(head=head)
        steps = [{"line": step.line, "name": step.name} for step in head.steps if step.line is not None]
        data = {"html": templates.render("_job_head.html", context, shell=shell), "steps": steps}
        return one.state in job.FINAL, json.dumps(data)

    async def lines(self) -> tuple[str, str] | None:
        """The next rows with the offset that they lead to; None where the log has no more."""
        data = await self._log.read(start=self._at_bytes, limit=_READ_BYTES)
        if not data:
            return None
        self._at_bytes += len(data)
        return await asyncio.to_thread(self._rows, data)

    def _rows(self, data: bytes) -> tuple[str, str]:
        found = self._assembler.feed(data)
        rest = self._assembler.rest()
        rows = [*found, *(() if rest is None else (rest,))]
        shown = [{"number": row.number, "html": loglines.html(row)} for row in rows]
        return json.dumps(shown), str(self._assembler.next_bytes)


def routes(sources: Sources, *, templates: Templates, streams: Streams) -> list[web.RouteDef]:
    """The only route."""

    async def follow(request: web.Request) -> web.StreamResponse:
        one = await sources.store.read(jobs.get, request.match_info["id"])
        shell = viewing.shell(request)
        log_id = job_page.log_id(one)
        async with sources.logs.opened(log_id) as log, sources.logs.watch(log_id) as watcher:
            size_bytes = await log.size()
            job_page.expect_log(one, size_bytes=size_bytes)
            start = min(_start(request), size_bytes)
            (number,) = await sources.logs.line_numbers(log_id, at=[start])
            assembler = loglines.Assembler(number=number, start_bytes=start)
            reader = _Reader(sources, one=one, log=log, assembler=assembler, start_bytes=start)
            with streams.place(watcher.wake):
                response = EventSourceResponse(ping_interval=HEARTBEAT_SECONDS, send_timeout=SEND_TIMEOUT_SECONDS)
                response.headers["Cache-Control"] = "no-store"
                await response.prepare(request)
                try:
                    async with response:
                        try:
                            await _send(
                                response,
                                reader,
                                watcher=watcher,
                                head=lambda: reader.head(templates, shell),
                                streams=streams,
                            )
                        except errors.NotFound:
                            # A browser that came back would hear the same for ever.
                            await response.send("{}", event="gone")
                except (ConnectionError, TimeoutError):
                    _log.debug("A reader of a live log went away.", action="end_stream")
                except errors.BuildhookError as error:
                    # The answer has begun: the stream ends, and the browser asks again.
                    _log.warning("A live log broke off.", action="end_stream", job_id=one.id, error=str(error))
                return response

    return [web.get("/jobs/{id:[0-9A-Z]{26}}/events", follow)]


async def _send(
    response: EventSourceResponse,
    reader: _Reader,
    *,
    watcher: Watcher,
    head: Callable[[], Awaitable[tuple[bool, str | None]]],
    streams: Streams,
) -> None:
    loop = asyncio.get_running_loop()
    is_over, next_look = False, loop.time()
    while not streams.is_closed and response.is_connected():
        changed: str | None = None
        # The row first: bytes are stored before the state that they led to, so nothing comes after an end seen here.
        if loop.time() >= next_look:
            is_over, changed = await head()
            next_look = loop.time() + LOOK_SECONDS
        found = await reader.lines()
        if found is not None:
            data, offset = found
            await response.send(data, event="lines", id=offset)
        if changed is not None:
            await response.send(changed, event="head", retry=RETRY_MILLISECONDS)
        if found is not None:
            # Many small appends become one event.
            await asyncio.sleep(PACE_SECONDS)
        elif is_over:
            await response.send("{}", event="done")
            return
        else:
            await watcher.wait(max(0.0, next_look - loop.time()))


def _visible(one: job.Job) -> tuple[object, ...]:
    """What of a job stands above its log."""
    return (one.state, one.reason, one.steps, one.tested_sha, one.cancel_requested_at, one.started_at)


def _start(request: web.Request) -> int:
    given = request.headers.get("Last-Event-ID") or request.query.get("from") or "0"
    if not (given.isascii() and given.isdigit() and len(given) <= 18):
        raise web.HTTPBadRequest(text="`from` and Last-Event-ID are a number of bytes.")
    return int(given)
