"""A relay as smee.io is one: takes webhooks by POST, parses them, and tells whoever listens, as server-sent events."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web


class RelayServer:
    """One relay; its channels are whatever is asked for."""

    def __init__(self) -> None:
        self.url = ""
        #: How often somebody began to listen.
        self.listened = 0
        #: Rings whenever somebody begins or ends to listen.
        self.changed = asyncio.Event()
        #: Changes what listeners are told.
        self.alter: Callable[[dict[str, Any]], dict[str, Any] | None] = lambda payload: payload
        #: How the data of an event is written.
        self.write: Callable[[dict[str, Any]], str] = _stringify
        #: Answered to who wants to listen, where it is not 200.
        self.status = 200
        self._listeners: dict[str, set[web.StreamResponse]] = {}
        self._cut: set[asyncio.Event] = set()

    @property
    def listening(self) -> int:
        """How many listen."""
        return sum(len(found) for found in self._listeners.values())

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/new", self._new), web.get("/{channel}", self._listen), web.post("/{channel}", self._take)]

    def cut(self) -> None:
        """End every stream."""
        for one in self._cut:
            one.set()

    async def say(self, text: str) -> None:
        """Write any bytes to everybody who listens."""
        for listeners in self._listeners.values():
            for one in listeners:
                await one.write(text.encode())

    async def until_listening(self, count: int = 1, *, times: int = 1) -> None:
        """Return when so many listen, and so often somebody began to."""
        async with asyncio.timeout(20):
            while self.listening != count or self.listened < times:
                self.changed.clear()
                await self.changed.wait()

    async def _new(self, request: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": f"http://{request.host}/{secrets.token_urlsafe(12)}"})

    async def _listen(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Accept") != "text/event-stream" or self.status != 200:
            return web.Response(status=self.status, text="<html>", content_type="text/html")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
        await response.prepare(request)
        await response.write(b"id: 0\nevent: ready\ndata: {}\n\n")
        listeners = self._listeners.setdefault(request.match_info["channel"], set())
        listeners.add(response)
        cut = asyncio.Event()
        self._cut.add(cut)
        self.listened += 1
        self.changed.set()
        try:
            await cut.wait()
        finally:
            listeners.discard(response)
            self._cut.discard(cut)
            self.changed.set()
        return response

    async def _take(self, request: web.Request) -> web.Response:
        content = await request.read()
        if request.content_type == "application/x-www-form-urlencoded":
            body: Any = dict((await request.post()).items())
        else:
            body = json.loads(content)
        payload: dict[str, Any] = {name.lower(): value for name, value in request.headers.items()}
        altered = self.alter({**payload, "body": body, "query": dict(request.query), "timestamp": 1})
        if altered is not None:
            text = f"id: 1\ndata: {self.write(altered)}\n\n"
            for one in list(self._listeners.get(request.match_info["channel"], ())):
                await one.write(text.encode())
        # Whether anybody listens GitHub never learns.
        return web.Response(status=200)


def _stringify(payload: dict[str, Any]) -> str:
    """As `JSON.stringify` writes it."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":"))


@asynccontextmanager
async def relaying(*, port: int = 0) -> AsyncIterator[RelayServer]:
    """A relay that listens."""
    its = RelayServer()
    app = web.Application(client_max_size=30 * 1024 * 1024)
    app.add_routes(its.routes())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    its.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield its
    finally:
        its.cut()
        await runner.cleanup()
