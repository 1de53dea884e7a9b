"""Jobs that hang end with a reason: their machine is gone, or their time is long over."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace

from bot import clock, errors
from bot.builds import overdue, transitions
from bot.engines import contract, scripted
from bot.model import build, job
from bot.store import Store, builds, jobs, outcomes, replicas
from tests.builds.conftest import Yard
from tests.factories import NOW, make_job, make_new_build, make_plan

MINUTE = timedelta(minutes=1)
State = job.State


async def _started(store: Store, owner: str, *, timeout_minutes: float = 10.0) -> job.Job:
    new = make_new_build(None, make_job(plan=make_plan(timeout_minutes=timeout_minutes)))
    await store.write(outcomes.create, new, now=NOW)
    (claimed,) = await store.write(jobs.claim_ready, now=NOW, owner=owner, lease=timedelta(days=1), limit=1)
    running = replace(claimed, state=State.RUNNING, started_at=NOW)
    await store.write(transitions.save, running, now=NOW)
    return running


def _overdue(store: Store, *, after: timedelta) -> overdue.Overdue:
    return overdue.Overdue(store, owner="b", on_change=lambda: None, now=lambda: NOW + after)


async def test_f13_a_job_whose_machine_is_gone_ends_with_a_reason_and_its_machine_is_not_heard_any_more(
    store: Store,
) -> None:
    for name in "ab":
        await store.write(replicas.start, replica_id=name, name=name, now=NOW, is_only=False)
    running = await _started(store, "a")
    silent = replicas.LEASE + overdue.LOST_AFTER
    assert await _overdue(store, after=silent - MINUTE).settle() == []
    (lost,) = await _overdue(store, after=silent + MINUTE).settle()
    assert (lost.id, lost.state) == (running.id, State.ERRORED)
    assert "run it again" in (lost.reason or "")
    assert (await store.read(builds.get, running.build_id)).state == build.State.ERRORED
    with pytest.raises(errors.LeaseLost):
        await store.write(jobs.save, replace(running, state=State.PASSED))
    assert await _overdue(store, after=silent + 2 * MINUTE).settle() == []


async def test_f71_what_a_machine_that_was_cut_off_tells_at_last_counts_only_if_its_job_was_not_given_up(
    yard: Yard,
) -> None:
    await yard.store.write(replicas.start, replica_id="test", name="test", now=clock.now(), is_only=False)
    new = make_new_build(None, make_job(), make_job(plan=make_plan(key="b", name="b")))
    await yard.create(new)
    given_up, waited_for = new.jobs
    async with yard.running():
        for one in new.jobs:
            yard.engine.tell(one.id, scripted.prepared(), scripted.step(0, "running"), scripted.output(b"before "))
            await yard.until_job(one.id, State.RUNNING)
        # It is silent, and comes back in time for one of its jobs.
        other = overdue.Overdue(yard.store, owner="b", on_change=lambda: None, now=lambda: at)
        at = clock.now() + replicas.LEASE + overdue.LOST_AFTER - MINUTE
        assert await other.settle() == []
        ended = (scripted.output(b"after"), scripted.step(0, "passed"), scripted.finished(contract.Result.PASSED))
        yard.engine.tell(waited_for.id, *ended)
        await yard.until_job(waited_for.id, State.PASSED)
        at += 2 * MINUTE
        assert [one.id for one in await other.settle()] == [given_up.id]
        yard.engine.tell(given_up.id, *ended)
        # Nobody wants it any more, so that what still runs of it is ended.
        await yard.until(lambda: [job_id for job_id, _ in yard.engine.cancelled] == [given_up.id])
    lost = await yard.get_job(given_up.id)
    assert (lost.state, [one.state for one in lost.steps]) == (State.ERRORED, ["running"])
    assert (await yard.get_build(lost.build_id)).state == build.State.ERRORED
    assert await yard.logs.read(waited_for.id) == b"before after"


async def test_f29_a_job_whose_time_is_long_over_ends_whoever_follows_it(store: Store) -> None:
    running = await _started(store, "b", timeout_minutes=30)
    patient = timedelta(minutes=30) + overdue.PATIENCE
    assert await _overdue(store, after=patient).settle() == []
    (hung,) = await _overdue(store, after=patient + MINUTE).settle()
    assert (hung.id, hung.state) == (running.id, State.ERRORED)
    assert "30 minutes" in (hung.reason or "")
    with pytest.raises(errors.LeaseLost):
        await store.write(jobs.save_progress, running)
