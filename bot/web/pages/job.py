"""The page `/jobs/{id}`: one job's steps, first failure and log; its address is the check's `details_url` for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from aiohttp import web
from sqlalchemy.engine import Connection

from bot import errors
from bot.logs import LogStore
from bot.model import build, job, report
from bot.store import builds, history, jobs
from bot.web import loglines, logparts, states
from bot.web.page import Page, Sources, number

#: How many lines before the failure are shown at the top.
EXCERPT_LINES = 20
#: Failed tests that are shown.
MAX_FAILURES = 100
_BROKEN = frozenset({"failed", "timed_out", "errored"})


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLine:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The first step that failed, and the end of its output."""

    #: From 1.
    position: int
    name: str
    state: str
    exit_code: int | None
    lines: tuple[loglines.Line, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What the job's report files say."""

    told: report.Told
    #: The failed tests that are shown, new ones first.
    failures: tuple[report.Failure, ...]
    #: How many more failed.
    more: int
    #: The branch that they are compared with.
    base: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadContext:
    """What stands above the log, on its own: sent again whenever it changes."""

    head: Head


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What the page shows."""

    head: Head
    log: logparts.Part
    #: The names of the steps that begin with a line, by its number.
    marks: Mapping[int, tuple[str, ...]]


def make_head(
    one: job.Job,
    *,
    of: build.Build,
    line_numbers: Sequence[int],
    failure: Failure | None,
    size_bytes: int,
    now: datetime,
    told: report.Told | None = None,
) -> Head:
    """:param line_numbers: where the output of each step result begins, in the order of `one.steps`."""
    return Head(
        now=now,
        job=one,
        build=of,
        steps=_step_lines(one, line_numbers),
        failure=failure,
        results=None if told is None else make_results(told, of=of),
        is_live=states.is_live_job(one),
        can_retry=not states.is_live(of),
        has_parts=logparts.count(size_bytes) > 1,
    )


def make_results(told: report.Told, *, of: build.Build) -> Results:
    """What is shown of a job's results."""
    shown = told.failures[:MAX_FAILURES]
    more = told.results.totals.unwell - len(shown)
    base = (of.base_ref or of.ref).removeprefix("refs/heads/")
    return Results(told=told, failures=shown, more=max(0, more), base=base)


def make_context(head: Head, *, log: logparts.Part) -> Context:
    """The page of a head and the part of the log that is looked at."""
    marks: dict[int, tuple[str, ...]] = {}
    for step in head.steps:
        if step.line is not None:
            marks[step.line] = (*marks.get(step.line, ()), step.name)
    return Context(head=head, log=log, marks=marks)


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


def _step_lines(one: job.Job, line_numbers: Sequence[int]) -> tuple[StepLine, ...]:
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
    numbers, failure, size_bytes = await asyncio.gather(
        sources.logs.line_numbers(log_id(one), at=[step.log_start_bytes for step in one.steps]),
        _load_failure(sources.logs, one),
        sources.logs.size(log_id(one)),
    )
    return make_head(
        one, of=of, line_numbers=numbers, failure=failure, size_bytes=size_bytes, now=sources.clock(), told=told
    )


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


async def load(sources: Sources, request: web.Request) -> Context:
    """Read the job and the part of its log that the query asks for: the last one where it does not say."""
    head = await load_head(sources, request.match_info["id"])
    log = await logparts.load(
        sources.logs, log_id(head.job), part=number(request.query, "part"), line=number(request.query, "line")
    )
    return make_context(head, log=log)


PAGE = Page(route="/jobs/{id:[0-9A-Z]{26}}", template="job.html", context=Context, load=load)
