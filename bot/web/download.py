"""Artifacts: a job's own bytes, as a file to save that no browser shows."""

from __future__ import annotations

import asyncio
import os
from urllib.parse import quote

from aiohttp import web

from bot.store import artifacts
from bot.web.page import Sources

_CHUNK_BYTES = 1024 * 1024


def routes(sources: Sources) -> list[web.RouteDef]:
    """The only route."""

    async def send(request: web.Request) -> web.StreamResponse:
        one = await sources.store.read(artifacts.get, request.match_info["id"])
        fd = await sources.artifacts.open(one.id)
        try:
            response = web.StreamResponse(
                headers={
                    "Content-Type": "application/zip",
                    # RFC 6266: the name is text that the repository chose.
                    "Content-Disposition": f"attachment; filename*=UTF-8''{quote(one.name, safe='')}.zip",
                }
            )
            response.content_length = os.fstat(fd).st_size
            await response.prepare(request)
            while request.method != "HEAD" and (data := await asyncio.to_thread(os.read, fd, _CHUNK_BYTES)):
                await response.write(data)
        finally:
            os.close(fd)
        return response

    return [web.get("/artifacts/{id:[0-9A-Z]{26}}", send)]
