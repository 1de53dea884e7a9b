"""The page `/jobs/{id}`: one job's steps, first failure and log; its address is the check's `details_url` for ever."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
from aiohttp import web
from sqlalchemy.engine import Connection

from bot import errors
from bot.logs import LogStore
from bot.model import build, job, report
from bot.store import builds, history, jobs
from bot.web import loglines, logparts, logsearch, states
from bot.web.page import Page, Sources, number

#: How many lines before the failure are shown at the top.
EXCERPT_LINES = 20
#: How many of the lines that have a text are shown where the page itself is asked for it.
MAX_HITS = 50
#: Failed tests that are shown.
MAX_FAILURES = 100
_BROKEN = frozenset({"failed", "timed_out", "errored"})


class StepLine(msgspec.Struct, frozen=True, kw_only=True):
    """One step as planned, with what became of it."""

    name: str
    #: The command.
    run: str
    state: str
    started_at: datetime | None
    finished_at: datetime | None
    exit_code: int | None
    #: The line of the log with which its output begins; None before it has begun.
    line: int | None


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """The first step that failed, and the end of its output."""

    #: From 1.
    position: int
    name: str
    state: str
    exit_code: int | None
    lines: tuple[loglines.Line, ...]


class Places(msgspec.Struct, frozen=True, kw_only=True):
    """Where in its log a job's steps are."""

    #: How many lines the log has.
    lines: int
    #: With which line the output of each step result begins.
    starts: tuple[int, ...]
    #: The last lines of the steps that failed.
    failures: tuple[int, ...]


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """What was searched in the log, without any script."""

    text: str
    #: Some of the lines that have it.
    lines: tuple[loglines.Line, ...]
    #: How many have it, as far as that was counted.
    count: int
    has_more: bool


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """What the job's report files say."""

    told: report.Told
    #: The failed tests that are shown, new ones first.
    failures: tuple[report.Failure, ...]
    #: How many more failed.
    more: int
    #: The branch that they are compared with.
    base: str


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """Everything but the log: what changes while the job runs."""

    now: datetime
    job: job.Job
    build: build.Build
    steps: tuple[StepLine, ...]
    failure: Failure | None
    #: What the job left behind; None where that is nothing.
    results: Results | None
    #: Whether the job can still change.
    is_live: bool
    #: Whether the whole build has ended, so that it can be run again.
    can_retry: bool
    #: Whether the log is shown in several parts, so that a link to a line has to name it to the server.
    has_parts: bool
    #: The last lines of the steps that failed: what people look for.
    failure_lines: tuple[int, ...]


class HeadContext(msgspec.Struct, frozen=True, kw_only=True):
    """What stands above the log, on its own: sent again whenever it changes."""

    head: Head


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What the page shows."""

    head: Head
    log: logparts.Part
    #: The names of the steps that begin with a line, by its number.
    marks: Mapping[int, tuple[str, ...]]
    #: None where nothing was searched.
    search: Search | None = None


def make_head(
    one: job.Job,
    *,
    of: build.Build,
    places: Places,
    failure: Failure | None,
    now: datetime,
    told: report.Told | None = None,
) -> Head:
    """The head of a job's page."""
    return Head(
        now=now,
        job=one,
        build=of,
        steps=step_lines(one, places.starts),
        failure=failure,
        results=None if told is None else make_results(told, of=of),
        is_live=states.is_live_job(one),
        can_retry=not states.is_live(of),
        has_parts=places.lines > logparts.PART_LINES,
        failure_lines=places.failures,
    )


def make_results(told: report.Told, *, of: build.Build) -> Results:
    """What is shown of a job's results."""
    shown = told.failures[:MAX_FAILURES]
    more = told.results.totals.unwell - len(shown)
    base = (of.base_ref or of.ref).removeprefix("refs/heads/")
    return Results(told=told, failures=shown, more=max(0, more), base=base)


def make_context(head: Head, *, log: logparts.Part, search: Search | None = None) -> Context:
    """The page of a head and the part of the log that is looked at."""
    return Context(head=head, log=log, marks=marks(head.steps), search=search)


def marks(steps: Sequence[StepLine]) -> Mapping[int, tuple[str, ...]]:
    """The names of the steps that begin with a line, by its number."""
    found: dict[int, tuple[str, ...]] = {}
    for step in steps:
        if step.line is not None:
            found[step.line] = (*found.get(step.line, ()), step.name)
    return found


def log_id(one: job.Job) -> str:
    """The job whose log it is: a result that was taken over comes with its log."""
    return one.origin_id or one.id


def expect_log(one: job.Job, *, size_bytes: int) -> None:
    """:raises errors.Gone: if an ended job wrote something, and nothing of it is here."""
    if size_bytes == 0 and one.log_size_bytes > 0 and one.state in job.FINAL:
        raise errors.Gone(
            f"The log of job {one.id} is not here: it was deleted, or it lies where the job ran."
            " With an object store it comes there a moment after the job has ended."
        )


def first_failure(one: job.Job) -> job.StepResult | None:
    """The step to look at first."""
    return next((step for step in one.steps if step.state in _BROKEN), None)


