"""Concurrency groups: one build of a group runs, at most one waits, nobody waits for ever, on however many replicas."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from bot.builds import lifecycle, transitions
from bot.model import build, job
from bot.store import Store, builds, jobs, outcomes
from tests import postgresql
from tests.factories import NOW, make_build, make_job, make_new_build, make_plan
from tests.store import database

LEASE = timedelta(days=1)
_shas = (f"{number:040x}" for number in range(1, 1_000_000))


def _new(group: str | None = "refs/heads/main deploy", *, cancels: bool = False, repository_id: int = 1) -> build.Build:
    return make_build(
        repository_id=repository_id, head_sha=next(_shas), concurrency_group=group, cancel_in_progress=cancels
    )


def _create(connection: sa.Connection, made: build.Build | None = None, count: int = 1) -> build.Build:
    plans = [make_job(plan=make_plan(key=f"j{number}", name=f"j{number}")) for number in range(count)]
    return outcomes.create(connection, make_new_build(made or _new(), *plans), now=NOW)


def _claim(connection: sa.Connection, *, limit: int = 99) -> set[str]:
    """Start what may start, as a scheduler does; gives the builds of it."""
    claimed = jobs.claim_ready(connection, now=NOW, owner="octo", lease=LEASE, limit=limit)
    for one in claimed:
        transitions.save(connection, replace(one, state=job.State.STARTING, reason=None), now=NOW)
    return {one.build_id for one in claimed}


def _end(connection: sa.Connection, of: build.Build, state: job.State = job.State.PASSED) -> None:
    """Let all jobs of a build end."""
    for one in jobs.list_of_builds(connection, [of.id]):
        if one.state not in job.FINAL:
            transitions.save(connection, replace(one, state=state, finished_at=NOW), now=NOW)


def _settle(connection: sa.Connection) -> None:
    """End at once what is cancelled and does not run, as a scheduler does."""
    for one in jobs.list_cancel_requested(connection):
        if lifecycle.cancel_effect(one.state) == lifecycle.CancelEffect.AT_ONCE:
            transitions.save(connection, replace(one, state=job.State.CANCELLED, finished_at=NOW), now=NOW)


def _asked(connection: sa.Connection) -> dict[str, str | None]:
    return {one.build_id: one.cancel_reason for one in jobs.list_cancel_requested(connection)}


def test_a_second_build_of_a_group_waits_until_the_first_has_ended(connection: sa.Connection) -> None:
    first, second = _create(connection, count=2), _create(connection)
    assert first.reason is None
    assert second.reason == f"Waits for build {first.id} of the same concurrency group."
    assert _claim(connection, limit=1) == _claim(connection) == {first.id}
    assert _claim(connection) == set()
    _end(connection, first, job.State.FAILED)
    assert builds.get(connection, second.id).reason is None
    assert _claim(connection) == {second.id}
    assert _asked(connection) == {}


def test_only_the_newest_waits(connection: sa.Connection) -> None:
    first = _create(connection)
    assert _claim(connection) == {first.id}
    second, third = _create(connection), _create(connection)
    assert _asked(connection) == {second.id: f"Superseded by build {third.id} of the same concurrency group."}
    _settle(connection)
    _end(connection, first)
    assert _claim(connection) == {third.id}


def test_a_build_that_cancels_what_is_in_progress_begins_when_that_has_ended(connection: sa.Connection) -> None:
    first = _create(connection)
    assert _claim(connection) == {first.id}
    waiting = _create(connection)
    newest = _create(connection, _new(cancels=True))
    text = f"Superseded by build {newest.id} of the same concurrency group."
    assert _asked(connection) == {first.id: text, waiting.id: text}
    _settle(connection)
    # The engine still holds the first.
    assert _claim(connection) == set()
    _end(connection, first, job.State.CANCELLED)
    assert _claim(connection) == {newest.id}


def test_what_its_group_ends_keeps_the_jobs_that_outlive_it(
    connection: sa.Connection,
) -> None:
    first = _create(connection)
    new = make_new_build(_new(cancels=True))
    kept = outcomes.create(
        connection, new, now=NOW, spares=lambda of, its: [one.id for one in its if of.id == first.id]
    )
    assert _asked(connection) == {}
    outcomes.cancel_build(connection, kept.id, now=NOW, reason="Enough.")
    assert _asked(connection) == {kept.id: "Enough."}


def test_other_groups_other_repositories_and_builds_without_a_group_do_not_wait(connection: sa.Connection) -> None:
    held = _create(connection)
    assert _claim(connection) == {held.id}
    behind = _create(connection)
    free = [
        _create(connection, one)
        for one in (_new("refs/heads/dev deploy"), _new(repository_id=2), _new(None), _new(None))
    ]
    assert _claim(connection) == {one.id for one in free}
    assert builds.get(connection, behind.id).state == build.State.QUEUED


@pytest.mark.parametrize("state", [build.State.PASSED, build.State.SKIPPED, build.State.FAILED, build.State.WAITING])
def test_what_does_not_run_is_no_member_of_its_group(connection: sa.Connection, state: build.State) -> None:
    running = _create(connection)
    assert _claim(connection) == {running.id}
    ended = outcomes.create(
        connection, replace(make_new_build(replace(_new(cancels=True), state=state)), jobs=()), now=NOW
    )
    assert (ended.concurrency_turn, _asked(connection)) == (None, {})
    _end(connection, running)
    after = _create(connection)
    assert _claim(connection) == {after.id}


def test_a_build_that_waited_says_so_no_longer_when_it_ends_before_its_turn(connection: sa.Connection) -> None:
    first, second = _create(connection), _create(connection)
    jobs.request_cancel(connection, [second.id], now=NOW, reason="Enough.")
    _settle(connection)
    ended = builds.get(connection, second.id)
    assert (ended.state, ended.reason) == (build.State.CANCELLED, None)
    assert _claim(connection) == {first.id}


_acts = st.lists(
    st.tuples(st.sampled_from(["create", "create", "claim", "settle", "end"]), st.integers(0, 2), st.booleans()),
    max_size=25,
)


@settings(max_examples=25, deadline=None)
@given(acts=_acts)
def test_of_a_group_one_runs_at_most_one_waits_and_all_end(
    acts: list[tuple[str, int, bool]],
) -> None:
    with database.fresh() as connection:
        made: list[build.Build] = []

        def unfinished(group: str) -> list[build.Build]:
            found = [builds.get(connection, one.id) for one in made if one.concurrency_group == group]
            return [one for one in found if one.state not in build.FINAL]

        def running() -> list[build.Build]:
            return [
                one for group in ("g0", "g1", "g2") for one in unfinished(group) if one.state == build.State.RUNNING
            ]

        for act, number, flag in acts:
            if act == "create":
                made.append(_create(connection, _new(f"g{number}", cancels=flag), count=1 + number))
            elif act == "claim":
                _claim(connection, limit=1 + number)
            elif act == "settle":
                _settle(connection)
            elif running():
                _end(connection, running()[0])
            asked = _asked(connection)
            for group in ("g0", "g1", "g2"):
                there = unfinished(group)
                assert sum(one.state == build.State.RUNNING for one in there) <= 1
                assert sum(one.state == build.State.RUNNING or one.id not in asked for one in there) <= 2
        for _ in range(2 * len(made) + 1):
            _settle(connection)
            _claim(connection)
            for one in running():
                _end(connection, one)
        assert [one for group in ("g0", "g1", "g2") for one in unfinished(group)] == []


@pytest.fixture
def shared_url() -> Iterator[str]:
    """A database that several may use."""
    with postgresql.empty() as url:
        yield url


@pytest.fixture
async def replicas(shared_url: str) -> AsyncIterator[tuple[Store, Store]]:
    """Two replicas on one database."""
    first, second = await Store(shared_url).open(), await Store(shared_url).open()
    yield first, second
    await first.close()
    await second.close()


async def test_f77_two_replicas_never_run_two_builds_of_one_group(replicas: tuple[Store, Store]) -> None:
    def claim(connection: sa.Connection) -> int:
        _claim(connection)
        query = "SELECT count(*) FROM builds WHERE state = 'running'"
        return int(connection.execute(sa.text(query)).scalar_one())

    async def push(store: Store) -> None:
        for number in range(6):
            await store.write(_create, _new(cancels=number == 4), 2)

    async def work(store: Store) -> None:
        for _ in range(40):
            assert await store.write(claim) <= 1
            await store.write(_settle)
            for one in await store.read(jobs.list_on_engine):
                await store.write(transitions.save, replace(one, state=job.State.PASSED), now=NOW)
            newest = await store.read(builds.list_newest, limit=99)
            if len(newest) == 12 and all(one.state in build.FINAL for one in newest):
                return
        raise AssertionError("a build waits for ever")

    first, second = replicas
    async with asyncio.timeout(50):
        await asyncio.gather(push(first), push(second), work(first), work(second))
    ended = await first.read(builds.list_newest, limit=99)
    assert {one.state for one in ended} <= {build.State.PASSED, build.State.CANCELLED}
    # The last one of all was superseded by nobody.
    assert max(ended, key=lambda one: one.concurrency_turn or 0).state == build.State.PASSED
