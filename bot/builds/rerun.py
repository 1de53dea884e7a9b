"""Re-runs: the same plan, trust and commits as the next generation; results that stay good are taken over. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bot.model import approval, build, job, outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Who wants a build again, and which part of it."""

    now: datetime
    new_id: Callable[[], str]
    #: Unique in a repository: a replayed wish is answered once.
    cause: str
    sender: str = ""
    sender_id: int = 0
    delivery_id: str | None = None
    #: The job to run again, with all that need it and what it needs and did not pass; None for all jobs.
    only_key: str | None = None


def why_not(asked: build.Build, *, latest: build.Build | None) -> str | None:
    """Why a build cannot be run again; None if it can.

    :param latest: the newest generation for the same commit.
    """
    if latest is not None and latest.id != asked.id:
        return f"Build {asked.id} is not the newest of commit {asked.head_sha}: build {latest.id} is."
    if asked.waits_for == approval.Consent.RUN_ANYWAY:
        return f"Build {asked.id} waits until somebody runs it anyway: there is nothing to run again yet."
    if asked.state == build.State.WAITING:
        return f"Build {asked.id} waits for approval: there is nothing to run again yet."
    if asked.state not in build.FINAL:
        return f"Build {asked.id} has not ended yet."
    if asked.state == build.State.SKIPPED and asked.trust != build.Trust.TRUSTED:
        return f"Build {asked.id} was never approved, because nothing of it had to run: nothing of it may run either."
    if not asked.plan_digest:
        return f"Build {asked.id} has no jobs, and its commit will never have any: push a new commit."
    return None


def make(origin: build.Build, origin_jobs: Sequence[job.Job], wish: Wish) -> outcome.NewBuild:
    """The next generation of an ended build; its trust is that of the first run."""
    new = replace(
        origin,
        id=wish.new_id(),
        state=build.State.QUEUED,
        reason=None,
        origin_id=origin.id,
        sender=wish.sender or origin.sender,
        sender_id=wish.sender_id or origin.sender_id,
        delivery_id=wish.delivery_id,
        cause=wish.cause,
        created_at=wish.now,
        started_at=None,
        finished_at=None,
    )
    again = _again(origin_jobs, wish.only_key)
    jobs = tuple(_job(one, new, wish, again) for one in origin_jobs)
    return outcome.NewBuild(build=new, jobs=jobs)


def _again(jobs: Sequence[job.Job], only_key: str | None) -> set[str]:
    if only_key is None:
        return {one.plan.key for one in jobs}
    passed = {one.plan.key for one in jobs if one.state == job.State.PASSED}
    again = {only_key}
    for _ in jobs:
        # What needs a job that runs again was decided on a result that no longer counts, and what needs one that did
        # not pass could never run.
        again |= {one.plan.key for one in jobs if again & set(one.plan.needs)}
        again |= {key for one in jobs if one.plan.key in again for key in one.plan.needs} - passed
    return again


def _job(origin: job.Job, new: build.Build, wish: Wish, again: set[str]) -> job.Job:
    fresh = job.Job(
        id=wish.new_id(),
        build_id=new.id,
        position=origin.position,
        plan=origin.plan,
        check_name=origin.check_name,
        # Where all that it needs has passed already, nothing would ever move it on.
        state=job.State.WAITING if again & set(origin.plan.needs) else job.State.QUEUED,
        engine=origin.engine,
        created_at=wish.now,
    )
    return fresh if origin.plan.key in again else with_result_of(origin, fresh)


def with_result_of(origin: job.Job, new: job.Job) -> job.Job:
    """The new job, with the result that another one had."""
    return replace(
        new,
        state=origin.state,
        reason=origin.reason,
        started_at=origin.started_at,
        finished_at=origin.finished_at,
        exit_code=origin.exit_code,
        steps=origin.steps,
        tested_sha=origin.tested_sha,
        tested_tree=origin.tested_tree,
        # The first of a chain: its log is the one there is.
        origin_id=origin.origin_id or origin.id,
    )
