"""Writes one job's move and all that follows from it in its build, as one transaction.

Jobs that waited for it are queued or skipped, the build's verdict is drawn anew, and the checks that no longer show the
truth are marked stale: the reporter finds them there.
"""

from __future__ import annotations

from datetime import datetime

import msgspec
from msgspec.structs import replace
from sqlalchemy.engine import Connection

from bot.builds import lifecycle
from bot.model import build, job
from bot.store import answers, builds, checks, groups, jobs, kept, locks, notifications


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """A job and its build as they stand behind a move."""

    job: job.Job
    of_build: build.Build


def save(connection: Connection, changed: job.Job, *, now: datetime) -> Saved:
    """Write a job's new state and its consequences; gives what was written.

    :raises bot.errors.LeaseLost: if another process took the job over; then nothing is written.
    """
    locks.build(connection, changed.build_id)
    changed = _judged(connection, changed)
    before = {one.id: one for one in jobs.list_of_builds(connection, [changed.build_id])}
    after = {**before, changed.id: changed}
    was = builds.get(connection, changed.build_id)
    for one in lifecycle.ended_by_failure(changed, list(after.values())):
        after[one.id] = _unwanted(one, changed, now=now)
    for job_id, resolved in lifecycle.resolve(list(after.values()), of=was).items():
        finished_at = now if resolved.state in job.FINAL else None
        after[job_id] = replace(after[job_id], state=resolved.state, reason=resolved.reason, finished_at=finished_at)
    for one in after.values():
        if one != before[one.id]:
            jobs.save(connection, one)
            phase = lifecycle.phase(one.state)
            if phase != lifecycle.phase(before[one.id].state):
                if one.state in job.FINAL:
                    kept.note_log(connection, one, repository_id=was.repository_id)
                is_conclusion = phase == lifecycle.Phase.COMPLETED
                checks.mark_stale(
                    connection, build_id=one.build_id, job_id=one.id, is_conclusion=is_conclusion, now=now
                )
    of_build = _save_build(connection, was, list(after.values()), now=now)
    # A comment tells of these at once, and of all else with the next change of the build.
    went_wrong = any(one.state in job.BAD and before[one.id].state not in job.BAD for one in after.values())
    if went_wrong or of_build.state != was.state:
        answers.note_build(connection, of_build, now=now)
    return Saved(job=changed, of_build=of_build)


def _unwanted(one: job.Job, failed: job.Job, *, now: datetime) -> job.Job:
    reason = f"`{failed.plan.name}` of the same matrix did not pass, and `fail-fast` is on."
    if lifecycle.cancel_effect(one.state) == lifecycle.CancelEffect.AT_ONCE:
        state = lifecycle.transition(one.state, lifecycle.Signal.CANCELLED)
        return replace(one, state=state, reason=reason, finished_at=now)
    return replace(one, cancel_requested_at=one.cancel_requested_at or now, cancel_reason=one.cancel_reason or reason)


def _judged(connection: Connection, changed: job.Job) -> job.Job:
    if changed.state != job.State.ERRORED:
        return changed
    # Asked here, not of whoever follows the job: the wish may have come since that one looked.
    wish = jobs.lock_wish(connection, changed.id)
    state = lifecycle.end(changed.state, is_cancel_wanted=wish is not None)
    return changed if state == changed.state else replace(changed, state=state, reason=wish)


def _save_build(connection: Connection, was: build.Build, all_jobs: list[job.Job], *, now: datetime) -> build.Build:
    state = lifecycle.verdict(all_jobs)
    if state == was.state:
        return was
    has_begun = state != build.State.QUEUED
    started_at = was.started_at or (now if has_begun else None)
    finished_at = now if state in build.FINAL else None
    # Why a queued build had to wait says nothing of one that goes on.
    is_going_on = was.state == build.State.QUEUED
    builds.save_state(
        connection, was.id, state=state, started_at=started_at, finished_at=finished_at, forgets_reason=is_going_on
    )
    if state in build.FINAL:
        groups.leave(connection, was)
    phase = lifecycle.phase(state)
    if phase != lifecycle.phase(was.state):
        is_conclusion = phase == lifecycle.Phase.COMPLETED
        checks.mark_stale(connection, build_id=was.id, job_id=None, is_conclusion=is_conclusion, now=now)
    after = replace(was, state=state, started_at=started_at, finished_at=finished_at)
    notifications.note(connection, was, after, now=now)
    return after
