"""Where builds are reported: labels follow the repository's id, and what was given up is sent when it can be."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from bot.model import check, outcome
from bot.store import checks, outcomes, places
from tests.factories import INSTALLATION_ID, NOW, REPOSITORY_ID, make_build, make_new_build

MINUTE = timedelta(minutes=1)
MOVE = outcome.Move(repository_id=REPOSITORY_ID, repository="acme/hello", installation_id=9)


def _make(connection: sa.Connection, **changes: object) -> check.Check:
    made = outcomes.create(connection, make_new_build(make_build(**changes)), now=NOW)
    (one,) = checks.list_of_build(connection, made.id)
    return one


def _claim(connection: sa.Connection, minutes: int) -> list[check.Check]:
    return checks.claim_stale(connection, now=NOW + minutes * MINUTE, owner="octo", lease=MINUTE, limit=9)


def test_f40_a_move_changes_the_labels_of_one_repository_only(connection: sa.Connection) -> None:
    moved, other = _make(connection), _make(connection, repository_id=REPOSITORY_ID + 1)
    places.move(connection, MOVE)
    places.move(connection, MOVE)
    found = {one.id: (one.repository, one.installation_id) for one in _claim(connection, 1)}
    assert found == {moved.id: ("acme/hello", 9), other.id: ("octo/hello", INSTALLATION_ID)}


def test_f39_what_is_given_up_is_sent_again_once_it_can_be_and_only_the_newest_of_a_commit(
    connection: sa.Connection,
) -> None:
    older = _make(connection)
    (claimed,) = _claim(connection, 1)
    checks.acknowledge(connection, claimed, version=1, github_id=7, status="completed", now=NOW)
    checks.mark_stale(connection, build_id=older.build_id, job_id=older.job_id, is_conclusion=True, now=NOW)
    newer = _make(connection)
    farewell = outcome.Farewell(reason="octo/hello was deleted.", repository_id=REPOSITORY_ID)
    places.give_up(connection, farewell)
    assert _claim(connection, 2) == []
    places.revive(connection, outcome.Revival(installation_id=INSTALLATION_ID + 1), now=NOW)
    assert _claim(connection, 3) == []
    places.revive(connection, outcome.Revival(installation_id=INSTALLATION_ID, repository_id=REPOSITORY_ID), now=NOW)
    assert [one.id for one in _claim(connection, 4)] == [newer.id]


def test_f39_what_waits_for_long_is_sent_at_once_when_the_repository_is_back(connection: sa.Connection) -> None:
    _make(connection)
    (claimed,) = _claim(connection, 1)
    checks.fail(connection, claimed, error="It is suspended.", next_attempt_at=NOW + 60 * MINUTE)
    assert _claim(connection, 5) == []
    places.revive(connection, outcome.Revival(installation_id=INSTALLATION_ID), now=NOW)
    assert [one.id for one in _claim(connection, 5)] == [claimed.id]


def test_what_was_never_given_up_is_left_as_it_is(connection: sa.Connection) -> None:
    _make(connection)
    (claimed,) = _claim(connection, 1)
    checks.acknowledge(connection, claimed, version=1, github_id=7, status="completed", now=NOW)
    places.revive(connection, outcome.Revival(installation_id=INSTALLATION_ID), now=NOW)
    assert _claim(connection, 2) == []
