"""The reporter: one check run whatever happens, the last word wins, and what GitHub refuses is told."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy.engine import Connection

from bot import clock
from bot.model import job
from bot.store import checks, jobs, schema
from tests import factories
from tests.checks.conftest import Desk


async def test_a_check_is_created_once_and_then_updated(desk: Desk) -> None:
    made = await desk.create(factories.make_plan())
    await desk.report()
    desk.advance(2)
    await desk.move(made, job.State.STARTING)
    await desk.report()
    await desk.move(made, job.State.PASSED)
    await desk.report()
    (shown,) = desk.shown()
    (stored,) = await desk.stored(made)
    assert (shown.status, shown.conclusion) == ("completed", "success")
    assert (stored.github_id, stored.is_stale, stored.reported_status) == (shown.id, False, "completed")
    assert shown.details_url == f"https://builds.example/jobs/{stored.job_id}"
    calls = [one.method for one in desk.simulator.requests if "check-runs" in one.path]
    assert calls == ["POST", "PATCH", "PATCH"]


async def test_what_piles_up_is_sent_as_one(desk: Desk) -> None:
    made = await desk.create(factories.make_plan())
    await desk.move(made, job.State.STARTING)
    await desk.move(made, job.State.PASSED)
    await desk.report()
    assert [one.method for one in desk.simulator.requests if "check-runs" in one.path] == ["POST"]
    assert [one.conclusion for one in desk.shown()] == ["success"]


async def test_several_jobs_have_a_check_each_and_one_over_all(desk: Desk) -> None:
    made = await desk.create(factories.make_plan(key="a", name="a"), factories.make_plan(key="b", name="b"))
    await desk.report()
    assert {one.name for one in desk.shown()} == {"buildhook", "buildhook / a", "buildhook / b"}
    whole = next(one for one in desk.shown() if one.name == "buildhook")
    assert whole.external_id == made.id
    assert whole.details_url == f"https://builds.example/builds/{made.id}"


@pytest.mark.parametrize("fault", ["drop_response_after_applying", "truncate", "html"])
async def test_f6_f32_an_answer_that_was_lost_is_found_again(desk: Desk, fault: str) -> None:
    faults: dict[str, Any] = {fault: True}
    desk.simulator.faults.add(method="POST", path="/check-runs$", **faults)
    made = await desk.create(factories.make_plan())
    async with desk.running():
        async with asyncio.timeout(20):
            while any(one.is_stale for one in await desk.stored(made)):
                await asyncio.sleep(0.01)
    (shown,) = desk.shown()
    (stored,) = await desk.stored(made)
    assert stored.github_id == shown.id


async def test_f6_after_a_restart_in_the_middle_the_run_is_found_and_not_made_again(desk: Desk) -> None:
    made = await desk.create(factories.make_plan())
    (claimed,) = await desk.claim()
    await desk.reporter.report([claimed], claimed_at=clock.now())
    (shown,) = desk.shown()

    # As if the process had ended before it could write the answer down.
    def forget(connection: Connection) -> None:
        values = {"github_id": None, "reported_version": 0, "create_begun_at": clock.now(), "lease_owner": "old"}
        connection.execute(schema.checks.update().values(values))
        checks.release_all(connection)

    await desk.store.write(forget)
    await desk.report()
    assert [one.id for one in desk.shown()] == [shown.id]
    assert [one.github_id for one in await desk.stored(made)] == [shown.id]


async def test_f30_an_outage_is_waited_out_and_the_last_word_arrives(desk: Desk) -> None:
    desk.simulator.faults.add(path="/check-runs", status=503, times=6)
    made = await desk.create(factories.make_plan())
    await desk.report()
    await desk.move(made, job.State.PASSED)
    await desk.settle(made)
    assert [run.conclusion for run in desk.shown()] == ["success"]
    assert desk.calls().count("POST") == 2


async def test_f34_no_call_is_made_before_the_time_that_github_named(desk: Desk) -> None:
    reset = str(int(clock.now().timestamp()) + 3600)
    headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": reset}
    desk.simulator.faults.add(
        path="/check-runs", status=403, headers=headers, body={"message": "API rate limit exceeded"}, times=None
    )
    made = await desk.create(factories.make_plan())
    await desk.report()
    calls = len(desk.simulator.requests)
    (stored,) = await desk.stored(made)
    assert stored.next_attempt_at is not None
    assert (stored.next_attempt_at - clock.now()).total_seconds() > 3500
    assert "rate limit" in (stored.error or "").lower()
    await desk.move(made, job.State.PASSED)
    await desk.report()
    assert len(desk.simulator.requests) == calls


async def test_f41_what_github_refuses_is_sent_again_without_its_details(desk: Desk) -> None:
    desk.simulator.faults.add(method="POST", path="/check-runs$", status=422, body={"message": "Invalid request."})
    made = await desk.create(factories.make_plan())
    await desk.move(made, job.State.PASSED)
    await desk.report()
    (shown,) = desk.shown()
    assert shown.conclusion == "success"
    assert "did not take the details" in (shown.summary or "")


async def test_f39_a_repository_that_is_gone_is_given_up_with_its_reason(desk: Desk) -> None:
    made = await desk.create(factories.make_plan())
    desk.simulator.uninstall("octo")
    await desk.settle(made)
    (stored,) = await desk.stored(made)
    assert not stored.is_stale
    assert stored.error


async def test_an_older_generation_that_nobody_saw_is_never_written(desk: Desk) -> None:
    older = await desk.create(factories.make_plan())
    newer = await desk.create(factories.make_plan())
    await desk.report()
    assert [one.external_id for one in desk.shown()] == [(await desk.stored(newer))[0].external_id]
    assert [one.github_id for one in await desk.stored(older)] == [None]


async def test_the_first_failures_last_lines_and_places_are_shown(desk: Desk) -> None:
    made = await desk.create(factories.make_plan(steps=(factories.make_step(run="pytest -q", line=5),)))
    one = (await desk.stored(made))[0].job_id
    assert one is not None
    text = "collecting\n" * 100 + "tests/test_a.py:3: AssertionError\nFAILED tests/test_a.py::test_a - assert 1 == 2\n"
    await desk.logs.append(one, offset_bytes=0, data=text.encode())
    running = (await desk.store.read(jobs.list_of_builds, [made.id]))[0]
    steps = (factories.make_step_result(state="failed", exit_code=1, log_end_bytes=len(text)),)
    await desk.store.write(jobs.save, replace(running, steps=steps, log_size_bytes=len(text)))
    await desk.move(made, job.State.FAILED, reason="exit status 1")
    await desk.report()
    (shown,) = desk.shown()
    assert "assert 1 == 2" in (shown.summary or "")
    assert f"buildhook logs {one}" in (shown.summary or "")
    assert [(mark["path"], mark["start_line"]) for mark in shown.annotations] == [("tests/test_a.py", 3)]


async def test_a_job_that_starts_at_once_is_never_shown_as_queued(desk: Desk) -> None:
    made = await desk.create(factories.make_plan(), created_at=clock.now() + timedelta(minutes=1))
    await desk.report()
    assert desk.shown() == []
    await desk.move(made, job.State.STARTING)
    await desk.report()
    assert [one.status for one in desk.shown()] == ["in_progress"]


async def test_a_job_that_has_to_wait_is_shown_as_queued_after_a_moment(desk: Desk) -> None:
    await desk.create(factories.make_plan(), created_at=clock.now())
    async with desk.running():
        await desk.simulator.wait_until(desk.shown)
    assert [one.status for one in desk.shown()] == ["queued"]
