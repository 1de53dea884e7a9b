"""The page `/repos/{owner}/{repo}`: a repository's branches, its pull requests, and its builds, newest first."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

import msgspec
from aiohttp import web
from msgspec.structs import replace
from sqlalchemy.engine import Connection

from bot.builds import caching
from bot.model import build, storage
from bot.store import branches, kept, subjects
from bot.store import builds as build_queries
from bot.store.branches import Brief
from bot.web import trend, viewing
from bot.web.page import Page, Sources, number
from bot.web.pages import builds

#: Branches, and pull requests, on the page.
MOST = 12
_HEADS = "refs/heads/"


class Pull(msgspec.Struct, frozen=True, kw_only=True):
    """A pull request with its newest build."""

    number: int
    newest: Brief
    is_closed: bool


class Branch(msgspec.Struct, frozen=True, kw_only=True):
    """A branch with its newest build."""

    name: str
    newest: Brief
    is_default: bool


class Context(builds.Listed, frozen=True, kw_only=True):
    """What the page shows."""

    #: `owner/name`.
    repository: str
    #: What its newest builds are of, the default branch first, then the newest first.
    branches: tuple[Branch, ...]
    #: The open ones first, then the newest first.
    pulls: tuple[Pull, ...]
    #: How long the builds of `trend_of` took; None where there are too few.
    trend: trend.Trend | None
    trend_of: str
    #: A badge token that was just made: shown once and never again.
    made: str | None
    #: How much it may keep, and keeps.
    room: storage.Room


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored."""

    #: Of this part of the list, and one more if there are older ones.
    builds: Sequence[build.Build] = ()
    #: The newest of all.
    recent: Sequence[Brief] = ()
    closed: Collection[int] = ()
    default_branch: str | None = None
    kept: storage.Kept = msgspec.field(default_factory=storage.Kept)


def make_context(
    found: Found,
    *,
    repository: str,
    chosen: builds.Filter,
    now: datetime,
    most_bytes: int,
    made: str | None = None,
) -> Context:
    """:param chosen: which builds are listed.
    :param most_bytes: how much the repository may keep.
    :param made: a badge token that was just made.
    """
    # The repository stands in the path, so that it is left out of the query.
    listed = builds.make_context(found.builds, chosen=replace(chosen, repository=None), now=now)
    its_branches = _branches(found.recent, found.default_branch)
    trend_of, compared = _compared(found, chosen, its_branches)
    return Context(
        now=listed.now,
        builds=listed.builds,
        filter=listed.filter,
        states=listed.states,
        older=listed.older,
        newest=listed.newest,
        is_live=listed.is_live,
        repository=repository,
        branches=its_branches[:MOST],
        pulls=_pulls(found)[:MOST],
        trend=trend.draw(compared),
        trend_of=trend_of,
        made=made,
        room=storage.Room(kept=found.kept, most_bytes=most_bytes),
    )


def _branches(recent: Sequence[Brief], default: str | None) -> tuple[Branch, ...]:
    newest: dict[str, Brief] = {}
    for one in recent:
        if one.ref.startswith(_HEADS):
            newest.setdefault(one.ref.removeprefix(_HEADS), one)
    made = [Branch(name=name, newest=one, is_default=name == default) for name, one in newest.items()]
    return tuple(sorted(made, key=lambda one: not one.is_default))


def _pulls(found: Found) -> tuple[Pull, ...]:
    newest: dict[int, Brief] = {}
    for one in found.recent:
        if one.pull_number is not None:
            newest.setdefault(one.pull_number, one)
    made = [Pull(number=of, newest=one, is_closed=of in found.closed) for of, one in newest.items()]
    return tuple(sorted(made, key=lambda one: one.is_closed))


def _compared(found: Found, chosen: builds.Filter, its_branches: Sequence[Branch]) -> tuple[str, list[Brief]]:
    """The builds whose times are compared, and what they are of: what was chosen, else the first branch."""
    if chosen.pull_number is not None:
        of = [one for one in found.recent if one.pull_number == chosen.pull_number]
        return f"#{chosen.pull_number}", of
    name = chosen.ref.removeprefix(_HEADS) if chosen.ref is not None else None
    if name is None and its_branches:
        name = its_branches[0].name
    return name or "", [one for one in found.recent if name is not None and one.ref == f"{_HEADS}{name}"]


def _find(connection: Connection, *, repository: str, chosen: builds.Filter, among: Collection[int] | None) -> Found:
    repository_id = subjects.of_name(connection, repository)
    if repository_id is None or (among is not None and repository_id not in among):
        return Found()
    listed = builds.read(connection, chosen, among=(repository_id,))
    recent = branches.list_newest(connection, repository=repository, repository_id=repository_id)
    numbers = dict.fromkeys(one.pull_number for one in recent if one.pull_number is not None)
    newest = build_queries.find(connection, recent[0].id) if recent else None
    return Found(
        builds=listed,
        recent=recent,
        closed=branches.list_closed(connection, repository_id=repository_id, numbers=numbers),
        default_branch=None if newest is None else caching.default_branch(newest),
        kept=kept.of_repository(connection, repository_id),
    )


async def load(sources: Sources, request: web.Request, *, made: str | None = None) -> Context:
    """Read what the path and the query ask for."""
    repository = f"{request.match_info['owner']}/{request.match_info['repo']}"
    if not builds.REPOSITORY.fullmatch(repository):
        raise web.HTTPNotFound
    branch = request.query.get("branch", "").strip()[:255]
    chosen = replace(
        builds.read_filter(request, repository=repository),
        ref=f"{_HEADS}{branch}" if branch else None,
        pull_number=number(request.query, "pull"),
    )
    found = await sources.store.read(_find, repository=repository, chosen=chosen, among=viewing.visible(request))
    return make_context(
        found, repository=repository, chosen=chosen, now=sources.clock(), most_bytes=sources.most_bytes(), made=made
    )


PAGE = Page(route="/repos/{owner}/{repo}", template="repository.html", context=Context, load=load)
