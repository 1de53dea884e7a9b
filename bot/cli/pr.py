"""`buildhook pr`: what the service says of a pull request."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from bot import errors
from bot.cli import builds as built_command
from bot.cli import opening, options, output, remote, tree, watching, worktree
from bot.settings import Settings
from bot.shapes import built, listed
from bot.store import Store, builds

app = typer.Typer(help="What the service says of a pull request.")
#: Builds that are looked at to find the pull request of a branch.
_MOST = 100
#: How long a service may take to begin with a push.
_BEGIN_SECONDS = 30.0


@app.callback()
def root() -> None:
    """What the service says of a pull request."""


class _Source(msgspec.Struct, frozen=True, kw_only=True):
    """The builds, wherever they are known."""

    #: Gives those of a repository, the newest first: of a pull request, or of those from a branch.
    list: Callable[[str, int | None, str | None], Awaitable[Sequence[built.Build]]]
    whole: Callable[[str], Awaitable[built.WholeBuild]]
    every_seconds: float


@app.command()
def checks(
    number: Annotated[
        int | None,
        typer.Argument(
            help="The pull request; that of the branch that is checked out here when not given.",
            metavar="NUMBER",
            min=1,
            max=2**31 - 1,
            show_default=False,
        ),
    ] = None,
    repo: Annotated[
        str | None, typer.Option(help="Its repository, as owner/name; else what the remotes here name.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show them until the newest build has ended.")] = False,
    exit_status: watching.ExitStatus = False,
    server: remote.Url = None,
    as_json: options.Json = False,
) -> None:
    """Show the checks of a pull request: those of its newest build, as `buildhook builds watch` with --watch.

    Without a number --watch first waits for the build of what was pushed from here last, for half a minute at most.
    With --exit-status and without --watch it ends with status 1 where the build has not ended yet. --json is that of
    `buildhook builds show`, and with --watch a line for each change.

    Example: buildhook pr checks 7 --watch --exit-status
    """

    async def work(store: Store, _settings: Settings) -> built.WholeBuild:
        async def listing(repository: str, pull: int | None, head: str | None) -> Sequence[built.Build]:
            found = await store.read(
                builds.list_newest, limit=_MOST, repository=repository, pull_number=pull, head_ref=head
            )
            return [built.of_build(one) for one in found]

        async def whole(build_id: str) -> built.WholeBuild:
            return await store.read(built_command.whole, build_id)

        return await _shown(_Source(list=listing, whole=whole, every_seconds=watching.LOOK_SECONDS), asked)

    async def ask(there: remote.Server) -> built.WholeBuild:
        async def listing(repository: str, pull: int | None, head: str | None) -> Sequence[built.Build]:
            return await there.some("/builds", listed.Builds, limit=_MOST, repository=repository, pull=pull, head=head)

        async def whole(build_id: str) -> built.WholeBuild:
            return await there.get(f"/builds/{remote.part_of(build_id)}", built.WholeBuild)

        return await _shown(_Source(list=listing, whole=whole, every_seconds=watching.ASK_SECONDS), asked)

    asked = _Asked(number=number, repository=repo, view=watching.view(as_json=as_json) if watch else None)
    with watching.interruptible():
        found = opening.with_server(server, ask, otherwise=work)
    if not watch:
        if as_json:
            output.json(found)
        else:
            _print(found)
    if exit_status:
        watching.expect(found)


class _Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the command was told."""

    number: int | None
    repository: str | None
    #: None where it is shown once.
    view: watching.View | None


async def _shown(source: _Source, asked: _Asked) -> built.WholeBuild:
    """The newest build of the pull request; watched to its end where that is wanted."""
    if asked.repository is not None and asked.number is not None:
        repository, number = asked.repository, asked.number
    elif asked.view is None or asked.number is not None:
        repository, number = await _found_here(source, asked, worktree.Tree(Path.cwd()))
    else:
        repository, number = await _begun(source, asked, worktree.Tree(Path.cwd()))

    async def look() -> built.WholeBuild:
        # A push, or a re-run, has made another one meanwhile: that is the pull request's now.
        newest = await source.list(repository, number, None)
        if not newest:
            raise errors.NotFound(
                f"There is no build of {repository}#{number}: `buildhook explain {repository}#{number}` says why."
            )
        return await source.whole(newest[0].id)

    if asked.view is None:
        return await look()
    return await watching.follow(look, view=asked.view, every_seconds=source.every_seconds)


