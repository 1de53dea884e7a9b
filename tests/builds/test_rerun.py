"""Re-runs: what runs again, what is taken over, and what cannot be run again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bot.builds import commands, lifecycle, rerun
from bot.identity import Ids
from bot.model import approval, build, job
from tests import factories

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def wish(*, only_key: str | None = None) -> rerun.Wish:
    only = None if only_key is None else frozenset({only_key})
    return rerun.Wish(now=NOW, new_id=Ids(), cause="check_run:7", sender="mona", sender_id=2, only_keys=only)


ANYWAY = factories.make_proposal(consent=approval.Consent.RUN_ANYWAY)


def ended(**changes: Any) -> build.Build:
    return factories.make_build(**{"state": build.State.FAILED, "plan_digest": "d" * 64, **changes})


def graph(edges: dict[str, tuple[str, ...]], states: dict[str, job.State] | None = None) -> list[job.Job]:
    return [
        factories.make_job(
            position=position,
            plan=factories.make_plan(key=key, needs=needs),
            check_name=f"buildhook / {key}",
            state=(states or {}).get(key, job.State.PASSED),
        )
        for position, (key, needs) in enumerate(edges.items())
    ]


GRAPH = {"lint": (), "test": (), "package": ("test",), "publish": ("package",)}


def test_all_jobs_run_again_as_a_new_generation_with_the_trust_of_the_first() -> None:
    origin = ended(trust=build.Trust.UNTRUSTED)
    made = rerun.make(origin, graph(GRAPH), wish())
    assert made.build.id != origin.id
    assert made.build.origin_id == origin.id
    assert made.build.trust == build.Trust.UNTRUSTED
    assert made.build.state == build.State.QUEUED
    assert (made.build.sender, made.build.sender_id) == ("mona", 2)
    assert [one.state for one in made.jobs] == [
        job.State.QUEUED,
        job.State.QUEUED,
        job.State.WAITING,
        job.State.WAITING,
    ]
    assert all(one.build_id == made.build.id for one in made.jobs)


def test_one_job_runs_again_with_all_that_need_it_and_the_others_are_taken_over() -> None:
    origin_jobs = graph(GRAPH)
    made = rerun.make(ended(), origin_jobs, wish(only_key="test"))
    by_key = {one.plan.key: one for one in made.jobs}
    assert by_key["lint"].state == job.State.PASSED
    assert by_key["lint"].origin_id == origin_jobs[0].id
    assert by_key["test"].state == job.State.QUEUED
    assert by_key["package"].state == job.State.WAITING
    assert by_key["publish"].state == job.State.WAITING


def test_a_result_that_is_taken_over_twice_leads_to_the_first_log() -> None:
    first = graph({"lint": (), "test": ()})
    second = rerun.make(ended(), first, wish(only_key="test")).jobs
    third = rerun.make(ended(), second, wish(only_key="test")).jobs
    assert third[0].origin_id == first[0].id


MIXED = {"lint": job.State.PASSED, "test": job.State.FAILED, "package": job.State.SKIPPED, "publish": job.State.SKIPPED}


@pytest.mark.parametrize(
    ("which", "keys"),
    [
        (rerun.ALL, {"lint", "test", "package", "publish"}),
        (rerun.Which(only_failed=True), {"test"}),
        (rerun.Which(names=("lint",)), {"lint"}),
        (rerun.Which(names=("buildhook / lint",)), {"lint"}),
        (rerun.Which(only_failed=True, names=("lint", "package")), {"lint", "package", "test"}),
    ],
)
def test_the_wanted_jobs_add_up(which: rerun.Which, keys: set[str]) -> None:
    assert rerun.keys(ended(), graph(GRAPH, MIXED), which) == frozenset(keys)


def test_a_job_that_is_not_there_is_told_with_those_that_are() -> None:
    told = rerun.keys(ended(), graph(GRAPH), rerun.Which(names=("tset",)))
    assert "no job `tset`; it has `lint`, `test`, `package`, `publish`" in str(told)
    many = graph({f"j{number}": () for number in range(50)})
    assert "`j19`, 30 more." in str(rerun.keys(ended(), many, rerun.Which(names=("x",))))


@pytest.mark.parametrize("state", sorted(job.UNWELL))
def test_what_failed_runs_again_with_what_needs_it_and_what_passed_keeps_its_result(state: job.State) -> None:
    origin = ended(generation=3)
    states = {**MIXED, "test": state}
    made = commands.again(origin, graph(GRAPH, states), latest=origin, which=rerun.Which(only_failed=True), wish=wish())
    assert not isinstance(made, str)
    assert {one.plan.key: one.state for one in made.jobs} == {
        "lint": job.State.PASSED,
        "test": job.State.QUEUED,
        "package": job.State.WAITING,
        "publish": job.State.WAITING,
    }
    # Whoever asks at the same time makes no second one.
    assert made.follows == 3


def test_where_nothing_failed_nothing_runs_again() -> None:
    origin = ended(state=build.State.PASSED)
    told = commands.again(origin, graph(GRAPH), latest=origin, which=rerun.Which(only_failed=True), wish=wish())
    assert "No job of build" in str(told)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (ended(state=build.State.RUNNING), "has not ended"),
        (ended(state=build.State.WAITING), "waits for approval"),
        (
            ended(state=build.State.WAITING, proposal=factories.make_proposal(consent=approval.Consent.RUN_ANYWAY)),
            "runs it anyway",
        ),
        (ended(state=build.State.SKIPPED, trust=build.Trust.UNTRUSTED), "never approved"),
        (ended(plan_digest=""), "has no jobs"),
    ],
)
def test_what_cannot_run_again_says_why(asked: build.Build, says: str) -> None:
    assert says in (rerun.why_not(asked, latest=asked) or "")


def test_only_the_newest_generation_can_be_run_again() -> None:
    asked, newest = ended(), ended()
    assert newest.id in (rerun.why_not(asked, latest=newest) or "")
    assert rerun.why_not(newest, latest=newest) is None


@given(st.data())
def test_a_job_never_keeps_a_result_when_something_it_needs_runs_again(data: st.DataObject) -> None:
    names = [f"j{number}" for number in range(data.draw(st.integers(1, 8)))]
    edges = {
        name: tuple(data.draw(st.sets(st.sampled_from(names[:position])))) if position else ()
        for position, name in enumerate(names)
    }
    made = rerun.make(ended(), graph(edges), wish(only_key=data.draw(st.sampled_from(names))))
    fresh = {one.plan.key for one in made.jobs if one.origin_id is None}
    for one in made.jobs:
        if fresh & set(one.plan.needs):
            assert one.plan.key in fresh


def test_a_job_whose_needs_passed_already_runs_at_once() -> None:
    made = rerun.make(ended(), graph(GRAPH), wish(only_key="publish"))
    assert {one.plan.key: one.state for one in made.jobs} == {
        "lint": job.State.PASSED,
        "test": job.State.PASSED,
        "package": job.State.PASSED,
        "publish": job.State.QUEUED,
    }


def test_a_job_that_was_skipped_runs_again_with_what_kept_it_from_running() -> None:
    states = {"test": job.State.FAILED, "package": job.State.SKIPPED, "publish": job.State.SKIPPED}
    made = rerun.make(ended(), graph(GRAPH, states), wish(only_key="package"))
    assert {one.plan.key: one.state for one in made.jobs} == {
        "lint": job.State.PASSED,
        "test": job.State.QUEUED,
        "package": job.State.WAITING,
        "publish": job.State.WAITING,
    }


@given(st.data())
def test_no_job_of_a_re_run_waits_for_ever(data: st.DataObject) -> None:
    names = [f"j{number}" for number in range(data.draw(st.integers(1, 7)))]
    edges = {
        name: tuple(data.draw(st.sets(st.sampled_from(names[:position])))) if position else ()
        for position, name in enumerate(names)
    }
    states = {name: data.draw(st.sampled_from(sorted(job.FINAL))) for name in names}
    made = rerun.make(ended(), graph(edges, states), wish(only_key=data.draw(st.sampled_from(names))))
    jobs = list(made.jobs)
    for _ in names:
        # Whatever may run passes.
        jobs = [replace(one, state=job.State.PASSED) if one.state == job.State.QUEUED else one for one in jobs]
        resolved = lifecycle.resolve(jobs, of=made.build)
        jobs = [replace(one, state=resolved[one.id].state) if one.id in resolved else one for one in jobs]
    assert {one.state for one in jobs if one.origin_id is None} == {job.State.PASSED}
