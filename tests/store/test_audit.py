"""The audit: what is written stays as it was written, whoever talks to the database."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from msgspec.structs import asdict, replace

from bot import clock
from bot.model import audit as model
from bot.model import delivery
from bot.store import audit, deliveries, outcomes, schema
from tests import factories
from tests.factories import NOW, REPOSITORY_ID
from tests.store import database

DAY = timedelta(days=1)


def add(connection: sa.Connection, *, at: datetime = NOW, **changes: object) -> None:
    audit.add(connection, factories.make_audit_entry(**changes), now=at)


def test_an_entry_is_given_back_whole_and_the_newest_comes_first(connection: sa.Connection) -> None:
    add(connection, detail="first")
    new = factories.make_audit_entry(
        action=model.Action.RUN_ANYWAY,
        via=model.Via.COMMENT,
        actor="mona",
        actor_id=5,
        pull_number=7,
        build_id="b",
        delivery_id="d",
        head_sha="c" * 40,
    )
    audit.add(connection, new, now=NOW + DAY)
    newest, oldest = audit.list_newest(connection, limit=9)
    assert {**asdict(newest), "id": None, "at": None} == {**asdict(new), "id": None, "at": None}
    assert (newest.at, oldest.detail) == (NOW + DAY, "first")
    assert audit.list_newest(connection, limit=1) == [newest]
    assert audit.list_newest(connection, limit=9, before_id=newest.id) == [oldest]


def test_entries_are_found_by_what_they_say(connection: sa.Connection) -> None:
    add(connection, actor="mona", repository="octo/other")
    add(connection, action=model.Action.REPLAY, via=model.Via.PAGE)
    for filters, count in (
        ({"action": model.Action.REPLAY}, 1),
        ({"via": model.Via.PAGE}, 1),
        ({"actor": "mona"}, 1),
        ({"actor": "MONA"}, 0),
        ({"repository": "octo/other"}, 1),
        ({"repository": "octo/other", "actor": "octo"}, 0),
        ({}, 2),
    ):
        assert len(audit.list_newest(connection, limit=9, **filters)) == count, filters


def test_entries_are_found_by_what_they_are_about(connection: sa.Connection) -> None:
    add(connection, head_sha="a" * 40, detail="sha")
    add(connection, build_id="b", detail="build")
    add(connection, delivery_id="d", detail="delivery")
    add(connection, pull_number=7, detail="pull")
    add(connection, pull_number=7, repository_id=1, detail="another's pull")
    add(connection)
    assert audit.list_about(connection, limit=9) == []
    found = audit.list_about(
        connection,
        limit=9,
        head_shas=["a" * 40],
        build_ids=["b"],
        delivery_ids=["d"],
        pull=(REPOSITORY_ID, 7),
    )
    assert [one.detail for one in found] == ["pull", "delivery", "build", "sha"]


CHANGES = [
    "UPDATE audit SET actor = 'somebody else'",
    "UPDATE audit SET at = 0",
    "UPDATE audit SET actor = actor",
    "DELETE FROM audit",
    "DELETE FROM audit WHERE id > 0",
    "INSERT INTO audit (id, at, action, via) VALUES ({id}, 0, 'cancel', 'cli')"
    " ON CONFLICT (id) DO UPDATE SET actor = 'somebody else'",
]
ON_ONE = {
    "sqlite": [
        "REPLACE INTO audit (id, at, action, via) VALUES ({id}, 0, 'cancel', 'cli')",
        "INSERT OR REPLACE INTO audit (id, at, action, via) VALUES ({id}, 0, 'cancel', 'cli')",
        "UPDATE OR REPLACE audit SET id = 2",
    ],
    "postgresql": ["TRUNCATE audit", "TRUNCATE audit CASCADE"],
}


def test_t117_the_database_refuses_to_change_an_entry_or_to_delete_a_young_one(connection: sa.Connection) -> None:
    add(connection, at=clock.now() - 89 * DAY)
    before = audit.list_newest(connection, limit=9)
    for statement in [*CHANGES, *ON_ONE[database.kind]]:
        with pytest.raises(sa.exc.IntegrityError, match="append-only"), connection.begin_nested():
            connection.exec_driver_sql(statement.format(id=before[0].id))
        assert audit.list_newest(connection, limit=9) == before, statement


def test_t117_a_migration_and_the_schema_make_the_same_rules(connection: sa.Connection) -> None:
    """On a server the rules come by the migration, in memory by the schema: both refused above; here their texts."""
    if database.kind == "sqlite":
        query = "SELECT sql FROM sqlite_master WHERE type = 'trigger' ORDER BY name"
        assert sorted(connection.exec_driver_sql(query).scalars()) == sorted(schema.AUDIT_RULES["sqlite"])
        return
    query = "SELECT prosrc FROM pg_proc WHERE proname = 'audit_is_append_only'"
    body = connection.exec_driver_sql(query).scalar_one()
    assert f"$${body}$$" in schema.AUDIT_RULES["postgresql"][0]


def test_old_entries_are_deleted_a_little_at_a_time_but_never_before_ninety_days(connection: sa.Connection) -> None:
    now = clock.now()
    for days in (200, 150, 91, 89, 1):
        add(connection, at=now - days * DAY, detail=str(days))
    # The retention counts where it is longer, and the ninety days where it is shorter.
    assert audit.delete_old(connection, before=now - 180 * DAY, limit=9) == 1
    assert audit.delete_old(connection, before=now - DAY, limit=1) == 1
    assert audit.delete_old(connection, before=now + 365 * DAY, limit=9) == 1
    assert audit.delete_old(connection, before=now + 365 * DAY, limit=9) == 0
    assert [one.detail for one in audit.list_newest(connection, limit=9)] == ["1", "89"]


def test_what_a_handler_tells_is_written_with_its_delivery_and_only_with_its_effect(connection: sa.Connection) -> None:
    deliveries.insert_many(connection, [factories.make_verified_delivery(guid="g", head_sha="c" * 40)])
    (claimed,) = deliveries.claim_next(connection, now=NOW, owner="test", lease=DAY, limit=1)
    assert claimed.head_sha == "c" * 40
    entry = factories.make_audit_entry(action=model.Action.APPROVE, via=model.Via.BUTTON)
    put_off = factories.make_outcome(audit=(entry,), look_again_at=NOW)
    outcomes.apply(connection, claimed, put_off, now=NOW)
    assert audit.list_newest(connection, limit=9) == []
    (claimed,) = deliveries.claim_next(connection, now=NOW, owner="test", lease=DAY, limit=1)
    outcomes.apply(connection, claimed, factories.make_outcome(audit=(entry, entry)), now=NOW)
    assert [replace(one, id=0, at=NOW) for one in audit.list_newest(connection, limit=9)] == [
        model.Stored(**asdict(replace(entry, delivery_id="g")), id=0, at=NOW)
    ] * 2
    assert deliveries.find(connection, "g").state == delivery.State.HANDLED  # type: ignore[union-attr]
