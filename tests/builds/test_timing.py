"""Where the time of a build went, and which jobs decided when it ended."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from bot.builds import timing
from bot.model import job
from tests import factories

NOW = factories.NOW


def at(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


def ran(key: str, needs: tuple[str, ...] = (), *, start: float | None, end: float | None, group: str = "") -> job.Job:
    return factories.make_job(
        id=key,
        plan=factories.make_plan(key=key, name=key, needs=needs, group=group),
        state=job.State.PASSED,
        started_at=None if start is None else NOW + at(start),
        finished_at=None if end is None else NOW + at(end),
    )


def timed(jobs: Sequence[job.Job], *, now: float = 1000) -> timing.Timing:
    return timing.of(jobs, made_at=NOW, now=NOW + at(now))


def path(found: timing.Timing) -> list[str]:
    return [one.job.id for one in found.critical]


def test_the_path_goes_back_from_the_last_end_by_what_ended_last_before() -> None:
    found = timed(
        [
            ran("lint", start=0, end=5),
            ran("test", start=1, end=60),
            ran("docs", ("lint",), start=6, end=70),
            ran("package", ("lint", "test"), start=65, end=90),
        ]
    )
    assert path(found) == ["test", "package"]
    assert found.total_seconds == 90
    assert [one.waited_seconds for one in found.bars] == [0, 1, 1, 5]
    assert found.waited_seconds == 6


def test_what_runs_ends_now_and_what_never_began_has_no_bar() -> None:
    found = timed([ran("a", start=1, end=None), ran("b", ("a",), start=None, end=None)], now=31)
    assert [(one.job.id, one.ran_seconds) for one in found.bars] == [("a", 30)]
    assert timed([]) == timing.Timing()


def test_a_need_that_was_left_out_stands_for_what_it_needs() -> None:
    jobs = [
        ran("a", start=0, end=50),
        ran("left out", ("a",), start=None, end=50),
        ran("b", ("left out",), start=51, end=60),
    ]
    assert path(timed(jobs)) == ["a", "b"]


def test_a_matrix_is_waited_for_as_a_whole() -> None:
    jobs = [
        *(ran(f"test {n}", start=0, end=10 + n, group="test") for n in range(3)),
        ran("b", ("test",), start=13, end=20),
    ]
    assert path(timed(jobs)) == ["test 2", "b"]


def test_clocks_that_disagree_and_circles_do_no_harm() -> None:
    found = timed([ran("a", ("b",), start=9, end=4), ran("b", ("a",), start=-5, end=30)])
    assert all(one.waited_seconds >= 0 and one.ran_seconds >= 0 for one in found.bars)
    assert path(found)


@st.composite
def plans(draw: st.DrawFn) -> list[tuple[tuple[int, ...], int, int]]:
    """Jobs as (what it needs among those before it, how long it waits for a place, how long it runs)."""
    count = draw(st.integers(1, 9))
    return [
        (
            tuple(sorted(draw(st.frozensets(st.integers(0, number - 1), max_size=3)))) if number else (),
            draw(st.integers(0, 5)),
            draw(st.integers(1, 30)),
        )
        for number in range(count)
    ]


def simulated(plan: list[tuple[tuple[int, ...], int, int]]) -> list[job.Job]:
    """Each begins when all that it needs has ended and it has waited for its place."""
    ends: list[int] = []
    jobs = []
    for number, (needs, waits, runs) in enumerate(plan):
        start = max((ends[need] for need in needs), default=0) + waits
        ends.append(start + runs)
        jobs.append(ran(str(number), tuple(str(need) for need in needs), start=start, end=start + runs))
    return jobs


@given(plan=plans(), which=st.integers(0, 8), more=st.integers(1, 20))
def test_a_job_on_the_path_delays_the_build_and_one_beside_it_hastens_nothing(
    plan: list[tuple[tuple[int, ...], int, int]], which: int, more: int
) -> None:
    found = timed(simulated(plan))
    chain = found.critical
    # It is one chain through the needs, from the build's making to its end, without a gap.
    assert chain[-1].ended_seconds == found.total_seconds
    assert not chain[0].job.plan.needs
    for before, after in itertools.pairwise(chain):
        assert before.job.plan.key in after.job.plan.needs
        assert before.ended_seconds == after.ready_seconds
    assert sum(one.waited_seconds + one.ran_seconds for one in chain) == found.total_seconds
    number = which % len(plan)
    needs, waits, runs = plan[number]
    if found.bars[number].is_critical:
        longer = [*plan[:number], (needs, waits, runs + more), *plan[number + 1 :]]
        assert timed(simulated(longer)).total_seconds == found.total_seconds + more
    else:
        shorter = [*plan[:number], (needs, 0, 0), *plan[number + 1 :]]
        assert timed(simulated(shorter)).total_seconds == found.total_seconds
