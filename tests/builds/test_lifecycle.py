"""The life of a job: it only goes forwards, every job ends, and the verdict over a build tells the truth."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bot.builds import lifecycle
from bot.builds.lifecycle import Signal
from bot.engines import contract
from bot.model import build, job
from tests import factories

S = job.State
STATES, SIGNALS = st.sampled_from(list(S)), st.sampled_from(list(Signal))
#: The build that the jobs are of, where it does not matter which.
OF = factories.make_build()
#: How far a job has come.
RANK = {S.WAITING: 0, S.QUEUED: 1, S.STARTING: 2, S.RUNNING: 3, **dict.fromkeys(job.FINAL, 4)}


@pytest.mark.parametrize(
    ("state", "signal", "after"),
    [
        (S.WAITING, Signal.APPROVED, S.QUEUED),
        (S.WAITING, Signal.NEEDS_PASSED, S.QUEUED),
        (S.WAITING, Signal.NEEDS_FAILED, S.SKIPPED),
        (S.WAITING, Signal.CANCELLED, S.CANCELLED),
        (S.WAITING, Signal.CLAIMED, S.WAITING),
        (S.WAITING, Signal.PASSED, S.WAITING),
        (S.QUEUED, Signal.CLAIMED, S.STARTING),
        (S.QUEUED, Signal.CANCELLED, S.CANCELLED),
        (S.STARTING, Signal.PREPARED, S.RUNNING),
        (S.STARTING, Signal.REFUSED, S.QUEUED),
        (S.STARTING, Signal.ERRORED, S.ERRORED),
        (S.STARTING, Signal.CANCELLED, S.CANCELLED),
        (S.STARTING, Signal.FAILED, S.FAILED),
        (S.RUNNING, Signal.PASSED, S.PASSED),
        (S.RUNNING, Signal.FAILED, S.FAILED),
        (S.RUNNING, Signal.ERRORED, S.ERRORED),
        (S.RUNNING, Signal.TIMED_OUT, S.TIMED_OUT),
        (S.RUNNING, Signal.CANCELLED, S.CANCELLED),
        (S.RUNNING, Signal.CLAIMED, S.RUNNING),
        (S.RUNNING, Signal.PREPARED, S.RUNNING),
        (S.RUNNING, Signal.REFUSED, S.RUNNING),
        (S.PASSED, Signal.FAILED, S.PASSED),
        (S.CANCELLED, Signal.PASSED, S.CANCELLED),
    ],
)
def test_the_table(state: job.State, signal: Signal, after: job.State) -> None:
    assert lifecycle.transition(state, signal) == after


def test_every_result_of_an_engine_is_a_signal_that_ends_a_running_job() -> None:
    ends = {lifecycle.transition(S.RUNNING, Signal(result.value)) for result in contract.Result}
    assert {state.value for state in ends} == {result.value for result in contract.Result}
    assert ends <= job.FINAL


@given(st.sampled_from(sorted(job.FINAL)), st.lists(SIGNALS))
def test_f67_an_ended_job_stays_as_it_ended(state: job.State, signals: list[Signal]) -> None:
    for signal in signals:
        assert lifecycle.transition(state, signal) == state


@given(STATES, SIGNALS)
def test_f67_a_job_goes_forwards_only(state: job.State, signal: Signal) -> None:
    after = lifecycle.transition(state, signal)
    if signal == Signal.REFUSED:
        assert after == (S.QUEUED if state == S.STARTING else state)
    else:
        assert after == state or RANK[after] > RANK[state]


@given(STATES, SIGNALS)
def test_f67_a_signal_that_comes_twice_counts_once(state: job.State, signal: Signal) -> None:
    after = lifecycle.transition(state, signal)
    assert lifecycle.transition(after, signal) == after


def test_from_every_state_a_job_can_end() -> None:
    assert all(lifecycle.transition(state, Signal.CANCELLED) in job.FINAL for state in S)


@pytest.mark.parametrize(
    ("needs", "verdict"),
    [
        ([], S.QUEUED),
        ([S.PASSED, S.PASSED], S.QUEUED),
        ([S.PASSED, S.RUNNING], None),
        ([S.WAITING], None),
        ([S.PASSED, S.FAILED], S.SKIPPED),
        ([S.RUNNING, S.FAILED], S.SKIPPED),
        ([S.SKIPPED], S.SKIPPED),
        ([S.CANCELLED], S.SKIPPED),
        ([S.ERRORED], S.SKIPPED),
        ([S.TIMED_OUT], S.SKIPPED),
    ],
)
def test_the_verdict_over_needs(needs: list[job.State], verdict: job.State | None) -> None:
    assert lifecycle.needs_verdict(needs) == verdict


def graph(states: dict[str, job.State], needs: dict[str, tuple[str, ...]]) -> list[job.Job]:
    return [
        factories.make_job(id=key, plan=factories.make_plan(key=key, needs=needs.get(key, ())), state=state)
        for key, state in states.items()
    ]


def test_a_failure_skips_all_that_hangs_on_it_with_the_reason() -> None:
    jobs = graph(
        {"lint": S.FAILED, "test": S.WAITING, "docs": S.WAITING, "ship": S.WAITING},
        {"test": ("lint",), "ship": ("test", "docs")},
    )
    assert (
        lifecycle.resolve(jobs, of=OF)
        == lifecycle.resolve(jobs[::-1], of=OF)
        == {
            "test": lifecycle.Resolved(S.SKIPPED, "`lint` failed, so this did not run."),
            "docs": lifecycle.Resolved(S.QUEUED, None),
            "ship": lifecycle.Resolved(S.SKIPPED, "`test` was skipped, so this did not run."),
        }
    )


def test_the_worst_need_is_the_reason() -> None:
    needs = {"a": S.SKIPPED, "b": S.CANCELLED, "c": S.TIMED_OUT, "d": S.ERRORED, "e": S.FAILED, "f": S.PASSED}
    said = []
    for gone in ("", "e", "d", "c", "b"):
        needs.pop(gone, None)
        said.append(lifecycle.why_skipped(needs))
    assert said == [
        "`e` failed, so this did not run.",
        "`d` could not be run, so this did not run.",
        "`c` timed out, so this did not run.",
        "`b` was cancelled, so this did not run.",
        "`a` was skipped, so this did not run.",
    ]


def test_a_need_that_is_not_in_the_build_skips() -> None:
    assert lifecycle.resolve(graph({"a": S.WAITING}, {"a": ("gone",)}), of=OF)["a"].state == S.SKIPPED


@st.composite
def _builds(draw: st.DrawFn) -> list[job.Job]:
    keys = [f"job{number}" for number in range(draw(st.integers(1, 7)))]
    needs = {
        key: tuple(draw(st.lists(st.sampled_from(keys[:at]), max_size=3, unique=True))) if at else ()
        for at, key in enumerate(keys)
    }
    states = {key: draw(STATES) if not needs[key] else draw(st.sampled_from([S.WAITING, *S])) for key in keys}
    return draw(st.permutations(graph(states, needs)))


@given(_builds())
def test_resolving_reaches_a_fixpoint_whatever_the_order(jobs: list[job.Job]) -> None:
    found = lifecycle.resolve(jobs, of=OF)
    states = {one.plan.key: found[one.id].state if one.id in found else one.state for one in jobs}
    by_key = {one.plan.key: one for one in jobs}

    def before(one: job.Job) -> set[str]:
        return {*one.plan.needs}.union(*(before(by_key[key]) for key in one.plan.needs))

    for one in jobs:
        verdict = lifecycle.needs_verdict([states[key] for key in one.plan.needs])
        if verdict == S.QUEUED:
            verdict = lifecycle.needs_verdict([states[key] for key in before(one)])
        if one.id in found:
            assert one.state == S.WAITING
            assert verdict == found[one.id].state
            assert (found[one.id].reason is not None) == (verdict == S.SKIPPED)
        elif one.state == S.WAITING:
            assert verdict is None
    assert lifecycle.resolve(sorted(jobs, key=lambda one: one.id), of=OF) == found


@given(_builds(), st.randoms(use_true_random=False))
def test_every_build_ends_with_every_job_ended(jobs: list[job.Job], chance: random.Random) -> None:
    states = {one.id: one.state for one in jobs}
    for _ in range(100):
        jobs = graph(states, {one.plan.key: one.plan.needs for one in jobs})
        states |= {job_id: resolved.state for job_id, resolved in lifecycle.resolve(jobs, of=OF).items()}
        ready = [job_id for job_id, state in states.items() if state not in job.FINAL and state != S.WAITING]
        if not ready:
            break
        one = chance.choice(ready)
        signal = chance.choice([Signal.CLAIMED, Signal.PREPARED, Signal.PASSED, Signal.FAILED, Signal.TIMED_OUT])
        states[one] = lifecycle.transition(states[one], signal)
        if states[one] in job.ON_ENGINE:
            states[one] = lifecycle.transition(states[one], Signal.PASSED)
    assert set(states.values()) <= job.FINAL
    assert lifecycle.build_state(list(states.values())) in build.FINAL


B = build.State


@pytest.mark.parametrize(
    ("states", "verdict"),
    [
        ([], B.SKIPPED),
        ([S.WAITING], B.QUEUED),
        ([S.QUEUED, S.WAITING], B.QUEUED),
        ([S.QUEUED, S.STARTING], B.RUNNING),
        ([S.RUNNING, S.FAILED], B.RUNNING),
        ([S.QUEUED, S.PASSED], B.RUNNING),
        ([S.PASSED, S.PASSED], B.PASSED),
        ([S.PASSED, S.FAILED, S.ERRORED, S.TIMED_OUT, S.CANCELLED, S.SKIPPED], B.FAILED),
        ([S.PASSED, S.ERRORED, S.TIMED_OUT, S.CANCELLED, S.SKIPPED], B.ERRORED),
        ([S.PASSED, S.TIMED_OUT, S.CANCELLED, S.SKIPPED], B.TIMED_OUT),
        ([S.PASSED, S.CANCELLED, S.SKIPPED], B.CANCELLED),
        ([S.SKIPPED, S.SKIPPED], B.SKIPPED),
    ],
)
def test_the_verdict_over_a_build(states: list[job.State], verdict: build.State) -> None:
    assert lifecycle.build_state(states) == verdict
    assert lifecycle.build_state(states[::-1]) == verdict


@given(st.lists(STATES), st.randoms(use_true_random=False))
def test_the_verdict_is_there_for_all_states_in_any_order(states: list[job.State], chance: random.Random) -> None:
    verdict = lifecycle.build_state(states)
    mixed = list(states)
    chance.shuffle(mixed)
    assert lifecycle.build_state(mixed) == verdict
    assert (verdict in build.FINAL) == all(state in job.FINAL for state in states)


@given(st.lists(st.sampled_from(sorted(job.FINAL)), min_size=1))
def test_a_build_with_a_job_that_did_not_pass_never_passes(states: Sequence[job.State]) -> None:
    is_bad = any(state not in {S.PASSED, S.SKIPPED} for state in states)
    assert (lifecycle.build_state(states) in {B.PASSED, B.SKIPPED}) == (not is_bad)


@st.composite
def _runs(draw: st.DrawFn) -> tuple[list[job.Job], set[str]]:
    """A build that ran to its end, and the jobs that its file left out."""
    keys = [f"job{number}" for number in range(draw(st.integers(1, 7)))]
    needs = {
        key: tuple(draw(st.lists(st.sampled_from(keys[:at]), max_size=3, unique=True))) if at else ()
        for at, key in enumerate(keys)
    }
    left_out = draw(st.sets(st.sampled_from(keys)))
    states = {key: S.SKIPPED if key in left_out else S.WAITING if needs[key] else S.QUEUED for key in keys}
    jobs = graph(states, needs)
    results = st.sampled_from([S.PASSED, S.PASSED, S.FAILED, S.ERRORED, S.TIMED_OUT, S.CANCELLED])
    for _ in keys:
        jobs = [replace(one, state=draw(results)) if one.state == S.QUEUED else one for one in jobs]
        resolved = lifecycle.resolve(jobs, of=OF)
        jobs = [replace(one, state=resolved[one.id].state) if one.id in resolved else one for one in jobs]
    return draw(st.permutations(jobs)), left_out


@given(_runs())
def test_a_build_counts_as_good_only_where_each_job_passed_or_was_left_out_by_the_file(
    run: tuple[list[job.Job], set[str]],
) -> None:
    jobs, left_out = run
    by_key = {one.plan.key: one for one in jobs}

    def is_good(one: job.Job) -> bool:
        if one.plan.key in left_out or one.state == S.PASSED:
            return True
        # Kept from running, and by nothing but what the file left out.
        needs = [by_key[key] for key in one.plan.needs]
        return one.state == S.SKIPPED and all(map(is_good, needs))

    verdict = lifecycle.verdict(jobs)
    assert (verdict in {B.PASSED, B.SKIPPED}) == all(map(is_good, jobs))
    assert (verdict == B.SKIPPED) == all(one.state == S.SKIPPED for one in jobs)


def test_a_job_whose_need_is_not_there_does_not_count_as_left_out() -> None:
    torn = graph({"a": S.SKIPPED, "b": S.PASSED}, {"a": ("gone",)})
    assert lifecycle.verdict(torn) == lifecycle.verdict(torn[:1]) == B.ERRORED
    assert lifecycle.verdict(torn[1:]) == B.PASSED


@pytest.mark.parametrize("state", list(S))
def test_f39_what_breaks_while_somebody_wants_it_to_end_was_cancelled(state: job.State) -> None:
    assert lifecycle.end(state, is_cancel_wanted=False) == state
    assert lifecycle.end(state, is_cancel_wanted=True) == (S.CANCELLED if state == S.ERRORED else state)


@pytest.mark.parametrize("state", list(S))
def test_cancelling_is_written_down_asked_for_or_nothing(state: job.State) -> None:
    expected = {S.WAITING: "at_once", S.QUEUED: "at_once", S.STARTING: "ask_engine", S.RUNNING: "ask_engine"}
    assert lifecycle.cancel_effect(state) == expected.get(state, "nothing")


@pytest.mark.parametrize(
    ("state", "phase"),
    [
        (S.WAITING, "queued"),
        (S.QUEUED, "queued"),
        (S.STARTING, "in_progress"),
        (S.RUNNING, "in_progress"),
        *((state, "completed") for state in sorted(job.FINAL)),
        (B.WAITING, "completed"),
        (B.QUEUED, "queued"),
        (B.RUNNING, "in_progress"),
        *((state, "completed") for state in sorted(build.FINAL)),
    ],
)
def test_the_phase_that_github_shows(state: job.State | build.State, phase: str) -> None:
    assert lifecycle.phase(state) == phase
