"""Artifacts: a job's own bytes, as a file to save that no browser shows."""

from __future__ import annotations

from urllib.parse import quote

from aiohttp import web

from bot import errors, telemetry
from bot.logs import OpenedArtifact
from bot.store import artifacts
from bot.web.page import Sources

_log = telemetry.log("web")


def routes(sources: Sources) -> list[web.RouteDef]:
    """The only route."""

    async def show(request: web.Request) -> web.StreamResponse:
        return await send(sources, request)

    return [web.get("/artifacts/{id:[0-9A-Z]{26}}", show)]


async def send(sources: Sources, request: web.Request) -> web.StreamResponse:
    """Answer with the bytes of the artifact that the address names."""
    one = await sources.store.read(artifacts.get, request.match_info["id"])
    async with sources.artifacts.opened(one.id) as source:
        response = web.StreamResponse(
            headers={
                "Content-Type": "application/zip",
                # RFC 6266: the name is text that the repository chose.
                "Content-Disposition": f"attachment; filename*=UTF-8''{quote(one.name, safe='')}.zip",
            }
        )
        response.content_length = source.size_bytes
        await response.prepare(request)
        is_whole = request.method == "HEAD" or await _copy(source, one.id, into=response)
    if not is_whole and request.transport is not None:
        # Fewer bytes than announced: the reader has to see that it broke off.
        request.transport.abort()
    return response


async def _copy(source: OpenedArtifact, artifact_id: str, *, into: web.StreamResponse) -> bool:
    try:
        async for data in source.chunks():
            await into.write(data)
    except (errors.BuildhookError, ConnectionError) as error:
        _log.info("An artifact broke off.", action="send_artifact", artifact_id=artifact_id, error=str(error))
        return False
    return True
