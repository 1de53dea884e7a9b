"""What a page asks of a log beside what it came with: more lines, the lines that have a text, and what folds."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping

import msgspec
from aiohttp import web

from bot.model import job
from bot.store import jobs
from bot.web import groups, logparts, logsearch
from bot.web.page import Sources, number
from bot.web.pages import job as job_page
from bot.web.templating import Templates

#: Of so many whole logs it is remembered what folds.
_REMEMBERED = 64


class PartContext(msgspec.Struct, frozen=True, kw_only=True):
    """Lines on their own, as the page has them."""

    log: logparts.Part
    #: The names of the steps that begin with a line, by its number.
    marks: Mapping[int, tuple[str, ...]]


def routes(sources: Sources, *, templates: Templates) -> list[web.RouteDef]:
    """All of them. Who may read the job may ask them."""
    remembered: OrderedDict[tuple[str, int], list[groups.Mark]] = OrderedDict()

    async def find(request: web.Request) -> tuple[job.Job, str, int]:
        one = await sources.store.read(jobs.get, request.match_info["id"])
        log_id = job_page.log_id(one)
        size_bytes = await sources.logs.size(log_id)
        job_page.expect_log(one, size_bytes=size_bytes)
        return one, log_id, size_bytes

    async def send_lines(request: web.Request) -> web.Response:
        limit = min(number(request.query, "limit") or logparts.PART_LINES, logparts.PART_LINES)
        first = number(request.query, "first") or 1
        one, log_id, _ = await find(request)
        part = await logparts.load(sources.logs, log_id, first=first, limit=limit)
        places = await job_page.load_places(sources.logs, one)
        context = PartContext(log=part, marks=job_page.marks(job_page.step_lines(one, places.starts)))
        text = await asyncio.to_thread(templates.render, "_log_part.html", context)
        return web.Response(text=text, content_type="text/html")

    async def search(request: web.Request) -> web.Response:
        wanted = job_page.wanted(request.query)
        after = (number(request.query, "from") or 1) - 1
        _, log_id, _ = await find(request)
        async with sources.scans.place():
            found = await logsearch.search(sources.logs, log_id, wanted, after=after, is_asked=_is_asked(request))
        return web.json_response(msgspec.to_builtins(found))

    async def send_groups(request: web.Request) -> web.Response:
        one, log_id, size_bytes = await find(request)
        marks = remembered.get((log_id, size_bytes))
        if marks is None:
            async with sources.scans.place():
                marks = await groups.load(sources.logs, log_id, is_wanted=_is_asked(request))
            if one.state in job.FINAL and _is_asked(request)():
                remembered[(log_id, size_bytes)] = marks
                while len(remembered) > _REMEMBERED:
                    remembered.popitem(last=False)
        places = await job_page.load_places(sources.logs, one)
        made = groups.group(marks, total=places.lines, steps=places.starts, failures=places.failures)
        return web.json_response({"groups": [[one.first, one.last, one.is_open] for one in made]})

    return [
        web.get("/jobs/{id:[0-9A-Z]{26}}/lines", send_lines),
        web.get("/jobs/{id:[0-9A-Z]{26}}/search", search),
        web.get("/jobs/{id:[0-9A-Z]{26}}/groups", send_groups),
    ]


def _is_asked(request: web.Request) -> Callable[[], bool]:
    """Whether the browser still waits: whoever types asks anew with every letter."""
    return lambda: request.transport is not None and not request.transport.is_closing()
