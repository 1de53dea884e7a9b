"""The scheduler: places, needs, cancelling, engines that refuse or lose, and restarts."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from bot import clock, errors, telemetry
from bot.builds import commands, scheduler
from bot.engines import choice, contract, scripted
from bot.logs import Storage
from bot.model import build, job
from bot.store import Store, jobs, patience, sqlite
from tests import factories
from tests.builds.conftest import Yard


def step_plan(key: str, *needs: str) -> job.Plan:
    return factories.make_plan(key=key, name=key, needs=needs)


async def test_a_job_goes_through_its_life_and_its_log_and_steps_are_kept(yard: Yard) -> None:
    new = factories.make_new_build()
    made = await yard.create(new)
    (one,) = new.jobs
    yard.engine.tell(
        one.id,
        scripted.prepared(sha="a" * 40, tree="b" * 40),
        scripted.step(0, "running"),
        scripted.output(b"hello\n"),
        scripted.step(0, "failed", exit_code=3, end_bytes=6),
        scripted.finished(contract.Result.FAILED, reason="exit status 3", exit_code=3),
    )
    async with yard.running():
        ended = await yard.until_job(one.id, job.State.FAILED)
        await yard.until(lambda: yard.engine.removed == [one.id])
    assert (ended.reason, ended.exit_code, ended.tested_sha) == ("exit status 3", 3, "a" * 40)
    assert [(step.state, step.exit_code) for step in ended.steps] == [("failed", 3)]
    assert await yard.logs.read(one.id) == b"hello\n"
    assert await yard.logs.is_sealed(one.id)
    assert (await yard.get_build(made.id)).state == build.State.FAILED
    (request,) = yard.engine.started
    assert request.env["GITHUB_REPOSITORY"] == "octo/hello"


async def test_no_more_jobs_run_at_once_than_there_are_places(yard: Yard) -> None:
    made = [factories.make_new_build(factories.make_build(head_sha=f"{number:040x}")) for number in range(5)]
    ids = [(await yard.create(new)).id for new in made]
    async with yard.running():
        queue = await yard.store.read(jobs.list_of_builds, ids)
        first, second, third = queue[:3]
        await yard.until(lambda: [one.job_id for one in yard.engine.started] == [first.id, second.id])
        assert (await yard.get_job(third.id)).state == job.State.QUEUED
        yard.engine.tell(first.id, scripted.prepared(), scripted.finished(contract.Result.PASSED))
        await yard.until_job(third.id, job.State.STARTING)


async def test_a_job_goes_to_the_engine_that_is_chosen_and_a_retry_chooses_again(yard: Yard) -> None:
    yard.choose = lambda plan: f"engine-of-{plan.key}"
    new = factories.make_new_build(factories.make_build(plan_digest="d" * 64), factories.make_job(plan=step_plan("a")))
    made = await yard.create(new)
    (one,) = new.jobs
    yard.engine.tell(one.id, scripted.prepared(), scripted.finished(contract.Result.FAILED, exit_code=1))
    async with yard.running():
        assert (await yard.until_job(one.id, job.State.FAILED)).engine == "engine-of-a"
        assert [request.engine for request in yard.engine.started] == ["engine-of-a"]
        yard.choose = lambda _: "another"
    again = await yard.store.write(commands.retry, made.id, now=clock.now(), new_id=yard.new_id, by=factories.ACTOR)
    (second,) = await yard.store.read(jobs.list_of_builds, [again.id])
    async with yard.running():
        assert (await yard.until_job(second.id, job.State.STARTING)).engine == "another"


async def test_a_job_that_no_engine_takes_is_errored_with_the_reason_and_the_others_run(yard: Yard) -> None:
    yard.choose = choice.Choice(default="local", labels={"local": frozenset({"linux"})}).of
    wanted = replace(step_plan("a"), runs_on="windows-latest")
    waits = factories.make_job(plan=step_plan("c", "a"), state=job.State.WAITING)
    new = factories.make_new_build(
        None, factories.make_job(plan=wanted), factories.make_job(plan=step_plan("b")), waits
    )
    made = await yard.create(new)
    nobodys, other, behind = new.jobs
    yard.engine.tell(other.id, scripted.prepared(), scripted.finished(contract.Result.PASSED))
    async with yard.running():
        ended = await yard.until_job(nobodys.id, job.State.ERRORED)
        assert (await yard.until_job(behind.id, job.State.SKIPPED)).started_at is None
        await yard.until_job(other.id, job.State.PASSED)
    assert ended.reason is not None
    assert "No engine takes `runs-on: windows-latest`. There is `linux` on `local`" in ended.reason
    assert (ended.started_at, ended.finished_at is not None) == (None, True)
    assert [request.job_id for request in yard.engine.started] == [other.id]
    assert (await yard.get_build(made.id)).state == build.State.ERRORED


async def test_jobs_wait_for_what_they_need_and_are_skipped_when_it_fails(yard: Yard) -> None:
    plans = [step_plan("a"), step_plan("b", "a"), step_plan("c", "b"), step_plan("d", "c")]
    states = [job.State.QUEUED, job.State.WAITING, job.State.WAITING, job.State.WAITING]
    new = factories.make_new_build(
        None, *(factories.make_job(plan=plan, state=state) for plan, state in zip(plans, states, strict=True))
    )
    made = await yard.create(new)
    a, b, c, d = new.jobs
    yard.engine.tell(a.id, scripted.prepared(), scripted.finished(contract.Result.PASSED))
    yard.engine.tell(b.id, scripted.finished(contract.Result.FAILED, reason="exit status 1"))
    async with yard.running():
        skipped = await yard.until_job(d.id, job.State.SKIPPED)
    assert "`c` was skipped" in (skipped.reason or "")
    assert "`b` failed" in ((await yard.get_job(c.id)).reason or "")
    assert (await yard.get_build(made.id)).state == build.State.FAILED


async def test_checks_become_stale_only_where_github_would_show_a_difference(yard: Yard) -> None:
    new = factories.make_new_build()
    made = await yard.create(new)
    (one,) = new.jobs
    async with yard.running():
        await yard.until_job(one.id, job.State.STARTING)
        (before,) = await yard.list_checks(made.id)
        yard.engine.tell(one.id, scripted.prepared(), scripted.step(0, "running"), scripted.output(b"a" * 100))
        await yard.until_job(one.id, job.State.RUNNING)
        (during,) = await yard.list_checks(made.id)
        yard.engine.tell(one.id, scripted.step(0, "passed"), scripted.finished(contract.Result.PASSED))
        await yard.until_job(one.id, job.State.PASSED)
        (after,) = await yard.list_checks(made.id)
    assert (before.desired_version, during.desired_version, after.desired_version) == (2, 2, 3)


async def test_f69_cancelling_ends_what_waits_at_once_and_asks_the_engine_for_the_rest(yard: Yard) -> None:
    new = factories.make_new_build(
        None,
        factories.make_job(plan=step_plan("a")),
        factories.make_job(plan=step_plan("b", "a"), state=job.State.WAITING),
    )
    made = await yard.create(new)
    a, b = new.jobs
    async with yard.running() as running:
        await yard.until_job(a.id, job.State.STARTING)
        await yard.store.write(commands.cancel, made.id, now=clock.now(), reason="Enough.", by=factories.ACTOR)
        running.wake()
        assert (await yard.until_job(b.id, job.State.CANCELLED, job.State.SKIPPED)).state == job.State.CANCELLED
        ended = await yard.until_job(a.id, job.State.CANCELLED)
    assert ended.reason == "Enough."
    assert yard.engine.cancelled == [(a.id, "Enough.")]
    assert (await yard.get_build(made.id)).state == build.State.CANCELLED
    with pytest.raises(errors.Conflict):
        await yard.store.write(commands.cancel, made.id, now=clock.now(), reason="Again.", by=factories.ACTOR)


async def test_a_job_that_runs_whatever_happens_runs_when_its_build_is_cancelled_until_somebody_insists(
    yard: Yard,
) -> None:
    clean = replace(step_plan("clean", "a"), condition="always()")
    new = factories.make_new_build(
        None,
        factories.make_job(plan=step_plan("a")),
        factories.make_job(plan=clean, state=job.State.WAITING),
        factories.make_job(plan=step_plan("z", "clean"), state=job.State.WAITING),
    )
    made = await yard.create(new)
    a, behind, last = new.jobs
    async with yard.running() as running:
        yard.engine.tell(a.id, scripted.prepared())
        await yard.until_job(a.id, job.State.RUNNING)
        await yard.store.write(commands.cancel, made.id, now=clock.now(), reason="Enough.", by=factories.ACTOR)
        running.wake()
        await yard.until_job(last.id, job.State.CANCELLED)
        assert (await yard.until_job(behind.id, job.State.STARTING)).cancel_requested_at is None
        assert yard.engine.cancelled == [(a.id, "Enough.")]
        await yard.store.write(commands.cancel, made.id, now=clock.now(), reason="Now.", by=factories.ACTOR)
        running.wake()
        assert (await yard.until_job(behind.id, job.State.CANCELLED)).reason == "Now."
    assert (await yard.get_build(made.id)).state == build.State.CANCELLED


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (contract.Result.ERRORED, (job.State.CANCELLED, "Enough.")),
        (contract.Result.FAILED, (job.State.FAILED, "It broke.")),
        (contract.Result.CANCELLED, (job.State.CANCELLED, "It broke.")),
    ],
)
async def test_f39_what_breaks_before_it_heeds_a_wish_to_cancel_was_cancelled_all_the_same(
    yard: Yard, result: contract.Result, expected: tuple[job.State, str]
) -> None:
    new = factories.make_new_build()
    made = await yard.create(new)
    (one,) = new.jobs
    yard.engine.heeds_cancel = False
    async with yard.running():
        await yard.until_job(one.id, job.State.STARTING)
        await yard.store.write(commands.cancel, made.id, now=clock.now(), reason="Enough.", by=factories.ACTOR)
        yard.engine.tell(one.id, scripted.finished(result, reason="It broke."))
        ended = await yard.until_job(one.id, *job.FINAL)
        await yard.until(lambda: yard.engine.removed == [one.id])
    assert (ended.state, ended.reason) == expected
    assert (await yard.get_build(made.id)).state == build.State(expected[0].value)
    labels = {"engine": "local", "result": str(expected[0])}
    assert yard.metrics.registry.get_sample_value("buildhook_builds_total", labels) == 1


async def test_f69_a_wish_to_cancel_before_the_start_starts_nothing(yard: Yard) -> None:
    new = factories.make_new_build()
    made = await yard.create(new)
    await yard.store.write(commands.cancel, made.id, now=clock.now(), reason="Enough.", by=factories.ACTOR)
    async with yard.running():
        await yard.until_job(new.jobs[0].id, job.State.CANCELLED)
    assert yard.engine.started == []


async def test_f64_a_job_that_the_engine_does_not_take_waits_and_says_so(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "REFUSED_PAUSE", timedelta(0))
    yard.engine.refusal = errors.EngineError("The disk is full: free some.")
    new = factories.make_new_build()
    await yard.create(new)
    (one,) = new.jobs
    async with yard.running():
        async with asyncio.timeout(10):
            while "The disk is full" not in ((await yard.get_job(one.id)).reason or ""):
                await asyncio.sleep(0)
        yard.engine.refusal = None
        yard.engine.tell(one.id, scripted.prepared(), scripted.finished(contract.Result.PASSED))
        ended = await yard.until_job(one.id, job.State.PASSED)
    assert ended.reason is None


async def test_f4_after_a_restart_the_same_run_is_followed_and_nothing_runs_twice(yard: Yard) -> None:
    new = factories.make_new_build()
    await yard.create(new)
    (one,) = new.jobs
    async with yard.running():
        yard.engine.tell(one.id, scripted.prepared(), scripted.output(b"first "), scripted.step(0, "running"))
        await yard.until_job(one.id, job.State.RUNNING)
        async with asyncio.timeout(10):
            while not (await yard.get_job(one.id)).steps:
                await asyncio.sleep(0)
    yard.engine.tell(
        one.id, scripted.output(b"second"), scripted.step(0, "passed"), scripted.finished(contract.Result.PASSED)
    )
    async with yard.running():
        await yard.until_job(one.id, job.State.PASSED)
    assert await yard.logs.read(one.id) == b"first second"
    assert [request.job_id for request in yard.engine.started] == [one.id]


async def test_f4_a_job_that_was_being_prepared_is_handed_over_again(yard: Yard) -> None:
    new = factories.make_new_build()
    await yard.create(new)
    (one,) = new.jobs
    async with yard.running():
        await yard.until(lambda: bool(yard.engine.started))
    yard.engine.tell(one.id, scripted.prepared(), scripted.finished(contract.Result.PASSED))
    async with yard.running():
        await yard.until_job(one.id, job.State.PASSED)
    assert {request.job_id for request in yard.engine.started} == {one.id}


async def test_f65_a_job_that_the_engine_lost_is_errored_and_not_green(yard: Yard) -> None:
    new = factories.make_new_build()
    made = await yard.create(new)
    (one,) = new.jobs
    async with yard.running():
        yard.engine.tell(one.id, scripted.prepared())
        await yard.until_job(one.id, job.State.RUNNING)
    yard.engine = scripted.Scripted()
    async with yard.running():
        lost = await yard.until_job(one.id, job.State.ERRORED)
    assert "lost the job" in (lost.reason or "")
    assert (await yard.get_build(made.id)).state == build.State.ERRORED


async def test_f67_an_engine_that_goes_backwards_changes_nothing(yard: Yard) -> None:
    new = factories.make_new_build()
    await yard.create(new)
    (one,) = new.jobs
    yard.engine.tell(
        one.id,
        scripted.prepared(sha="a" * 40),
        scripted.prepared(sha="a" * 40),
        scripted.finished(contract.Result.PASSED),
    )
    async with yard.running():
        await yard.until_job(one.id, job.State.PASSED)


async def test_retry_makes_the_next_generation_of_an_ended_build_only(yard: Yard) -> None:
    new = factories.make_new_build(factories.make_build(plan_digest="d" * 64))
    made = await yard.create(new)
    with pytest.raises(errors.Conflict, match="has not ended"):
        await yard.store.write(commands.retry, made.id, now=clock.now(), new_id=factories.new_id, by=factories.ACTOR)
    yard.engine.tell(new.jobs[0].id, scripted.finished(contract.Result.FAILED))
    async with yard.running():
        await yard.until_job(new.jobs[0].id, job.State.FAILED)
    again = await yard.store.write(
        commands.retry, made.id, now=clock.now(), new_id=factories.new_id, by=factories.ACTOR
    )
    assert again.generation == 2
    with pytest.raises(errors.Conflict, match="is not the newest"):
        await yard.store.write(commands.retry, made.id, now=clock.now(), new_id=factories.new_id, by=factories.ACTOR)
    with pytest.raises(errors.NotFound):
        await yard.store.write(
            commands.retry, "01JAAAAAAAAAAAAAAAAAAAAAAA", now=clock.now(), new_id=factories.new_id, by=factories.ACTOR
        )


async def test_f22_a_log_goes_away_behind_the_end_of_its_job_which_keeps_what_is_told_of_it(
    yard: Yard, tmp_path: Path
) -> None:
    await yard.storage.close()
    yard.storage = Storage(tmp_path / "one", url=f"file://{tmp_path}/store")
    gone: list[str] = []
    yard.logs.on_let_go = gone.append
    new = factories.make_new_build()
    await yard.create(new)
    one = new.jobs[0].id
    yard.engine.tell(
        one,
        scripted.prepared(),
        scripted.step(0, "running"),
        scripted.output(b"it broke\n"),
        scripted.step(0, "failed", exit_code=1, end_bytes=9),
        scripted.finished(contract.Result.FAILED),
    )
    async with yard.running():
        await yard.until(lambda: bool(gone))
        assert (await yard.get_job(one)).state == job.State.FAILED
    await yard.storage.carry_all()
    shutil.rmtree(tmp_path / "store")
    assert await yard.store.read(jobs.find_log_tail, one) == b"it broke\n"


async def test_f17_a_database_that_is_locked_at_the_start_is_waited_for(
    empty_database: Path, metrics: telemetry.Metrics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_SECONDS", 0.01)
    monkeypatch.setattr(patience, "PAUSE_SECONDS", 0.01)
    path = tmp_path / "locked.db"
    shutil.copyfile(empty_database, path)
    store, storage = await Store(f"sqlite:///{path}").open(), Storage(tmp_path)
    yard = Yard(store=store, engine=scripted.Scripted(), storage=storage, metrics=metrics)
    new = factories.make_new_build()
    await yard.create(new)
    yard.engine.tell(new.jobs[0].id, scripted.prepared(), scripted.finished(contract.Result.PASSED))
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other, capture_logs() as logged:
        other.execute("BEGIN IMMEDIATE")
        async with yard.running():
            await yard.until(lambda: len(logged) > 2)
            other.execute("ROLLBACK")
            await yard.until_job(new.jobs[0].id, job.State.PASSED)
    assert logged[0]["action"] == "wait_for_store"
    await storage.close()
    await store.close()
