"""The page `/repos/{owner}/{repo}/artifacts`: what the builds of a repository left behind, newest first."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

import msgspec
from aiohttp import web
from sqlalchemy.engine import Connection

from bot.store import artifacts, subjects
from bot.web import viewing
from bot.web.page import Page, Sources
from bot.web.pages import builds


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What the page shows."""

    now: datetime
    #: `owner/name`.
    repository: str
    kept: tuple[artifacts.Kept, ...]
    size_bytes: int
    #: Query of the page of older builds, or None where there are none.
    older: str | None
    #: Query of the page of the newest builds, or None on it.
    newest: str | None


def make_context(
    found: Sequence[artifacts.Kept], *, repository: str, before_id: str | None, older_id: str | None, now: datetime
) -> Context:
    """:param before_id: only those of builds that are older than this one.
    :param older_id: the build behind which others follow.
    """
    return Context(
        now=now,
        repository=repository,
        kept=tuple(found),
        size_bytes=sum(one.artifact.size_bytes for one in found),
        older=None if older_id is None else f"?before={older_id}",
        newest=None if before_id is None else "?",
    )


def _find(
    connection: Connection, *, repository: str, before_id: str | None, among: Collection[int] | None
) -> tuple[list[artifacts.Kept], str | None]:
    repository_id = subjects.of_name(connection, repository)
    if repository_id is None or (among is not None and repository_id not in among):
        return [], None
    return artifacts.list_of_repository(
        connection, repository=repository, repository_id=repository_id, before_id=before_id
    )


async def load(sources: Sources, request: web.Request) -> Context:
    """Read what is kept."""
    repository = f"{request.match_info['owner']}/{request.match_info['repo']}"
    if not builds.REPOSITORY.fullmatch(repository):
        raise web.HTTPNotFound
    before_id = builds.read_before(request)
    found, older_id = await sources.store.read(
        _find, repository=repository, before_id=before_id, among=viewing.visible(request)
    )
    return make_context(found, repository=repository, before_id=before_id, older_id=older_id, now=sources.clock())


PAGE = Page(route="/repos/{owner}/{repo}/artifacts", template="repository_artifacts.html", context=Context, load=load)
