"""Pull requests: an older event never overwrites what a newer one told."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from bot.store import pulls
from tests.factories import NOW, REPOSITORY_ID, make_pull
from tests.store import database


def test_what_is_stored_is_given_back_whole(connection: sa.Connection) -> None:
    for number, head_repository_id in ((7, 9), (8, None)):
        seen = make_pull(number=number, head_repository_id=head_repository_id, head_ref="ü#1%2F", runs=True)
        pulls.save(connection, seen, now=NOW)
        assert pulls.find(connection, repository_id=REPOSITORY_ID, number=number) == seen
    assert pulls.find(connection, repository_id=9, number=7) is None


def test_of_two_events_at_one_instant_the_later_heard_counts(connection: sa.Connection) -> None:
    pulls.save(connection, make_pull(), now=NOW)
    pulls.save(connection, make_pull(state="closed"), now=NOW)
    assert pulls.find(connection, repository_id=REPOSITORY_ID, number=7) == make_pull(state="closed")


@given(order=st.permutations(range(5)))
def test_whatever_the_order_of_events_the_newest_is_kept(order: list[int]) -> None:
    with database.fresh() as connection:
        heard: list[int] = []
        for minute in order:
            heard.append(minute)
            seen = make_pull(updated_at=NOW + timedelta(minutes=minute), head_sha=str(minute) * 40)
            pulls.save(connection, seen, now=NOW)
            found = pulls.find(connection, repository_id=REPOSITORY_ID, number=7)
            assert found is not None
            assert found.head_sha == str(max(heard)) * 40


@pytest.mark.parametrize(
    ("changes", "is_found"),
    [
        ({}, True),
        ({"runs": False}, False),
        ({"state": "closed"}, False),
        ({"head_ref": "other"}, False),
        ({"head_repository_id": 9}, False),
        ({"head_repository_id": None}, False),
        ({"repository_id": 9, "head_repository_id": 9}, False),
    ],
)
def test_the_pull_request_that_covers_a_branch_is_found(
    connection: sa.Connection, changes: dict[str, Any], is_found: bool
) -> None:
    pull = make_pull(**{"runs": True, **changes})
    pulls.save(connection, pull, now=NOW)
    found = pulls.find_open_of_branch(connection, repository_id=REPOSITORY_ID, branch="feature")
    assert found == (pull if is_found else None)


def test_of_several_pull_requests_of_a_branch_the_newest_covers_it(connection: sa.Connection) -> None:
    for number in (7, 12, 9):
        pulls.save(connection, make_pull(number=number, runs=True), now=NOW)
    found = pulls.find_open_of_branch(connection, repository_id=REPOSITORY_ID, branch="feature")
    assert found is not None
    assert found.number == 12
