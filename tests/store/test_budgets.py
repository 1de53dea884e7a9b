"""Budgets: who has to wait is left alone by every claim, and what may wait makes room for what may not."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from bot.model import budget, build, check, delivery
from bot.store import budgets, checks, deliveries, outcomes
from tests.factories import INSTALLATION_ID, NOW, make_build, make_new_build, make_verified_delivery

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
_numbers = itertools.count(1)


def _wait(seconds: float, *, is_secondary: bool = False, streak: int = 0) -> budget.Wait:
    return budget.Wait(seconds=seconds, text="GitHub says so.", is_secondary=is_secondary, streak=streak)


def _only(connection: sa.Connection) -> budget.Budget:
    (found,) = budgets.list_all(connection)
    return found


def _check(connection: sa.Connection, **changes: Any) -> build.Build:
    """A build with one check that GitHub has not seen."""
    made = make_build(**{"head_sha": f"{next(_numbers):040x}", **changes})
    return outcomes.create(connection, make_new_build(made), now=NOW)


def _claim(connection: sa.Connection, *, now: datetime = NOW, limit: int = 99) -> list[check.Check]:
    return checks.claim_stale(connection, now=now, owner="octo", lease=MINUTE, limit=limit)


def _show(connection: sa.Connection, made: build.Build, *, now: datetime = NOW) -> None:
    """Let GitHub show a build's check, still in progress."""
    (one,) = [one for one in _claim(connection, now=now) if one.build_id == made.id]
    checks.acknowledge(connection, one, version=1, github_id=1000 + one.id, status="in_progress", now=now)


def _change(connection: sa.Connection, made: build.Build, *, is_conclusion: bool) -> None:
    checks.mark_stale(
        connection, build_id=made.id, job_id=_job_id(connection, made), is_conclusion=is_conclusion, now=NOW
    )


def _job_id(connection: sa.Connection, made: build.Build) -> str | None:
    return checks.list_of_build(connection, made.id)[0].job_id


def test_f34_nothing_of_an_installation_that_waits_is_claimed_and_no_attempt_is_counted(
    connection: sa.Connection,
) -> None:
    waits, free = _check(connection), _check(connection, installation_id=9, repository_id=9)
    new = make_verified_delivery()
    deliveries.insert_many(connection, [new, make_verified_delivery(installation_id=9, ordering_key="b")])
    until = budgets.block(connection, INSTALLATION_ID, _wait(50), now=NOW)
    assert [one.build_id for one in _claim(connection)] == [free.id]
    found = deliveries.claim_next(connection, now=NOW, owner="octo", lease=MINUTE, limit=9)
    assert [one.installation_id for one in found] == [9]
    assert checks.list_of_build(connection, waits.id)[0].attempts == 0
    assert checks.next_due_at(connection, now=NOW) == until == NOW + 50 * SECOND
    assert [one.build_id for one in _claim(connection, now=until)] == [waits.id]
    (late,) = deliveries.claim_next(connection, now=until, owner="octo", lease=MINUTE, limit=9)
    assert (late.id, late.attempts) == (new.guid, 1)


def test_what_tells_of_the_installation_itself_is_handled_during_its_wait(connection: sa.Connection) -> None:
    deliveries.insert_many(connection, [make_verified_delivery(event="installation", action="deleted")])
    budgets.block(connection, INSTALLATION_ID, _wait(100), now=NOW)
    (claimed,) = deliveries.claim_next(connection, now=NOW, owner="octo", lease=MINUTE, limit=9)
    assert claimed.state == delivery.State.HANDLING


def test_of_two_waits_the_later_end_counts(connection: sa.Connection) -> None:
    budgets.block(connection, 7, _wait(100), now=NOW)
    assert budgets.block(connection, 7, _wait(10), now=NOW + SECOND) == NOW + 100 * SECOND
    assert budgets.block(connection, 7, _wait(200), now=NOW + SECOND) == NOW + 201 * SECOND
    assert (_only(connection).blocked_until, _only(connection).blocked_text) == (NOW + 201 * SECOND, "GitHub says so.")
    assert budgets.list_blocked(connection, now=NOW + 201 * SECOND) == []


def test_f35_secondary_limits_in_a_row_double_the_wait_whichever_replica_met_them(connection: sa.Connection) -> None:
    now, waits = NOW, []
    for _ in range(8):
        # Each replica met its first one.
        until = budgets.block(connection, 7, _wait(60, is_secondary=True, streak=1), now=now)
        assert budgets.block(connection, 7, _wait(60, is_secondary=True, streak=1), now=now) == until
        waits.append((until - now).total_seconds())
        now = until
    assert waits == [60, 120, 240, 480, 960, 1920, 3600, 3600]
    budgets.spend(connection, 7, points=5, told=None, went_well=True, now=now)
    until = budgets.block(connection, 7, _wait(60, is_secondary=True, streak=1), now=now)
    assert until - now == MINUTE


