"""The API's operations on builds."""

from __future__ import annotations

from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import UNSET, UnsetType
from sqlalchemy.engine import Connection

from bot.model import audit, build, delivery
from bot.shapes import built, delivered, listed
from bot.store import artifacts, builds, checks, jobs, results
from bot.web import viewing
from bot.web.actions import by
from bot.web.api import answering, asking
from bot.web.api.asking import Part, Ref, RepositoryName
from bot.web.api.operation import ID, NAME, Asked, Call, Operation

#: What a cursor of a list of builds holds.
PLACE = "[0-7][0-9A-HJKMNP-TV-Z]{25}"
#: GitHub counts in these.
_PullNumber = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1, description="Only those of this pull request.")]
_Head = Annotated[
    str,
    msgspec.Meta(
        pattern="^[^\\u0000-\\u0020\\u007f]{1,255}$",
        description="Only those of pull requests from a branch of this name, in whichever repository.",
    ),
]
_Sha = Annotated[
    str,
    msgspec.Meta(pattern="^([0-9a-f]{40}|[0-9a-f]{64})$", description="Only those of this commit, by its whole id."),
]
_Inputs = Annotated[
    dict[Annotated[str, msgspec.Meta(min_length=1, max_length=100)], str],
    msgspec.Meta(max_length=100, description="Values of the inputs that the pipeline file names."),
]


class WhichBuilds(Part, frozen=True, kw_only=True):
    """Which builds."""

    state: Annotated[build.State, msgspec.Meta(description="Only those in this state.")] | UnsetType = UNSET
    repository: RepositoryName | UnsetType = UNSET
    ref: Ref | UnsetType = UNSET
    pull: _PullNumber | UnsetType = UNSET
    head: _Head | UnsetType = UNSET
    sha: _Sha | UnsetType = UNSET


class Nothing(Asked, frozen=True, kw_only=True):
    """An empty object."""


class Again(Asked, frozen=True, kw_only=True):
    """What of a build runs again."""

    only_failed: Annotated[bool, msgspec.Meta(description="Only the jobs that did not pass, and what needs them.")] = (
        False
    )


class Wish(Asked, frozen=True, kw_only=True):
    """What is to be built."""

    #: None for the default branch.
    ref: Ref | None = None
    inputs: _Inputs = msgspec.field(default_factory=dict)


async def list_(call: Call) -> listed.Builds:
    """The builds that who asks may see."""
    query: WhichBuilds = call.query
    state, repository = asking.given(query.state), asking.given(query.repository)
    ref, pull, head = asking.given(query.ref), asking.given(query.pull), asking.given(query.head)
    sha = asking.given(query.sha)
    of = ("builds", state, repository, ref, pull, head, sha)
    if ref is not None and not ref.startswith("refs/"):
        ref = f"refs/heads/{ref}"
    found = await call.sources.store.read(
        builds.list_newest,
        limit=query.limit + 1,
        before_id=asking.read_cursor(query.cursor, of=of, form=PLACE),
        repository=repository,
        states=() if state is None else (state,),
        ref=ref,
        pull_number=pull,
        head_ref=head,
        head_sha=sha,
        among=viewing.visible(call.request),
    )
    last = found[: query.limit][-1].id if found else None
    shown, following = answering.part(call.request, found, query=query, last=last, of=of)
    return listed.Builds(items=tuple(map(built.of_build, shown)), next=following)


async def show(call: Call) -> built.BuildWithArtifacts:
    """One build."""
    return await call.sources.store.read(_read, call.id)


def _read(connection: Connection, build_id: str) -> built.BuildWithArtifacts:
    its_jobs = jobs.list_of_builds(connection, [build_id])
    ran = [one.origin_id or one.id for one in its_jobs]
    return built.of_all(
        builds.get(connection, build_id),
        its_jobs=its_jobs,
        its_checks=checks.list_of_build(connection, build_id),
        made=results.list_totals(connection, ran),
        kept=artifacts.list_of_jobs(connection, ran),
    )


async def cancel(call: Call) -> built.Cancelling:
    """Ask a build to end."""
    await call.actions.cancel(call.id, by(call.request, via=audit.Via.API))
    return built.Cancelling(id=call.id)


async def retry(call: Call) -> built.Build:
    """Run a build again."""
    body: Again = call.body
    made = await call.actions.retry(call.id, body.only_failed, by(call.request, via=audit.Via.API))
    return built.of_build(await call.sources.store.read(builds.get, made))


async def start(call: Call) -> delivered.Starting:
    """Ask for a build."""
    body: Wish = call.body
    given = call.request.match_info
    asked = await call.actions.start(
        f"{given['owner']}/{given['repo']}", body.ref, body.inputs, by(call.request, via=audit.Via.API)
    )
    return delivered.Starting(delivery=asked, state=delivery.State.RECEIVED, build=None)


OPERATIONS = (
    Operation(
        name="listBuilds",
        summary="Builds of the repositories that you may see, the newest first.",
        path="/builds",
        query=WhichBuilds,
        answer=listed.Builds,
        run=list_,
    ),
    Operation(
        name="getBuild",
        summary="One build with its jobs, checks and artifacts.",
        path=f"/builds/{{id:{ID}}}",
        answer=built.BuildWithArtifacts,
        run=show,
    ),
    Operation(
        name="cancelBuild",
        summary="Ask a build to end. Its jobs end within seconds and its checks say so.",
        method="POST",
        path=f"/builds/{{id:{ID}}}/cancel",
        body=Nothing,
        answer=built.Cancelling,
        status=web.HTTPAccepted.status_code,
        run=cancel,
    ),
    Operation(
        name="retryBuild",
        summary="Run an ended build again on the same commit; gives the new build.",
        method="POST",
        path=f"/builds/{{id:{ID}}}/retry",
        body=Again,
        answer=built.Build,
        status=web.HTTPCreated.status_code,
        run=retry,
    ),
    Operation(
        name="startBuild",
        summary="Build a branch or tag whose pipeline file names `workflow_dispatch`; gives the delivery that asks.",
        method="POST",
        path=f"/repositories/{{owner:{NAME}}}/{{repo:{NAME}}}/builds",
        body=Wish,
        answer=delivered.Starting,
        status=web.HTTPAccepted.status_code,
        run=start,
    ),
)
