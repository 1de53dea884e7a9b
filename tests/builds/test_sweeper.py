"""The sweeper deletes what is too old, whole, and nothing that is still needed."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from bot import clock, errors
from bot.builds import sweeper
from bot.engines import contract, scripted
from bot.model import delivery, job
from bot.store import builds, deliveries, jobs
from tests import factories
from tests.builds.conftest import Yard


async def test_f24_old_ended_builds_go_with_their_logs_and_everything_else_stays(yard: Yard, tmp_path: Path) -> None:
    old = clock.now() - timedelta(days=40)
    ended = factories.make_new_build(factories.make_build(created_at=old, head_sha="a" * 40))
    running = factories.make_new_build(factories.make_build(created_at=old, head_sha="b" * 40))
    fresh = factories.make_new_build(factories.make_build(created_at=clock.now(), head_sha="c" * 40))
    for new in (ended, running, fresh):
        await yard.create(new)
        await yard.logs.append(new.jobs[0].id, offset_bytes=0, data=b"log")
    yard.engine.tell(ended.jobs[0].id, scripted.finished(contract.Result.PASSED))
    async with yard.running():
        await yard.until_job(ended.jobs[0].id, job.State.PASSED)
    news = [factories.make_verified_delivery(guid=guid, received_at=old) for guid in ("done", "open")]
    await yard.store.write(deliveries.insert_many, news)
    (claimed,) = await yard.store.write(
        deliveries.claim_next, now=clock.now(), owner="test", lease=timedelta(minutes=1), limit=1
    )
    await yard.store.write(deliveries.finish, claimed, state=delivery.State.HANDLED, now=clock.now(), trail=("done",))
    made = sweeper.Sweeper(yard.store, engine=yard.engine, logs=yard.logs, retention=timedelta(days=30), now=clock.now)
    await made.sweep()
    kept = {one.id for one in await yard.store.read(builds.list_newest, limit=10)}
    assert kept == {running.build.id, fresh.build.id}
    assert await yard.logs.size(ended.jobs[0].id) == 0
    assert await yard.logs.read(fresh.jobs[0].id) == b"log"
    assert [one.id for one in await yard.store.read(deliveries.list_newest, limit=10)] == ["open"]
    with pytest.raises(errors.NotFound):
        await yard.store.read(jobs.get, ended.jobs[0].id)
