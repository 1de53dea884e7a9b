"""The API's operations on the service as one sees it: who asks, what waits and why, engines, repositories."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import UNSET, UnsetType
from sqlalchemy.engine import Connection

from bot.builds import caching, explaining, finding
from bot.shapes import built, explained, listed
from bot.store import builds, self_tests
from bot.web import viewing
from bot.web.api import answering, asking
from bot.web.api.asking import Cursor, Part
from bot.web.api.builds import PLACE
from bot.web.api.operation import Asked, Call, Operation

_REPOSITORY_ID = "[1-9][0-9]{0,17}"
_Some = Annotated[int, msgspec.Meta(ge=1, le=50, description="At most so many.")]


class Question(Asked, frozen=True, kw_only=True):
    """What is to be explained."""

    q: Annotated[str, msgspec.Meta(min_length=1, max_length=300, description=explaining.USAGE)]


class QueuePart(Part, frozen=True, kw_only=True):
    """Which part of the queue."""

    cursor: Cursor | UnsetType = UNSET
    limit: _Some = 20


async def tell_me(call: Call) -> listed.Me:
    """Who asks."""
    viewer = viewing.viewer(call.request)
    return listed.Me(
        id=viewer.user_id,
        login=viewer.login or None,
        is_operator=viewer.is_operator,
        may_write=viewer.can_write,
    )


async def list_waiting(call: Call) -> listed.Queue:
    """What waits, and why."""
    query: QueuePart = call.query
    of = ("queue",)
    found = await call.sources.store.read(
        finding.explain_waiting,
        limit=query.limit + 1,
        before_id=asking.read_cursor(query.cursor, of=of, form=PLACE),
        now=call.sources.clock(),
        among=viewing.visible(call.request),
    )
    told = [listed.of_waiting(one) for one in found]
    last = told[: query.limit][-1].id if told else None
    shown, following = answering.part(call.request, told, query=query, last=last, of=of)
    return listed.Queue(items=tuple(shown), next=following)


async def list_engines(call: Call) -> listed.Engines:
    """Where jobs run, and what the sandboxes held."""
    tested = None
    if viewing.viewer(call.request).is_operator:
        tested = await call.sources.store.read(self_tests.list_all)
    return listed.of_engines(call.sources.engines(), tested)


async def explain(call: Call) -> explained.Explanation:
    """Why something was built or not."""
    asked: Question = call.query
    question = explaining.read(asked.q)
    if question is None:
        raise web.HTTPBadRequest(text=explaining.USAGE)
    found = await call.sources.store.read(
        finding.explain, question, now=call.sources.clock(), among=viewing.visible(call.request)
    )
    return explained.of_explanation(found)


async def list_repositories(call: Call) -> listed.Repositories:
    """The repositories that who asks may see."""
    query: Part = call.query
    of = ("repositories",)
    after = int(asking.read_cursor(query.cursor, of=of, form=_REPOSITORY_ID) or 0)
    found = await call.sources.store.read(
        _repositories, after=after, limit=query.limit + 1, among=viewing.visible(call.request)
    )
    last = str(found[: query.limit][-1].id) if found else None
    shown, following = answering.part(call.request, found, query=query, last=last, of=of)
    return listed.Repositories(items=tuple(shown), next=following)


def _repositories(
    connection: Connection, *, after: int, limit: int, among: Collection[int] | None
) -> list[listed.Repository]:
    if among is None:
        seen: Collection[int] = builds.list_repository_ids(connection)
    else:
        seen = builds.repositories_of(connection, among)
    return [_repository(connection, one) for one in sorted(id for id in seen if id > after)[:limit]]


def _repository(connection: Connection, repository_id: int) -> listed.Repository:
    (newest,) = builds.list_newest(connection, limit=1, among=(repository_id,))
    branch = caching.default_branch(newest)
    found = []
    if branch is not None:
        found = builds.list_newest(connection, limit=1, ref=f"refs/heads/{branch}", among=(repository_id,))
    return listed.Repository(
        id=repository_id,
        name=newest.repository,
        default_branch=branch,
        newest=built.of_build(found[0]) if found else None,
    )


OPERATIONS = (
    Operation(
        name="getMe", summary="Who you are here, and what you may do.", path="/me", answer=listed.Me, run=tell_me
    ),
    Operation(
        name="listRepositories",
        summary="The repositories that you may see and builds were made of, with the newest of the default branch.",
        path="/repositories",
        query=Part,
        answer=listed.Repositories,
        run=list_repositories,
    ),
    Operation(
        name="listQueue",
        summary="Builds that wait, and why each does.",
        path="/queue",
        query=QueuePart,
        answer=listed.Queue,
        run=list_waiting,
    ),
    Operation(
        name="listEngines",
        summary="The engines that jobs can come to; for operators also what the last test of each sandbox held.",
        path="/engines",
        answer=listed.Engines,
        run=list_engines,
    ),
    Operation(
        name="explain",
        summary="Why a delivery, a commit or a pull request was built or not.",
        path="/explain",
        query=Question,
        answer=explained.Explanation,
        run=explain,
    ),
)
