"""Re-runs: the same plan, trust and commits as the next generation; results that stay good are taken over. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime

import msgspec
from msgspec.structs import replace

from bot.builds import lifecycle
from bot.model import approval, build, job, outcome

_NAMES_SHOWN = 20


class Which(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs are wanted again; what is given adds up, and nothing means all."""

    only_failed: bool = False
    #: As a person writes them: hostile text.
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The wanted in words for people."""
        wanted = [f"`{name}`" for name in self.names] + ["what did not pass"] * self.only_failed
        return ", ".join(wanted) if wanted else "all jobs"


ALL = Which()


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """Who wants a build again, and which part of it."""

    now: datetime
    new_id: Callable[[], str]
    #: Unique in a repository: a replayed wish is answered once.
    cause: str
    sender: str = ""
    sender_id: int = 0
    delivery_id: str | None = None
    #: Keys of the jobs to run again, with all that need them and what they need and did not pass; None for all jobs.
    only_keys: frozenset[str] | None = None


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


def keys(of: build.Build, its_jobs: Sequence[job.Job], which: Which) -> frozenset[str] | str:
    """The keys of the jobs that are wanted again, or why there are none."""
    if which == ALL:
        return frozenset(one.plan.key for one in its_jobs)
    found: set[str] = set()
    for name in which.names:
        # A key is a job's own; a name may be that of several.
        named = {one.plan.key for one in its_jobs if name == one.plan.key}
        named = named or {one.plan.key for one in its_jobs if name == one.plan.id}
        named = named or {one.plan.key for one in its_jobs if name in _names(one)}
        if not named:
            return f"Build {of.id} has no job `{name}`; it has {_listed(its_jobs)}."
        found |= named
    if which.only_failed:
        found |= {one.plan.key for one in its_jobs if one.state in job.UNWELL}
    return frozenset(found) or f"No job of build {of.id} failed: there is nothing to run again."


def _names(one: job.Job) -> tuple[str, ...]:
    return one.plan.name, one.check_name, one.check_name.partition(" / ")[2]


def _listed(its_jobs: Sequence[job.Job]) -> str:
    shown = [f"`{one.plan.key}`" for one in its_jobs[:_NAMES_SHOWN]]
    more = [f"{len(its_jobs) - len(shown)} more"] if len(its_jobs) > len(shown) else []
    return ", ".join(shown + more)


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
    again = _again(origin_jobs, wish.only_keys)
    ids = {one.plan.id for one in origin_jobs if one.plan.key in again}
    jobs = tuple(_job(one, new, wish, again, ids) for one in origin_jobs)
    resolved = lifecycle.resolve(jobs, of=new)
    return outcome.NewBuild(build=new, jobs=tuple(lifecycle.moved(one, resolved, now=wish.now) for one in jobs))


def _again(jobs: Sequence[job.Job], only_keys: Collection[str] | None) -> set[str]:
    if only_keys is None:
        return {one.plan.key for one in jobs}
    again = set(only_keys)
    known = -1
    while known != len(again):
        known = len(again)
        # What needs a job that runs again was decided on a result that no longer counts, and what has one that did not
        # pass anywhere before it could never run.
        ids = {one.plan.id for one in jobs if one.plan.key in again}
        again |= {one.plan.key for one in jobs if ids & set(one.plan.needs)}
        again |= {one.plan.key for one in _before(jobs, again) if one.state != job.State.PASSED}
    return again


def _before(jobs: Sequence[job.Job], keys: Collection[str]) -> list[job.Job]:
    """The jobs that these need, and all that those need."""
    needed: set[str] = set()
    left = {need for one in jobs if one.plan.key in keys for need in one.plan.needs}
    while left:
        needed |= left
        left = {need for one in jobs if one.plan.id in left for need in one.plan.needs} - needed
    return [one for one in jobs if one.plan.id in needed]


def _job(origin: job.Job, new: build.Build, wish: Wish, again: set[str], ids: set[str]) -> job.Job:
    plan = origin.plan
    # Where all that it needs has passed already, nothing would ever move it on.
    waits = ids & set(plan.needs) or plan.condition is not None or plan.max_parallel is not None
    fresh = job.Job(
        id=wish.new_id(),
        build_id=new.id,
        position=origin.position,
        plan=origin.plan,
        check_name=origin.check_name,
        state=job.State.WAITING if waits else job.State.QUEUED,
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
        outputs=origin.outputs,
        tested_sha=origin.tested_sha,
        tested_tree=origin.tested_tree,
        images=origin.images,
        # The first of a chain: its log is the one there is.
        origin_id=origin.origin_id or origin.id,
    )
