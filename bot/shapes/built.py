"""Builds, their jobs and their checks as programs read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from bot.model import artifact, build, check, job, report
from bot.shapes.artifacts import Artifact, of_artifact
from bot.shapes.shape import Instant, Shape, taken


class Build(Shape, frozen=True, kw_only=True):
    """A build: one plan being run for one commit."""

    id: str
    repository: str
    repository_id: int
    event: str
    ref: str
    head_sha: str
    base_sha: str | None
    pull_number: int | None
    generation: int
    title: str
    sender: str
    trust: build.Trust
    state: build.State
    reason: str | None
    delivery_id: str | None
    origin_id: str | None
    created_at: Instant
    started_at: Instant | None
    finished_at: Instant | None


class Results(Shape, frozen=True, kw_only=True):
    """What the report files of a job come to."""

    tests: report.Totals
    findings: int
    coverage: report.Coverage | None
    problems: tuple[str, ...]


class Job(Shape, frozen=True, kw_only=True):
    """A job of a build; its log is at its own address."""

    id: str
    state: job.State
    reason: str | None
    engine: str
    exit_code: int | None
    tested_sha: str | None
    started_at: Instant | None
    finished_at: Instant | None
    origin_id: str | None
    images: dict[str, str]
    key: str
    name: str
    check: str
    #: Names of all its steps, as planned; `steps` tells of those that have begun, by their position.
    step_names: tuple[str, ...]
    steps: tuple[job.StepResult, ...]
    results: Results | None


class Check(Shape, frozen=True, kw_only=True):
    """A check run as GitHub shows it, or why it does not."""

    name: str
    github_id: int | None
    external_id: str
    reported_status: str | None
    reported_at: Instant | None
    error: str | None


class WholeBuild(Build, frozen=True, kw_only=True):
    """A build with its jobs and checks."""

    jobs: tuple[Job, ...]
    checks: tuple[Check, ...]


class BuildWithArtifacts(WholeBuild, frozen=True, kw_only=True):
    """A build with its jobs, its checks and what they left behind."""

    artifacts: tuple[Artifact, ...]


class JobOfBuild(Job, frozen=True, kw_only=True):
    """A job with its build, its files and the size of its log."""

    build_id: str
    created_at: Instant
    #: Of the log; it may still grow.
    log_bytes: int
    artifacts: tuple[Artifact, ...]


class Cancelling(Shape, frozen=True, kw_only=True):
    """A build that was asked to end."""

    id: str
    cancel: Literal["requested"] = "requested"


def of_build(one: build.Build) -> Build:
    """A build alone."""
    return taken(Build, one)


def of_whole(
    one: build.Build,
    *,
    its_jobs: Sequence[job.Job],
    its_checks: Sequence[check.Check],
    made: Mapping[str, report.Results],
) -> WholeBuild:
    """A build with what belongs to it.

    :param made: what jobs left behind, by the id of the job that ran.
    """
    return taken(WholeBuild, one, jobs=_jobs(its_jobs, made), checks=_checks(its_checks))


def of_all(
    one: build.Build,
    *,
    its_jobs: Sequence[job.Job],
    its_checks: Sequence[check.Check],
    made: Mapping[str, report.Results],
    kept: Sequence[artifact.Artifact],
) -> BuildWithArtifacts:
    """As `of_whole`, with the artifacts."""
    return taken(
        BuildWithArtifacts,
        one,
        jobs=_jobs(its_jobs, made),
        checks=_checks(its_checks),
        artifacts=tuple(map(of_artifact, kept)),
    )


def of_job(
    one: job.Job, *, made: report.Results | None, kept: Sequence[artifact.Artifact], log_bytes: int
) -> JobOfBuild:
    """A job with its files."""
    more = _of_plan(one, made)
    return taken(JobOfBuild, one, **more, artifacts=tuple(map(of_artifact, kept)), log_bytes=log_bytes)


def step_name(one: Job, index: int) -> str:
    """What a step is called; an engine may tell of one that the plan does not have."""
    return one.step_names[index] if 0 <= index < len(one.step_names) else f"step {index + 1}"


def of_results(made: report.Results | None) -> Results | None:
    """What a job left behind; None where that is nothing."""
    if made is None:
        return None
    return Results(
        tests=made.totals, findings=made.findings_total, coverage=made.coverage, problems=tuple(made.problems)
    )


def _jobs(its_jobs: Sequence[job.Job], made: Mapping[str, report.Results]) -> tuple[Job, ...]:
    return tuple(taken(Job, one, **_of_plan(one, made.get(one.origin_id or one.id))) for one in its_jobs)


def _checks(its_checks: Sequence[check.Check]) -> tuple[Check, ...]:
    return tuple(taken(Check, one) for one in its_checks)


def _of_plan(one: job.Job, made: report.Results | None) -> dict[str, object]:
    return {
        "images": dict(one.images),
        "key": one.plan.key,
        "name": one.plan.name,
        "check": one.check_name,
        "step_names": tuple(step.name for step in one.plan.steps),
        "results": of_results(made),
    }
