"""Exactly once: one run for each check and each annotation in it, whatever became of calls, processes and reads."""

from __future__ import annotations

import asyncio
import itertools
import random
from typing import Any

import pytest
from msgspec.structs import replace

from bot.checks import writing
from bot.model import build, job
from bot.simulator import CheckRun
from bot.store import checks, jobs, results
from tests import factories
from tests.checks.conftest import Desk

VISIBLE_SECONDS = writing.VISIBLE_AFTER.total_seconds()


async def _fail_with_annotations(desk: Desk, made: build.Build) -> None:
    """Let the build's job fail with an output that names one line of a file."""
    one = (await desk.store.read(jobs.list_of_builds, [made.id]))[0]
    text = b"tests/test_a.py:3: AssertionError\n"
    if not await desk.logs.size(one.id):
        await desk.logs.append(one.id, offset_bytes=0, data=text)
    steps = (factories.make_step_result(state="failed", exit_code=1, log_end_bytes=len(text)),)
    await desk.store.write(jobs.save, replace(one, steps=steps, log_size_bytes=len(text)))
    await desk.move(made, job.State.FAILED, reason="exit status 1")


def _annotated(run: CheckRun) -> list[tuple[Any, Any]]:
    return [(mark["path"], mark["start_line"]) for mark in run.annotations]


async def test_f33_a_run_that_reads_do_not_show_yet_is_looked_for_and_not_made_again(desk: Desk) -> None:
    desk.simulator.lag_reads(20)
    desk.simulator.faults.add(method="POST", path="/check-runs$", drop_response_after_applying=True)
    made = await desk.create(factories.make_plan())
    pauses = []
    while (await desk.stored(made))[0].github_id is None:
        await desk.report()
        (stored,) = await desk.stored(made)
        if stored.next_attempt_at is not None:
            pauses.append((stored.next_attempt_at - desk.now()).total_seconds())
            desk.advance(max(pauses[-1], 0) + 0.01)
    assert [round(pause) for pause in pauses[:4]] == [1, 2, 4, 8]
    assert VISIBLE_SECONDS - 2 <= sum(pauses) <= VISIBLE_SECONDS
    assert desk.calls() == ["POST", "GET", "GET", "GET", "GET", "GET", "PATCH"]
    assert len(desk.shown()) == 1


async def test_f33_a_run_that_was_never_made_is_made_once_it_would_be_shown(desk: Desk) -> None:
    desk.simulator.faults.add(method="POST", path="/check-runs$", drop_before=True)
    made = await desk.create(factories.make_plan())
    await desk.report()
    (stored,) = await desk.stored(made)
    assert stored.create_begun_at is not None
    desk.advance(VISIBLE_SECONDS - 2)
    await desk.report()
    assert desk.calls() == ["POST", "GET"]
    desk.advance(3)
    await desk.report()
    assert len(desk.shown()) == 1
    assert desk.calls().count("POST") == 2


async def test_f33_what_is_refused_needs_no_look_before_the_next_attempt(desk: Desk) -> None:
    desk.simulator.faults.add(path="/check-runs", status=403, body={"message": "Resource not accessible"})
    made = await desk.create(factories.make_plan())
    await desk.settle(made)
    assert desk.calls() == ["POST", "POST"]


async def test_f11_who_stood_still_after_the_claim_makes_no_run_beside_another_ones(desk: Desk) -> None:
    made = await desk.create(factories.make_plan())
    claimed_at = desk.now()
    (claimed,) = await desk.claim()
    desk.advance(VISIBLE_SECONDS)
    await desk.reporter.report([claimed], claimed_at=claimed_at)
    assert desk.shown() == []
    await desk.settle(made)
    assert len(desk.shown()) == 1


@pytest.mark.parametrize("fault", ["drop_before", "drop_response_after_applying", "truncate"])
@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_f6_each_annotation_is_there_once_although_the_answer_was_lost(
    desk: Desk, method: str, fault: str
) -> None:
    faults: dict[str, Any] = {fault: True}
    desk.simulator.lag_reads(5)
    made = await desk.create(factories.make_plan())
    if method == "PATCH":
        await desk.settle(made)
    desk.simulator.faults.add(method=method, path="/check-runs", times=2, **faults)
    await _fail_with_annotations(desk, made)
    await desk.settle(made)
    (shown,) = desk.shown()
    assert shown.conclusion == "failure"
    assert _annotated(shown) == [("tests/test_a.py", 3)]


