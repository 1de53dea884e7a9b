"""Replicas: who is silent loses what it claimed, at once and for all; who comes back takes up its own."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from msgspec.structs import replace

from bot import errors
from bot.model import check, delivery, job
from bot.store import bookmarks, checks, deliveries, jobs, outcomes, replicas
from tests.factories import NOW, make_build, make_new_build, make_verified_delivery

HOUR = timedelta(hours=1)
SILENT = replicas.LEASE + timedelta(seconds=1)


def _start(connection: sa.Connection, *names: str, now: timedelta = timedelta(0)) -> None:
    for name in names:
        replicas.start(connection, replica_id=name, name=f"{name}:1", now=NOW + now, is_only=False)


def _claim_all(
    connection: sa.Connection, owner: str, *, after: timedelta = timedelta(0)
) -> tuple[list[delivery.Delivery], list[job.Job], list[check.Check]]:
    now = NOW + after
    return (
        deliveries.claim_next(connection, now=now, owner=owner, lease=HOUR, limit=9),
        jobs.claim_ready(connection, now=now, owner=owner, lease=HOUR, limit=9),
        checks.claim_stale(connection, now=now, owner=owner, lease=HOUR, limit=9),
    )


def _fill(connection: sa.Connection) -> None:
    deliveries.insert_many(connection, [make_verified_delivery()])
    outcomes.create(connection, make_new_build(), now=NOW)


def test_f11_who_is_silent_loses_everything_and_can_write_nothing(connection: sa.Connection) -> None:
    _fill(connection)
    _start(connection, "a", "b")
    (claimed,), (claimed_job,), (claimed_check,) = _claim_all(connection, "a")
    assert _claim_all(connection, "b") == ([], [], [])
    replicas.beat(connection, replica_id="b", name="b:1", now=NOW + HOUR)
    (taken,), (taken_job,), (taken_check,) = _claim_all(connection, "b", after=SILENT)
    assert (taken.id, taken_job.id) == (claimed.id, claimed_job.id)
    with pytest.raises(errors.LeaseLost):
        deliveries.finish(connection, claimed, state=delivery.State.HANDLED, now=NOW, trail=("late",))
    with pytest.raises(errors.LeaseLost):
        jobs.save(connection, replace(claimed_job, state=job.State.STARTING))
    with pytest.raises(errors.LeaseLost):
        checks.acknowledge(connection, claimed_check, version=1, github_id=1, status="queued", now=NOW)
    checks.acknowledge(connection, taken_check, version=1, github_id=1, status="queued", now=NOW)
    deliveries.finish(connection, taken, state=delivery.State.HANDLED, now=NOW, trail=("done",))


def test_who_starts_anew_gives_back_what_it_had_claimed_and_nothing_of_others(connection: sa.Connection) -> None:
    _fill(connection)
    _start(connection, "a", "b")
    _claim_all(connection, "a")
    _start(connection, "b", now=timedelta(seconds=1))
    assert _claim_all(connection, "b", after=timedelta(seconds=2)) == ([], [], [])
    _start(connection, "a", now=timedelta(seconds=1))
    found, found_jobs, _ = _claim_all(connection, "b", after=timedelta(seconds=2))
    assert (len(found), len(found_jobs)) == (1, 1)


def test_who_is_the_only_one_gives_back_everybodys(connection: sa.Connection) -> None:
    _fill(connection)
    _claim_all(connection, "an id from before")
    replicas.start(connection, replica_id="a", name="a", now=NOW, is_only=True)
    found, found_jobs, _ = _claim_all(connection, "a")
    assert (len(found), len(found_jobs)) == (1, 1)
    assert [one.id for one in replicas.list_all(connection)] == ["a"]


def test_who_stops_leaves_at_once(connection: sa.Connection) -> None:
    _fill(connection)
    _start(connection, "a", "b")
    _claim_all(connection, "a")
    replicas.stop(connection, replica_id="a", now=NOW)
    found, found_jobs, _ = _claim_all(connection, "b", after=timedelta(seconds=1))
    assert (len(found), len(found_jobs)) == (1, 1)


def test_jobs_on_an_engine_stay_with_their_machine_until_it_is_long_silent(connection: sa.Connection) -> None:
    _fill(connection)
    _start(connection, "a", "b")
    _, (claimed,), _ = _claim_all(connection, "a")
    running = replace(claimed, state=job.State.RUNNING, started_at=NOW)
    jobs.save(connection, running)
    replicas.stop(connection, replica_id="a", now=NOW)
    assert jobs.claim_lost(connection, silent_since=NOW - timedelta(minutes=5), owner="b") == []
    assert jobs.adopt(connection, now=NOW, owner="b", lease=HOUR, is_only=False) == []
    (back,) = jobs.adopt(connection, now=NOW, owner="a", lease=HOUR, is_only=False)
    assert back.id == running.id
    (lost,) = jobs.claim_lost(connection, silent_since=NOW + timedelta(minutes=5), owner="b")
    with pytest.raises(errors.LeaseLost):
        jobs.save(connection, back)
    jobs.save(connection, replace(lost, state=job.State.ERRORED))


def test_wishes_to_cancel_go_to_the_replica_whose_engine_has_the_job(connection: sa.Connection) -> None:
    made = make_new_build(make_build())
    outcomes.create(connection, made, now=NOW)
    _start(connection, "a", "b")
    (claimed,) = jobs.claim_ready(connection, now=NOW, owner="a", lease=HOUR, limit=1)
    jobs.request_cancel(connection, [made.build.id], now=NOW, reason="Enough.")
    assert [one.id for one in jobs.list_cancel_requested(connection, owner="b")] == [claimed.id], "nothing runs yet"
    jobs.save(connection, replace(claimed, state=job.State.RUNNING))
    assert jobs.list_cancel_requested(connection, owner="b") == []
    assert [one.id for one in jobs.list_cancel_requested(connection, owner="a")] == [claimed.id]


def test_a_replica_that_was_forgotten_is_there_again_with_its_next_beat(connection: sa.Connection) -> None:
    _start(connection, "a", "b")
    assert replicas.forget_silent(connection, before=NOW + HOUR) == 2
    replicas.beat(connection, replica_id="a", name="a", now=NOW)
    assert [one.id for one in replicas.list_all(connection)] == ["a"]


def test_a_replica_that_owns_something_is_not_forgotten(connection: sa.Connection) -> None:
    _fill(connection)
    _start(connection, "a")
    _claim_all(connection, "a")
    assert replicas.forget_silent(connection, before=NOW + HOUR) == 0


def test_a_bookmark_is_kept_until_it_is_removed(connection: sa.Connection) -> None:
    assert bookmarks.find(connection, "here") is None
    bookmarks.save(connection, "here", "1", now=NOW)
    bookmarks.save(connection, "here", "2", now=NOW)
    assert bookmarks.find(connection, "here") == "2"
    bookmarks.delete(connection, "here")
    assert bookmarks.find(connection, "here") is None
