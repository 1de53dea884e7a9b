"""Many rows by few statements: all of them, in order, whatever their number; and none of a transaction that fails."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from bot.store import bulk, deliveries, schema
from tests.databases import on_sqlite
from tests.factories import make_verified_delivery
from tests.store import database


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 21, 64, 65, 150])
def test_every_row_is_there_in_order(connection: sa.Connection, count: int) -> None:
    new = [make_verified_delivery(guid=f"g-{number}", headers={"n": str(number)}) for number in range(count)]
    assert deliveries.insert_many(connection, new) == ["stored"] * count
    rows = connection.execute(sa.select(schema.deliveries).order_by(schema.deliveries.c.seq)).all()
    assert [(row.id, row.headers, row.received_at) for row in rows] == [
        (one.guid, one.headers, one.received_at) for one in new
    ]
    assert deliveries.insert_many(connection, new) == ["duplicate"] * count


@on_sqlite
@pytest.mark.parametrize(("count", "most"), [(64, 1), (63, 9), (1000, 24)])
def test_the_interpreter_is_given_away_seldom(count: int, most: int) -> None:
    with database.fresh() as connection:
        statements: list[str] = []
        sa.event.listen(connection, "before_cursor_execute", lambda *told: statements.append(told[2]))
        deliveries.insert_many(connection, [make_verified_delivery() for _ in range(count)])
        assert sum("INSERT" in one for one in statements) <= most
        assert len(set(statements)) <= 5


def test_a_rule_that_a_row_breaks_is_told(connection: sa.Connection) -> None:
    row = {"seq": 1, "hook_id": 1}
    with pytest.raises(sa.exc.IntegrityError), connection.begin_nested():
        bulk.insert(connection, schema.deliveries, [row, row])