async def test_what_changes_between_claim_and_sending_is_sent_once(desk: Desk) -> None:
    made = await desk.create(factories.make_plan())
    await desk.report()
    desk.advance(2)
    await desk.move(made, job.State.STARTING)
    (claimed,) = await desk.claim()
    await _fail_with_annotations(desk, made)
    await desk.reporter.report([claimed], claimed_at=desk.now())
    (stored,) = await desk.stored(made)
    assert not stored.is_stale
    assert [_annotated(shown) for shown in desk.shown()] == [[("tests/test_a.py", 3)]]


async def test_f37_a_token_that_ended_early_is_renewed_once_and_a_refusal_that_stays_is_told(desk: Desk) -> None:
    made = await desk.create(factories.make_plan())
    await desk.report()
    desk.simulator.faults.add(path="/check-runs", status=401, body={"message": "Bad credentials"})
    desk.advance(2)
    await desk.move(made, job.State.STARTING)
    await desk.report()
    assert [one.status for one in desk.shown()] == ["in_progress"]
    assert desk.calls(part="access_tokens") == ["POST", "POST"]
    fault = desk.simulator.faults.add(path="/check-runs", status=401, body={"message": "Bad credentials"}, times=None)
    await desk.move(made, job.State.PASSED)
    await desk.report()
    (stored,) = await desk.stored(made)
    assert fault.hits == 2
    assert "Bad credentials" in (stored.error or "")
    desk.simulator.faults.clear()
    await desk.settle(made)
    assert [one.conclusion for one in desk.shown()] == ["success"]


async def test_f38_a_permission_that_is_missing_is_told_and_asked_for_ever_less_often(desk: Desk) -> None:
    desk.simulator.grant("octo", {"contents": "read", "metadata": "read", "pull_requests": "write"})
    made = await desk.create(factories.make_plan())
    pauses: list[float] = []
    for _ in range(14):
        await desk.report()
        (stored,) = await desk.stored(made)
        assert "checks: write" in (stored.error or "")
        assert stored.next_attempt_at is not None
        pauses.append((stored.next_attempt_at - desk.now()).total_seconds())
        desk.advance(pauses[-1] + 0.01)
    assert all(round(later) >= round(earlier) for earlier, later in itertools.pairwise(pauses))
    assert 3590 < pauses[-1] <= 4500
    desk.simulator.grant("octo", desk.simulator.app.permissions)
    await desk.report()
    await desk.store.write(checks.resume, installation_id=stored.installation_id)
    await desk.settle(made)
    assert len(desk.shown()) == 1


async def test_f39_what_a_suspension_holds_up_is_sent_when_it_ends(desk: Desk) -> None:
    made = await desk.create(factories.make_plan())
    desk.simulator.suspend("octo")
    await desk.report()
    (stored,) = await desk.stored(made)
    assert stored.is_stale
    assert "suspended" in (stored.error or "")
    asked = len(desk.simulator.requests)
    desk.advance(600)
    await desk.report()
    assert len(desk.simulator.requests) == asked
    desk.simulator.unsuspend("octo")
    await desk.store.write(checks.resume, installation_id=stored.installation_id)
    await desk.report()
    assert len(desk.shown()) == 1


async def test_f39_without_the_event_a_suspension_that_ended_is_found_out_within_an_hour(desk: Desk) -> None:
    made = await desk.create(factories.make_plan())
    desk.simulator.suspend("octo")
    await desk.report()
    desk.simulator.unsuspend("octo")
    desk.advance(3601)
    await desk.report()
    assert not (await desk.stored(made))[0].is_stale


async def test_f39_a_run_that_is_gone_is_made_anew_once(desk: Desk) -> None:
    made = await desk.create(factories.make_plan())
    await desk.report()
    (gone,) = desk.shown()
    del desk.simulator.check_runs_by_id[gone.id]
    gone.suite.runs.remove(gone)
    desk.advance(VISIBLE_SECONDS + 1)
    await desk.move(made, job.State.PASSED)
    await desk.settle(made)
    (shown,) = desk.shown()
    assert (shown.conclusion, shown.external_id, shown.id != gone.id) == ("success", gone.external_id, True)
    assert desk.calls().count("POST") == 2


async def test_f39_a_repository_that_was_deleted_is_given_up_with_its_reason(desk: Desk) -> None:
    made = await desk.create(factories.make_plan())
    await desk.report()
    await desk.simulator.delete_repository(desk.repository)
    desk.advance(VISIBLE_SECONDS + 1)
    await desk.move(made, job.State.PASSED)
    await desk.settle(made)
    (stored,) = await desk.stored(made)
    assert "404" in (stored.error or "") or "not" in (stored.error or "")


