"""The page `/`: what runs, what waits and why, what failed last; below that all builds, newest first."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import msgspec
from aiohttp import web
from sqlalchemy.engine import Connection

from bot.builds import explaining, finding
from bot.model import build
from bot.store import builds as build_queries
from bot.store import counts
from bot.web import viewing
from bot.web.page import Page, Sources
from bot.web.pages import builds
from bot.web.pages.queue import Waiting, waiting

#: So many of each are shown; the rest is behind a link.
SHOWN = 5
_BAD = (build.State.FAILED, build.State.ERRORED, build.State.TIMED_OUT)


class Now(msgspec.Struct, frozen=True, kw_only=True):
    """What goes on, of what may be shown."""

    running: tuple[build.Build, ...]
    running_count: int
    waiting: tuple[Waiting, ...]
    waiting_count: int
    #: The newest that did not pass.
    failed: tuple[build.Build, ...]


class Context(builds.Listed, frozen=True, kw_only=True):
    """What the page shows."""

    #: None where a part of the list was asked for: then nothing stands above it.
    going_on: Now | None


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored of what goes on."""

    running: Sequence[build.Build]
    waiting: Sequence[explaining.Explanation]
    failed: Sequence[build.Build]
    counts: Mapping[build.State, int]


def make_context(
    found: Sequence[build.Build], *, chosen: builds.Filter, now: datetime, going_on: Found | None
) -> Context:
    """:param found: the builds of this part of the list, and one more if there are older ones."""
    listed = builds.make_context(found, chosen=chosen, now=now)
    is_still = going_on is None or not (going_on.running or going_on.waiting)
    return Context(
        now=listed.now,
        builds=listed.builds,
        filter=listed.filter,
        states=listed.states,
        older=listed.older,
        newest=listed.newest,
        is_live=listed.is_live or not is_still,
        going_on=None if going_on is None else _now(going_on),
    )


def _now(found: Found) -> Now:
    counted = found.counts
    return Now(
        running=tuple(found.running),
        running_count=counted.get(build.State.RUNNING, 0),
        waiting=tuple(map(waiting, found.waiting)),
        waiting_count=counted.get(build.State.WAITING, 0) + counted.get(build.State.QUEUED, 0),
        failed=tuple(found.failed),
    )


def _find(connection: Connection, *, now: datetime, among: Collection[int] | None) -> Found:
    counted = counts.unfinished_builds(connection, among=among)
    running = (build.State.RUNNING,)
    return Found(
        running=build_queries.list_newest(connection, limit=SHOWN, states=running, among=among) if counted else (),
        waiting=finding.explain_waiting(connection, limit=SHOWN, before_id=None, now=now, among=among)
        if counted
        else (),
        failed=build_queries.list_newest(connection, limit=SHOWN, states=_BAD, among=among),
        counts=counted,
    )


async def load(sources: Sources, request: web.Request) -> Context:
    """Read what the query asks for."""
    chosen = builds.read_filter(request, repository=builds.asked_repository(request))
    among = viewing.visible(request)
    found = await builds.find(sources, chosen, among=among)
    going_on = None
    if chosen == builds.Filter() and found:
        going_on = await sources.store.read(_find, now=sources.clock(), among=among)
    return make_context(found, chosen=chosen, now=sources.clock(), going_on=going_on)


PAGE = Page(route="/", template="home.html", context=Context, load=load)
