"""The listener: the HTTP server with bounds on connections, headers and time that the framework does not set itself."""

from __future__ import annotations

import asyncio
import logging
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
#: How long requests under way may take when the service stops.
SHUTDOWN_SECONDS = 10.0
#: How long the rest of a refused body is read away, so that its sender gets to see the answer.
LINGERING_SECONDS = 2.0
_BACKLOG = 1024
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Listener:
    """Serves one application on one address."""

    def __init__(
        self,
        app: web.Application,
        *,
        host: str,
        port: int,
        max_connections: int = MAX_CONNECTIONS,
        header_timeout_seconds: float = HEADER_TIMEOUT_SECONDS,
    ) -> None:
        """:param port: 0 takes a free one.

        :raises errors.SettingsError: if aiohttp has no compiled parser: the one in Python took smuggled requests.
        """
        if http_parser.HttpRequestParser is getattr(http_parser, "HttpRequestParserPy", None):
            raise errors.SettingsError("aiohttp is installed without its compiled parser: install a wheel of it.")
        self._host = host
        self._port = port
        self._max_connections = max_connections
        self._header_timeout_seconds = header_timeout_seconds
        self._silent: set[object] = set()
        app.middlewares.insert(0, self._note)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            keepalive_timeout=KEEPALIVE_SECONDS,
            shutdown_timeout=SHUTDOWN_SECONDS,
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
        """Stop listening, and let requests under way end."""
        if self._server is not None:
            self._server.close()
        await self._runner.cleanup()

    def _protocol(self) -> asyncio.BaseProtocol:
        server = self._runner.server
        assert server is not None
        if len(server.connections) >= self._max_connections:
            return _Refusal()
        inner = server()
        self._silent.add(inner)
        asyncio.get_running_loop().call_later(self._header_timeout_seconds, self._close_if_silent, inner)
        return inner

    def _close_if_silent(self, inner: Any) -> None:
        if inner in self._silent:
            self._silent.discard(inner)
            if inner.transport is not None:
                inner.transport.abort()

    @web.middleware
    async def _note(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        self._silent.discard(request.protocol)
        return await handler(request)


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
