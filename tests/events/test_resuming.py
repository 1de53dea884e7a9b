"""The App loses sight of a repository while the code of a build is fetched, and sees it again: whatever comes first."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from msgspec.structs import replace

from bot import errors
from bot.builds import resume, source, transitions
from bot.model import build, delivery, job
from bot.simulator import Repository
from bot.store import jobs, patience
from tests.databases import long_on_postgresql
from tests.events.conftest import PIPELINE, House

pytestmark = long_on_postgresql

#: What is done first: an event is handled, or the engine fetches.
ORDERS = ("event first", "fetch first")
#: How the engine finds out that it may not fetch: no token is to be had, or the one that it has is refused.
ASKS = ("token", "locate")


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for an event that a test did not send."""
    monkeypatch.setattr(source, "_PAUSES_SECONDS", (0.0, 0.0))


async def fetching(house: House) -> Repository:
    """A repository whose one build is having its code fetched."""
    repository = await house.simulator.create_repository("octo/hello", files=PIPELINE)
    await house.deliver(house.sent("installation", "created"))
    await house.simulator.push(repository, "main", {"a.txt": "a"})
    await house.deliver(house.sent("push"))
    (one,) = await house.jobs()
    starting = replace(one, state=job.State.STARTING, started_at=house.now())
    await house.store.write(transitions.save, starting, now=house.now())
    await house.pass_time(1)
    return repository


async def fetch(house: House, ask: str) -> str:
    """What the engine does for the oldest build, and what the follower writes of it; gives what the engine was told.

    A fetch that goes well says so and leaves the job as it is.
    """
    first = (await house.builds())[-1]
    sources = source.Sources(house.store, github=house.github, now=house.now, new_id=house.new_id)
    asked: Callable[[], Awaitable[str]] | None = getattr(sources.of(first), ask)
    assert asked is not None
    try:
        return await asked()
    except errors.GitHubError as error:
        (one,) = await house.store.read(jobs.list_of_builds, [first.id])
        reason = f"The job could not be prepared: {error}"
        ended = replace(one, state=job.State.ERRORED, reason=reason, finished_at=house.now())
        await house.store.write(transitions.save, ended, now=house.now())
        return str(error)


async def is_shown(house: House, *expected: build.State) -> bool:
    """Whether these are the states of the builds, newest first."""
    return [one.state for one in await house.builds()] == list(expected)


async def test_f39_an_end_that_the_code_decided_is_not_resumed(house: House) -> None:
    await fetching(house)
    house.simulator.suspend("octo")
    await house.deliver(house.sent("installation", "suspend"))
    (one,) = await house.jobs()
    passed = replace(one, state=job.State.PASSED, finished_at=house.now())
    await house.store.write(transitions.save, passed, now=house.now())
    await house.pass_time(1)
    house.simulator.unsuspend("octo")
    await house.deliver(house.sent("installation", "unsuspend"))
    assert await is_shown(house, build.State.PASSED)


@pytest.mark.parametrize("ask", ASKS)
@pytest.mark.parametrize("order", ORDERS)
async def test_f39_what_is_suspended_while_its_code_is_fetched_begins_again_once(
    house: House, order: str, ask: str
) -> None:
    await fetching(house)
    house.simulator.suspend("octo")
    if order == "fetch first":
        assert "suspended" in await fetch(house, ask)
        assert await is_shown(house, build.State.CANCELLED)
    await house.deliver(house.sent("installation", "suspend"))
    if order == "event first":
        assert "suspended" in await fetch(house, ask)
    assert await is_shown(house, build.State.CANCELLED)
    assert [one.reason for one in await house.jobs()] == [resume.SUSPENDED]
    await house.pass_time(1)
    house.simulator.unsuspend("octo")
    done = await house.deliver(house.sent("installation", "unsuspend"))
    assert done.reason == "The App may work for octo. 1 build that this had stopped begins again."
    await house.deliver(house.sent("installation", "unsuspend"), guid="told-again")
    assert await is_shown(house, build.State.QUEUED, build.State.CANCELLED)


@pytest.mark.parametrize("ask", ASKS)
async def test_f39_what_is_fetched_after_a_suspension_is_over_was_built_anew_already(house: House, ask: str) -> None:
    await fetching(house)
    house.simulator.suspend("octo")
    suspended = house.sent("installation", "suspend")
    await house.pass_time(1)
    house.simulator.unsuspend("octo")
    await house.deliver(suspended)
    await house.deliver(house.sent("installation", "unsuspend"))
    assert await fetch(house, ask)
    (again, first) = await house.builds()
    assert (again.generation, await house.store.read(jobs.is_ending, again.id)) == (2, False)
    assert await house.store.read(jobs.is_ending, first.id)


