"""From a plan to the build that is stored: who runs, who waits, and what is left out with all that needs it."""

from __future__ import annotations

from datetime import UTC, datetime

from bot.builds import lifecycle
from bot.events import planning
from bot.identity import Ids
from bot.model import approval, build, job
from bot.pipelines import parse, plan
from tests import factories

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
State = job.State


def maker() -> planning.Maker:
    return planning.Maker(template=factories.make_build(), new_id=Ids(), now=NOW)


def planned(key: str, line: int, *needs: str) -> job.Plan:
    return factories.make_plan(key=key, name=key, needs=needs, line=line)


def test_jobs_that_are_left_out_keep_their_place_and_take_along_what_needs_them() -> None:
    left_out = (plan.LeftOut(plan=planned("b", 2), reason="Not today."),)
    jobs = (planned("a", 1), planned("c", 3, "b"), planned("d", 4, "a"), planned("e", 5, "c", "d"))
    made = maker().planned(plan.Plan(pipeline="", jobs=jobs, left_out=left_out))
    assert [(one.plan.key, one.position, one.state, one.reason) for one in made.jobs] == [
        ("a", 0, State.QUEUED, None),
        ("b", 1, State.SKIPPED, "Not today."),
        ("c", 2, State.SKIPPED, "`b` was skipped, so this did not run."),
        ("d", 3, State.WAITING, None),
        ("e", 4, State.SKIPPED, "`c` was skipped, so this did not run."),
    ]
    assert all((one.finished_at is None) == (one.state not in job.FINAL) for one in made.jobs)
    assert lifecycle.verdict(made.jobs) == build.State.RUNNING


def test_a_build_that_is_left_out_has_ended_and_may_be_run_again() -> None:
    made = plan.skip(plan.Plan(pipeline="p", jobs=(planned("a", 1), planned("b", 2, "a"))), "Because.")
    found = maker().left_out(made)
    assert (found.build.state, found.build.reason, found.build.finished_at) == (build.State.SKIPPED, "Because.", NOW)
    assert found.build.plan_digest == plan.digest(made)
    assert {(one.state, one.reason) for one in found.jobs} == {(State.SKIPPED, "Because.")}
    assert [one.check_name for one in found.jobs] == ["buildhook / a", "buildhook / b"]


def test_what_waits_for_somebody_has_no_plan_and_says_for_what() -> None:
    pipeline = parse.parse(b"on: push\njobs: {a: {steps: [{run: x}]}}\n", path=".buildhook.yml").pipeline
    assert pipeline is not None
    found = maker().asking("Because.", pipeline)
    assert (found.build.state, found.build.waits_for) == (build.State.WAITING, approval.Consent.RUN_ANYWAY)
    assert found.build.proposal is not None
    assert found.build.proposal.jobs == ("a",)
    assert (found.jobs, found.build.plan_digest, found.build.reason) == ((), "", "Because.")


def test_the_group_of_a_plan_is_the_builds() -> None:
    made = plan.Plan(pipeline="", jobs=(planned("a", 1),), concurrency_group="* deploy", cancel_in_progress=True)
    found = maker().planned(made).build
    assert (found.concurrency_group, found.cancel_in_progress) == ("* deploy", True)
