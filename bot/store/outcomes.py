"""Outcomes: writes all that a handler decided together with "handled", in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime

from msgspec.structs import replace
from sqlalchemy.engine import Connection

from bot import errors, failpoint
from bot.model import approval, build, delivery, job, outcome
from bot.store import (
    answers,
    approvals,
    audit,
    builds,
    checks,
    deliveries,
    groups,
    handler_runs,
    installations,
    jobs,
    locks,
    notifications,
    places,
    pulls,
    repositories,
    schedules,
)

#: Of the jobs of a build that is cancelled, the ids of those that run all the same.
Spares = Callable[[build.Build, Sequence[job.Job]], Collection[str]]


def apply(
    connection: Connection,
    claimed: delivery.Delivery,
    decided: outcome.Outcome,
    *,
    now: datetime,
    hand_on: Sequence[str] = (),
    spares: Spares | None = None,
) -> list[build.Build]:
    """Write an outcome; gives the builds as stored, with their generations.

    :param hand_on: the users' own handlers that take the delivery now.
    :param spares: asked where a cancellation heeds what the jobs' conditions say.
    :raises bot.errors.LeaseLost: if another process claimed the delivery since; then nothing is written.
    :raises bot.errors.Conflict: if a build follows another one than it would now; then nothing is written.
    """
    if decided.look_again_at is not None:
        deliveries.look_again(
            connection, claimed, at=decided.look_again_at, reason=decided.trail[-1], trail=decided.trail
        )
        return []
    locks.repositories(connection, _repository_ids(decided))
    state = delivery.State.IGNORED if decided.is_ignored else delivery.State.HANDLED
    deliveries.finish(connection, claimed, state=state, now=now, trail=decided.trail)
    handler_runs.hand_on(connection, {claimed.seq: hand_on}, now=now)
    for pull in decided.pulls:
        pulls.save(connection, pull, now=now)
    for installation in decided.installations:
        installations.save(connection, installation)
        if installation.state == "active":
            checks.resume(connection, installation_id=installation.id)
            answers.resume(connection, installation_id=installation.id)
    for seen in decided.visibilities:
        repositories.note(connection, seen, now=now)
    for cancellation in decided.cancellations:
        cancel(connection, cancellation, now=now, spares=spares)
    made = [create(connection, new, now=now, spares=spares) for new in decided.builds]
    for times in decided.schedules:
        schedules.save(connection, times, now=now)
    for told in decided.answers:
        answers.add(connection, told, now=now)
    # After all else: it holds for what was just written as well.
    for move in decided.moves:
        places.move(connection, move)
    for farewell in decided.farewells:
        places.give_up(connection, farewell)
    for revival in decided.revivals:
        places.revive(connection, revival, now=now)
    for remark in decided.remarks:
        _note(connection, remark, now=now)
    for entry in decided.audit:
        audit.add(connection, replace(entry, delivery_id=claimed.id), now=now)
    return made


def park(
    connection: Connection,
    claimed: delivery.Delivery,
    *,
    error: str,
    now: datetime,
    hand_on: Sequence[str] = (),
    trail: tuple[str, ...] | None = None,
) -> None:
    """Write that a claimed delivery failed too often. The users' own handlers get it all the same.

    :param trail: the steps until it failed; None leaves what is there.
    :raises bot.errors.LeaseLost: if another process claimed the delivery since; then nothing is written.
    """
    deliveries.fail(connection, claimed, error=error, next_attempt_at=None, trail=trail)
    handler_runs.hand_on(connection, {claimed.seq: hand_on}, now=now)


def _repository_ids(decided: outcome.Outcome) -> set[int]:
    of_builds = {new.build.repository_id for new in decided.builds}
    of_cancellations = {wish.repository_id for wish in decided.cancellations if wish.repository_id is not None}
    of_moves = {move.repository_id for move in decided.moves}
    of_answers = {told.repository_id for told in decided.answers}
    return of_builds | of_cancellations | of_moves | of_answers | {pull.repository_id for pull in decided.pulls}


def create(
    connection: Connection, new: outcome.NewBuild, *, now: datetime, spares: Spares | None = None
) -> build.Build:
    """Insert a build with its jobs and checks, and ask older builds of its head and of its group to end.

    :param spares: asked about those of its group.
    :raises bot.errors.Conflict: if another build of its head was made since it was decided, and that matters.
    """
    locks.repositories(connection, [new.build.repository_id])
    if new.follows is not None and new.follows != builds.latest_generation(connection, new.build):
        raise errors.Conflict(f"Another build of {new.build.head_sha} was made meanwhile: it is decided anew.")
    if new.approval is not None:
        _consent(connection, new.approval)
    older = builds.list_unfinished(connection, repository_id=new.build.repository_id, head_sha=new.build.head_sha)
    _request_cancel(connection, older, now=now, reason=new.supersedes_reason)
    place = groups.find_place(connection, new.build)
    replaced = builds.list_by_ids(connection, place.replaced_ids)
    _request_cancel(connection, replaced, now=now, reason=place.replaced_reason, spares=spares)
    stored = builds.insert(connection, place.build)
    failpoint.reach("build.after_row")
    jobs.insert_many(connection, new.jobs)
    checks.insert_for_build(connection, stored, new.jobs)
    notifications.note(connection, None, stored, now=now)
    answers.note_build(connection, stored, now=now)
    return stored


def _consent(connection: Connection, given: approval.Approval) -> None:
    pull = pulls.find(connection, repository_id=given.repository_id, number=given.pull_number)
    if pull is None or (pull.state, pull.head_sha, pull.base_ref) != ("open", given.head_sha, given.base_ref):
        raise errors.Conflict(f"Pull request #{given.pull_number} changed meanwhile: it is decided anew.")
    approvals.insert(connection, given)


def _note(connection: Connection, remark: outcome.Remark, *, now: datetime) -> None:
    found = builds.find(connection, remark.build_id)
    if found is None or found.state != build.State.WAITING or found.proposal is None:
        return
    builds.save_proposal(connection, found.id, replace(found.proposal, remark=remark.text))
    checks.mark_stale(connection, build_id=found.id, job_id=None, is_conclusion=True, now=now)


def cancel(
    connection: Connection, wish: outcome.Cancellation, *, now: datetime, spares: Spares | None = None
) -> list[build.Build]:
    """Ask the matching builds to end; gives them as they were."""
    found = builds.list_unfinished(
        connection,
        repository_id=wish.repository_id,
        pull_number=wish.pull_number,
        ref=wish.ref,
        head_sha=wish.head_sha,
        except_head_sha=wish.except_head_sha,
        installation_id=wish.installation_id,
    )
    if wish.spares_waiting:
        found = [one for one in found if one.state != build.State.WAITING]
    _request_cancel(connection, found, now=now, reason=wish.reason, spares=spares if wish.heeds_conditions else None)
    return found


def cancel_build(
    connection: Connection, build_id: str, *, now: datetime, reason: str, spares: Spares | None = None
) -> bool:
    """Ask one build to end; False if it had ended before.

    :raises bot.errors.NotFound: if there is no such build.
    """
    found = builds.get(connection, build_id)
    if found.state in build.FINAL:
        return False
    _request_cancel(connection, [found], now=now, reason=reason, spares=spares)
    return True


def _request_cancel(
    connection: Connection, found: list[build.Build], *, now: datetime, reason: str, spares: Spares | None = None
) -> None:
    if not found:
        return
    spared: set[str] = set()
    if spares is not None:
        for one in found:
            spared.update(spares(one, jobs.list_of_builds(connection, [one.id])))
    jobs.request_cancel(connection, [one.id for one in found], now=now, reason=reason, except_ids=spared)
    for one in found:
        # A build that waits for a person has no jobs that could end, so it ends here.
        if one.state == build.State.WAITING:
            builds.save_state(
                connection,
                one.id,
                state=build.State.CANCELLED,
                started_at=one.started_at,
                finished_at=now,
                reason=reason,
            )
            checks.mark_stale(connection, build_id=one.id, job_id=None, is_conclusion=True, now=now)
            after = replace(one, state=build.State.CANCELLED, finished_at=now)
            notifications.note(connection, one, after, now=now)
            answers.note_build(connection, after, now=now)
