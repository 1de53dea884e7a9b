"""Deliveries that an earlier version stored are handled by today's handlers just as if they came in today."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from bot import clock
from bot.model import delivery
from bot.store import deliveries, inbox_list, upgrade
from tests import postgresql, recorded
from tests.events.conftest import House
from tests.migrations import history

VERSION = "0001"


@pytest.fixture
def database_url(database_kind: str, tmp_path: Path) -> Iterator[str]:
    """What version 0001 left behind, upgraded."""
    if database_kind == "sqlite":
        path = tmp_path / "buildhook.db"
        history.load_file(path, VERSION)
        engine = sa.create_engine(f"sqlite:///{path}")
        upgrade.upgrade(engine, path)
        engine.dispose()
        yield f"sqlite:///{path}"
        return
    with postgresql.empty(is_migrated=False) as url:
        engine = sa.create_engine(make_url(url).set(drivername="postgresql+psycopg"))
        with engine.begin() as connection:
            history.load_server(connection, VERSION)
        with engine.connect() as connection:
            upgrade.upgrade_server(connection)
        engine.dispose()
        yield url


@dataclass(frozen=True)
class Handled:
    """What became of a delivery."""

    state: delivery.State
    trail: tuple[str, ...]
    error: str | None


async def handled(house: House, delivery_id: str) -> Handled:
    found = await house.store.read(deliveries.find, delivery_id)
    assert found is not None
    return Handled(found.state, found.trail, found.error)


async def test_f85_recorded_deliveries_that_an_earlier_version_stored_are_handled_as_today(house: House) -> None:
    stored = [
        one
        for listed in await house.store.read(inbox_list.list_newest, limit=99)
        if listed.id.startswith("recorded-") and (one := await house.store.read(deliveries.find, listed.id)) is not None
    ]
    assert len(stored) >= 10
    # What was written down is what was recorded, to the byte.
    known = {one.body: one for one in recorded.all_recorded()}
    assert all(known[one.body].event == one.event and known[one.body].action == one.action for one in stored)
    # The same once more, as the door takes it in today.
    house.simulator.webhook_secret = recorded.SECRET.decode()
    house.simulator.app.id = recorded.APP_ID
    for one in reversed(stored):
        await house.receive(known[one.body], guid=f"today-{one.id}", received_at=clock.now())
    await house.dispatch()
    states = set()
    for one in stored:
        then, now = await handled(house, one.id), await handled(house, f"today-{one.id}")
        assert then == now, one.event
        states.add(then.state)
    assert states <= {delivery.State.HANDLED, delivery.State.IGNORED}