def step_lines(one: job.Job, line_numbers: Sequence[int]) -> tuple[StepLine, ...]:
    """The steps as planned.

    :param line_numbers: where the output of each step result begins, in the order of `one.steps`.
    """
    results = {step.index: (step, line) for step, line in zip(one.steps, line_numbers, strict=True)}
    lines = []
    for index, planned in enumerate(one.plan.steps):
        result, line = results.get(index, (None, None))
        # A step that wrote nothing has no line of its own.
        line = None if result is not None and result.log_end_bytes == result.log_start_bytes else line
        idle = "queued" if states.is_live_job(one) else "skipped"
        lines.append(
            StepLine(
                name=planned.name,
                run=planned.run,
                state=idle if result is None else result.state,
                started_at=None if result is None else result.started_at,
                finished_at=None if result is None else result.finished_at,
                exit_code=None if result is None else result.exit_code,
                line=line,
            )
        )
    return tuple(lines)


async def load_head(sources: Sources, job_id: str) -> Head:
    """Read all but the log. :raises bot.errors.NotFound: if there is no such job."""
    one, of, told = await sources.store.read(_read, job_id)
    places, failure = await asyncio.gather(load_places(sources.logs, one), _load_failure(sources.logs, one))
    return make_head(one, of=of, places=places, failure=failure, now=sources.clock(), told=told)


async def load_places(logs: LogStore, one: job.Job) -> Places:
    """Where in its log a job's steps are."""
    size_bytes = await logs.size(log_id(one))
    broken = [step for step in one.steps if step.state in _BROKEN]
    ends = [size_bytes if step.log_end_bytes is None else step.log_end_bytes for step in broken]
    # The last byte of the output lies in its last line.
    lasts = [max(step.log_start_bytes, end - 1) for step, end in zip(broken, ends, strict=True)]
    at = [max(0, size_bytes - 1), *lasts, *(step.log_start_bytes for step in one.steps)]
    lines, *found = await logs.line_numbers(log_id(one), at=at)
    wrote = [end > step.log_start_bytes for step, end in zip(broken, ends, strict=True)]
    failures = itertools.compress(found[: len(lasts)], wrote)
    return Places(lines=lines if size_bytes else 0, starts=tuple(found[len(lasts) :]), failures=tuple(failures))


def _read(connection: Connection, job_id: str) -> tuple[job.Job, build.Build, report.Told | None]:
    one = jobs.get(connection, job_id)
    of = builds.get(connection, one.build_id)
    return one, of, history.find(connection, one, of) if one.state in job.FINAL else None


async def _load_failure(logs: LogStore, one: job.Job) -> Failure | None:
    step = first_failure(one)
    if step is None:
        return None
    end = await logs.size(log_id(one)) if step.log_end_bytes is None else step.log_end_bytes
    text = await logs.tail(log_id(one), start=step.log_start_bytes, end=end, lines=EXCERPT_LINES)
    # The last byte of the output lies in its last line.
    (last,) = await logs.line_numbers(log_id(one), at=[max(step.log_start_bytes, end - 1)])
    assembler = loglines.Assembler(number=last - text.count("\n"), start_bytes=0)
    lines = assembler.feed(text.encode() + b"\n") if text else []
    name = one.plan.steps[step.index].name if 0 <= step.index < len(one.plan.steps) else f"step {step.index + 1}"
    return Failure(position=step.index + 1, name=name, state=step.state, exit_code=step.exit_code, lines=tuple(lines))


def wanted(query: Mapping[str, str]) -> logsearch.Wanted:
    """What is searched in the log.

    :raises web.HTTPBadRequest: if that is too long.
    """
    text = query.get("q", "")
    if len(text) > logsearch.MAX_CHARACTERS:
        raise web.HTTPBadRequest(text=f"What is searched has at most {logsearch.MAX_CHARACTERS} characters.")
    return logsearch.Wanted(text=text, is_exact=query.get("case") == "exact")


async def load_search(sources: Sources, one: job.Job, of: logsearch.Wanted) -> Search | None:
    """The lines that have a text; None where it is empty."""
    if not of.text:
        return None
    async with sources.scans.place():
        found = await logsearch.search(sources.logs, log_id(one), of)
    lines: list[loglines.Line] = []
    for line in found.lines[:MAX_HITS]:
        lines += (await logparts.load(sources.logs, log_id(one), first=line, limit=1)).lines
    return Search(text=of.text, lines=tuple(lines), count=len(found.lines), has_more=found.has_more)


async def load(sources: Sources, request: web.Request) -> Context:
    """Read the job and the part of its log that the query asks for: the last one where it does not say."""
    first, line, of = number(request.query, "first"), number(request.query, "line"), wanted(request.query)
    head = await load_head(sources, request.match_info["id"])
    log = await logparts.load(sources.logs, log_id(head.job), first=first, line=line)
    return make_context(head, log=log, search=await load_search(sources, head.job, of))


PAGE = Page(route="/jobs/{id:[0-9A-Z]{26}}", template="job.html", context=Context, load=load)
