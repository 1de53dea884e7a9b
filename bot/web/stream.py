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
from collections import Counter
from collections.abc import Callable, Iterator

from aiohttp import web
from aiohttp_sse import EventSourceResponse

from bot import errors, telemetry
from bot.model import job
from bot.store import jobs
from bot.web import fanout, loglines, viewing
from bot.web.page import Sources
from bot.web.pages import job as job_page
from bot.web.templating import Templates

#: How many streams may be open at once, however few files this process may open, and however many.
MAX_STREAMS, MOST_STREAMS = 200, 10_000
#: Of the files that this process may open, what is kept for all else.
_OTHER_FILES = 4_000
HEARTBEAT_SECONDS = 15.0
#: A reader that takes nothing for so long is let go.
SEND_TIMEOUT_SECONDS = 30.0
#: How often the job's row is read while nothing else happens.
LOOK_SECONDS = 1.0
#: The shortest time between two events with lines.
PACE_SECONDS = 0.05
RETRY_MILLISECONDS = 1000
#: So many events with lines are sent in a second to all together: beyond it each stream has fewer and larger ones.
_EVENTS_PER_SECOND = 2_000
_log = telemetry.log("web")


def room(files: int) -> int:
    """How many streams may be open at once.

    :param files: how many files this process may open; each stream is one.
    """
    return max(MAX_STREAMS, min(MOST_STREAMS, files - _OTHER_FILES))


class Streams:
    """The open streams: bounded, and ended together when the service stops."""

    def __init__(self, *, limit: int = MAX_STREAMS) -> None:
        self._limit = limit
        self._count = 0
        self._wakes: Counter[Callable[[], None]] = Counter()
        self._closing = asyncio.Event()
        self.is_closed = False

    def __len__(self) -> int:
        return self._count

    def pace(self) -> float:
        """The shortest time between two events with lines: the more streams there are, the longer."""
        return max(PACE_SECONDS, self._count / _EVENTS_PER_SECOND)

    async def pause(self, seconds: float) -> None:
        """Wait so long, or until the service stops."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closing.wait()

    def close(self) -> None:
        """End all streams; browsers come back to the next process and go on where they were."""
        self.is_closed = True
        self._closing.set()
        for wake in self._wakes:
            wake()

    @contextlib.contextmanager
    def place(self, wake: Callable[[], None]) -> Iterator[None]:
        """A place for one stream.

        :raises web.HTTPServiceUnavailable: if there is none.
        """
        if self.is_closed or self._count >= self._limit:
            raise web.HTTPServiceUnavailable(headers={"Retry-After": "10"})
        self._count += 1
        self._wakes[wake] += 1
        try:
            yield
        finally:
            self._count -= 1
            self._wakes[wake] -= 1
            self._wakes += Counter()


class _Response(EventSourceResponse):
    """Takes events that are encoded already: those of a log with many readers are the same for all."""

    async def send_event(self, event: bytes) -> None:
        """:raises TimeoutError: if the reader takes nothing for too long; it is cut off."""
        try:
            async with asyncio.timeout(SEND_TIMEOUT_SECONDS):
                await self.write(event)
        except ConnectionError:
            self.stop_streaming()
            raise
        except TimeoutError:
            self.stop_streaming()
            self._abort_transport()
            raise


def routes(sources: Sources, *, templates: Templates, streams: Streams) -> list[web.RouteDef]:
    """The only route."""
    channels = fanout.Channels(sources.logs, pace=streams.pace)

    async def follow(request: web.Request) -> web.StreamResponse:
        job_id = request.match_info["id"]
        one = await sources.store.read(jobs.get, job_id)
        log_id = job_page.log_id(one)
        async with channels.of(one, log_id, lambda: sources.store.read(jobs.get, job_id)) as channel:
            size_bytes = await channel.measure()
            job_page.expect_log(one, size_bytes=size_bytes)
            start = min(_start(request), size_bytes)
            (number,) = await sources.logs.line_numbers(log_id, at=[start])
            place = fanout.Place(start, loglines.Assembler(number=number, start_bytes=start))
            with streams.place(channel.wake):
                response = _Response(ping_interval=HEARTBEAT_SECONDS, send_timeout=SEND_TIMEOUT_SECONDS)
                response.headers["Cache-Control"] = "no-store"
                await response.prepare(request)
                heads = _Heads(sources, channel=channel, templates=templates, shell=viewing.shell(request))
                try:
                    async with response:
                        try:
                            await _send(response, channel, place, heads=heads, streams=streams)
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


class _Heads:
    """What stands above the log, for one browser."""

    def __init__(
        self, sources: Sources, *, channel: fanout.Channel, templates: Templates, shell: viewing.Shell
    ) -> None:
        self._sources = sources
        self._channel = channel
        self._templates = templates
        self._shell = shell
        self._shown: fanout.Row | None = None

    async def changed(self, row: fanout.Row) -> bytes | None:
        """The event to send, if the job's row is another one than this browser knows."""
        if self._shown is row or (self._shown is not None and _visible(row.job) == _visible(self._shown.job)):
            return None
        self._shown = row
        # Only whoever may change something has buttons, with a form of their own browser.
        whose = self._shell if self._shell.may_write else None
        return await self._channel.head((row.number, whose), lambda: self._make(row.job))

    async def _make(self, one: job.Job) -> bytes:
        head = await job_page.load_head(self._sources, one.id)
        context = job_page.HeadContext(head=head)
        steps = [{"line": step.line, "name": step.name} for step in head.steps if step.line is not None]
        html = await asyncio.to_thread(self._templates.render, "_job_head.html", context, shell=self._shell)
        return fanout.encoded(json.dumps({"html": html, "steps": steps}), event="head", retry=RETRY_MILLISECONDS)


async def _send(
    response: _Response, channel: fanout.Channel, place: fanout.Place, *, heads: _Heads, streams: Streams
) -> None:
    while not streams.is_closed and response.is_connected():
        # The row first: see `Channel.look`.
        row = await channel.look(every_seconds=LOOK_SECONDS)
        changed = await heads.changed(row)
        piece = await channel.next(place)
        if piece is not None:
            await response.send_event(piece.event)
            place = piece.to
        if changed is not None:
            await response.send_event(changed)
        if piece is not None:
            # Many small appends become one event.
            await streams.pause(streams.pace())
        elif row.job.state in job.FINAL:
            await response.send("{}", event="done")
            return
        else:
            await channel.wait(max(LOOK_SECONDS, streams.pace()))


def _visible(one: job.Job) -> tuple[object, ...]:
    """What of a job stands above its log."""
    return (one.state, one.reason, one.steps, one.tested_sha, one.cancel_requested_at, one.started_at)


def _start(request: web.Request) -> int:
    given = request.headers.get("Last-Event-ID") or request.query.get("from") or "0"
    if not (given.isascii() and given.isdigit() and len(given) <= 18):
        raise web.HTTPBadRequest(text="`from` and Last-Event-ID are a number of bytes.")
    return int(given)
