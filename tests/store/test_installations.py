"""Installations: an older event never overwrites what a newer one told."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from bot.store import installations
from tests.factories import INSTALLATION_ID, NOW, make_installation
from tests.store import database


def test_what_is_stored_is_given_back_whole(connection: sa.Connection) -> None:
    seen = make_installation(account="ü", permissions={"checks": "write", "nested": {"a": [1, None]}})
    installations.save(connection, seen)
    assert installations.find(connection, INSTALLATION_ID) == seen
    assert installations.find(connection, 1) is None


def test_of_two_events_at_one_instant_the_later_heard_counts(connection: sa.Connection) -> None:
    installations.save(connection, make_installation())
    installations.save(connection, make_installation(state="deleted"))
    assert installations.find(connection, INSTALLATION_ID) == make_installation(state="deleted")


@given(order=st.permutations([(0, "active"), (1, "suspended"), (2, "active"), (3, "deleted")]))
def test_whatever_the_order_of_events_the_newest_is_kept(order: list[tuple[int, str]]) -> None:
    with database.fresh() as connection:
        heard: list[tuple[int, str]] = []
        for minute, state in order:
            heard.append((minute, state))
            seen = make_installation(state=state, updated_at=NOW + timedelta(minutes=minute))
            installations.save(connection, seen)
            found = installations.find(connection, INSTALLATION_ID)
            assert found is not None
            assert found.state == max(heard)[1]
