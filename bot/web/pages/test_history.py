"""The page `/repos/{owner}/{repo}/tests/{digest}`: how the newest runs of one test ended, on every branch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

import msgspec
from aiohttp import web
from sqlalchemy.engine import Connection

from bot import errors
from bot.model import report
from bot.store import subjects, tests
from bot.web import viewing
from bot.web.page import Page, Sources


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What the page shows."""

    now: datetime
    #: `owner/name`.
    repository: str
    #: What it is called.
    name: str
    #: The newest first.
    runs: tuple[tests.Run, ...]
    failed: int
    #: Commits at which it both passed and did not.
    unsteady: int


def make_context(found: Sequence[tests.Run], *, repository: str, now: datetime) -> Context:
    """:param found: at least one run, the newest first."""
    ends: dict[str, set[bool]] = defaultdict(set)
    for one in found:
        if one.case.state != report.State.SKIPPED:
            ends[one.build.head_sha].add(one.case.state in report.UNWELL)
    return Context(
        now=now,
        repository=repository,
        name=found[0].case.full_name,
        runs=tuple(found),
        failed=sum(one.case.state in report.UNWELL for one in found),
        unsteady=sum(len(of) > 1 for of in ends.values()),
    )


def _find(connection: Connection, *, repository: str, digest: bytes) -> tuple[int | None, list[tests.Run]]:
    repository_id = subjects.of_name(connection, repository)
    if repository_id is None:
        return None, []
    return repository_id, tests.list_runs(connection, repository_id=repository_id, digest=digest)


async def load(sources: Sources, request: web.Request) -> Context:
    """Read the runs. :raises errors.NotFound: if there is none."""
    repository = f"{request.match_info['owner']}/{request.match_info['repo']}"
    digest = bytes.fromhex(request.match_info["digest"])
    repository_id, found = await sources.store.read(_find, repository=repository, digest=digest)
    among = viewing.visible(request)
    if not found or (among is not None and repository_id not in among):
        raise errors.NotFound("No run of such a test is kept.")
    return make_context(found, repository=repository, now=sources.clock())


PAGE = Page(
    route="/repos/{owner}/{repo}/tests/{digest:[0-9a-f]{32}}",
    template="test_history.html",
    context=Context,
    load=load,
)
