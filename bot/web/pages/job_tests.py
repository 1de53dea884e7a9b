"""The page `/jobs/{id}/tests`: every test case of a job, as its report files tell."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlencode

import msgspec
from aiohttp import web
from sqlalchemy.engine import Connection

from bot.model import build, job, report
from bot.store import builds, jobs, results
from bot.web.page import Page, Sources, choice, number

#: Test cases on one page.
LIMIT = 200
_STATES = tuple(report.State)


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What the page shows."""

    job: job.Job
    build: build.Build
    #: What all of them come to; None where the job left no results behind.
    results: report.Results | None
    cases: tuple[report.Case, ...]
    #: Only these are shown; None: all.
    state: report.State | None
    states: tuple[report.State, ...]
    #: Query of the page that follows, or None on the last.
    following: str | None


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored."""

    job: job.Job
    build: build.Build
    results: report.Results | None
    #: Of this page, each with its place, and one more if others follow.
    cases: Sequence[tuple[int, report.Case]]


def make_context(found: Found, *, state: report.State | None, limit: int = LIMIT) -> Context:
    """The page of a part of the cases."""
    shown = found.cases[:limit]
    kept = {} if state is None else {"state": state.value}
    return Context(
        job=found.job,
        build=found.build,
        results=found.results,
        cases=tuple(case for _, case in shown),
        state=state,
        states=_STATES,
        following="?" + urlencode({**kept, "after": shown[-1][0]}) if len(found.cases) > limit else None,
    )


def _find(connection: Connection, job_id: str, *, state: report.State | None, after: int) -> Found:
    one = jobs.get(connection, job_id)
    ran = one.origin_id or one.id
    states = () if state is None else (state,)
    return Found(
        job=one,
        build=builds.get(connection, one.build_id),
        results=results.list_totals(connection, [ran]).get(ran),
        cases=results.list_cases(connection, ran, after_seq=after, limit=LIMIT + 1, states=states),
    )


async def load(sources: Sources, request: web.Request) -> Context:
    """Read the part that the query asks for. :raises bot.errors.NotFound: if there is no such job."""
    word = choice(request.query, "state", _STATES)
    state = None if word is None else report.State(word)
    after = number(request.query, "after") or 0
    found = await sources.store.read(_find, request.match_info["id"], state=state, after=after)
    return make_context(found, state=state)


PAGE = Page(route="/jobs/{id:[0-9A-Z]{26}}/tests", template="job_tests.html", context=Context, load=load)
