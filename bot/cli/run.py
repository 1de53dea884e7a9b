"""`buildhook run`: the jobs of the pipeline file, on the working tree, planned and sandboxed as the service does it."""

from __future__ import annotations

import asyncio
import enum
from pathlib import Path
from typing import Annotated

import typer

from bot import telemetry
from bot.builds import lifecycle
from bot.cli import opening, options, output, running, worktree
from bot.model import build, job
from bot.settings import Settings
from bot.store import Store, builds

#: Exit status for a build that did not pass.
FAILED_STATUS = 3


class Event(enum.StrEnum):
    """What can be planned for without anybody's webhook."""

    PUSH = "push"
    PULL_REQUEST = "pull_request"
    MERGE_GROUP = "merge_group"
    SCHEDULE = "schedule"
    WORKFLOW_DISPATCH = "workflow_dispatch"


class Network(enum.StrEnum):
    """What jobs reach."""

    NONE = "none"
    FULL = "full"


def run(
    job_name: Annotated[
        str | None, typer.Argument(help="Only this job and what it needs.", metavar="JOB", show_default=False)
    ] = None,
    event: Annotated[Event, typer.Option(help="The event to plan for.")] = Event.PUSH,
    base: Annotated[str, typer.Option(help="The branch that a pull request would go into.")] = "main",
    ref: Annotated[str | None, typer.Option(help="A branch, or fully qualified; else what is checked out.")] = None,
    from_build: Annotated[
        str | None, typer.Option("--from", help="Take the event from this build of the service.", metavar="BUILD")
    ] = None,
    given: Annotated[
        list[str] | None,
        typer.Option("--input", "-f", help="A value for an input of workflow_dispatch.", metavar="NAME=VALUE"),
    ] = None,
    network: Annotated[Network, typer.Option(help="What the jobs reach.")] = Network.NONE,
    as_json: options.Json = False,
) -> None:
    """Run the pipeline file's jobs here: the working tree as it is, also what is not committed, in the same sandbox.

    Example: buildhook run test
    """
    tree = worktree.Tree(Path.cwd())
    asked = running.Asked(
        event=event.value,
        base_ref=base,
        ref=ref,
        inputs=dict(options.pair(one, option="--input") for one in given or ()),
        job_name=job_name,
        origin=None if from_build is None else _origin(from_build),
    )
    telemetry.configure_logs(level="error")
    view = running.View(is_silent=as_json)
    its_jobs = asyncio.run(running.run(tree, asked, network=network.value, view=view))
    verdict = lifecycle.verdict(its_jobs)
    view.verdict(verdict)
    if as_json:
        output.json({"state": verdict, "jobs": [_to_json(one) for one in its_jobs]})
    if verdict not in (build.State.PASSED, build.State.SKIPPED):
        raise typer.Exit(FAILED_STATUS)


def _origin(build_id: str) -> build.Build:
    async def work(store: Store, _settings: Settings) -> build.Build:
        return await store.read(builds.get, build_id)

    return opening.with_store(work)


def _to_json(one: job.Job) -> dict[str, object]:
    names = ("state", "reason", "exit_code", "started_at", "finished_at", "steps", "outputs")
    return {"key": one.plan.key, "name": one.plan.name, **{name: getattr(one, name) for name in names}}
