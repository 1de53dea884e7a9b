"""The page `/repos/{owner}/{repo}`: the builds of one repository, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from aiohttp import web

from bot.model import build
from bot.web import viewing
from bot.web.page import Page, Sources
from bot.web.pages import builds


@dataclass(frozen=True, slots=True, kw_only=True)
class Context(builds.Listed):
    """What the page shows."""

    #: `owner/name`.
    repository: str


def make_context(found: Sequence[build.Build], *, repository: str, chosen: builds.Filter, now: datetime) -> Context:
    """:param found: the builds of this page, and one more if there are older ones."""
    # The repository stands in the path, so that it is left out of the query.
    listed = builds.make_context(found, chosen=replace(chosen, repository=None), now=now)
    return Context(
        now=listed.now,
        builds=listed.builds,
        filter=listed.filter,
        states=listed.states,
        older=listed.older,
        newest=listed.newest,
        is_live=listed.is_live,
        repository=repository,
    )


async def load(sources: Sources, request: web.Request) -> Context:
    """Read what the path and the query ask for."""
    repository = f"{request.match_info['owner']}/{request.match_info['repo']}"
    if not builds.REPOSITORY.fullmatch(repository):
        raise web.HTTPNotFound
    chosen = builds.read_filter(request, repository=repository)
    found = await builds.find(sources, chosen, among=viewing.visible(request))
    return make_context(found, repository=repository, chosen=chosen, now=sources.clock())


PAGE = Page(route="/repos/{owner}/{repo}", template="repository.html", context=Context, load=load)
