"""What is known of things that GitHub names."""

from __future__ import annotations

import sqlalchemy as sa

from bot.store import deliveries, known
from tests.factories import make_verified_delivery


def test_the_guids_that_are_in_the_inbox(connection: sa.Connection) -> None:
    made = [make_verified_delivery() for _ in range(3)]
    deliveries.insert_many(connection, made[:2])
    asked = [one.guid for one in made] + [f"unknown-{number}" for number in range(1200)]
    assert known.guids(connection, asked) == {made[0].guid, made[1].guid}
    assert known.guids(connection, []) == frozenset()
