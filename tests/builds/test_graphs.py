"""What jobs with conditions, matrices and outputs become of each other, as GitHub's documentation says it.

https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#jobsjob_idneeds
https://docs.github.com/en/actions/reference/workflows-and-actions/expressions#status-check-functions
"""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bot.builds import lifecycle, rerun
from bot.model import build, job
from bot.pipelines import conditions
from tests import factories

S = job.State
OF = factories.make_build()


def make(key: str, state: job.State = S.WAITING, **plan: object) -> job.Job:
    """A job of this key; `outputs` are those that it gave."""
    outputs = plan.pop("outputs", {})
    assert isinstance(outputs, dict)
    return factories.make_job(
        id=key, plan=factories.make_plan(**{"key": key, "name": key, **plan}), state=state, outputs=outputs
    )


def become(*jobs: job.Job) -> dict[str, str]:
    """What becomes of the waiting ones."""
    return {key: found.state.value for key, found in lifecycle.resolve(jobs, of=OF).items()}


@pytest.mark.parametrize(
    ("condition", "passed", "failed", "skipped", "cancelled"),
    [
        (None, "queued", "skipped", "skipped", "skipped"),
        ("success()", "queued", "skipped", "skipped", "skipped"),
        ("true", "queued", "skipped", "skipped", "skipped"),
        ("failure()", "skipped", "queued", "skipped", "skipped"),
        ("always()", "queued", "queued", "queued", "queued"),
        ("cancelled()", "skipped", "skipped", "skipped", "queued"),
        ("!cancelled()", "queued", "queued", "queued", "skipped"),
        ("success() || failure()", "queued", "queued", "skipped", "skipped"),
        ("failure() || cancelled()", "skipped", "queued", "skipped", "queued"),
        ("always() && needs.a.result == 'failure'", "skipped", "queued", "skipped", "skipped"),
        ("always() && needs.a.result == 'skipped'", "skipped", "skipped", "queued", "skipped"),
        ("always() && needs.a.result == 'cancelled'", "skipped", "skipped", "skipped", "queued"),
        ("always() && contains(needs.*.result, 'success')", "queued", "skipped", "skipped", "skipped"),
        ("github.ref == 'refs/heads/main'", "queued", "skipped", "skipped", "skipped"),
        ("github.ref == 'refs/heads/dev'", "skipped", "skipped", "skipped", "skipped"),
        ("false", "skipped", "skipped", "skipped", "skipped"),
    ],
)
def test_the_status_of_what_is_needed_decides(
    condition: str | None, passed: str, failed: str, skipped: str, cancelled: str
) -> None:
    found = [
        become(make("a", state), make("b", needs=("a",), condition=condition))["b"]
        for state in (S.PASSED, S.FAILED, S.SKIPPED, S.CANCELLED)
    ]
    assert found == [passed, failed, skipped, cancelled]


@pytest.mark.parametrize("state", [S.FAILED, S.ERRORED, S.TIMED_OUT])
def test_whatever_broke_is_a_failure(state: job.State) -> None:
    assert become(make("a", state), make("b", needs=("a",), condition="failure() && needs.a.result == 'failure'")) == {
        "b": "queued"
    }


def test_a_condition_waits_until_all_that_is_needed_has_ended() -> None:
    last = make("c", needs=("a", "b"), condition="always()")
    assert become(make("a", S.FAILED), make("b", S.RUNNING), last) == {}
    assert become(make("a", S.FAILED), make("b", S.PASSED), last) == {"c": "queued"}


def test_a_failure_or_a_skip_counts_along_the_whole_chain() -> None:
    for state in (S.FAILED, S.SKIPPED):
        chain = [
            make("a", state),
            make("b", S.PASSED, needs=("a",), condition="always()"),
            make("c", needs=("b",)),
            make("d", needs=("b",), condition="success()"),
            make("e", needs=("b",), condition="failure()"),
            make("f", needs=("b",), condition="!cancelled() && needs.b.result == 'success'"),
        ]
        is_failure = "queued" if state == S.FAILED else "skipped"
        assert become(*chain) == {"c": "skipped", "d": "skipped", "e": is_failure, "f": "queued"}
    reason = lifecycle.resolve(chain, of=OF)["c"].reason
    assert reason == "`a` was skipped, so this did not run."


