"""Answers: one for each pull request, claimed by one replica at a time, and what is added meanwhile is not lost."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from bot import errors
from bot.model import answer, budget, outcome
from bot.store import answers, budgets, outcomes, places, pulls, replicas
from tests.factories import (
    INSTALLATION_ID,
    NOW,
    REPOSITORY_ID,
    make_answer,
    make_build,
    make_delivery,
    make_entry,
    make_new_build,
    make_pull,
)
from tests.store import database

MINUTE = timedelta(minutes=1)


def _claim(
    connection: sa.Connection, *, now: datetime = NOW, owner: str = "octo", limit: int = 9
) -> list[answer.Answer]:
    return answers.claim_stale(connection, now=now, owner=owner, lease=MINUTE, limit=limit)


def _find(connection: sa.Connection, number: int = 7) -> answer.Answer:
    found = answers.find(connection, repository_id=REPOSITORY_ID, pull_number=number)
    assert found is not None
    return found


def test_commands_are_added_and_the_oldest_are_forgotten(connection: sa.Connection) -> None:
    entries = [make_entry(command=f"/test j{number}") for number in range(answer.KEPT_ENTRIES + 3)]
    for one in entries:
        answers.add(connection, make_answer(one), now=NOW)
    found = _find(connection)
    assert found.entries == tuple(entries[3:])
    assert (found.desired_version, found.reported_version, found.is_stale) == (13, 0, True)


def test_a_claimed_answer_is_nobody_elses_until_its_lease_ends(connection: sa.Connection) -> None:
    answers.add(connection, make_answer(), now=NOW)
    (claimed,) = _claim(connection)
    # As it was before: no attempt may have left a comment behind.
    assert (claimed.create_begun_at, claimed.attempts) == (None, 1)
    assert _claim(connection, owner="mona") == []
    (again,) = _claim(connection, now=NOW + 2 * MINUTE, owner="mona")
    assert (again.create_begun_at, again.attempts) == (NOW, 2)
    with pytest.raises(errors.LeaseLost):
        answers.acknowledge(connection, claimed, github_id=5, now=NOW)
    answers.acknowledge(connection, again, github_id=6, now=NOW)
    found = _find(connection)
    assert (found.github_id, found.is_stale, found.create_begun_at, found.attempts) == (6, False, None, 0)


def test_what_is_added_while_it_is_sent_is_sent_a_moment_later(connection: sa.Connection) -> None:
    answers.add(connection, make_answer(), now=NOW)
    (claimed,) = _claim(connection)
    answers.add(connection, make_answer(), now=NOW)
    answers.acknowledge(connection, claimed, github_id=5, now=NOW)
    assert _find(connection).is_stale
    assert _claim(connection) == []
    assert answers.next_due_at(connection, now=NOW) == NOW + answers.EDIT_PAUSE
    (claimed,) = _claim(connection, now=NOW + answers.EDIT_PAUSE)
    assert len(claimed.entries) == 2


def test_what_failed_waits_and_what_was_given_up_waits_for_the_next_command(connection: sa.Connection) -> None:
    answers.add(connection, make_answer(), now=NOW)
    (claimed,) = _claim(connection)
    answers.fail(connection, claimed, error="It broke.", next_attempt_at=NOW + MINUTE, begun_at=NOW)
    assert _claim(connection) == []
    assert answers.next_due_at(connection, now=NOW) == NOW + MINUTE
    (claimed,) = _claim(connection, now=NOW + MINUTE)
    assert (claimed.create_begun_at, claimed.error) == (NOW, "It broke.")
    answers.give_up(connection, claimed, error="It is locked.")
    assert _claim(connection, now=NOW + 60 * MINUTE) == []
    answers.add(connection, make_answer(), now=NOW + 60 * MINUTE)
    (claimed,) = _claim(connection, now=NOW + 60 * MINUTE)
    assert len(claimed.entries) == 2


def test_a_call_that_was_never_made_is_no_attempt(connection: sa.Connection) -> None:
    answers.add(connection, make_answer(), now=NOW)
    (claimed,) = _claim(connection)
    answers.fail(connection, claimed, error="Wait.", next_attempt_at=NOW, is_counted=False)
    assert _find(connection).attempts == 0


def test_a_comment_that_is_gone_is_made_anew(connection: sa.Connection) -> None:
    answers.add(connection, make_answer(), now=NOW)
    (claimed,) = _claim(connection)
    answers.acknowledge(connection, claimed, github_id=5, now=NOW)
    answers.add(connection, make_answer(), now=NOW)
    later = NOW + MINUTE
    (claimed,) = _claim(connection, now=later)
    answers.forget(connection, claimed, now=later)
    (claimed,) = _claim(connection, now=later)
    assert (claimed.github_id, claimed.create_begun_at) == (None, None)


def test_the_answer_that_waits_longest_goes_first(connection: sa.Connection) -> None:
    for number, seconds in ((7, 2), (8, 1), (9, 3)):
        answers.add(connection, make_answer(pull_number=number), now=NOW + timedelta(seconds=seconds))
    assert [one.pull_number for one in _claim(connection, now=NOW + MINUTE, limit=2)] == [8, 7]


def test_nothing_is_claimed_of_an_installation_that_has_to_wait_or_has_little_left(connection: sa.Connection) -> None:
    answers.add(connection, make_answer(), now=NOW)
    wait = budget.Wait(seconds=30, text="Wait.", is_secondary=False, streak=0)
    budgets.block(connection, INSTALLATION_ID, wait, now=NOW)
    assert _claim(connection) == []
    assert answers.next_due_at(connection, now=NOW) == NOW + timedelta(seconds=30)
    later = NOW + MINUTE
    budgets.spend(connection, INSTALLATION_ID, points=800, told=None, went_well=True, now=later)
    assert _claim(connection, now=later) == []
    assert len(_claim(connection, now=later + 2 * MINUTE)) == 1


def test_a_replica_gives_its_claims_back_when_it_stops(connection: sa.Connection) -> None:
    replicas.start(connection, replica_id="octo", name="octo", now=NOW, is_only=False)
    answers.add(connection, make_answer(), now=NOW)
    _claim(connection)
    replicas.stop(connection, replica_id="octo", now=NOW)
    assert len(_claim(connection, owner="mona")) == 1
    # What it still owned would keep it known.
    replicas.start(connection, replica_id="gone", name="gone", now=NOW, is_only=False)
    _claim(connection, now=NOW + 10 * MINUTE, owner="gone")
    assert replicas.forget_silent(connection, before=NOW + 20 * MINUTE) == 1


def test_an_answer_follows_its_repository(connection: sa.Connection) -> None:
    answers.add(connection, make_answer(), now=NOW)
    places.move(connection, outcome.Move(repository_id=REPOSITORY_ID, repository="hubot/hello", installation_id=99))
    found = _find(connection)
    assert (found.repository, found.installation_id) == ("hubot/hello", 99)
    (claimed,) = _claim(connection)
    answers.fail(connection, claimed, error="It is suspended.", next_attempt_at=NOW + 60 * MINUTE)
    places.revive(connection, outcome.Revival(installation_id=99), now=NOW)
    (claimed,) = _claim(connection)
    answers.fail(connection, claimed, error="It is suspended.", next_attempt_at=NOW + 60 * MINUTE)
    answers.resume(connection, installation_id=99)
    assert len(_claim(connection)) == 1
    places.give_up(connection, outcome.Farewell(repository_id=REPOSITORY_ID, reason="It is gone."))
    assert (_find(connection).is_stale, _find(connection).error) == (False, "It is gone.")


def test_answers_go_when_their_pull_request_is_forgotten(connection: sa.Connection) -> None:
    old = NOW - 40 * 24 * 60 * MINUTE
    for number, at in ((7, old), (8, old), (9, NOW)):
        answers.add(connection, make_answer(pull_number=number), now=at)
    pulls.save(connection, make_pull(number=8, updated_at=NOW), now=NOW)
    assert answers.delete_old(connection, before=NOW - MINUTE, limit=9) == 1
    assert answers.find(connection, repository_id=REPOSITORY_ID, pull_number=7) is None
    assert answers.delete_of_installation(connection, INSTALLATION_ID + 1, limit=9) == 0
    assert answers.delete_of_installation(connection, INSTALLATION_ID, limit=9) == 2


def test_an_answer_is_written_with_what_it_tells_of_or_not_at_all(connection: sa.Connection) -> None:
    new = make_new_build(make_build())
    decided = outcome.Outcome(trail=("It runs.",), builds=(new,), answers=(make_answer(),))
    with pytest.raises(errors.LeaseLost), connection.begin_nested():
        outcomes.apply(connection, make_delivery(), decided, now=NOW)
    assert answers.find(connection, repository_id=REPOSITORY_ID, pull_number=7) is None


def test_of_two_replicas_that_look_at_once_each_gets_other_answers() -> None:
    with database.fresh() as first:
        for number in range(1, 7):
            answers.add(first, make_answer(pull_number=number), now=NOW)
        seen = [one.pull_number for owner in ("a", "b") for one in _claim(first, owner=owner, limit=3)]
        assert sorted(seen) == [1, 2, 3, 4, 5, 6]