async def test_f42_a_commit_that_github_does_not_know_is_asked_for_a_few_times_and_then_superseded(desk: Desk) -> None:
    made = await desk.create(factories.make_plan(), head_sha="1" * 40)
    await desk.settle(made)
    (stored,) = await desk.stored(made)
    assert "No commit found for SHA" in (stored.error or "")
    assert "superseded" in (stored.error or "")
    assert desk.calls() == ["POST"] * 3


STATES = (job.State.STARTING, job.State.RUNNING, job.State.FAILED)
FAULTS: tuple[dict[str, Any], ...] = (
    {"method": ["POST", "PATCH"], "path": "/check-runs", "drop_response_after_applying": True},
    {"method": ["POST", "PATCH"], "path": "/check-runs", "truncate": True},
    {"method": ["POST", "PATCH"], "path": "/check-runs", "drop_before": True},
    {"method": ["POST", "PATCH"], "path": "/check-runs", "status": 502, "html": True},
    {"path": "/check-runs", "status": 401, "body": {"message": "Bad credentials"}},
    {"path": "/check-runs", "status": 403, "body": {"message": "Resource not accessible by integration"}},
)


@pytest.mark.parametrize("seed", range(8))
async def test_f6_f32_f33_whatever_happens_in_whatever_order_there_is_one_run_with_the_last_word(
    desk: Desk, seed: int
) -> None:
    """Changes, calls that fail in every way, processes that die anywhere in between, reads that lag, time."""
    dice = random.Random(seed)
    desk.simulator.lag_reads(dice.choice((0, 3, 20)))
    made = await desk.create(factories.make_plan())
    states = list(STATES)
    for _ in range(30):
        match dice.randrange(5):
            case 0 if states and dice.random() < 0.4:
                state = states.pop(0)
                await (_fail_with_annotations(desk, made) if state in job.FINAL else desk.move(made, state))
            case 1:
                desk.simulator.faults.add(**dice.choice(FAULTS))
            case 2:
                await _die_while_reporting(desk, steps=dice.randrange(60))
            case 3:
                desk.advance(dice.choice((0.3, 1, 5, 31)))
            case _:
                await desk.report()
    for state in states:
        await (_fail_with_annotations(desk, made) if state in job.FINAL else desk.move(made, state))
    desk.simulator.faults.clear()
    desk.advance(VISIBLE_SECONDS)
    await desk.store.write(checks.resume, installation_id=(await desk.stored(made))[0].installation_id)
    await desk.settle(made)
    (shown,) = desk.shown()
    (stored,) = await desk.stored(made)
    assert (stored.github_id, stored.error) == (shown.id, None)
    assert (shown.external_id, shown.conclusion) == (stored.external_id, "failure")
    assert _annotated(shown) == [("tests/test_a.py", 3)]


async def _die_while_reporting(desk: Desk, *, steps: int) -> None:
    """Begin to report, stop after so many turns of the loop, and let the next process start at once."""
    claimed_at = desk.now()
    tasks = [asyncio.create_task(desk.reporter.report([one], claimed_at=claimed_at)) for one in await desk.claim()]
    for _ in range(steps):
        await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await desk.store.write(checks.release_all)


@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize("how", ["drop_before", "drop_response_after_applying"])
async def test_f32_annotations_of_several_requests_are_there_once_wherever_they_were_cut_off(
    desk: Desk, method: str, every: int, how: str
) -> None:
    made = await desk.create(factories.make_plan())
    (one,) = await desk.store.read(jobs.list_of_builds, [made.id])
    findings = tuple(factories.make_finding(line=line, end_line=line) for line in range(1, 121))
    await desk.store.write(results.insert_findings, one, findings)
    await desk.store.write(results.insert, one.id, factories.make_results(findings=findings))
    desk.simulator.faults.add(method=method, path="/check-runs", every=every, **{how: True})  # type: ignore[arg-type]
    await desk.move(made, job.State.PASSED)
    await desk.settle(made)
    (run,) = desk.shown()
    assert _annotated(run) == [("src/a.py", line) for line in range(1, 121)]
    assert run.conclusion == "success"
    sizes = [len(_output(one.body).get("annotations", [])) for one in desk.simulator.requests if one.method != "GET"]
    assert max(sizes) <= 50


def _output(body: Any) -> dict[str, Any]:
    found: dict[str, Any] = body.get("output", {}) if isinstance(body, dict) else {}
    return found