def test_why_a_job_was_left_out_is_said() -> None:
    jobs = [
        make("a", S.PASSED),
        make("b", needs=("a",), condition="github.ref == 'refs/heads/dev'"),
        make("c", needs=("a",), condition="fromJSON('no')"),
        make("d", S.FAILED),
        make("e", needs=("d",), condition="true"),
    ]
    found = lifecycle.resolve(jobs, of=OF)
    assert found["b"].reason == "Its `if` is not true: `github.ref == 'refs/heads/dev'`."
    assert (found["c"].reason or "").startswith("Its `if` has no value: `fromJSON` was given text that is not JSON")
    assert found["e"].reason == "What it needs did not pass."


def test_outputs_of_what_is_needed_decide() -> None:
    jobs = [
        make("a", S.PASSED, outputs={"changed": "true", "list": '["x"]'}),
        make("b", needs=("a",), condition="needs.a.outputs.changed == 'true'"),
        make("c", needs=("a",), condition="needs.a.outputs.Changed == 'false'"),
        make("d", needs=("a",), condition="contains(fromJSON(needs.a.outputs.list), 'x')"),
        make("e", needs=("b",), condition="needs.a.outputs.changed == 'true'"),
    ]
    # What is not needed itself is not there: `e` waits for `b` all the same.
    assert become(*jobs) == {"b": "queued", "c": "skipped", "d": "queued"}
    jobs[1] = replace(jobs[1], state=S.PASSED)
    assert become(*jobs)["e"] == "skipped"


def test_of_a_matrix_the_last_output_in_order_that_says_something_counts() -> None:
    jobs = [
        replace(
            make(f"a ({n})", S.PASSED, group="a", outputs={"one": one, "other": other}),
            position=n,
            finished_at=factories.NOW + timedelta(seconds=at),
        )
        for n, one, other, at in ((0, "late", "", 9), (1, "early", "", 1), (2, "", "", 99))
    ]
    assert lifecycle.outputs(jobs) == {"one": "early", "other": ""}
    needs = lifecycle.needs_of(make("b", needs=("a",)), jobs, of=OF)
    assert needs == {"a": {"result": "success", "outputs": {"one": "early", "other": ""}}}


@pytest.mark.parametrize(
    ("states", "become_of"),
    [
        ([S.PASSED, S.PASSED], "queued"),
        ([S.PASSED, S.RUNNING], None),
        ([S.PASSED, S.FAILED], "skipped"),
        ([S.FAILED, S.RUNNING], None),
        ([S.PASSED, S.SKIPPED], "queued"),
        ([S.SKIPPED, S.SKIPPED], "skipped"),
        ([S.PASSED, S.CANCELLED], "skipped"),
    ],
)
def test_a_matrix_is_needed_as_a_whole(states: list[job.State], become_of: str | None) -> None:
    group = [make(f"a ({n})", state, group="a") for n, state in enumerate(states)]
    assert become(*group, make("b", needs=("a",))).get("b") == become_of


def test_what_may_fail_counts_as_passed_for_others_and_for_the_build() -> None:
    failed = make("a", S.FAILED, continue_on_error=True)
    assert become(failed, make("b", needs=("a",)), make("c", needs=("a",), condition="failure()")) == {
        "b": "queued",
        "c": "skipped",
    }
    assert lifecycle.needs_of(make("b", needs=("a",)), [failed], of=OF)["a"]["result"] == "success"
    assert lifecycle.verdict([failed, make("b", S.PASSED)]) == build.State.PASSED
    assert lifecycle.verdict([replace(failed, state=S.CANCELLED)]) == build.State.CANCELLED


