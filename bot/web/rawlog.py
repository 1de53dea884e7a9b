"""The raw log: a job's bytes as they came, as plain text that no browser takes for anything else."""

from __future__ import annotations

import asyncio
import zlib
from typing import Protocol

from aiohttp import web

from bot import errors, telemetry
from bot.logs import OpenedLog
from bot.store import jobs
from bot.web.page import Sources
from bot.web.pages import job as job_page

_CHUNK_BYTES = 1024 * 1024
#: Logs become hardly smaller by more effort, and whoever downloads one waits for it.
_LEVEL = 3
#: https://docs.python.org/3/library/zlib.html#zlib.compressobj: a header of gzip in front.
_GZIP = 31
_log = telemetry.log("web")


def routes(sources: Sources) -> list[web.RouteDef]:
    """The only route."""

    async def send(request: web.Request) -> web.StreamResponse:
        one = await sources.store.read(jobs.get, request.match_info["id"])
        async with sources.logs.opened(job_page.log_id(one)) as log:
            # What is appended from now on is not part of this answer.
            size_bytes = await log.size()
            job_page.expect_log(one, size_bytes=size_bytes)
            is_packed = request.query.get("download") == "gz"
            content_type = "application/gzip" if is_packed else "text/plain; charset=utf-8"
            response = web.StreamResponse(headers={"Content-Type": content_type})
            if "download" in request.query:
                name = f"{one.id}.log.gz" if is_packed else f"{one.id}.log"
                response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
            form = zlib.compressobj(_LEVEL, wbits=_GZIP) if is_packed else None
            return await send_part(request, response, log, job_id=one.id, end=size_bytes, form=form)

    return [web.get("/jobs/{id:[0-9A-Z]{26}}/log", send)]


class _Form(Protocol):
    """How the bytes are sent."""

    def compress(self, data: bytes, /) -> bytes:
        """What is sent for some of them."""

    def flush(self) -> bytes:
        """What is sent behind the last."""


async def send_part(
    request: web.Request,
    response: web.StreamResponse,
    log: OpenedLog,
    *,
    job_id: str,
    start: int = 0,
    end: int,
    form: _Form | None = None,
) -> web.StreamResponse:
    """Answer with the bytes of a log from `start` on, until before `end`.

    :param form: how they are sent, when not as they are; what it makes of them has no length to announce.
    """
    if form is None:
        response.content_length = end - start
    await response.prepare(request)
    is_whole = request.method == "HEAD" or await _copy(log, job_id, start=start, end=end, into=response, form=form)
    if not is_whole and request.transport is not None:
        # Fewer bytes than announced: the reader has to see that it broke off.
        request.transport.abort()
    return response


async def _copy(
    log: OpenedLog, job_id: str, *, start: int, end: int, into: web.StreamResponse, form: _Form | None
) -> bool:
    at = start
    try:
        while at < end:
            data = await log.read(start=at, limit=min(_CHUNK_BYTES, end - at))
            if not data:
                return False
            await into.write(data if form is None else await asyncio.to_thread(form.compress, data))
            at += len(data)
        if form is not None:
            await into.write(form.flush())
    except (errors.BuildhookError, ConnectionError) as error:
        _log.info("A raw log broke off.", action="send_log", job_id=job_id, error=str(error))
        return False
    return True
