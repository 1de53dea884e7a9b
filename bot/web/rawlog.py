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
            if "download" in request.query:
                response.headers["Content-Disposition"] = f'attachment; filename="{one.id}.log"'
            return await send_part(request, response, log, job_id=one.id, end=size_bytes)

    return [web.get("/jobs/{id:[0-9A-Z]{26}}/log", send)]


async def send_part(
    request: web.Request, response: web.StreamResponse, log: OpenedLog, *, job_id: str, start: int = 0, end: int
) -> web.StreamResponse:
    """Answer with the bytes of a log from `start` on, until before `end`."""
    response.content_length = end - start
    await response.prepare(request)
    is_whole = request.method == "HEAD" or await _copy(log, job_id, start=start, end=end, into=response)
    if not is_whole and request.transport is not None:
        # Fewer bytes than announced: the reader has to see that it broke off.
        request.transport.abort()
    return response


async def _copy(log: OpenedLog, job_id: str, *, start: int, end: int, into: web.StreamResponse) -> bool:
    at = start
    try:
        while at < end:
            data = await log.read(start=at, limit=min(_CHUNK_BYTES, end - at))
            if not data:
                return False
            await into.write(data)
            at += len(data)
    except (errors.BuildhookError, ConnectionError) as error:
        _log.info("A raw log broke off.", action="send_log", job_id=job_id, error=str(error))
        return False
    return True