async def _begun(source: _Source, asked: _Asked, here: worktree.Tree) -> tuple[str, int]:
    """As `_found_here`, once the build of what was pushed is there: it is made some moments after the push.

    :raises errors.NotFound: if it is not for long.
    """
    pushed, until = here.pushed(), time.monotonic() + _BEGIN_SECONDS
    while True:
        try:
            repository, number = await _found_here(source, asked, here)
        except errors.NotFound:
            if pushed is None or time.monotonic() >= until:
                raise
        else:
            newest = (await source.list(repository, number, None))[:1]
            # Somebody else may have pushed since.
            if pushed is None or any(not here.is_before(one.head_sha, pushed) for one in newest):
                return repository, number
            if time.monotonic() >= until:
                raise errors.NotFound(
                    f"{pushed[:7]} was pushed, and no build of it has begun: `buildhook explain {pushed}` says why."
                )
        await asyncio.sleep(source.every_seconds)


async def _found_here(source: _Source, asked: _Asked, here: worktree.Tree) -> tuple[str, int]:
    """The pull request that the checkout in this folder is about.

    :raises errors.NotFound: if none is found.
    :raises errors.Conflict: if more than one may be meant.
    """
    repositories = (asked.repository,) if asked.repository is not None else here.remote_repositories()
    if not repositories:
        raise errors.NotFound("No remote of this checkout names a repository on a server: say --repo OWNER/NAME.")
    branch = here.upstream_branch()
    number = asked.number or (branch.pull_number if branch is not None else None)
    if number is not None:
        found = [(one, number) for one in repositories if await source.list(one, number, None)]
        return _only(found or [(repositories[0], number)])
    if branch is None:
        raise errors.NotFound("No branch is checked out here: say the number of the pull request.")
    made = [one for name in repositories for one in await source.list(name, None, branch.name)]
    # Anybody can call a branch of a fork so: what is built has to be here, too.
    mine = {(one.repository, one.pull_number or 0) for one in made if here.has_commit(one.head_sha)}
    if len(mine) > 1:
        tips = here.tips()
        mine = {(one.repository, one.pull_number or 0) for one in made if one.head_sha in tips} or mine
    if not mine and made:
        others = ", ".join(sorted({f"#{one.pull_number}" for one in made}))
        raise errors.NotFound(
            f"Pull requests from a branch `{branch.name}` are known ({others}), and none of their commits is here:"
            " fetch, or say the number."
        )
    if not mine:
        raise errors.NotFound(
            f"There is no build of a pull request from the branch `{branch.name}` of {' or '.join(repositories)}:"
            " say the number, or ask `buildhook explain` about the commit."
        )
    return _only(sorted(mine))


def _only(found: Sequence[tuple[str, int]]) -> tuple[str, int]:
    if len(found) > 1:
        names = ", ".join(f"{repository}#{number}" for repository, number in found)
        raise errors.Conflict(f"More than one may be meant ({names}): say the number, and --repo OWNER/NAME.")
    return found[0]


def _print(found: built.WholeBuild) -> None:
    output.console().print(tree.heading(found))
    its_jobs = {one.check: one for one in found.jobs}
    rows = []
    for one in found.checks:
        of = its_jobs.get(one.name)
        took = output.duration(found.started_at, found.finished_at)
        if of is not None:
            took = output.duration(of.started_at, of.finished_at)
        why = (of.reason if of is not None else found.reason) or ""
        if one.error is not None:
            why = f"GitHub does not show it: {one.error}"
        rows.append(
            (output.clean(one.name), output.state(of.state if of is not None else found.state), took, output.clean(why))
        )
    output.table(("check", "state", "took", "why"), rows, empty="No checks.")
    output.console().print(f"[dim]buildhook builds show {found.id}[/]")
