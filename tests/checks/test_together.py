"""Several checks with one request: as safe for each of them as one alone, whatever becomes of the request."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from bot.checks import reporter, together, writing
from bot.github import graphql
from bot.model import build, job
from bot.simulator import CheckRun, limits
from bot.store import checks, jobs, results
from tests import factories
from tests.checks.conftest import Desk
from tests.databases import long_on_postgresql

pytestmark = long_on_postgresql

VISIBLE_SECONDS = writing.VISIBLE_AFTER.total_seconds()
GRAPHQL = "^/graphql$"
LOST: tuple[dict[str, Any], ...] = (
    {"drop_before": True},
    {"drop_response_after_applying": True},
    {"truncate": True},
    {"status": 502, "html": True},
    {"html": True},
)


async def create(desk: Desk, count: int = 3) -> build.Build:
    """A build with so many jobs, and so one check more."""
    return await desk.create(*(factories.make_plan(key=f"job-{at}", name=f"job {at}") for at in range(count)))


async def find(desk: Desk, made: build.Build, *, count: int = 1) -> None:
    """Let each job pass with so many findings."""
    for one in await desk.store.read(jobs.list_of_builds, [made.id]):
        findings = tuple(factories.make_finding(line=line, end_line=line) for line in range(1, count + 1))
        await desk.store.write(results.insert_findings, one, findings)
        await desk.store.write(results.insert, one.id, factories.make_results(findings=findings))
    await desk.move_all(made, job.State.PASSED)


def kinds(desk: Desk) -> list[str]:
    """The calls about check runs, oldest first."""
    words = {"/graphql": "together", "/repos/{owner}/{repo}/commits/{ref}/check-runs": "look"}
    return [
        words.get(one.template, one.method)
        for one in desk.simulator.requests
        if one.template == "/graphql" or "check-runs" in one.path
    ]


def marked(run: CheckRun) -> list[int]:
    return [mark["start_line"] for mark in run.annotations]


async def proved(desk: Desk, *of: build.Build, conclusion: str = "success") -> Sequence[CheckRun]:
    """GitHub shows each check once, and its last word."""
    shown = desk.shown()
    stored = [one for made in of for one in await desk.stored(made)]
    assert sorted(run.external_id for run in shown) == sorted(one.external_id for one in stored)
    assert {one.github_id for one in stored} == {run.id for run in shown}
    assert {run.conclusion for run in shown} == {conclusion}
    return shown


async def test_the_checks_of_a_build_take_a_request_for_each_change_of_them_all(desk: Desk) -> None:
    made = await create(desk)
    desk.advance(1)
    await desk.settle_together(made)
    assert kinds(desk) == ["together"]
    assert [run.status for run in desk.shown()] == ["queued"] * 4
    await find(desk, made)
    await desk.settle_together(made)
    assert kinds(desk) == ["together"] * 2
    assert sorted(marked(run) for run in await proved(desk, made)) == [[], [1], [1], [1]]


@pytest.mark.parametrize("is_made_together", [True, False])
async def test_a_run_that_one_way_made_is_changed_the_other(desk: Desk, is_made_together: bool) -> None:
    made = await create(desk)
    desk.advance(1)
    desk.has_gone_alone = not is_made_together
    await desk.settle_together(made)
    desk.has_gone_alone = is_made_together
    await find(desk, made)
    await desk.settle_together(made)
    await proved(desk, made)
    changed = ["PATCH"] * 4 if is_made_together else ["together"]
    assert kinds(desk)[-len(changed) :] == changed


async def test_one_check_alone_goes_over_rest(desk: Desk) -> None:
    made = await desk.create(factories.make_plan())
    desk.advance(1)
    await desk.settle_together(made)
    assert kinds(desk) == ["POST"]


async def test_after_a_restart_one_question_tells_the_ids_of_all(desk: Desk) -> None:
    made = await create(desk)
    desk.advance(1)
    await desk.settle_together(made)
    desk.reporter._github._nodes._runs.clear()
    await find(desk, made)
    await desk.settle_together(made)
    await proved(desk, made)
    assert kinds(desk) == ["together", "look", "together"]


@pytest.mark.parametrize("fault", LOST, ids=str)
@pytest.mark.parametrize("is_making", [True, False])
async def test_f6_a_lost_answer_to_many_is_healed_by_one_look(
    desk: Desk, fault: dict[str, Any], is_making: bool
) -> None:
    made = await create(desk)
    desk.advance(1)
    if not is_making:
        await desk.settle_together(made)
    desk.simulator.requests.clear()
    desk.simulator.faults.add(path=GRAPHQL, **fault)
    await find(desk, made)
    await desk.settle_together(made)
    assert sorted(marked(run) for run in await proved(desk, made)) == [[], [1], [1], [1]]
    # What is not found is looked for until it would be shown; of what is known only the annotations are counted first.
    asked = kinds(desk)
    assert asked.count("POST") + asked.count("PATCH") == 0
    assert asked.count("together") <= 4
    assert asked.count("look") == 0 if not is_making else 1 <= asked.count("look") <= 6


@pytest.mark.parametrize("count", [51, 120])
@pytest.mark.parametrize("every", [1, 2])
async def test_f32_annotations_of_many_checks_are_there_once_wherever_they_were_cut_off(
    desk: Desk, count: int, every: int
) -> None:
    made = await create(desk, 2)
    desk.simulator.faults.add(path=GRAPHQL, every=every, times=2, drop_response_after_applying=True)
    await find(desk, made, count=count)
    await desk.settle_together(made)
    shown = await proved(desk, made)
    assert sorted(marked(run) for run in shown) == [[], list(range(1, count + 1)), list(range(1, count + 1))]


async def test_f39_a_run_that_is_gone_is_made_anew_and_the_others_are_left_alone(desk: Desk) -> None:
    made = await create(desk)
    desk.advance(1)
    await desk.settle_together(made)
    gone = desk.shown()[1]
    del desk.simulator.check_runs_by_id[gone.id]
    gone.suite.runs.remove(gone)
    desk.advance(VISIBLE_SECONDS + 1)
    await find(desk, made)
    await desk.report_together()
    assert [run.conclusion for run in desk.shown()] == ["success"] * 3
    await desk.settle_together(made)
    assert gone.external_id in [run.external_id for run in await proved(desk, made)]


async def test_f42_a_commit_that_is_not_known_holds_up_nobody_else(desk: Desk) -> None:
    lost = await desk.create(factories.make_plan(), head_sha="1" * 40)
    made = await create(desk)
    desk.advance(1)
    await desk.report_together()
    assert len(desk.shown()) == 4
    assert kinds(desk) == ["together"]
    await desk.settle_together(lost, made)
    assert "superseded" in ((await desk.stored(lost))[0].error or "")


async def test_what_github_refuses_of_one_is_sent_in_its_least_form_for_that_one(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await create(desk)
    desk.advance(1)
    await desk.settle_together(made)
    await find(desk, made)
    its_part = writing.part

    def too_much(wanted: Any, start: int) -> Any:
        part = its_part(wanted, start)
        is_whole = wanted.name.endswith("job 1") and "did not take" not in wanted.summary
        return replace(part, text="x" * 70_000) if is_whole else part

    monkeypatch.setattr(writing, "part", too_much)
    await desk.report_together()
    shown = {run.name.rpartition(" ")[2]: run for run in await proved(desk, made)}
    assert "did not take the details" in (shown["1"].summary or "")
    assert "did not take the details" not in (shown["0"].summary or "")


async def test_f34_points_of_graphql_that_are_used_up_leave_rest_and_come_back(desk: Desk) -> None:
    installation = desk.simulator.installation_of("octo")
    assert installation is not None
    desk.simulator.rates.use_up(installation, resource=limits.GRAPHQL)
    await create(desk)
    desk.advance(1)
    await desk.report_together()
    assert kinds(desk) == ["together", "POST", "POST", "POST", "POST"]
    assert desk.simulator.calls_inside_waits == []
    assert desk.reporter._github.list_without_graphql() == frozenset({installation.id})


async def test_f34_a_secondary_limit_in_the_middle_of_many_holds_all_up(desk: Desk) -> None:
    made = await create(desk, graphql.MAX_RUNS + 5)
    desk.simulator.rates.secondary = limits.Secondary(writes=1, window_seconds=60.0)
    desk.simulator.waits.grace_seconds = 0.0
    desk.advance(1)
    await desk.report_together()
    assert kinds(desk) == ["together"] * 2
    assert len(desk.shown()) == graphql.MAX_RUNS
    waiting = [one for one in await desk.stored(made) if one.is_stale]
    assert {one.attempts for one in waiting} == {0}
    assert all(one.next_attempt_at is not None and one.next_attempt_at > desk.now() for one in waiting)


@pytest.mark.parametrize(
    "away", [{"status": 404, "body": {"message": "Not Found"}}, {"status": 403, "body": {"message": "not accessible"}}]
)
async def test_f97_where_graphql_is_not_there_rest_is_used_at_once_and_for_a_while(
    desk: Desk, away: dict[str, Any]
) -> None:
    desk.simulator.faults.add(path=GRAPHQL, times=None, **away)
    made = await create(desk)
    desk.advance(1)
    await desk.report_together()
    assert kinds(desk) == ["together", "POST", "POST", "POST", "POST"]
    await find(desk, made)
    await desk.report_together()
    assert kinds(desk)[5:] == ["PATCH"] * 4
    await proved(desk, made)
    assert desk.reporter._github.list_without_graphql() in (None, frozenset({made.installation_id}))


async def test_rights_that_graphql_alone_lacks_are_remembered(desk: Desk) -> None:
    trouble = [{"path": [f"run{at}"], "type": "FORBIDDEN", "message": "not accessible"} for at in range(4)]
    body = {"data": {f"run{at}": None for at in range(4)}, "errors": trouble}
    desk.simulator.faults.add(path=GRAPHQL, status=200, body=body)
    made = await create(desk)
    desk.advance(1)
    await desk.report_together()
    assert kinds(desk) == ["together", "POST", "POST", "POST", "POST"]
    assert desk.reporter._github.list_without_graphql() == frozenset({made.installation_id})


async def test_a_request_that_fails_again_and_again_becomes_smaller_until_each_goes_alone(desk: Desk) -> None:
    fault = desk.simulator.faults.add(path=GRAPHQL, times=None, status=502, html=True)
    made = await create(desk, 7)
    desk.advance(1)
    await desk.settle_together(made)
    assert len(desk.shown()) == 8
    assert fault.hits < 20
    assert kinds(desk).count("POST") == 8
    sizes = [
        sum(name.startswith("input") for name in one.body["variables"])
        for one in desk.simulator.requests
        if one.template == "/graphql" and one.body is not None
    ]
    assert sizes == sorted(sizes, reverse=True)


async def test_what_is_too_much_at_once_is_halved(desk: Desk) -> None:
    body = {"errors": [{"type": "RESOURCE_LIMITS_EXCEEDED", "message": "too much"}]}
    desk.simulator.faults.add(path=GRAPHQL, status=200, body=body, times=2)
    made = await create(desk, 7)
    desk.advance(1)
    await desk.report_together()
    assert kinds(desk) == ["together"] * 6
    assert len(desk.shown()) == 8
    assert not any(one.is_stale for one in await desk.stored(made))


async def test_one_request_holds_so_many_runs_and_so_many_bytes(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    made = await create(desk, graphql.MAX_RUNS + 1)
    desk.advance(1)
    await desk.report_together()
    assert kinds(desk) == ["together"] * 2
    monkeypatch.setattr(together, "MAX_BODY_BYTES", 6000)
    await desk.move_all(made, job.State.PASSED)
    desk.simulator.requests.clear()
    await desk.settle_together(made)
    bodies = [one.body for one in desk.simulator.requests if one.template == "/graphql"]
    assert len(bodies) > 2
    assert max(len(str(body["variables"])) for body in bodies) < 8000
    await proved(desk, made)


async def test_f11_who_stood_still_makes_no_runs_beside_another_ones(desk: Desk) -> None:
    made = await create(desk)
    desk.advance(1)
    claimed_at = desk.now()
    claimed = await desk.claim()
    desk.advance(VISIBLE_SECONDS)
    await desk.reporter.report(claimed, claimed_at=claimed_at)
    assert desk.shown() == []
    await desk.settle_together(made)
    assert len(desk.shown()) == 4


async def test_f77_a_check_that_another_replica_took_over_is_not_written_and_the_others_are(desk: Desk) -> None:
    made = await create(desk)
    desk.advance(1)
    claimed_at = desk.now()
    claimed = await desk.claim()
    await desk.store.write(checks.release_all)
    (taken,) = await desk.store.write(checks.claim_stale, now=desk.now(), owner="other", lease=reporter.LEASE, limit=1)
    await desk.reporter.report(claimed, claimed_at=claimed_at)
    stored = {one.id: one for one in await desk.stored(made)}
    assert [one.id for one in stored.values() if one.is_stale] == [taken.id]


FAULTS: tuple[dict[str, Any], ...] = (
    *({"path": GRAPHQL, **fault} for fault in LOST),
    {"path": "/check-runs", "method": ["POST", "PATCH"], "drop_response_after_applying": True},
    {"path": "/check-runs", "method": ["GET"], "status": 502, "html": True, "times": 3},
    {"path": GRAPHQL, "status": 401, "body": {"message": "Bad credentials"}},
    {"path": GRAPHQL, "status": 200, "body": {"errors": [{"type": "SERVICE_UNAVAILABLE", "message": "busy"}]}},
)


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 12))])
async def test_f6_f32_f33_whatever_happens_to_many_there_is_one_run_of_each_with_the_last_word(
    desk: Desk, seed: int
) -> None:
    """Changes, requests that fail in every way, processes that die anywhere in between, reads that lag, time."""
    dice = random.Random(seed)
    desk.simulator.lag_reads(dice.choice((0, 3, 20)))
    made = await create(desk)
    changes = [job.State.STARTING, job.State.RUNNING]
    for _ in range(30):
        match dice.randrange(5):
            case 0 if changes:
                await desk.move_all(made, changes.pop(0))
            case 1:
                desk.simulator.faults.add(**dice.choice(FAULTS))
            case 2:
                await _die_while_reporting(desk, steps=dice.randrange(80))
            case 3:
                desk.advance(dice.choice((0.3, 1, 5, 31)))
            case _:
                await desk.report_together()
    await find(desk, made, count=dice.choice((1, 60)))
    for _ in range(5):
        desk.simulator.faults.add(**dice.choice(FAULTS))
        await desk.report_together()
        desk.advance(dice.choice((1, 5)))
    desk.simulator.faults.clear()
    desk.advance(VISIBLE_SECONDS)
    await desk.settle_together(made)
    shown = await proved(desk, made)
    assert all(marked(run) == sorted(set(marked(run))) for run in shown)
    assert sorted(bool(run.annotations) for run in shown) == [False, True, True, True]


async def _die_while_reporting(desk: Desk, *, steps: int) -> None:
    """Begin to report, stop after so many turns of the loop, and let the next process start at once."""
    task = asyncio.create_task(desk.report_together())
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await desk.store.write(checks.release_all)
