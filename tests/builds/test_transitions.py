"""What follows from one job's move is written with it: in its matrix, and where its outputs decide."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from msgspec.structs import replace

from bot.builds import transitions
from bot.model import build, job
from bot.store import Store, builds, jobs, outcomes
from tests.factories import NOW, make_job, make_new_build, make_plan

State = job.State


def of_matrix(count: int, **plan: Any) -> list[job.Job]:
    """The jobs of a matrix `test`, and one that needs it."""
    state = State.WAITING if "max_parallel" in plan else State.QUEUED
    made = [
        make_job(plan=make_plan(key=f"test ({n})", name=f"test ({n})", group="test", matrix={"n": float(n)}, **plan))
        for n in range(count)
    ]
    return [replace(one, state=state) for one in made]


async def created(store: Store, *given: job.Job) -> build.Build:
    made: build.Build = await store.write(outcomes.create, make_new_build(None, *given), now=NOW)
    return made


async def states(store: Store, of: build.Build) -> dict[str, tuple[State, str | None]]:
    return {one.plan.key: (one.state, one.reason) for one in await store.read(jobs.list_of_builds, [of.id])}


async def claimed(store: Store, limit: int) -> list[job.Job]:
    """Jobs that are handed to an engine."""
    found = await store.write(jobs.claim_ready, now=NOW, owner="a", lease=timedelta(days=1), limit=limit)
    started = [replace(one, state=State.STARTING, started_at=NOW) for one in found]
    for one in started:
        await store.write(transitions.save, one, now=NOW)
    return started


async def end(store: Store, one: job.Job, state: State, **changes: Any) -> transitions.Saved:
    ended = replace(one, state=state, finished_at=NOW, **changes)
    saved: transitions.Saved = await store.write(transitions.save, ended, now=NOW)
    return saved


async def test_a_failure_ends_the_rest_of_its_matrix_and_the_build_failed(store: Store) -> None:
    after = make_job(plan=make_plan(key="after", name="after", needs=("test",)), state=State.WAITING)
    of = await created(store, *of_matrix(3), after)
    first, second = await claimed(store, 2)
    await end(store, first, State.FAILED)
    why = "`test (0)` of the same matrix did not pass, and `fail-fast` is on."
    found = await states(store, of)
    assert found["test (2)"] == (State.CANCELLED, why)
    # What is on an engine ends by that engine's word.
    running = await store.read(jobs.get, second.id)
    assert (running.state, running.cancel_reason) == (State.STARTING, why)
    assert running.cancel_requested_at == NOW
    saved = await end(store, running, State.CANCELLED)
    assert (await states(store, of))["after"] == (State.SKIPPED, "`test` failed, so this did not run.")
    assert saved.of_build.state == build.State.FAILED


async def test_without_fail_fast_the_rest_goes_on(store: Store) -> None:
    of = await created(store, *of_matrix(2, fail_fast=False))
    first, second = await claimed(store, 2)
    await end(store, first, State.FAILED)
    assert (await store.read(jobs.get, second.id)).cancel_requested_at is None
    await end(store, second, State.PASSED)
    assert (await store.read(builds.get, of.id)).state == build.State.FAILED


async def test_a_place_of_the_matrix_is_given_on_with_the_end_that_frees_it(store: Store) -> None:
    waiting = of_matrix(3, max_parallel=1)
    of = await created(store, replace(waiting[0], state=State.QUEUED), *waiting[1:])
    order = []
    for _ in range(3):
        (one,) = await claimed(store, 9)
        order.append(one.plan.key)
        await end(store, one, State.PASSED)
    assert order == ["test (0)", "test (1)", "test (2)"]
    assert (await store.read(builds.get, of.id)).state == build.State.PASSED


async def test_outputs_are_kept_and_decide(store: Store) -> None:
    first = make_job(plan=make_plan(key="a", name="a"))
    rest = [
        make_job(
            plan=make_plan(key=key, name=key, needs=("a",), condition=f"needs.a.outputs.what == '{key}'"),
            state=State.WAITING,
        )
        for key in ("b", "c")
    ]
    of = await created(store, first, *rest)
    (one,) = await claimed(store, 9)
    await end(store, one, State.PASSED, outputs={"what": "b"})
    assert (await store.read(jobs.get, one.id)).outputs == {"what": "b"}
    assert await states(store, of) == {
        "a": (State.PASSED, None),
        "b": (State.QUEUED, None),
        "c": (State.SKIPPED, "Its `if` is not true: `needs.a.outputs.what == 'c'`."),
    }


async def test_a_build_whose_only_failure_may_happen_has_passed(store: Store) -> None:
    may_fail = make_job(plan=make_plan(key="a", name="a", continue_on_error=True))
    of = await created(store, may_fail, make_job(plan=make_plan(key="b", name="b")))
    for one, state in zip(await claimed(store, 2), (State.FAILED, State.PASSED), strict=True):
        await end(store, one, state)
    assert (await store.read(builds.get, of.id)).state == build.State.PASSED
