"""The raw log: a job's bytes as they came, as plain text that no browser takes for anything else."""

from __future__ import annotations

from aiohttp import web

from bot import errors, telemetry
from bot.logs import OpenedLog
from bot.store import jobs
from bot.web.page import Sources
from bot.web.pages import job as job_page

_CHUNK_BYTES = 1024 * 1024
_log = telemetry.log("web")


def routes(sources: Sources) -> list[web.RouteDef]:
    """The only route."""

    async def send(request: web.Request) -> web.StreamResponse:
        one = await sources.store.read(jobs.get, request.match_info["id"])
        async with sources.logs.opened(job_page.log_id(one)) as log:
            # What is appended from now on is not part of this answer.
            size_bytes = await log.size()
            job_page.expect_log(one, size_bytes=size_bytes)
            response = web.StreamResponse(headers={"Content-Type": "text/plain; charset=utf-8"})
            response.content_length = size_bytes
            if "download" in request.query:
                response.headers["Content-Disposition"] = f'attachment; filename="{one.id}.log"'
            await response.prepare(request)
            is_whole = request.method == "HEAD" or await _copy(log, one.id, size_bytes=size_bytes, into=response)
        if not is_whole and request.transport is not None:
            # Fewer bytes than announced: the reader has to see that it broke off.
            request.transport.abort()
        return response

    return [web.get("/jobs/{id:[0-9A-Z]{26}}/log", send)]


async def _copy(log: OpenedLog, job_id: str, *, size_bytes: int, into: web.StreamResponse) -> bool:
    at = 0
    try:
        while at < size_bytes:
            data = await log.read(start=at, limit=min(_CHUNK_BYTES, size_bytes - at))
            if not data:
                return False
            await into.write(data)
            at += len(data)
    except (errors.BuildhookError, ConnectionError) as error:
        _log.info("A raw log broke off.", action="send_log", job_id=job_id, error=str(error))
        return False
    return True
