"""A door that really listens: Door, Inbox and Store behind an HTTP server on a free port of this machine."""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import aiohttp
import pytest
import structlog
from aiohttp import web

from bot import telemetry
from bot.listener import Listener
from bot.store import Store
from bot.webhooks.door import Credentials, Door
from bot.webhooks.inbox import Inbox
from tests.webhooks.service import CREDENTIALS, KNOWN_EVENTS, Open, Service


@pytest.fixture
async def open_service(store: Store, metrics: telemetry.Metrics) -> AsyncIterator[Open]:
    """Opens doors with given bounds on the test's store; closes them in the end."""
    async with contextlib.AsyncExitStack() as closing:

        async def open_one(
            *,
            credentials: Credentials | None = CREDENTIALS,
            door: Mapping[str, Any] | None = None,
            inbox: Mapping[str, Any] | None = None,
        ) -> Service:
            wake_ups: list[None] = []
            box = Inbox(store, metrics=metrics, on_stored=lambda _: wake_ups.append(None), **(inbox or {}))
            await box.open()
            loop = asyncio.create_task(box.run())
            closing.push_async_callback(_end, loop)
            # Closed before the listener, which waits for clients that are still sending.
            http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), auto_decompress=False)
            service = Service(store, box, metrics, http, 0, credentials, wake_ups)
            gate = Door(
                box,
                credentials=lambda: service.credentials,
                metrics=metrics,
                known_events=KNOWN_EVENTS,
                **(door or {}),
            )
            app = web.Application()
            app.add_routes(gate.routes())
            listener = Listener(app, host="127.0.0.1", port=0)
            await listener.open()
            closing.push_async_callback(listener.close)
            closing.push_async_callback(http.close)
            service.port = listener.port
            return service

        yield open_one


async def _end(loop: asyncio.Task[None]) -> None:
    loop.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await loop


@pytest.fixture
async def service(open_service: Open) -> Service:
    """A door with the bounds that it is shipped with."""
    return await open_service()


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """The log as the service writes it: JSON lines."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    telemetry.configure_logs(level="info", is_terminal=False)
    yield written
    structlog.reset_defaults()
    root.handlers[:] = before[0]
    root.setLevel(before[1])