def test_points_are_counted_by_the_minute_and_what_github_told_is_kept(connection: sa.Connection) -> None:
    told = budget.Told(limit=5000, remaining=4000, reset_seconds=1800)
    budgets.spend(connection, 7, points=5, told=told, went_well=True, now=NOW)
    budgets.spend(connection, 7, points=6, told=None, went_well=False, now=NOW + 30 * SECOND)
    found = _only(connection)
    assert (found.minute_at, found.minute_points, found.remaining) == (NOW, 11, 4000)
    assert (found.limit_points, found.reset_at) == (5000, NOW + 1800 * SECOND)
    budgets.spend(connection, 7, points=1, told=None, went_well=True, now=NOW + MINUTE)
    assert (_only(connection).minute_at, _only(connection).minute_points) == (NOW + MINUTE, 1)


def test_f34_conclusions_go_before_first_reports_and_these_before_progress(connection: sa.Connection) -> None:
    progress, conclusion = _check(connection), _check(connection)
    for made in (progress, conclusion):
        _show(connection, made)
        checks.release_all(connection)
    first = _check(connection)
    _change(connection, progress, is_conclusion=False)
    _change(connection, conclusion, is_conclusion=True)
    found = _claim(connection, now=NOW + MINUTE)
    assert [one.build_id for one in found] == [conclusion.id, first.id, progress.id]


@pytest.mark.parametrize(
    ("points", "told"),
    [(budgets.PROGRESS_POINTS, None), (1, budget.Told(limit=5000, remaining=999, reset_seconds=600))],
)
def test_f34_progress_is_put_off_when_little_is_left_and_nothing_else_is(
    connection: sa.Connection, points: int, told: budget.Told | None
) -> None:
    made = _check(connection)
    _show(connection, made)
    now = NOW + 3 * SECOND
    budgets.spend(connection, INSTALLATION_ID, points=points, told=told, went_well=True, now=now)
    _change(connection, made, is_conclusion=False)
    first = _check(connection)
    assert [one.build_id for one in _claim(connection, now=now)] == [first.id]
    later = now + (MINUTE if told is None else timedelta(seconds=600))
    assert made.id in [one.build_id for one in _claim(connection, now=later)]
    checks.release_all(connection)
    budgets.spend(connection, INSTALLATION_ID, points=budgets.PROGRESS_POINTS, told=told, went_well=True, now=later)
    _change(connection, made, is_conclusion=True)
    assert made.id in [one.build_id for one in _claim(connection, now=later)]


def test_f36_progress_follows_two_seconds_after_what_was_sent_before_and_is_then_one(
    connection: sa.Connection,
) -> None:
    made = _check(connection)
    _show(connection, made)
    for _ in range(5):
        _change(connection, made, is_conclusion=False)
    assert _claim(connection, now=NOW + checks.PROGRESS_PAUSE - timedelta(microseconds=1)) == []
    assert checks.next_due_at(connection, now=NOW + SECOND) == NOW + checks.PROGRESS_PAUSE
    (claimed,) = _claim(connection, now=NOW + checks.PROGRESS_PAUSE)
    assert (claimed.desired_version, claimed.reported_version) == (6, 1)


def test_a_conclusion_does_not_wait_for_what_was_sent_before(connection: sa.Connection) -> None:
    made = _check(connection)
    _show(connection, made)
    _change(connection, made, is_conclusion=True)
    assert len(_claim(connection)) == 1


def test_f62_repositories_and_installations_take_turns(connection: sa.Connection) -> None:
    for repository_id, installation_id, count in ((1, 1, 6), (2, 1, 3), (3, 2, 2)):
        for _ in range(count):
            _check(connection, repository_id=repository_id, installation_id=installation_id)
    found = [(one.installation_id, one.repository_id) for one in _claim(connection)]
    assert found[:8] == [(1, 1), (2, 3), (1, 2), (2, 3), (1, 1), (1, 2), (1, 1), (1, 2)]
    assert found[8:] == [(1, 1)] * 3


def test_t116_a_repository_that_sent_much_leaves_the_rest_of_the_minute_to_the_others(
    connection: sa.Connection,
) -> None:
    for _ in range(budgets.NOISY_CHECKS):
        _show(connection, _check(connection, repository_id=1))
    noisy = _check(connection, repository_id=1)
    budgets.spend(connection, INSTALLATION_ID, points=budgets.NOISY_POINTS, told=None, went_well=True, now=NOW)
    assert [one.build_id for one in _claim(connection)] == [noisy.id], "nobody else wants any of it"
    checks.release_all(connection)
    other = _check(connection, repository_id=2)
    assert [one.build_id for one in _claim(connection)] == [other.id]
    assert noisy.id in [one.build_id for one in _claim(connection, now=NOW + MINUTE)]
