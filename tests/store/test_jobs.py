"""Jobs: claimed oldest first by one owner, saved behind a fence, and a wish to cancel is never lost."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from bot import errors
from bot.model import job
from bot.store import builds, jobs
from tests.databases import on_sqlite
from tests.factories import NOW, make_build, make_job, make_plan, make_step, make_step_result
from tests.store import database

MINUTE = timedelta(minutes=1)
State = job.State


def _insert(connection: sa.Connection, *new: job.Job) -> list[job.Job]:
    owner = builds.insert(connection, make_build())
    made = [replace(one, build_id=owner.id, position=position) for position, one in enumerate(new)]
    jobs.insert_many(connection, made)
    return made


def _claim(connection: sa.Connection, *, after: timedelta = timedelta(0), limit: int = 9) -> list[job.Job]:
    return jobs.claim_ready(connection, now=NOW + after, owner="octo", lease=MINUTE, limit=limit)


def test_what_is_stored_is_given_back_whole(connection: sa.Connection) -> None:
    plan = make_plan(
        key="ü",
        steps=(make_step(run="echo '\u2028 \N{ROCKET}'", env={"A": "b"}, working_directory="x", line=3), make_step()),
        needs=("a", "b"),
        env={"C": "d"},
        timeout_minutes=1.5,
        runs_on="linux",
        line=2,
    )
    (made,) = _insert(
        connection,
        make_job(
            plan=plan,
            state=State.FAILED,
            reason="Because.",
            steps=(make_step_result(), make_step_result(index=1, state="failed", exit_code=1, log_end_bytes=7)),
            exit_code=1,
            log_size_bytes=2**40,
            engine_offset=2**41,
            tested_sha="a" * 40,
            tested_tree="b" * 40,
            started_at=NOW,
            finished_at=NOW,
            cancel_requested_at=NOW,
            cancel_reason="Enough.",
            origin_id="o",
        ),
    )
    assert jobs.find(connection, made.id) == jobs.get(connection, made.id) == made


def test_what_is_not_there_is_none_or_an_error(connection: sa.Connection) -> None:
    jobs.insert_many(connection, [])
    assert jobs.find(connection, "x") is None
    assert jobs.list_of_builds(connection, ["x"]) == jobs.list_of_builds(connection, []) == []
    with pytest.raises(errors.NotFound, match="no job x"):
        jobs.get(connection, "x")


def test_a_job_needs_its_build(connection: sa.Connection) -> None:
    with pytest.raises(sa.exc.IntegrityError), connection.begin_nested():
        jobs.insert_many(connection, [make_job()])


def test_jobs_are_listed_by_build_and_place(connection: sa.Connection) -> None:
    first, second = _insert(connection, make_job(), make_job()), _insert(connection, make_job())
    assert jobs.list_of_builds(connection, [first[0].build_id]) == first
    assert jobs.list_of_builds(connection, [second[0].build_id, first[0].build_id]) == first + second


def test_ended_jobs_behind_an_id_are_listed(connection: sa.Connection) -> None:
    made = _insert(connection, *(make_job(state=state) for state in (State.PASSED, State.RUNNING, State.FAILED)))
    assert jobs.list_ended_ids(connection, after_id="") == [made[0].id, made[2].id]
    assert jobs.list_ended_ids(connection, after_id=made[0].id) == [made[2].id]


@pytest.mark.parametrize("state", State)
def test_only_queued_jobs_are_claimed(connection: sa.Connection, state: job.State) -> None:
    _insert(connection, make_job(state=state))
    assert len(_claim(connection)) == (1 if state == State.QUEUED else 0)


def test_the_oldest_are_claimed_first_and_once(connection: sa.Connection) -> None:
    made = _insert(connection, make_job(), make_job(), make_job())
    assert [one.id for one in _claim(connection, limit=2)] == [made[0].id, made[1].id]
    assert _claim(connection) == [replace(made[2], epoch=1)]
    assert _claim(connection) == []
    assert [one.state for one in jobs.list_of_builds(connection, [made[0].build_id])] == [State.QUEUED] * 3


def test_a_lease_that_ran_out_is_taken_over_and_the_first_owner_writes_nothing(connection: sa.Connection) -> None:
    _insert(connection, make_job())
    (first,) = _claim(connection)
    assert _claim(connection, after=MINUTE) == []
    (second,) = _claim(connection, after=MINUTE + timedelta(microseconds=1))
    assert (first.epoch, second.epoch) == (1, 2)
    for write in jobs.save, jobs.save_progress:
        with pytest.raises(errors.LeaseLost):
            write(connection, replace(first, state=State.STARTING))
    assert jobs.get(connection, first.id) == second
    jobs.save(connection, replace(second, state=State.STARTING))


def test_a_job_that_is_put_off_is_claimed_at_its_time(connection: sa.Connection) -> None:
    (made,) = _insert(connection, make_job())
    jobs.put_off(connection, made.id, not_before_at=NOW + MINUTE)
    assert _claim(connection, after=MINUTE - timedelta(microseconds=1)) == []
    assert len(_claim(connection, after=MINUTE)) == 1


def test_a_saved_job_keeps_its_lease_only_while_an_engine_may_hold_it(connection: sa.Connection) -> None:
    _insert(connection, make_job())
    (claimed,) = _claim(connection)
    jobs.save(connection, replace(claimed, state=State.STARTING))
    jobs.save(connection, replace(claimed, state=State.QUEUED))
    assert [one.id for one in _claim(connection)] == [claimed.id]


def test_a_wish_to_cancel_that_came_meanwhile_is_kept(connection: sa.Connection) -> None:
    _insert(connection, make_job())
    (claimed,) = _claim(connection)
    assert jobs.request_cancel(connection, [claimed.build_id], now=NOW, reason="Enough.") == 1
    jobs.save(connection, replace(claimed, state=State.STARTING))
    jobs.save_progress(connection, replace(claimed, engine_offset=7, log_size_bytes=5, steps=(make_step_result(),)))
    stored = jobs.get(connection, claimed.id)
    assert (stored.cancel_requested_at, stored.cancel_reason) == (NOW, "Enough.")
    assert (stored.state, stored.engine_offset, stored.log_size_bytes) == (State.STARTING, 7, 5)
    assert jobs.list_cancel_requested(connection) == [stored]


def test_only_unfinished_jobs_are_asked_to_end_and_the_first_reason_stays(connection: sa.Connection) -> None:
    made = _insert(connection, *(make_job(state=state) for state in State))
    (other,) = _insert(connection, make_job())
    unfinished = [one.id for one in made if one.state not in job.FINAL]
    assert jobs.request_cancel(connection, [made[0].build_id], now=NOW, reason="First.") == len(unfinished) == 4
    assert jobs.request_cancel(connection, [made[0].build_id], now=NOW + MINUTE, reason="Second.") == 0
    asked = jobs.list_cancel_requested(connection)
    assert [one.id for one in asked] == unfinished
    assert {(one.cancel_requested_at, one.cancel_reason) for one in asked} == {(NOW, "First.")}
    assert jobs.get(connection, other.id).cancel_requested_at is None
    assert [one.id for one in _claim(connection)] == [other.id]
    assert jobs.request_cancel(connection, [], now=NOW, reason="Nobody.") == 0


def test_adopt_takes_what_an_engine_may_hold_and_leaves_what_was_only_claimed(connection: sa.Connection) -> None:
    made = _insert(connection, *(make_job(state=state) for state in State))
    on_engine = [one for one in made if one.state in job.ON_ENGINE]
    assert len(_claim(connection)) == 1
    adopted = jobs.adopt(connection, now=NOW, owner="mona", lease=MINUTE)
    assert adopted == [replace(one, epoch=one.epoch + 1) for one in on_engine]
    for before in on_engine:
        with pytest.raises(errors.LeaseLost):
            jobs.save(connection, before)
    for one in adopted:
        jobs.save(connection, replace(one, state=State.ERRORED))
    assert jobs.release_queued(connection) == 1
    assert [one.state for one in _claim(connection)] == [State.QUEUED]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_two_owners_never_hold_one_job(data: st.DataObject) -> None:
    with database.fresh() as connection:
        _insert(connection, *(make_job() for _ in range(4)))
        now, held = NOW, dict[str, tuple[job.Job, str]]()
        until = dict[str, datetime]()
        for _ in range(data.draw(st.integers(1, 25))):
            act = data.draw(st.sampled_from(["claim", "save", "wait"]))
            if act == "wait":
                now += timedelta(seconds=data.draw(st.integers(1, 90)))
            elif act == "claim":
                owner = data.draw(st.sampled_from(["octo", "mona"]))
                for one in jobs.claim_ready(connection, now=now, owner=owner, lease=MINUTE, limit=2):
                    assert one.id not in until or until[one.id] < now
                    held[one.id], until[one.id] = (one, owner), now + MINUTE
            elif held:
                one, _ = held.pop(data.draw(st.sampled_from(sorted(held))))
                state = data.draw(st.sampled_from([State.QUEUED, State.PASSED]))
                stored = jobs.get(connection, one.id)
                if stored.epoch == one.epoch:
                    jobs.save(connection, replace(one, state=state))
                    del until[one.id]
                else:
                    with pytest.raises(errors.LeaseLost):
                        jobs.save(connection, replace(one, state=state))


@on_sqlite
@pytest.mark.parametrize("repositories", [1, 10])
def test_a_claim_does_not_cost_the_square_of_what_waits(repositories: int) -> None:
    """Counted in steps of SQLite's machine, which no other load changes."""
    steps = {waiting: _steps_of_a_claim(waiting, repositories) for waiting in (100, 1000)}
    assert steps[1000] < 15 * steps[100], steps


def _steps_of_a_claim(waiting: int, repositories: int) -> int:
    """In hundreds, while so many jobs wait."""
    counted: list[int] = []
    with database.fresh() as connection:
        for number in range(waiting):
            made = builds.insert(
                connection, make_build(repository_id=number % repositories + 1, head_sha=f"{number:040x}")
            )
            jobs.insert_many(connection, [make_job(build_id=made.id)])
        # What is known of the tables leads SQLite to another way through them.
        connection.exec_driver_sql("ANALYZE")
        driver: Any = connection.connection.driver_connection
        driver.set_progress_handler(lambda: counted.append(1), 100)
        assert len(_claim(connection, limit=16)) == 16
        driver.set_progress_handler(None, 0)
    return len(counted)