@pytest.mark.parametrize("ask", ASKS)
@pytest.mark.parametrize("order", ORDERS)
async def test_f39_a_suspension_that_is_told_when_it_is_over_stops_nothing(house: House, order: str, ask: str) -> None:
    """The end of it is told first: then the suspension is known to be older, and the code is there."""
    await fetching(house)
    house.simulator.suspend("octo")
    suspended = house.sent("installation", "suspend")
    await house.pass_time(1)
    house.simulator.unsuspend("octo")
    await house.deliver(house.sent("installation", "unsuspend"))
    if order == "event first":
        await house.deliver(suspended)
    assert await fetch(house, ask)
    if order == "fetch first":
        await house.deliver(suspended)
    assert await is_shown(house, build.State.RUNNING)
    (first,) = await house.builds()
    assert not await house.store.read(jobs.is_ending, first.id)


def between(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], Awaitable[Any]]) -> None:
    """Let something happen once between GitHub's word that the App sees nothing and what is written of it."""
    write, left = patience.write, [happens]

    async def late(*args: Any, **kwargs: Any) -> Any:
        while left:
            await left.pop()()
        return await write(*args, **kwargs)

    monkeypatch.setattr(patience, "write", late)


@pytest.mark.parametrize("ask", ASKS)
async def test_f39_a_suspension_that_ends_before_it_is_written_down_is_resumed_once(
    house: House, ask: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fetching(house)
    house.simulator.suspend("octo")

    async def end_it() -> None:
        await house.pass_time(1)
        house.simulator.unsuspend("octo")
        done = await house.deliver(house.sent("installation", "unsuspend"))
        assert done.reason == "The App may work for octo."

    between(monkeypatch, end_it)
    assert "suspended" in await fetch(house, ask)
    assert await is_shown(house, build.State.QUEUED, build.State.CANCELLED)
    late = await house.deliver(house.sent("installation", "suspend"))
    assert "older than what is known" in (late.reason or "")
    await house.deliver(house.sent("installation", "unsuspend"), guid="told-again")
    assert await is_shown(house, build.State.QUEUED, build.State.CANCELLED)
    (again, first) = await house.builds()
    assert (again.origin_id, await house.store.read(jobs.is_ending, again.id)) == (first.id, False)


@pytest.mark.parametrize("ask", ASKS)
@pytest.mark.parametrize("order", ORDERS)
async def test_f39_what_is_removed_while_its_code_is_fetched_begins_again_once(
    house: House, order: str, ask: str
) -> None:
    repository = await fetching(house)
    house.simulator.remove_from_installation(repository)
    removed = house.sent("installation_repositories", "removed")
    if order == "event first":
        await house.deliver(removed)
        await house.pass_time(6)
    await fetch(house, ask)
    assert await is_shown(house, build.State.CANCELLED)
    assert [one.reason for one in await house.jobs()] == [resume.UNSEEN]
    if order == "fetch first":
        done = await house.deliver(removed)
        assert done.state == delivery.State.HANDLED
    house.simulator.install("octo", [repository])
    await house.deliver(house.sent("installation_repositories", "added"))
    await house.deliver(house.sent("installation_repositories", "added"), guid="told-again")
    assert await is_shown(house, build.State.QUEUED, build.State.CANCELLED)


@pytest.mark.parametrize("ask", ASKS)
async def test_f39_what_is_deleted_while_its_code_is_fetched_ends_and_says_so(house: House, ask: str) -> None:
    repository = await fetching(house)
    await house.simulator.delete_repository(repository)
    await house.deliver(house.sent("repository", "deleted"))
    await fetch(house, ask)
    assert await is_shown(house, build.State.CANCELLED)
    assert [one.reason for one in await house.jobs()] == ["octo/hello was deleted."]


@pytest.mark.parametrize("ask", ASKS)
async def test_f40_what_was_given_away_in_the_last_moment_goes_on_in_the_other_installation(
    house: House, ask: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.simulator.create_repository("acme/other", files=PIPELINE)
    repository = await fetching(house)
    house.simulator.transfer(repository, "acme")

    async def tell() -> None:
        await house.deliver(house.sent("repository", "transferred"))

    between(monkeypatch, tell)
    assert await fetch(house, ask)
    (first,) = await house.builds()
    assert (first.repository, first.state) == ("acme/hello", build.State.RUNNING)
    assert not await house.store.read(jobs.is_ending, first.id)


@pytest.mark.parametrize("ask", ASKS)
async def test_f40_what_is_given_away_and_told_of_late_begins_again_there(house: House, ask: str) -> None:
    await house.simulator.create_repository("acme/other", files=PIPELINE)
    repository = await fetching(house)
    house.simulator.transfer(repository, "acme")
    await fetch(house, ask)
    assert await is_shown(house, build.State.CANCELLED)
    await house.deliver(house.sent("repository", "transferred"))
    assert await is_shown(house, build.State.QUEUED, build.State.CANCELLED)
    assert {one.repository for one in await house.builds()} == {"acme/hello"}


async def test_f39_a_github_that_is_away_is_not_taken_for_a_repository_that_is(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job cannot be run, and nobody resumes it: whoever wants it runs it again."""

    async def away(repository: object) -> str:
        raise errors.GitHubUnavailable("GitHub does not answer.")

    await fetching(house)
    monkeypatch.setattr(source, "_token", away)
    await fetch(house, "token")
    assert await is_shown(house, build.State.ERRORED)
