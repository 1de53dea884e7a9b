"""`buildhook builds`: what was built, and stopping or repeating it."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated

import typer
from sqlalchemy.engine import Connection

from bot import clock, errors
from bot.builds import commands, rerun
from bot.cli import opening, options, output, remote, watching
from bot.identity import Ids
from bot.model import build, delivery
from bot.settings import Settings
from bot.shapes import built, delivered, listed
from bot.store import Store, builds, checks, deliveries, jobs, results

app = typer.Typer(help="What was built, and stopping or repeating it.")
_LOOK_SECONDS = 0.1
#: A service is asked less often than a database.
_ASK_SECONDS = 0.5
BuildId = Annotated[str, typer.Argument(help="The build's id.", metavar="ID")]


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option(help="How many, newest first.", min=1, max=10_000)] = 20,
    state: Annotated[build.State | None, typer.Option(help="Only those in this state.")] = None,
    repo: Annotated[str | None, typer.Option(help="Only this repository, as owner/name.")] = None,
    head: Annotated[
        str | None, typer.Option(help="Only pull requests from a branch of this name.", metavar="BRANCH")
    ] = None,
    sha: Annotated[str | None, typer.Option(help="Only this commit, by its whole id.", metavar="SHA")] = None,
    server: remote.Url = None,
    as_json: options.Json = False,
) -> None:
    """List builds, newest first.

    Example: buildhook builds list --state failed
    """

    async def work(store: Store, _settings: Settings) -> list[built.Build]:
        states = () if state is None else (state,)
        found = await store.read(
            builds.list_newest, limit=limit, repository=repo, states=states, head_ref=head, head_sha=sha
        )
        return [built.of_build(one) for one in found]

    async def ask(there: remote.Server) -> list[built.Build]:
        asked = {"state": state, "repository": repo, "head": head, "sha": sha}
        return await there.some("/builds", listed.Builds, limit=limit, **asked)

    found = opening.with_server(server, ask, otherwise=work)
    if as_json:
        output.json(found)
        return
    rows = [
        (
            one.id,
            output.state(one.state),
            output.clean(one.repository),
            output.clean(f"#{one.pull_number}" if one.pull_number else one.ref.removeprefix("refs/heads/")),
            one.head_sha[:7],
            output.duration(one.started_at, one.finished_at),
            output.ago(one.created_at),
            output.clean(one.title),
        )
        for one in found
    ]
    columns = ("id", "state", "repository", "ref", "commit", "took", "created", "title")
    output.table(columns, rows, empty="No builds yet.")


@app.command()
def show(build_id: BuildId, server: remote.Url = None, as_json: options.Json = False) -> None:
    """Show one build: its jobs, and its checks on GitHub.

    Example: buildhook builds show 01JZZZ1X5GQKSTZ8V0A9E2M3N4
    """

    async def work(store: Store, _settings: Settings) -> tuple[built.WholeBuild, tuple[build.Problem, ...]]:
        found = await store.read(builds.get, build_id)
        return await store.read(whole, build_id), found.problems

    async def ask(there: remote.Server) -> tuple[built.WholeBuild, tuple[build.Problem, ...]]:
        return await there.get(f"/builds/{remote.part_of(build_id)}", built.WholeBuild), ()

    found, problems = opening.with_server(server, ask, otherwise=work)
    if as_json:
        output.json(found)
        return
    output.facts(
        {
            "build": found.id,
            "repository": output.clean(found.repository),
            "ref": output.clean(found.ref),
            "commit": found.head_sha,
            "base": found.base_sha,
            "title": output.clean(found.title),
            "state": output.state(found.state),
            "reason": output.clean(found.reason) if found.reason else None,
            "generation": str(found.generation),
            "took": output.duration(found.started_at, found.finished_at),
            "delivery": found.delivery_id,
        }
    )
    for problem in problems:
        output.console().print(f"  {output.clean(f'{problem.path}:{problem.line}:{problem.column}: {problem.text}')}")
    rows = [
        (
            one.id,
            output.state(one.state),
            output.clean(one.name),
            output.duration(one.started_at, one.finished_at),
            _tests(one.results),
            output.clean(one.reason or ""),
        )
        for one in found.jobs
    ]
    output.table(("job", "state", "name", "took", "tests", "why"), rows, empty="No jobs.")


@app.command()
def watch(
    build_id: BuildId,
    exit_status: watching.ExitStatus = False,
    server: remote.Url = None,
    as_json: options.Json = False,
) -> None:
    """Show a build until it has ended: a tree of its jobs and steps on a terminal, else a line for each change.

    With --json each change is a line of JSON. It goes on where the connection was lost. Ctrl-C ends the watching only.

    Example: buildhook builds watch 01JZZZ1X5GQKSTZ8V0A9E2M3N4 --exit-status
    """
    view = watching.view(as_json=as_json)

    async def work(store: Store, _settings: Settings) -> built.WholeBuild:
        return await watching.follow(
            lambda: store.read(whole, build_id), view=view, every_seconds=watching.LOOK_SECONDS
        )

    async def ask(there: remote.Server) -> built.WholeBuild:
        path = f"/builds/{remote.part_of(build_id)}"
        return await watching.follow(
            lambda: there.get(path, built.WholeBuild), view=view, every_seconds=watching.ASK_SECONDS
        )

    with watching.interruptible():
        found = opening.with_server(server, ask, otherwise=work)
    if exit_status:
        watching.expect(found)


@app.command()
def cancel(build_id: BuildId, server: remote.Url = None, as_json: options.Json = False) -> None:
    """Stop a build. Its jobs end within seconds and its checks say so.

    Example: buildhook builds cancel 01JZZZ1X5GQKSTZ8V0A9E2M3N4
    """

    async def work(store: Store, _settings: Settings) -> built.Cancelling:
        await store.write(
            commands.cancel,
            build_id,
            now=clock.now(),
            reason="It was cancelled on the command line.",
            by=opening.actor(),
        )
        return built.Cancelling(id=build_id)

    async def ask(there: remote.Server) -> built.Cancelling:
        return await there.post(f"/builds/{remote.part_of(build_id)}/cancel", {}, built.Cancelling)

    asked = opening.with_server(server, ask, otherwise=work)
    if as_json:
        output.json(asked)
    else:
        output.console().print(f"Build {output.clean(build_id)} is being cancelled.")


@app.command()
def retry(
    build_id: BuildId,
    failed: Annotated[bool, typer.Option("--failed", help="The jobs that did not pass, and what needs them.")] = False,
    job_names: Annotated[
        list[str] | None,
        typer.Option("--job", help="This job and what needs it; may be given more than once.", metavar="NAME"),
    ] = None,
    server: remote.Url = None,
    as_json: options.Json = False,
) -> None:
    """Run jobs of an ended build again, on the same commit: all of them, unless an option says which.

    Example: buildhook builds retry 01JZZZ1X5GQKSTZ8V0A9E2M3N4 --failed
    """
    which = rerun.Which(only_failed=failed, names=tuple(job_names or ()))

    async def work(store: Store, _settings: Settings) -> built.Build:
        made = await store.write(
            commands.retry, build_id, now=clock.now(), new_id=Ids(), which=which, by=opening.actor()
        )
        return built.of_build(made)

    async def ask(there: remote.Server) -> built.Build:
        if which.names:
            raise errors.Conflict("A service is not asked for single jobs: leave out --job, or say --failed.")
        return await there.post(f"/builds/{remote.part_of(build_id)}/retry", {"only_failed": failed}, built.Build)

    made = opening.with_server(server, ask, otherwise=work)
    if as_json:
        output.json(made)
    else:
        output.console().print(f"Build {made.id} runs {output.clean(str(which))} again.")


@app.command()
def start(
    repo: Annotated[str, typer.Argument(help="The repository, as owner/name.", metavar="OWNER/NAME")],
    ref: Annotated[
        str | None, typer.Option(help="A branch, or fully qualified, e.g. refs/tags/v1; else the default branch.")
    ] = None,
    given: Annotated[
        list[str] | None,
        typer.Option("--input", "-f", help="A value for an input; may be given more than once.", metavar="NAME=VALUE"),
    ] = None,
    wait_seconds: Annotated[
        float, typer.Option("--wait", help="How many seconds to wait for the service to take it up.", min=0)
    ] = 10.0,
    server: remote.Url = None,
    as_json: options.Json = False,
) -> None:
    """Build a branch or tag whose pipeline file names `workflow_dispatch`.

    Example: buildhook builds start octo/hello --ref main --input level=debug
    """
    inputs = dict(options.pair(one, option="--input") for one in given or ())

    async def work(store: Store, _settings: Settings) -> tuple[delivered.Delivery, built.Build | None]:
        guid = await store.write(
            commands.start,
            repository=repo,
            ref=ref,
            inputs=inputs,
            new_id=Ids(),
            now=clock.now(),
            by=opening.actor(),
        )
        asked = await _settled(store, guid, wait_seconds=wait_seconds)
        found = await store.read(builds.list_of_delivery, guid)
        return delivered.of_delivery(asked), built.of_build(found[0]) if found else None

    async def ask(there: remote.Server) -> tuple[delivered.Delivery, built.Build | None]:
        place = "/".join(map(remote.part_of, repo.split("/")))
        wish = {"ref": ref, "inputs": inputs}
        begun = await there.post(f"/repositories/{place}/builds", wish, delivered.Starting)
        asked = await _settled_there(there, begun.delivery, wait_seconds=wait_seconds)
        made = await there.get(f"/builds/{asked.builds[0]}", built.Build) if asked.builds else None
        return asked, made

    asked, made = opening.with_server(server, ask, otherwise=work)
    if as_json:
        output.json(delivered.Starting(delivery=asked.id, state=asked.state, build=made.id if made else None))
    elif made is not None:
        output.console().print(f"Build {made.id} of {output.clean(made.ref)} at {made.head_sha[:7]} is {made.state}.")
    elif asked.state in delivery.UNFINISHED:
        output.console().print(f"It waits for the service: `buildhook explain {asked.id}` says what becomes of it.")
    if made is None and asked.state not in delivery.UNFINISHED:
        raise errors.Conflict(output.clean(asked.reason or asked.error or "Nothing follows from it."))


def whole(connection: Connection, build_id: str) -> built.WholeBuild:
    """A build with its jobs, what they left behind, and its checks."""
    its_jobs = jobs.list_of_builds(connection, [build_id])
    return built.of_whole(
        builds.get(connection, build_id),
        its_jobs=its_jobs,
        its_checks=checks.list_of_build(connection, build_id),
        made=results.list_totals(connection, [one.origin_id or one.id for one in its_jobs]),
    )


async def _settled(store: Store, guid: str, *, wait_seconds: float) -> delivery.Delivery:
    """The delivery as soon as it is settled, or as it stands when the time is over."""
    until = time.monotonic() + wait_seconds
    while True:
        found = await store.read(deliveries.find, guid)
        assert found is not None
        if found.state not in delivery.UNFINISHED or time.monotonic() >= until:
            return found
        await asyncio.sleep(_LOOK_SECONDS)


async def _settled_there(there: remote.Server, guid: str, *, wait_seconds: float) -> delivered.ShownDelivery:
    """As `_settled`, asked of a service."""
    until = time.monotonic() + wait_seconds
    while True:
        found = await there.get(f"/deliveries/{guid}", delivered.ShownDelivery)
        if found.state not in delivery.UNFINISHED or time.monotonic() >= until:
            return found
        await asyncio.sleep(_ASK_SECONDS)


def _tests(made: built.Results | None) -> str:
    if made is None or not made.tests.total:
        return ""
    return f"{made.tests.unwell} of {made.tests.total} failed" if made.tests.unwell else f"{made.tests.total} ok"
