"""The page `/queue`: every build and every job that waits, and why each does."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

import msgspec
from aiohttp import web
from sqlalchemy.engine import Connection

from bot.builds import explaining, finding
from bot.builds.waiting import why
from bot.model import build, job
from bot.store import active
from bot.web import viewing
from bot.web.page import Page, Sources
from bot.web.pages import builds

#: Builds on one page.
LIMIT = 20
#: Jobs of builds that run already.
MOST_JOBS = 100


#: So many jobs that wait for the same are named.
MOST_NAMES = 12


class Alike(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs of one build that wait for the same."""

    jobs: tuple[job.Job, ...]
    #: How many more there are than are named.
    more: int
    why: str


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A build that waits, or some jobs of one."""

    build: build.Build
    #: One sentence, or two; empty where the build itself runs.
    answer: str = ""
    advice: tuple[str, ...] = ()
    jobs: tuple[Alike, ...] = ()


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What the page shows."""

    now: datetime
    #: The newest first.
    builds: tuple[Waiting, ...]
    #: Builds that run, with those of their jobs that wait; the oldest first.
    partly: tuple[Waiting, ...]
    #: Whether there are more such jobs than are shown.
    has_more: bool
    #: Query of the page with older builds, or None on the last.
    older: str | None
    #: Query of the page with the newest builds, or None on the first.
    newest: str | None
    #: Whether something waits, so that the page looks again.
    is_live: bool


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored."""

    #: Of this page, and one more if there are older ones.
    builds: Sequence[explaining.Explanation]
    jobs: Sequence[active.Active]


def make_context(found: Found, *, before_id: str | None, now: datetime, limit: int = LIMIT) -> Context:
    """:param before_id: only builds that are older than this one are shown."""
    shown = tuple(map(waiting, found.builds[:limit]))
    return Context(
        now=now,
        builds=shown,
        partly=_partly(found.jobs[:MOST_JOBS]),
        has_more=len(found.jobs) > MOST_JOBS,
        older=f"?before={shown[-1].build.id}" if len(found.builds) > limit else None,
        newest=None if before_id is None else "?",
        is_live=bool(found.builds or found.jobs),
    )


def waiting(found: explaining.Explanation) -> Waiting:
    """A build that an explanation is about, with its jobs that wait."""
    made, its_jobs = found.facts.builds[0], found.facts.jobs
    # Of a build with one job, and of jobs that wait as their build does, the answer says it already.
    told = [(one, why(one, of=made, of_build=its_jobs)) for one in its_jobs] if len(its_jobs) > 1 else []
    return Waiting(
        build=made,
        # The line above names it, by its title.
        answer=re.sub(rf"^Build {made.id} ", "It ", found.answer),
        advice=found.advice,
        jobs=_alike((one, text) for one, text in told if text not in (None, made.reason)),
    )


def _alike(told: Iterable[tuple[job.Job, str]]) -> tuple[Alike, ...]:
    """Jobs by what they wait for, in their order."""
    by_why: dict[str, list[job.Job]] = {}
    for one, text in told:
        by_why.setdefault(text, []).append(one)
    return tuple(
        Alike(
            jobs=tuple(jobs[:MOST_NAMES]),
            more=max(0, len(jobs) - MOST_NAMES),
            why=text if len(jobs) == 1 else re.sub("^It ", "Each ", text),
        )
        for text, jobs in by_why.items()
    )


def _partly(found: Sequence[active.Active]) -> tuple[Waiting, ...]:
    by_build: dict[str, tuple[build.Build, list[tuple[job.Job, str]]]] = {}
    for one in found:
        _, jobs = by_build.setdefault(one.build.id, (one.build, []))
        jobs.append((one.job, why(one.job, of=one.build, of_build=one.of_build) or ""))
    return tuple(Waiting(build=made, jobs=_alike(jobs)) for made, jobs in by_build.values())


def _find(connection: Connection, *, before_id: str | None, now: datetime, among: Collection[int] | None) -> Found:
    return Found(
        builds=finding.explain_waiting(connection, limit=LIMIT + 1, before_id=before_id, now=now, among=among),
        jobs=() if before_id is not None else active.list_waiting(connection, limit=MOST_JOBS + 1, among=among),
    )


async def load(sources: Sources, request: web.Request) -> Context:
    """Read what waits of what may be shown."""
    before_id = builds.read_before(request)
    found = await sources.store.read(_find, before_id=before_id, now=sources.clock(), among=viewing.visible(request))
    return make_context(found, before_id=before_id, now=sources.clock())


PAGE = Page(route="/queue", template="queue.html", context=Context, load=load)
