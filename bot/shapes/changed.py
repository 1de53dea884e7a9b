"""What changed in a build between two looks at it, as programs that watch one read it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from bot.shapes import built
from bot.shapes.shape import Instant, Shape


class Change(Shape, frozen=True, kw_only=True):
    """The build, one of its jobs, or a step of that stands in another state now."""

    #: When it was seen.
    at: Instant
    build: str
    #: None where it is the build itself.
    job: str | None
    #: The job's name; the build's repository where it is the build itself.
    name: str
    #: Position in the job's steps, from 0; None where it is no step.
    step: int | None
    step_name: str | None
    state: str
    reason: str | None
    started_at: Instant | None
    finished_at: Instant | None


def between(before: built.WholeBuild | None, after: built.WholeBuild, *, at: datetime) -> Iterator[Change]:
    """What changed, in the order that a reader expects: a build that begins before its jobs, one that ended after them.

    :param before: None, or another build, where nothing of this one was seen yet.
    """
    if before is None or before.id != after.id:
        yield _of_build(after, at=at)
        before = None
    seen = {} if before is None else {one.id: one for one in before.jobs}
    for one in after.jobs:
        yield from _of_job(seen.get(one.id), one, build_id=after.id, at=at)
    if before is not None and before.state != after.state:
        yield _of_build(after, at=at)


def _of_build(one: built.WholeBuild, *, at: datetime) -> Change:
    return Change(
        at=at,
        build=one.id,
        job=None,
        name=one.repository,
        step=None,
        step_name=None,
        state=one.state,
        reason=one.reason,
        started_at=one.started_at,
        finished_at=one.finished_at,
    )


def _of_job(before: built.Job | None, after: built.Job, *, build_id: str, at: datetime) -> Iterator[Change]:
    has_moved = before is None or before.state != after.state
    is_over = has_moved and after.finished_at is not None
    moved = Change(
        at=at,
        build=build_id,
        job=after.id,
        name=after.name,
        step=None,
        step_name=None,
        state=after.state,
        reason=after.reason,
        started_at=after.started_at,
        finished_at=after.finished_at,
    )
    if has_moved and not is_over:
        yield moved
    states = {} if before is None else {step.index: step.state for step in before.steps}
    for step in after.steps:
        if states.get(step.index) != step.state:
            yield Change(
                at=at,
                build=build_id,
                job=after.id,
                name=after.name,
                step=step.index,
                step_name=built.step_name(after, step.index),
                state=step.state,
                reason=None if not step.exit_code else f"exit status {step.exit_code}",
                started_at=step.started_at,
                finished_at=step.finished_at,
            )
    if is_over:
        yield moved
