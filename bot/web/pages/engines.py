"""The page `/engines`: which engines there are, what runs on each, how it went there, and what its sandbox held."""

from __future__ import annotations

import platform
from collections.abc import Collection, Sequence
from datetime import datetime

import msgspec
from aiohttp import web
from sqlalchemy.engine import Connection

from bot.model import engine, job
from bot.model.self_test import SelfTest
from bot.store import active, pauses, replicas, self_tests
from bot.web import viewing
from bot.web.page import Page, Sources

#: Jobs that are shown.
MOST_JOBS = 200
#: Ends that tell of the engine, not of the code.
_BROKEN = job.State.ERRORED


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """The last test of an engine's sandbox on one machine."""

    test: SelfTest
    #: Whether it is the machine of the service that answers.
    is_here: bool
    #: The kernel that this machine has by now, where it is another one than at the test.
    kernel_now: str | None


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One engine."""

    name: str
    #: None where the settings name it no more.
    engine: engine.Engine | None
    #: The jobs on it that may be shown, the oldest first.
    running: tuple[active.Active, ...]
    #: How many of the newest jobs ran there, of those that may be shown, and how many of them it could not run.
    ended: int
    errored: int
    newest_at: datetime | None
    #: What its sandbox held, on the machine of this service first; empty for all but operators.
    tried: tuple[Tried, ...]
    #: Whether it was ever tried on the machine of this service.
    is_tried_here: bool


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """One of the services on this database."""

    name: str
    started_at: datetime
    seen_at: datetime
    is_silent: bool


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What the page shows."""

    now: datetime
    #: The default one first, then the operator's order, then those that only earlier jobs ran on.
    rows: tuple[Row, ...]
    max_jobs: int
    #: Why no job starts; None where jobs do.
    trouble: str | None
    #: Empty for all but operators.
    services: tuple[Service, ...]
    has_more: bool
    #: Whether something runs, so that the page looks again.
    is_live: bool


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored."""

    running: Sequence[active.Active] = ()
    ended: Sequence[active.Ended] = ()
    replicas: Sequence[replicas.Replica] = ()
    pause: pauses.Pause | None = None
    self_tests: Sequence[SelfTest] = ()
    #: The machine of this service, and its kernel.
    host: str = ""
    kernel: str = ""


def make_context(known: engine.Engines, found: Found, *, now: datetime) -> Context:
    """:param known: the engines of this service."""
    running = found.running[:MOST_JOBS]
    ordered = sorted(known.all, key=lambda one: not one.is_default)
    names = dict.fromkeys(
        [*(one.name for one in ordered), *(one.job.engine for one in running), *(one.engine for one in found.ended)]
    )
    by_name = {one.name: one for one in known.all}
    trouble = known.trouble
    if found.pause is not None:
        trouble = f"The service stands still: {found.pause.reason}"
    return Context(
        now=now,
        rows=tuple(_row(name, by_name.get(name), running, found) for name in names),
        max_jobs=known.max_jobs,
        trouble=trouble,
        services=tuple(
            Service(name=one.name, started_at=one.started_at, seen_at=one.seen_at, is_silent=one.lease_until <= now)
            for one in found.replicas
        ),
        has_more=len(found.running) > MOST_JOBS,
        is_live=bool(running),
    )


def _row(name: str, known: engine.Engine | None, running: Sequence[active.Active], found: Found) -> Row:
    own = [one for one in found.ended if one.engine == name]
    tried = [_tried(one, found) for one in found.self_tests if one.engine == name]
    return Row(
        name=name,
        engine=known,
        running=tuple(one for one in running if one.job.engine == name),
        ended=sum(one.count for one in own),
        errored=sum(one.count for one in own if one.state == _BROKEN),
        newest_at=max((one.newest_at for one in own if one.newest_at is not None), default=None),
        tried=tuple(sorted(tried, key=lambda one: not one.is_here)),
        is_tried_here=any(one.is_here for one in tried),
    )


def _tried(one: SelfTest, found: Found) -> Tried:
    is_here = one.host == found.host
    return Tried(test=one, is_here=is_here, kernel_now=found.kernel if is_here and one.kernel != found.kernel else None)


def _find(connection: Connection, *, among: Collection[int] | None, is_operator: bool) -> Found:
    return Found(
        running=active.list_running(connection, limit=MOST_JOBS + 1, among=among),
        ended=active.list_lately(connection, among=among),
        replicas=replicas.list_all(connection) if is_operator else (),
        pause=pauses.find(connection),
        self_tests=self_tests.list_all(connection) if is_operator else (),
        host=platform.node(),
        kernel=platform.release(),
    )


async def load(sources: Sources, request: web.Request) -> Context:
    """Read what runs of what may be shown."""
    viewer = viewing.viewer(request)
    found = await sources.store.read(_find, among=viewer.visible(), is_operator=viewer.is_operator)
    return make_context(sources.engines(), found, now=sources.clock())


PAGE = Page(route="/engines", template="engines.html", context=Context, load=load)
