"""The API's operations on jobs: what became of them, their logs, their test cases and their artifacts."""

from __future__ import annotations

from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import UNSET, UnsetType
from sqlalchemy.engine import Connection

from bot.model import artifact, job, report
from bot.shapes import built, listed
from bot.shapes.artifacts import Artifact, of_artifact
from bot.store import artifacts, jobs, results
from bot.web import download, rawlog
from bot.web.api import answering, asking
from bot.web.api.asking import Part
from bot.web.api.operation import ID, Asked, Call, Operation
from bot.web.pages import job as job_page

_PLACE = "[1-9][0-9]{0,17}"
_MAX_LINES = 100_000
_Line = Annotated[int, msgspec.Meta(ge=1, le=2**53, description="The first line, from 1.")]
_Lines = Annotated[int, msgspec.Meta(ge=1, le=_MAX_LINES, description="At most so many lines; else all that follow.")]


class Lines(Asked, frozen=True, kw_only=True):
    """Which lines of a log."""

    from_line: _Line | UnsetType = UNSET
    lines: _Lines | UnsetType = UNSET


class WhichCases(Part, frozen=True, kw_only=True):
    """Which test cases."""

    state: Annotated[report.State, msgspec.Meta(description="Only those that ended so.")] | UnsetType = UNSET


class _Bytes(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a log."""

    start: int
    end: int
    status: int = 200


async def show(call: Call) -> built.JobOfBuild:
    """One job."""
    one, made, kept = await call.sources.store.read(_read, call.id)
    size = await call.sources.logs.size(job_page.log_id(one))
    return built.of_job(one, made=made, kept=kept, log_bytes=size)


def _read(connection: Connection, job_id: str) -> tuple[job.Job, report.Results | None, list[artifact.Artifact]]:
    one = jobs.get(connection, job_id)
    ran = one.origin_id or one.id
    return one, results.list_totals(connection, [ran]).get(ran), artifacts.list_of_jobs(connection, [ran])


async def list_cases(call: Call) -> listed.Cases:
    """Test cases of a job."""
    query: WhichCases = call.query
    one = await call.sources.store.read(jobs.get, call.id)
    ran = one.origin_id or one.id
    state = asking.given(query.state)
    of = ("results", ran, state)
    totals = await call.sources.store.read(results.list_totals, [ran])
    found = await call.sources.store.read(
        results.list_cases,
        ran,
        after_seq=int(asking.read_cursor(query.cursor, of=of, form=_PLACE) or 0),
        limit=query.limit + 1,
        states=() if state is None else (state,),
    )
    last = str(found[: query.limit][-1][0]) if found else None
    shown, following = answering.part(call.request, found, query=query, last=last, of=of)
    return listed.Cases(
        items=tuple(case for _, case in shown), results=built.of_results(totals.get(ran)), next=following
    )


async def send_log(call: Call) -> web.StreamResponse:
    """The log as it came, whole or the part that is asked for."""
    query: Lines = call.query
    logs = call.sources.logs
    one = await call.sources.store.read(jobs.get, call.id)
    log_id = job_page.log_id(one)
    async with logs.opened(log_id) as log:
        # What is appended from now on is not part of this answer.
        size = await log.size()
        job_page.expect_log(one, size_bytes=size)
        headers = {**answering.KEPT, "Content-Type": "text/plain; charset=utf-8", "Accept-Ranges": "bytes"}
        headers["Buildhook-Log-Bytes"] = str(size)
        part = _ranged(call.request, size=size)
        first, lines = asking.given(query.from_line), asking.given(query.lines)
        if first is not None or lines is not None:
            if part is not None:
                raise web.HTTPBadRequest(text="Ask for lines or for a Range of bytes, not for both.")
            first = first or 1
            start = await logs.find_line(log_id, number=first)
            end = None if lines is None else await logs.find_line(log_id, number=first + lines)
            (count,) = await logs.line_numbers(log_id, at=[max(0, size - 1)])
            headers["Buildhook-Log-Lines"] = str(count if size else 0)
            start = size if start is None else min(start, size)
            part = _Bytes(start=start, end=size if end is None else min(end, size))
        elif part is None:
            part = _Bytes(start=0, end=size)
        else:
            headers["Content-Range"] = f"bytes {part.start}-{part.end - 1}/{size}"
        response = web.StreamResponse(status=part.status, headers=headers)
        return await rawlog.send_part(call.request, response, log, job_id=one.id, start=part.start, end=part.end)


def _ranged(request: web.Request, *, size: int) -> _Bytes | None:
    """The bytes that the header asks for; None where it asks for all, or for what we need not understand.

    https://www.rfc-editor.org/rfc/rfc9110#name-range

    :raises web.HTTPRequestRangeNotSatisfiable: if the log has none of them.
    """
    if request.method != "GET" or "If-Range" in request.headers:
        return None
    try:
        asked = request.http_range
    except ValueError:
        return None
    if asked.start is None and asked.stop is None:
        return None
    start, end, _ = asked.indices(size)
    if start >= end:
        raise web.HTTPRequestRangeNotSatisfiable(
            text=f"The log has {size} bytes, and none of these.", headers={"Content-Range": f"bytes */{size}"}
        )
    return _Bytes(start=start, end=end, status=web.HTTPPartialContent.status_code)


async def show_artifact(call: Call) -> Artifact:
    """What is known of an artifact."""
    return of_artifact(await call.sources.store.read(artifacts.get, call.id))


async def send_artifact(call: Call) -> web.StreamResponse:
    """The artifact's bytes."""
    return await download.send(call.sources, call.request)


OPERATIONS = (
    Operation(
        name="getJob",
        summary="One job with its steps, its results and its artifacts.",
        path=f"/jobs/{{id:{ID}}}",
        answer=built.JobOfBuild,
        run=show,
    ),
    Operation(
        name="getJobLog",
        summary="A job's log as it came: whole, some lines, or the bytes that a `Range` names.",
        path=f"/jobs/{{id:{ID}}}/log",
        query=Lines,
        media="text/plain",
        headers=(
            ("Buildhook-Log-Bytes", "How many bytes the whole log has."),
            ("Buildhook-Log-Lines", "How many lines it has, where lines were asked for."),
        ),
        problems=(416,),
        run=send_log,
    ),
    Operation(
        name="listTestCases",
        summary="The test cases of a job, as its report files tell.",
        path=f"/jobs/{{id:{ID}}}/results",
        query=WhichCases,
        answer=listed.Cases,
        run=list_cases,
    ),
    Operation(
        name="getArtifact",
        summary="What is known of an artifact.",
        path=f"/artifacts/{{id:{ID}}}",
        answer=Artifact,
        run=show_artifact,
    ),
    Operation(
        name="downloadArtifact",
        summary="The artifact itself, a zip.",
        path=f"/artifacts/{{id:{ID}}}/zip",
        media="application/zip",
        run=send_artifact,
    ),
)