def test_a_failure_ends_the_rest_of_its_matrix_and_nothing_else() -> None:
    def group(**plan: object) -> list[job.Job]:
        states = (S.FAILED, S.RUNNING, S.QUEUED, S.WAITING, S.PASSED)
        return [make(f"a ({n})", state, group="a", **plan) for n, state in enumerate(states)]

    jobs = [*group(), make("b", S.RUNNING)]
    assert [one.id for one in lifecycle.ended_by_failure(jobs[0], jobs)] == ["a (1)", "a (2)", "a (3)"]
    assert lifecycle.ended_by_failure(jobs[4], jobs) == []
    assert lifecycle.ended_by_failure(make("b", S.FAILED), jobs) == []
    slow, may_fail = group(fail_fast=False), group(continue_on_error=True)
    assert lifecycle.ended_by_failure(slow[0], slow) == []
    assert lifecycle.ended_by_failure(may_fail[0], may_fail) == []


@given(st.integers(1, 4), st.integers(1, 9), st.data())
def test_never_more_of_a_matrix_run_at_once_than_it_says_and_all_run_in_the_end(
    most: int, count: int, data: st.DataObject
) -> None:
    jobs = [make(f"a ({n})", group="a", max_parallel=most) for n in range(count)]
    for _ in range(3 * count):
        found = lifecycle.resolve(jobs, of=OF)
        jobs = [lifecycle.moved(one, found, now=factories.NOW) for one in jobs]
        under_way = [one for one in jobs if one.state in {S.QUEUED, S.STARTING, S.RUNNING}]
        assert len(under_way) <= most
        if not under_way:
            break
        ended = data.draw(st.sampled_from(under_way))
        jobs = [replace(one, state=S.PASSED) if one is ended else one for one in jobs]
    assert {one.state for one in jobs} == {S.PASSED}


def test_a_job_runs_again_with_all_that_did_not_pass_before_it() -> None:
    jobs = [
        make("a", S.FAILED),
        make("b", S.PASSED, needs=("a",), condition="always()"),
        make("c", S.SKIPPED, needs=("b",)),
        make("d", S.PASSED),
    ]
    numbers = iter(range(99))
    wish = rerun.Wish(
        now=factories.NOW, new_id=lambda: f"new{next(numbers)}", cause="test:again", only_keys=frozenset({"c"})
    )
    made = rerun.make(factories.make_build(state=build.State.FAILED, plan_digest="d"), jobs, wish)
    assert {one.plan.key: one.state.value for one in made.jobs} == {
        "a": "queued",
        "b": "waiting",
        "c": "waiting",
        "d": "passed",
    }


_CONDITIONS = st.sampled_from(
    [None, "success()", "failure()", "always()", "cancelled()", "!cancelled()", "true", "false", "fromJSON('no')"]
)


@st.composite
def _builds(draw: st.DrawFn) -> list[job.Job]:
    keys = [f"j{number}" for number in range(draw(st.integers(1, 7)))]
    return [
        make(
            key,
            needs=tuple(draw(st.lists(st.sampled_from(keys[:at]), max_size=3, unique=True))) if at else (),
            condition=draw(_CONDITIONS) if at else None,
            continue_on_error=draw(st.booleans()),
        )
        for at, key in enumerate(keys)
    ]


@given(_builds(), st.data())
def test_whatever_the_conditions_every_build_ends_and_no_decision_is_taken_back(
    jobs: list[job.Job], data: st.DataObject
) -> None:
    ends = st.sampled_from([S.PASSED, S.FAILED, S.CANCELLED, S.TIMED_OUT, S.ERRORED])
    for _ in range(3 * len(jobs)):
        found = lifecycle.resolve(jobs, of=OF)
        assert all(one.state == S.WAITING for one in jobs if one.id in found)
        jobs = [lifecycle.moved(one, found, now=factories.NOW) for one in jobs]
        assert lifecycle.resolve(jobs, of=OF) == {}
        ready = [one for one in jobs if one.state == S.QUEUED]
        if not ready:
            break
        ended = data.draw(st.sampled_from(ready))
        jobs = [replace(one, state=data.draw(ends)) if one is ended else one for one in jobs]
    assert {one.state for one in jobs} <= job.FINAL
    assert lifecycle.verdict(jobs) in build.FINAL
    by_key = {one.id: one for one in jobs}
    for one in jobs:
        if one.plan.condition is None and one.state != S.SKIPPED:
            assert all(lifecycle.counted(by_key[key].plan, by_key[key].state) == S.PASSED for key in one.plan.needs)


