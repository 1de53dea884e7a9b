"""Lists of builds on pages: which of them, and which part of the list."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from datetime import datetime
from urllib.parse import urlencode

import msgspec
from aiohttp import web
from sqlalchemy.engine import Connection

from bot.model import build
from bot.store import builds
from bot.web import states
from bot.web.page import Sources, choice

#: Builds on one page.
LIMIT = 50
#: A repository's full name on GitHub.
REPOSITORY = re.compile(r"[A-Za-z0-9._-]{1,100}/[A-Za-z0-9._-]{1,100}", re.ASCII)
_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", re.ASCII)


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which builds are shown."""

    state: build.State | None = None
    #: `owner/name`, or None for all.
    repository: str | None = None
    #: Fully qualified, or None for all; so is the pull request.
    ref: str | None = None
    pull_number: int | None = None
    #: Only older builds than this one, or None for the newest.
    before_id: str | None = None


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a list, as pages show it."""

    now: datetime
    builds: tuple[build.Build, ...]
    filter: Filter
    #: What the filter can be set to.
    states: tuple[build.State, ...]
    #: Query of the page with older builds, or None on the last.
    older: str | None
    #: Query of the page with the newest builds, or None on the first.
    newest: str | None
    #: Whether one of the builds can still change, so that the page looks again.
    is_live: bool


def make_context(found: Sequence[build.Build], *, chosen: Filter, now: datetime, limit: int = LIMIT) -> Listed:
    """:param found: the builds of this page, and one more if there are older ones."""
    shown = tuple(found[:limit])
    kept = {} if chosen.state is None else {"state": str(chosen.state)}
    if chosen.repository is not None:
        kept["repository"] = chosen.repository
    if chosen.ref is not None:
        kept["branch"] = chosen.ref.removeprefix("refs/heads/")
    if chosen.pull_number is not None:
        kept["pull"] = str(chosen.pull_number)
    return Listed(
        now=now,
        builds=shown,
        filter=chosen,
        states=states.BUILD_STATES,
        older="?" + urlencode({**kept, "before": shown[-1].id}) if len(found) > limit else None,
        newest=None if chosen.before_id is None else "?" + urlencode(kept),
        is_live=any(states.is_live(one) for one in shown),
    )


def asked_repository(request: web.Request) -> str | None:
    """The repository that the query names, if it names one.

    :raises web.HTTPBadRequest: if it is none.
    """
    repository = request.query.get("repository", "").strip() or None
    if repository is not None and not REPOSITORY.fullmatch(repository):
        raise web.HTTPBadRequest(text="`repository` is a full name like octo/hello.")
    return repository


def read_filter(request: web.Request, *, repository: str | None) -> Filter:
    """What the query asks for.

    :raises web.HTTPBadRequest: if it asks for what cannot be.
    """
    state = choice(request.query, "state", states.BUILD_STATES)
    return Filter(
        state=None if state is None else build.State(state), repository=repository, before_id=read_before(request)
    )


def read_before(request: web.Request) -> str | None:
    """The build behind which a list goes on; None at its beginning.

    :raises web.HTTPBadRequest: if it is no build's id.
    """
    before_id = request.query.get("before") or None
    if before_id is not None and not _ULID.fullmatch(before_id):
        raise web.HTTPBadRequest(text="`before` is the id of a build.")
    return before_id


async def find(sources: Sources, chosen: Filter, *, among: Collection[int] | None) -> list[build.Build]:
    """The builds of one page, and one more if there are older ones.

    :param among: the repositories that may be shown; None for all.
    """
    return await sources.store.read(read, chosen, among=among)


def read(connection: Connection, chosen: Filter, *, among: Collection[int] | None) -> list[build.Build]:
    """As `find`, within a transaction."""
    return builds.list_newest(
        connection,
        limit=LIMIT + 1,
        before_id=chosen.before_id,
        repository=chosen.repository,
        states=() if chosen.state is None else (chosen.state,),
        ref=chosen.ref,
        pull_number=chosen.pull_number,
        among=among,
    )
