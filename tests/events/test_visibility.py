"""Who may see a repository, as GitHub's events tell it, in whatever order they come."""

from __future__ import annotations

from typing import Any

import pytest
from gidgethub import sansio
from sqlalchemy.engine import Connection

from bot.events import visibility
from bot.store import repositories
from bot.store.repositories_table import repositories as table
from tests.databases import long_on_postgresql
from tests.events.conftest import PIPELINE, House


def told(data: Any, event: str = "push") -> dict[int, bool | None]:
    found = visibility.told(sansio.Event(data, event=event, delivery_id="g"))
    return {one.repository_id: one.is_public for one in found}


@pytest.mark.parametrize(
    ("event", "data", "expected"),
    [
        ("push", {"repository": {"id": 1, "private": False}}, {1: True}),
        ("push", {"repository": {"id": 1, "private": True}}, {1: False}),
        ("repository", {"action": "deleted", "repository": {"id": 1, "private": False}}, {1: None}),
        (
            "installation",
            {"repositories": [{"id": 1, "private": True}, {"id": 2, "private": False}]},
            {1: False, 2: True},
        ),
        (
            "x",
            {
                "repositories_added": [{"id": 1, "private": False}],
                "repositories_removed": [{"id": 2, "private": False}],
            },
            {1: True, 2: None},
        ),
        ("push", {"repository": {"id": 1}}, {}),
        ("push", {"repository": {"id": "1", "private": False}}, {}),
        ("push", {"repository": {"id": True, "private": False}}, {}),
        ("push", {"repository": {"id": 2**63, "private": False}}, {}),
        ("push", {"repository": {"id": 1, "private": "no"}}, {}),
        ("push", {"repository": [1], "repositories": {"id": 1}}, {}),
        ("push", [], {}),
    ],
)
def test_a_payload_tells_of_each_repository_that_it_names(event: str, data: Any, expected: dict[int, bool]) -> None:
    assert told(data, event) == expected


def _is_public(connection: Connection, repository_id: int) -> bool | None:
    row = connection.execute(table.select().where(table.c.id == repository_id)).first()
    return None if row is None else bool(row.is_public)


@long_on_postgresql
async def test_t92_a_push_tells_and_what_becomes_private_or_public_counts(house: House) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=PIPELINE, private=False)
    await house.simulator.push(repository, "main", {"a.txt": "a"})
    push = house.sent("push")
    await house.deliver(push)
    assert await house.store.read(_is_public, repository.id) is True
    house.simulator.set_visibility(repository, private=True)
    await house.deliver(house.sent("repository", "privatized"))
    assert await house.store.read(_is_public, repository.id) is False
    await house.deliver(push, guid="late")
    assert await house.store.read(_is_public, repository.id) is False
    house.simulator.set_visibility(repository, private=False)
    publicized = house.sent("repository", "publicized")
    house.simulator.set_visibility(repository, private=True)
    # It comes late: GitHub is asked, and says what it is by now.
    await house.deliver(publicized)
    assert await house.store.read(_is_public, repository.id) is False
    house.simulator.set_visibility(repository, private=False)
    done = await house.deliver(house.sent("repository", "publicized"))
    assert done.reason == "octo/hello is public."
    assert await house.store.read(_is_public, repository.id) is True
    assert await house.store.read(repositories.is_told, repository.id, digest=None)