def test_a_waiting_job_that_somebody_wants_cancelled_is_cancelled_whatever_its_needs_become() -> None:
    wanted = replace(make("b", needs=("a",)), cancel_requested_at=factories.NOW, cancel_reason="Enough.")
    for state in S:
        found = lifecycle.resolve([make("a", state), wanted], of=OF)["b"]
        assert (found.state, found.reason) == (S.CANCELLED, "Enough.")


RUNNING = factories.make_build(state=build.State.RUNNING)


@pytest.mark.parametrize(
    ("condition", "is_spared"),
    [
        (None, False),
        ("success()", False),
        ("true", False),
        ("!cancelled()", False),
        ("failure()", False),
        ("always()", True),
        ("cancelled()", True),
        ("failure() || cancelled()", True),
        ("always() && needs.a.result == 'cancelled'", True),
        ("always() && needs.a.result == 'success'", False),
        ("always() && github.ref == 'refs/heads/dev'", False),
        ("always() && fromJSON('{')", False),
    ],
)
def test_a_job_whose_if_holds_for_a_cancelled_build_outlives_it(condition: str | None, is_spared: bool) -> None:
    """https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-cancellation"""
    a, b = make("a", S.RUNNING), make("b", needs=("a",), condition=condition)
    assert lifecycle.outliving(RUNNING, [a, b]) == ({"b"} if is_spared else set())
    if is_spared:
        assert become(replace(a, state=S.CANCELLED), b) == {"b": "queued"}


def test_what_runs_is_judged_by_what_became_of_its_needs() -> None:
    a, b = make("a", S.PASSED), make("b", S.RUNNING, needs=("a",), condition="always() && needs.a.result == 'success'")
    assert lifecycle.outliving(RUNNING, [a, b, make("c", S.RUNNING)]) == {"b"}


@pytest.mark.parametrize("left", [S.WAITING, S.QUEUED, S.STARTING, S.RUNNING])
def test_where_nothing_else_is_left_and_before_a_build_begins_everything_ends(left: job.State) -> None:
    clean = make("clean", left, needs=("a",), condition="always()")
    assert lifecycle.outliving(RUNNING, [make("a", S.CANCELLED), clean]) == set()
    assert lifecycle.outliving(RUNNING, [make("a", S.RUNNING), clean]) == {"clean"}
    queued = factories.make_build(state=build.State.QUEUED)
    assert lifecycle.outliving(queued, [make("a", S.QUEUED), clean]) == set()


@given(_builds(), st.data())
def test_a_cancelled_build_ends_and_a_second_wish_leaves_nothing(jobs: list[job.Job], data: st.DataObject) -> None:
    states = st.sampled_from([S.WAITING, S.QUEUED, S.RUNNING, S.PASSED, S.FAILED])
    jobs = [replace(one, state=data.draw(states)) for one in jobs]
    spared = lifecycle.outliving(RUNNING, jobs)
    live = {one.id for one in jobs if one.state not in job.FINAL}
    assert spared < live or not live
    jobs = [replace(one, state=S.CANCELLED) if one.id in live - spared else one for one in jobs]
    assert lifecycle.outliving(RUNNING, jobs) == set()


@given(st.booleans(), st.booleans(), st.booleans())
def test_always_always_runs(is_success: bool, is_failure: bool, is_cancelled: bool) -> None:
    status = conditions.Status(is_success=is_success, is_failure=is_failure, is_cancelled=is_cancelled)
    assert conditions.against("always()", {}, status) is None
    assert (conditions.against("true", {}, status) is None) == is_success
    assert (conditions.against("cancelled()", {}, status) is None) == is_cancelled
