"""The page `/builds/{id}`: one build with its jobs, its checks, and what caused it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import msgspec
from aiohttp import web
from sqlalchemy.engine import Connection

from bot.builds import timing, waiting
from bot.checks import titles
from bot.model import artifact, build, check, job
from bot.store import artifacts, builds, checks, jobs
from bot.web import graph, states, waterfall
from bot.web.page import Page, Sources


class CheckLine(msgspec.Struct, frozen=True, kw_only=True):
    """One check run, as GitHub shows it or not."""

    check: check.Check
    #: The name of the drawing.
    icon: str
    #: Whether GitHub shows it as it should be, in words.
    text: str


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What the page shows."""

    now: datetime
    build: build.Build
    #: The jobs, by how many others have to end before them: those of one stage can run side by side.
    stages: tuple[tuple[job.Job, ...], ...]
    #: The stages as a drawing; None where there is only one.
    graph: graph.Graph | None
    #: Why jobs stand where they stand, each with its job.
    remarks: tuple[tuple[job.Job, str], ...]
    #: Where the time went; None where one job says it all.
    waterfall: waterfall.Waterfall | None
    checks: tuple[CheckLine, ...]
    #: What is kept of its jobs' files, each with the job's name.
    artifacts: tuple[tuple[artifact.Artifact, str], ...]
    can_cancel: bool
    can_retry: bool
    #: Whether some of its jobs did not pass, so that these alone can be run again.
    can_retry_failed: bool
    #: Whether the build can still change, so that the page looks again.
    is_live: bool


def make_context(
    made: build.Build,
    *,
    of_build: Sequence[job.Job],
    reported: Sequence[check.Check],
    kept: Sequence[artifact.Artifact] = (),
    now: datetime,
) -> Context:
    """:param of_build: the jobs in order.
    :param kept: the artifacts of these jobs, or of those whose results they took over.
    """
    names = {one.origin_id or one.id: one.plan.name for one in of_build}
    looks = {one.id: states.look(one.state) for one in of_build}
    is_live = states.is_live(made)
    in_stages = stages(of_build)
    told = [(one, _remark(one, made, of_build=of_build)) for one in of_build]
    return Context(
        now=now,
        build=made,
        stages=in_stages,
        graph=graph.draw(in_stages),
        remarks=tuple((one, text) for one, text in told if text is not None),
        waterfall=waterfall.draw(timing.of(of_build, made_at=made.created_at, now=now)),
        checks=tuple(_check_line(one, looks.get(one.job_id or "", states.look(made.state))) for one in reported),
        artifacts=tuple((one, names.get(one.job_id, "")) for one in kept),
        can_cancel=is_live,
        can_retry=not is_live,
        can_retry_failed=not is_live and any(one.state in job.UNWELL for one in of_build),
        is_live=is_live or any(one.is_stale for one in reported),
    )


def _remark(one: job.Job, made: build.Build, *, of_build: Sequence[job.Job]) -> str | None:
    """Why a job stands where it stands, where it is not plain."""
    step = titles.failed_step(one)
    if one.reason and step is not None:
        return f"In step `{step[0].name}`: {one.reason}"
    return one.reason or waiting.why(one, of=made, of_build=of_build)


def stages(of_build: Sequence[job.Job]) -> tuple[tuple[job.Job, ...], ...]:
    """The jobs by depth in the graph of `needs`, those of a matrix together; a need that is not there counts not."""
    by_key: dict[str, list[job.Job]] = {}
    for one in of_build:
        by_key.setdefault(one.plan.id, []).append(one)
    depths = _depths({key: [need for one in group for need in one.plan.needs] for key, group in by_key.items()})
    found: list[list[job.Job]] = [[] for _ in range(max(depths.values(), default=-1) + 1)]
    for one in of_build:
        found[depths[one.plan.id]].append(one)
    return tuple(tuple(stage) for stage in found)


def _depths(needs: Mapping[str, Sequence[str]]) -> dict[str, int]:
    depths = dict.fromkeys(needs, 0)
    # A path is at most as long as there are keys; a circle, which no plan has, ends here too.
    for _ in needs:
        before = dict(depths)
        for key, needed in needs.items():
            depths[key] = max((before[need] + 1 for need in needed if need in before), default=0)
        if depths == before:
            break
    order = {depth: index for index, depth in enumerate(sorted(set(depths.values())))}
    return {key: order[depth] for key, depth in depths.items()}


def _check_line(one: check.Check, look: states.Look) -> CheckLine:
    """:param look: that of what the check is of, which GitHub shows once nothing is left to be sent."""
    if not one.is_stale and one.error is not None:
        return CheckLine(check=one, icon="errored", text="Cannot be shown on GitHub")
    if not one.is_stale and one.github_id is None:
        return CheckLine(check=one, icon="skipped", text="Not sent: a newer build took its place")
    if not one.is_stale:
        return CheckLine(check=one, icon=look.icon, text=f"{look.text}, and GitHub shows it")
    if one.error is not None:
        return CheckLine(check=one, icon="waiting", text="Sending failed; it is tried again")
    text = "Waits to be sent" if one.reported_version == 0 else "A change waits to be sent"
    return CheckLine(check=one, icon="queued", text=text)


def _read(connection: Connection, build_id: str) -> Callable[[datetime], Context]:
    made = builds.get(connection, build_id)
    of_build = jobs.list_of_builds(connection, [made.id])
    reported = checks.list_of_build(connection, made.id)
    kept = artifacts.list_of_jobs(connection, [one.origin_id or one.id for one in of_build])
    return lambda now: make_context(made, of_build=of_build, reported=reported, kept=kept, now=now)


async def load(sources: Sources, request: web.Request) -> Context:
    """Read the build. :raises bot.errors.NotFound: if there is no such build."""
    found = await sources.store.read(_read, request.match_info["id"])
    return found(sources.clock())


PAGE = Page(route="/builds/{id:[0-9A-Z]{26}}", template="build.html", context=Context, load=load)
