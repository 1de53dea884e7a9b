"""What a restore ends is ended with its reason, once, and what needed it does not run."""

from __future__ import annotations

from msgspec.structs import replace

from bot import clock
from bot.builds import restored
from bot.engines import contract, scripted
from bot.model import build, job
from bot.store import builds, jobs
from tests import factories
from tests.builds.conftest import Yard

REASON = "The service was restored."


def plan(key: str, *needs: str) -> job.Plan:
    return factories.make_plan(key=key, name=key, needs=needs)


async def test_jobs_that_ran_end_errored_and_the_engine_lets_go_of_those_that_it_still_has(yard: Yard) -> None:
    new = factories.make_new_build(
        factories.make_build(),
        factories.make_job(plan=plan("a")),
        factories.make_job(plan=plan("b", "a"), state=job.State.WAITING),
        factories.make_job(plan=plan("c")),
    )
    await yard.create(new)
    a, b, c = new.jobs
    await yard.store.write(jobs.save, replace(a, state=job.State.RUNNING))
    request = contract.JobRequest(
        job_id=a.id,
        source=contract.Source(
            repository_id=1,
            url="http://127.0.0.1/octo/hello.git",
            head_sha="a" * 40,
            base_sha=None,
            trust=build.Trust.TRUSTED,
        ),
        plan=a.plan,
        env={},
        timeout_seconds=60,
    )
    await yard.engine.start(request)
    yard.engine.tell(a.id, scripted.prepared())
    ended = await restored.end_running(yard.store, yard.engine, reason=REASON, now=clock.now)
    assert [one.id for one in ended] == [a.id]
    found = [await yard.get_job(one.id) for one in (a, b, c)]
    assert [one.state for one in found] == [job.State.ERRORED, job.State.SKIPPED, job.State.QUEUED]
    assert found[0].reason == REASON
    assert yard.engine.cancelled == [(a.id, REASON)]
    # Whoever followed it before has lost it.
    assert found[0].epoch > a.epoch
    assert await restored.end_running(yard.store, yard.engine, reason=REASON, now=clock.now) == []


async def test_a_whole_build_ends_with_its_reason(yard: Yard) -> None:
    new = factories.make_new_build(
        factories.make_build(), factories.make_job(plan=plan("a")), factories.make_job(plan=plan("b"))
    )
    await yard.create(new)
    await yard.store.write(restored.end_jobs, new.build.id, reason=REASON, now=clock.now())
    assert [(await yard.get_job(one.id)).state for one in new.jobs] == [job.State.ERRORED] * 2
    found = await yard.get_build(new.build.id)
    assert (found.state, found.reason) == (build.State.ERRORED, REASON)
    await yard.store.write(restored.end_jobs, new.build.id, reason="Again.", now=clock.now())
    assert await yard.get_build(new.build.id) == found


async def test_a_build_that_waits_for_approval_ends_too(yard: Yard) -> None:
    new = replace(factories.make_new_build(factories.make_build(state=build.State.WAITING)), jobs=())
    await yard.create(new)
    await yard.store.write(restored.end_jobs, new.build.id, reason=REASON, now=clock.now())
    found = await yard.store.read(builds.get, new.build.id)
    assert (found.state, found.reason) == (build.State.ERRORED, REASON)
