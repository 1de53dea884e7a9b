"""Lists of deliveries say the same as a look at every delivery would, whatever they are asked for."""

from __future__ import annotations

import random
from collections.abc import Collection

import pytest
import sqlalchemy as sa

from bot.model import delivery
from bot.store import deliveries, inbox_list
from bot.store.schema import deliveries as table
from tests.factories import make_verified_delivery

STATES = [None, *delivery.State]
EVENTS = [None, "push", "check_run", "release"]
REPOSITORIES = {1: "octo/a", 2: "octo/b", 3: "octo/a_", 4: "octo/none"}
#: A repository keeps its number when its name changes, and its old deliveries their name.
RENAMED = "octo/renamed"
AMONG: list[Collection[int] | None] = [None, (), {1}, {4}, {2, 3}, set(range(1, 40))]


@pytest.mark.parametrize("limit", [1, 4, 99])
@pytest.mark.parametrize("seed", range(3))
def test_a_list_is_what_a_look_at_each_would_be(connection: sa.Connection, seed: int, limit: int) -> None:
    draw = random.Random(seed)
    every = _fill(connection, draw)
    for _ in range(300):
        state, event = draw.choice(STATES), draw.choice(EVENTS)
        repository = draw.choice([None, *REPOSITORIES.values(), RENAMED])
        among, before = draw.choice(AMONG), draw.choice([None, *(one.seq for one in every)])
        has_reports = draw.random() < 0.5
        meant = [
            one.id
            for one in every
            if (state is None or one.state == state)
            and (event is None or one.event == event)
            and (repository is None or one.repository == repository)
            and (among is None or one.repository_id in among)
            and (before is None or one.seq < before)
            and (has_reports or one.event != "check_run" or one.action == "rerequested")
        ]
        found = inbox_list.list_newest(
            connection,
            limit=limit,
            before_seq=before,
            state=state,
            event=event,
            repository=repository,
            among=among,
            has_reports=has_reports,
        )
        assert [one.id for one in found] == meant[:limit]


def _fill(connection: sa.Connection, draw: random.Random) -> list[delivery.Delivery]:
    """Forty deliveries of each state, event and repository, some of none; the newest first."""
    for number in range(40):
        of = draw.choice([None, 1, 2, 3])
        name = None if of is None else draw.choice([REPOSITORIES[of], REPOSITORIES[of], RENAMED])
        new = make_verified_delivery(
            guid=f"g{number}",
            event=draw.choice(EVENTS[1:3]),
            action=draw.choice([None, "completed", "rerequested"]),
            repository_id=of,
            repository=name,
            ordering_key=f"{number}",
        )
        deliveries.insert_many(connection, [new])
        state = draw.choice(list(delivery.State))
        connection.execute(sa.update(table).where(table.c.id == new.guid).values(state=state))
    return inbox_list.list_newest(connection, limit=99)
