"""The ledger: what one replica learns of GitHub's limits keeps all of them from calling."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bot import clock, errors, telemetry
from bot.ledger import Ledger, measure
from bot.model import budget
from bot.store import Store, budgets, outcomes
from tests import factories
from tests.databases import on_postgresql


def _wait(seconds: float = 100) -> budget.Wait:
    return budget.Wait(seconds=seconds, text="GitHub says so.")


async def _only(store: Store) -> budget.Budget:
    (found,) = await store.read(budgets.list_all)
    return found


async def test_f35_a_wait_that_one_replica_was_asked_for_holds_for_the_others(store: Store) -> None:
    here, there = Ledger(store, now=clock.now), Ledger(store, now=clock.now)
    here.blocked("installation 7", _wait())
    await here.flush()
    assert there.wait("installation 7") is None
    await there.look()
    found = there.wait("installation 7")
    assert found is not None
    assert 90 < found.seconds <= 100
    assert there.wait("installation 8") is None
    assert there.wait("the App") is None


async def test_a_wait_goes_by_from_when_it_was_asked_for(store: Store) -> None:
    now = [factories.NOW]
    ledger = Ledger(store, now=lambda: now[0])
    ledger.blocked("installation 7", _wait(100))
    now[0] += timedelta(seconds=30)
    await ledger.flush()
    assert (await _only(store)).blocked_until == factories.NOW + timedelta(seconds=100)


async def test_what_was_spent_is_written_once_however_many_calls_there_were(store: Store) -> None:
    ledger = Ledger(store, now=lambda: factories.NOW)
    for left in range(100, 0, -1):
        ledger.spent("installation 7", 5)
        ledger.went_well("installation 7", budget.Told(limit=5000, remaining=left, reset_seconds=60))
    ledger.spent("the App", 1)
    await ledger.flush()
    found = await _only(store)
    assert (found.minute_points, found.remaining, found.limit_points) == (500, 1, 5000)
    await ledger.flush()
    assert await _only(store) == found


@on_postgresql
async def test_what_cannot_be_written_now_is_written_later(store: Store, database_url: str) -> None:
    closed = Store(database_url)
    ledger = Ledger(closed, now=lambda: factories.NOW)
    ledger.blocked("installation 7", _wait())
    ledger.spent("installation 7", 5)
    with pytest.raises(errors.StoreUnavailable):
        await ledger.flush()
    ledger.spent("installation 7", 1)
    await closed.open()
    await ledger.flush()
    await closed.close()
    found = await _only(store)
    assert (found.minute_points, found.blocked_text) == (6, "GitHub says so.")


async def test_the_backlog_is_measured(store: Store, metrics: telemetry.Metrics) -> None:
    made = factories.make_build(created_at=factories.NOW)
    await store.write(outcomes.create, factories.make_new_build(made), now=factories.NOW)
    await store.write(budgets.block, 7, _wait(), now=factories.NOW)
    await measure(store, metrics, now=factories.NOW + timedelta(seconds=60))
    value = metrics.registry.get_sample_value
    assert value("buildhook_outbox_depth") == 1
    assert value("buildhook_outbox_oldest_seconds") == 60
    assert value("buildhook_installations_blocked") == 1
