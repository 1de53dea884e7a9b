"""Places for jobs: whatever becomes of a job, its place is free again."""

from __future__ import annotations

import asyncio
import contextlib
import random
from datetime import timedelta

import pytest

from bot import clock, errors
from bot.builds import commands, scheduler
from bot.engines import contract, scripted
from bot.model import job, outcome
from bot.store import jobs
from tests import factories
from tests.builds.conftest import Yard

PLACES = 4


def end_somehow(engine: scripted.Scripted, job_id: str, chance: random.Random) -> None:
    """Let the job end, be lost, or be lied about."""
    result = chance.choice(list(contract.Result))
    begun = (scripted.prepared(), scripted.output(b"some "))
    match chance.randrange(5):
        case 0:
            engine.tell(job_id, scripted.finished(result))
        case 1:
            engine.tell(job_id, *begun, scripted.step(7, "running"))
        case 2:
            engine.forget(job_id)
        case _:
            engine.tell(job_id, *begun, scripted.step(0, "passed"), scripted.finished(result))


def new_build(chance: random.Random, *, count: int) -> outcome.NewBuild:
    """A build of another commit with so many jobs."""
    plans = [factories.make_plan(key=f"j{number}", name=f"j{number}") for number in range(count)]
    made = factories.make_build(head_sha=f"{chance.getrandbits(160):040x}")
    return factories.make_new_build(made, *(factories.make_job(plan=plan) for plan in plans))


async def live(yard: Yard, chance: random.Random, *, count: int) -> None:
    """Let a build of so many jobs come to its end, through restarts of the service, refusals and wishes to cancel."""
    new = new_build(chance, count=count)
    made = await yard.create(new)
    left = {one.id for one in new.jobs}
    while left:
        async with yard.running():
            for _ in range(chance.randrange(1, 40)):
                yard.engine.refusal = errors.EngineError("not now") if chance.random() < 0.1 else None
                if chance.random() < 0.02:
                    with contextlib.suppress(errors.Conflict):
                        await yard.store.write(
                            commands.cancel, made.id, now=clock.now(), reason="enough", by=factories.ACTOR
                        )
                for one in await yard.store.read(jobs.list_of_builds, [made.id]):
                    if one.state in job.FINAL:
                        left.discard(one.id)
                    elif await yard.engine.find(one.id) and chance.random() < 0.7:
                        with contextlib.suppress(errors.Conflict):
                            end_somehow(yard.engine, one.id, chance)
                await asyncio.sleep(0)


@pytest.mark.parametrize("lives", [75, pytest.param(10_000, marks=[pytest.mark.long, pytest.mark.timeout(1800)])])
async def test_f75_no_way_for_a_job_to_end_keeps_its_place(
    yard: Yard, lives: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "REFUSED_PAUSE", timedelta())
    monkeypatch.setattr(scheduler, "LOOK_SECONDS", 0.01)
    yard.max_jobs = PLACES
    chance = random.Random(75)
    for _ in range(lives // 25):
        await live(yard, chance, count=25)
    yard.engine.refusal = None
    # One service has seen all ends of a build, and every place of it is free again.
    async with yard.running():
        made = await yard.create(new_build(chance, count=25))
        ended: set[str] = set()
        while len(running := await _on_engine(yard, made.id, ended)) == PLACES and len(ended) < 25 - PLACES:
            chosen = chance.choice(running)
            ended.add(chosen)
            end_somehow(yard.engine, chosen, chance)


async def _on_engine(yard: Yard, build_id: str, ended: set[str]) -> list[str]:
    """The jobs that run and were not ended, once every place is taken by one."""
    async with asyncio.timeout(10):
        while True:
            found = await yard.store.read(jobs.list_of_builds, [build_id])
            running = [one.id for one in found if one.state in job.ON_ENGINE and one.id not in ended]
            if len(running) == PLACES and all([await yard.engine.find(one) for one in running]):
                return running
            await asyncio.sleep(0)
