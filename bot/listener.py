"""The listener: the HTTP server with bounds on connections, headers and time that the framework does not set itself."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import http_exceptions, http_parser, web

from bot import errors

#: A connection that sent no whole request header by then is closed: it only holds a place.
HEADER_TIMEOUT_SECONDS = 5.0
#: Between two requests on one connection; also the longest time for the second one's header.
KEEPALIVE_SECONDS = 75.0
#: Far more than GitHub and a proxy need, far fewer than the process may open.
MAX_CONNECTIONS = 2_000
#: For connections, live streams, the database, logs and jobs: as many open files as this process asks for.
FILES = 16_384
#: How long connections are still accepted when the service stops, while there is any to do: what stands in front learns
#: meanwhile that this one is not ready any more.
GRACE_SECONDS = 2.0
#: How long requests under way may take when the service stops.
SHUTDOWN_SECONDS = 10.0
#: A connection this young is about to send its first request: it is not closed as idle.
FIRST_REQUEST_SECONDS = 1.0
#: How long what is left then may take to end on its own, twice.
_CUT_SECONDS = 1.0
#: How long the rest of a refused body is read away, so that its sender gets to see the answer.
LINGERING_SECONDS = 2.0
_BACKLOG = 1024
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def raise_files() -> int:
    """Let this process open as many files as it may be allowed, up to what it needs; gives how many that is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return FILES if soft == resource.RLIM_INFINITY else soft


class Listener:
    """Serves one application on one address."""

    def __init__(
        self,
        app: web.Application,
        *,
        host: str,
        port: int,
        max_connections: int = MAX_CONNECTIONS,
        besides: Callable[[], int] = int,
        header_timeout_seconds: float = HEADER_TIMEOUT_SECONDS,
    ) -> None:
        """:param port: 0 takes a free one.
        :param besides: gives how many connections have a bound of their own, such as live streams.

        :raises errors.SettingsError: if aiohttp has no compiled parser: the one in Python took smuggled requests.
        """
        if http_parser.HttpRequestParser is getattr(http_parser, "HttpRequestParserPy", None):
            raise errors.SettingsError("aiohttp is installed without its compiled parser: install a wheel of it.")
        self._host = host
        self._port = port
        self._max_connections = max_connections
        self._besides = besides
        self._header_timeout_seconds = header_timeout_seconds
        #: Connections that sent no request yet, and when they were made.
        self._silent: dict[Any, float] = {}
        #: Connections with a request under way; those of them whose answer has not begun.
        self._under_way: set[Any] = set()
        self._unanswered: set[Any] = set()
        self._is_closing = False
        self._changed = asyncio.Event()
        app.middlewares.insert(0, self._note)
        app.on_response_prepare.append(self._begin_answer)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            keepalive_timeout=KEEPALIVE_SECONDS,
            shutdown_timeout=_CUT_SECONDS,
            lingering_time=LINGERING_SECONDS,
            # A compressed body is refused, never unpacked.
            auto_decompress=False,
            logger=_server_logger(),
        )
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The port that is listened on, once open."""
        assert self._server is not None, "the listener is not open"
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def open(self) -> None:
        """Start to listen.

        :raises errors.SettingsError: if the address cannot be had.
        """
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                self._protocol, self._host, self._port, backlog=_BACKLOG, reuse_address=True
            )
        except (OSError, socket.gaierror) as error:
            await self._runner.cleanup()
            raise errors.SettingsError(
                f"BUILDHOOK_HOST, BUILDHOOK_PORT: cannot listen on {self._host}:{self._port}: {error.strerror or error}"
            ) from error

    async def close(self) -> None:
        """Stop in order: accept nothing more, end idle connections and live streams, answer what is under way.

        Takes as long as what is under way, and no time where there is nothing; closing again changes nothing.
        """
        if self._is_closing:
            return
        self._is_closing = True
        if self._server is not None:
            asyncio.get_running_loop().call_later(FIRST_REQUEST_SECONDS, self._changed.set)
            await self._until(self._is_quiet, seconds=GRACE_SECONDS)
            # What the system has accepted for us already comes in first.
            await asyncio.sleep(0)
            self._server.close()
            # Its hooks end the live streams; that the runner calls them again in the end changes nothing.
            await self._runner.shutdown()
            await self._until(self._has_closed_all, seconds=SHUTDOWN_SECONDS)
        await self._runner.cleanup()

    async def _until(self, is_so: Callable[[], bool], *, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not is_so():
                    self._changed.clear()
                    await self._changed.wait()

    def _is_quiet(self) -> bool:
        return not self._unanswered and not any(self._is_young(one) for one in self._silent)

    def _is_young(self, connection: Any) -> bool:
        made_at = self._silent.get(connection)
        return made_at is not None and asyncio.get_running_loop().time() - made_at < FIRST_REQUEST_SECONDS

    def _has_closed_all(self) -> bool:
        """Close what is idle; whether nothing else is left."""
        assert self._runner.server is not None
        left = [one for one in self._runner.server.connections if one in self._under_way or self._is_young(one)]
        for one in set(self._runner.server.connections).difference(left):
            # What was written before still goes out.
            one.force_close()
        return not left

    def _protocol(self) -> asyncio.BaseProtocol:
        server = self._runner.server
        assert server is not None
        if len(server.connections) - self._besides() >= self._max_connections:
            return _Refusal()
        inner = server()
        loop = asyncio.get_running_loop()
        self._silent[inner] = loop.time()
        loop.call_later(self._header_timeout_seconds, self._close_if_silent, inner)
        if self._is_closing:
            loop.call_later(FIRST_REQUEST_SECONDS, self._changed.set)
        return inner

    def _close_if_silent(self, inner: Any) -> None:
        if self._silent.pop(inner, None) is not None and inner.transport is not None:
            inner.transport.abort()

    @web.middleware
    async def _note(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        connection = request.protocol
        self._silent.pop(connection, None)
        self._under_way.add(connection)
        self._unanswered.add(connection)
        try:
            return await handler(request)
        finally:
            self._under_way.discard(connection)
            self._unanswered.discard(connection)
            self._changed.set()

    async def _begin_answer(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        self._unanswered.discard(request.protocol)
        self._changed.set()
        if self._is_closing:
            response.headers["Connection"] = "close"
            response.force_close()


class _Refusal(asyncio.Protocol):
    """Closes a connection beyond the budget at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


class _SendersFault(logging.Filter):
    """A broken request is its sender's trouble: no stack trace for it in our log."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is ours to read."""
        error = record.exc_info[1] if record.exc_info else None
        return not isinstance(error, http_exceptions.HttpProcessingError | ConnectionError)


def _server_logger() -> logging.Logger:
    logger = logging.getLogger("bot.listener.server")
    logger.addFilter(_SendersFault())
    return logger
