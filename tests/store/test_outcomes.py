"""Outcomes: all that a handler decided is written together with "handled", or nothing of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from msgspec.structs import replace

from bot import errors
from bot.model import build, delivery, job, outcome
from bot.store import Store, builds, checks, deliveries, installations, jobs, outcomes, pulls
from tests.factories import (
    INSTALLATION_ID,
    NOW,
    REPOSITORY_ID,
    make_build,
    make_installation,
    make_job,
    make_new_build,
    make_outcome,
    make_plan,
    make_pull,
    make_pull_build,
    make_verified_delivery,
)

MINUTE = timedelta(minutes=1)


def _claimed(connection: sa.Connection) -> delivery.Delivery:
    deliveries.insert_many(connection, [make_verified_delivery()])
    (claimed,) = deliveries.claim_next(connection, now=NOW, owner="octo", lease=MINUTE, limit=1)
    return claimed


def _full() -> outcome.Outcome:
    return make_outcome(
        trail=("The push to main.", "Builds 2 jobs."),
        builds=(make_new_build(None, make_job(plan=make_plan(name="a")), make_job(plan=make_plan(name="b"))),),
        pulls=(make_pull(),),
        installations=(make_installation(),),
    )


def test_everything_that_was_decided_is_written(connection: sa.Connection) -> None:
    claimed, decided = _claimed(connection), _full()
    (made,) = outcomes.apply(connection, claimed, decided, now=NOW)
    assert (made.generation, builds.get(connection, made.id)) == (1, made)
    assert jobs.list_of_builds(connection, [made.id]) == list(decided.builds[0].jobs)
    assert len(checks.list_of_build(connection, made.id)) == 3
    assert pulls.find(connection, repository_id=REPOSITORY_ID, number=7) == make_pull()
    assert installations.find(connection, INSTALLATION_ID) == make_installation()
    handled = deliveries.find(connection, claimed.id)
    assert handled is not None
    assert (handled.state, handled.trail, handled.reason) == (delivery.State.HANDLED, decided.trail, "Builds 2 jobs.")


def test_what_cannot_concern_us_is_ignored_with_its_reason(connection: sa.Connection) -> None:
    claimed = _claimed(connection)
    assert outcomes.apply(connection, claimed, outcome.ignored("Nothing listens to it."), now=NOW) == []
    stored = deliveries.find(connection, claimed.id)
    assert stored is not None
    assert (stored.state, stored.reason) == (delivery.State.IGNORED, "Nothing listens to it.")


def test_one_that_is_looked_at_again_writes_nothing_else(connection: sa.Connection) -> None:
    claimed = _claimed(connection)
    again = replace(_full(), look_again_at=NOW + MINUTE)
    assert outcomes.apply(connection, claimed, again, now=NOW) == []
    assert builds.list_newest(connection, limit=9) == []
    assert pulls.find(connection, repository_id=REPOSITORY_ID, number=7) is None
    stored = deliveries.find(connection, claimed.id)
    assert stored is not None
    assert (stored.state, stored.next_attempt_at) == (delivery.State.RETRYING, NOW + MINUTE)


async def test_f3_a_handler_that_lost_its_lease_writes_nothing(store: Store) -> None:
    claimed = await store.write(_claimed)
    await store.write(deliveries.requeue, claimed.seq)
    with pytest.raises(errors.LeaseLost):
        await store.write(outcomes.apply, claimed, _full(), now=NOW)
    assert await store.read(builds.list_newest, limit=9) == []
    assert await store.read(installations.find, INSTALLATION_ID) is None


async def test_a_failure_at_the_last_write_takes_back_the_first(store: Store) -> None:
    claimed = await store.write(_claimed)
    new = make_new_build()
    twice = replace(_full(), builds=(new, replace(new, build=make_build(cause=new.build.cause))))
    with pytest.raises(sa.exc.IntegrityError):
        await store.write(outcomes.apply, claimed, twice, now=NOW)
    assert await store.read(builds.list_newest, limit=9) == []
    assert await store.read(deliveries.find, claimed.id) == claimed
    assert await store.write(outcomes.apply, claimed, _full(), now=NOW)


def test_f3_an_outcome_is_written_once_however_often_its_handler_ran(connection: sa.Connection) -> None:
    claimed = _claimed(connection)
    outcomes.apply(connection, claimed, _full(), now=NOW)
    with pytest.raises(errors.LeaseLost):
        outcomes.apply(connection, claimed, _full(), now=NOW)
    assert len(builds.list_newest(connection, limit=9)) == 1


def _create(connection: sa.Connection, made: build.Build, *jobs_of: job.Job, **changes: Any) -> build.Build:
    return outcomes.create(connection, replace(make_new_build(made, *jobs_of), **changes), now=NOW)


def test_a_new_build_asks_the_older_ones_of_its_head_to_end(connection: sa.Connection) -> None:
    older, other = _create(connection, make_build()), _create(connection, make_build(head_sha="a" * 40))
    newer = _create(connection, make_build(), supersedes_reason="Run again.")
    assert newer.generation == 2
    asked = jobs.list_cancel_requested(connection)
    assert [(one.build_id, one.cancel_reason) for one in asked] == [(older.id, "Run again.")]
    assert builds.get(connection, other.id).state == build.State.QUEUED


def test_a_build_that_waits_for_approval_ends_when_it_is_cancelled(connection: sa.Connection) -> None:
    waiting = _create(connection, make_pull_build(state=build.State.WAITING), jobs=())
    (check,) = checks.claim_stale(connection, now=NOW, owner="octo", lease=MINUTE, limit=9)
    checks.acknowledge(connection, check, version=1, github_id=5, status="completed", now=NOW)
    assert outcomes.cancel_build(connection, waiting.id, now=NOW + MINUTE, reason="Closed.")
    ended = builds.get(connection, waiting.id)
    assert (ended.state, ended.reason, ended.finished_at) == (build.State.CANCELLED, "Closed.", NOW + MINUTE)
    assert checks.count_stale(connection) == 1
    assert not outcomes.cancel_build(connection, waiting.id, now=NOW, reason="Again.")


def test_cancelling_what_is_not_there_says_so(connection: sa.Connection) -> None:
    with pytest.raises(errors.NotFound, match="no build x"):
        outcomes.cancel_build(connection, "x", now=NOW, reason="Why not.")


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ({"repository_id": REPOSITORY_ID}, [0, 1, 2]),
        ({"repository_id": REPOSITORY_ID, "pull_number": 7}, [1, 2]),
        ({"repository_id": REPOSITORY_ID, "pull_number": 7, "except_head_sha": "b" * 40}, [1]),
        ({"installation_id": 8}, [3]),
        ({"repository_id": REPOSITORY_ID, "installation_id": 8}, []),
        ({"repository_id": 5}, []),
    ],
)
def test_a_cancellation_reaches_the_builds_that_match_every_field(
    connection: sa.Connection, wish: dict[str, Any], expected: list[int]
) -> None:
    made = [
        _create(connection, make_build()),
        _create(connection, make_pull_build(head_sha="c" * 40)),
        _create(connection, make_pull_build(head_sha="b" * 40)),
        _create(connection, make_build(repository_id=9, installation_id=8)),
    ]
    ended = _create(
        connection, make_pull_build(head_sha="e" * 40, state=build.State.PASSED), make_job(state=job.State.PASSED)
    )
    found = outcomes.cancel(connection, outcome.Cancellation(reason="Gone.", **wish), now=NOW)
    assert [made.index(one) for one in found] == expected
    asked = {one.build_id for one in jobs.list_cancel_requested(connection)}
    assert asked == {made[number].id for number in expected}
    assert builds.get(connection, ended.id) == ended


@pytest.mark.parametrize("heeds", [True, False])
def test_only_a_cancellation_that_heeds_conditions_leaves_jobs_alone(connection: sa.Connection, heeds: bool) -> None:
    plans = [make_plan(key=key, name=key) for key in "ab"]
    made = _create(connection, make_build(), *(make_job(plan=plan) for plan in plans))
    last = jobs.list_of_builds(connection, [made.id])[-1]
    decided = make_outcome(
        cancellations=(outcome.Cancellation(reason="Enough.", repository_id=REPOSITORY_ID, heeds_conditions=heeds),)
    )
    outcomes.apply(connection, _claimed(connection), decided, now=NOW, spares=lambda _, its: [its[-1].id])
    asked = [one.id for one in jobs.list_cancel_requested(connection)]
    assert (len(asked), last.id in asked) == ((1, False) if heeds else (2, True))


def test_an_older_event_about_a_pull_request_changes_nothing(connection: sa.Connection) -> None:
    outcomes.apply(connection, _claimed(connection), make_outcome(pulls=(make_pull(),)), now=NOW)
    late = make_pull(updated_at=NOW - MINUTE, state="closed")
    outcomes.apply(connection, _claimed(connection), make_outcome(pulls=(late,)), now=NOW)
    assert pulls.find(connection, repository_id=REPOSITORY_ID, number=7) == make_pull()
