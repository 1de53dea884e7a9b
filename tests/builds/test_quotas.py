"""Quotas: no repository takes the machines from the others, and what is over its quota waits and says until when."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bot import clock, policy
from bot.builds import explaining, quotas
from bot.engines import contract, scripted
from bot.model import build, job, outcome
from bot.store import jobs, usage
from tests import factories
from tests.builds.conftest import Yard
from tests.factories import NOW

HOUR = timedelta(hours=1)
State = job.State


def new_build(repository_id: int, *, count: int) -> outcome.NewBuild:
    """A build of a repository with so many jobs."""
    plans = [factories.make_plan(key=f"j{number}", name=f"j{number}") for number in range(count)]
    made = factories.make_build(repository_id=repository_id, repository=f"octo/{repository_id}")
    return factories.make_new_build(made, *(factories.make_job(plan=plan) for plan in plans))


async def spend(yard: Yard, repository_id: int, *, ended_ago: timedelta, hours: float) -> None:
    """A job of the repository that ran for so long."""
    new = new_build(repository_id, count=1)
    new = replace(new, build=replace(new.build, head_sha="e" * 40, cause="earlier", created_at=clock.now()))
    await yard.create(new)
    end = clock.now() - ended_ago
    ran = replace(new.jobs[0], state=State.PASSED, started_at=end - hours * HOUR, finished_at=end)
    await yard.store.write(jobs.save, ran)


async def test_t69_no_more_jobs_of_a_repository_run_at_once_than_its_quota(yard: Yard) -> None:
    yard.max_jobs, yard.quotas = 8, policy.Quotas(jobs=2)
    many, one = new_build(1, count=5), new_build(2, count=1)
    for new in (many, one):
        await yard.create(new)
    async with yard.running() as scheduler:
        await yard.until(lambda: len(yard.engine.started) == 3)
        assert await _run_now(yard) == [many.jobs[0].id, many.jobs[1].id, one.jobs[0].id]
        scheduler.wake()
        yard.engine.tell(many.jobs[0].id, scripted.prepared(), scripted.finished(contract.Result.PASSED))
        await yard.until(lambda: len(yard.engine.started) == 4)
        assert await _run_now(yard) == [many.jobs[1].id, many.jobs[2].id, one.jobs[0].id]


async def _run_now(yard: Yard) -> list[str]:
    return [one.id for one in await yard.store.read(jobs.list_on_engine)]


async def test_t69_a_repository_that_used_its_hours_waits_and_says_until_when(yard: Yard) -> None:
    yard.quotas = policy.Quotas(hours_per_day=10)
    await spend(yard, 1, ended_ago=2 * HOUR, hours=11)
    # Of another's much lies a day back.
    await spend(yard, 2, ended_ago=20 * HOUR, hours=11)
    greedy, modest = new_build(1, count=2), new_build(2, count=2)
    made = await yard.create(greedy)
    await yard.create(modest)
    async with yard.running():
        await yard.until(lambda: len(yard.engine.started) == 2)
        assert {one.job_id for one in yard.engine.started} == {one.id for one in modest.jobs}
        async with asyncio.timeout(10):
            while not (waiting := await yard.get_job(greedy.jobs[0].id)).reason:
                await asyncio.sleep(0)
    # It ran from 13 hours ago on; after one of them is a day back, ten are left.
    until = clock.now() + 12 * HOUR
    assert waiting.state == State.QUEUED
    assert waiting.reason is not None
    assert {f"{until - timedelta(minutes=1):%H:%M}", f"{until:%H:%M}"} & {waiting.reason[18:23]}
    assert "jobs of octo/1 ran for 10 hours within one day" in waiting.reason
    facts = explaining.Facts(now=clock.now(), builds=(made,), jobs=(waiting,), is_served=True)
    question = explaining.Question(kind=explaining.Kind.COMMIT, text=made.head_sha)
    assert explaining.explain(question, facts).answer == f"Build {made.id} is queued. {waiting.reason}"
    yard.quotas, yard.max_jobs = policy.Quotas(hours_per_day=12), 4
    async with yard.running():
        started = await yard.until_job(waiting.id, State.STARTING, State.RUNNING)
    assert started.reason is None


async def test_t69_a_job_that_comes_while_nothing_waits_is_held_by_the_quota_as_well(yard: Yard) -> None:
    yard.quotas, yard.max_jobs = policy.Quotas(hours_per_day=10), 4
    await spend(yard, 1, ended_ago=HOUR, hours=11)
    async with yard.running():
        # The scheduler has looked, and knows of nobody who is over his quota.
        await yard.create(new_build(2, count=1))
        await yard.until(lambda: len(yard.engine.started) == 1)
        greedy, modest = new_build(1, count=1), new_build(3, count=1)
        await yard.create(greedy)
        await yard.create(modest)
        await yard.until_job(modest.jobs[0].id, State.STARTING, State.RUNNING)
        waiting = await yard.get_job(greedy.jobs[0].id)
    assert waiting.state == State.QUEUED
    assert "jobs of octo/1 ran for 10 hours" in (waiting.reason or "")


def used(spans: list[usage.Span], at: datetime) -> timedelta:
    """What of these times lies in the day before an instant."""
    since = at - quotas.WINDOW
    return sum((max(end - max(begin, since), timedelta()) for begin, end in spans), timedelta())


minutes = st.integers(0, 24 * 60)
spans = st.lists(st.tuples(minutes, minutes).map(sorted), max_size=8)


@given(spans=spans, hours=st.integers(1, 60))
def test_the_quota_is_free_again_just_when_it_is_told(spans: list[list[int]], hours: int) -> None:
    at = [(NOW - timedelta(minutes=24 * 60 - a), NOW - timedelta(minutes=24 * 60 - b)) for a, b in spans]
    quota = hours * HOUR
    found = quotas.free_at(at, quota=quota)
    if used(at, NOW) < quota:
        assert found is None
    else:
        assert found is not None
        moment = timedelta(seconds=1)
        assert used(at, found - moment) >= quota
        assert used(at, found + moment) < quota


def test_a_build_that_runs_uses_its_hours_while_it_runs() -> None:
    begin = NOW - 3 * HOUR
    assert quotas.free_at([(begin, NOW)], quota=3 * HOUR) == begin + quotas.WINDOW
    assert quotas.free_at([(begin, NOW), (begin, NOW)], quota=3 * HOUR) == begin + 1.5 * HOUR + quotas.WINDOW
    assert build.State.QUEUED not in build.FINAL
