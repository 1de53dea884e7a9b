"""The reconciler of states before a simulator whose events got lost, and the dispatcher behind it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from msgspec.structs import replace
from sqlalchemy.engine import Connection

from bot import clock, errors, telemetry
from bot.events import reconciling
from bot.github import GitHub
from bot.model import build, check, delivery, job, outcome
from bot.simulator import Repository, Simulator
from bot.store import Store, bookmarks, checks, deliveries, inbox_list, outcomes, repositories
from bot.store.repositories_table import repositories as table
from bot.webhooks import inbox, intake
from tests import factories
from tests.databases import on_postgresql, on_sqlite
from tests.events.conftest import PIPELINE, House

HOUR = timedelta(hours=1)
ORPHAN = "01J" + "0" * 23


@dataclass
class Office:
    """A repository whose events nobody delivers, and what finds out all the same."""

    house: House
    github: GitHub
    intake: intake.Intake
    repository: Repository
    metrics: telemetry.Metrics
    #: By how much our clock was put forward.
    ahead: timedelta = field(default=timedelta(0))

    @property
    def simulator(self) -> Simulator:
        return self.house.simulator

    @property
    def store(self) -> Store:
        return self.house.store

    def now(self) -> Any:
        return clock.now() + self.ahead

    def reconciler(self, **changes: Any) -> reconciling.Reconciler:
        """One more replica's, which gives events no time to come."""
        given: dict[str, Any] = {
            "github": self.github,
            "take": partial(self.intake.take, source="state"),
            "metrics": self.metrics,
            "owner": "test",
            "now": self.now,
            "grace": timedelta(0),
            "look_seconds": 0.05,
        }
        return reconciling.Reconciler(self.store, **{**given, **changes})

    async def reconcile(self, **changes: Any) -> dict[str, int]:
        """One pass and all that follows; gives what it did."""
        done = await self.reconciler(**changes).reconcile()
        assert done is not None
        await self.house.dispatch()
        return dict(done)

    async def deliver(self, event: str, action: str | None = None) -> None:
        """Let the last event of this kind arrive after all."""
        await self.house.deliver(self.house.sent(event, action))

    async def made(self) -> list[delivery.Delivery]:
        """The deliveries that were made of states, oldest first."""
        listed = await self.store.read(inbox_list.list_newest, limit=1000)
        found = [await self.store.read(deliveries.find, one.id) for one in reversed(listed)]
        return [one for one in found if one is not None and one.headers.get("x-buildhook-source") == "state"]

    async def heads(self) -> list[str]:
        """The heads that were built, oldest first."""
        return [one.head_sha for one in reversed(await self.house.builds())]

    def spent(self) -> int:
        """What all calls so far count for GitHub's limits."""
        return sum(used for _, used in self.simulator.rates._used.values())


@pytest.fixture
async def office(house: House, metrics: telemetry.Metrics) -> AsyncIterator[Office]:
    """A repository with a pipeline whose first push is built."""
    simulator = house.simulator
    repository = await simulator.create_repository("octo/hello", PIPELINE)
    box = inbox.Inbox(house.store, metrics=metrics, on_stored=lambda _: None)
    committing = asyncio.create_task(box.run())
    async with GitHub(
        api_url=simulator.api_url, app_id=simulator.app_id, private_key=simulator.private_key, metrics=metrics
    ) as github:
        taking = intake.Intake(box, app_id=simulator.app_id, now=clock.now)
        yield Office(house, github, taking, repository, metrics)
    committing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await committing


async def test_f9_f46_heads_that_nobody_told_of_are_built(office: Office) -> None:
    main = await office.simulator.push(office.repository, "main", {"a.txt": "a"})
    feature = await office.simulator.push(office.repository, "feature", {"b.txt": "b"})
    await office.simulator.open_pull_request(office.repository, "feature")
    assert await office.reconcile() == {"push": 1, "pull_request": 1}
    assert sorted(await office.heads()) == sorted([main, feature])
    push, pull = await office.made()
    assert (push.event, push.hook_id, push.ordering_key.partition(":")[0]) == ("push", 0, "ref")
    assert (pull.event, pull.action, pull.ordering_key) == (
        "pull_request",
        "synchronize",
        f"pull:{office.repository.id}:1",
    )
    assert [one.state for one in (push, pull)] == [delivery.State.HANDLED] * 2
    of_pull = next(one for one in await office.house.builds() if one.event == "pull_request")
    assert (of_pull.pull_number, of_pull.sender, of_pull.trust) == (1, "mona", build.Trust.TRUSTED)
    # Looked at again, nothing is lacking, and it counts for no limit: GitHub says that nothing changed.
    calls, spent = len(office.simulator.requests), office.spent()
    assert await office.reconcile() == {}
    assert (len(office.simulator.requests) - calls, office.spent() - spent) == (7, 0)


async def test_what_was_told_is_not_made_again(office: Office) -> None:
    await office.simulator.push(office.repository, "main", {"a.txt": "a"})
    await office.deliver("push")
    await office.simulator.push(office.repository, "feature", {"b.txt": "b"})
    await office.simulator.open_pull_request(office.repository, "feature")
    await office.deliver("pull_request", "opened")
    assert await office.reconcile() == {}
    # An event that comes late finds its head built.
    await office.simulator.push(office.repository, "main", {"a.txt": "aa"})
    assert await office.reconcile() == {"push": 1}
    built = await office.heads()
    await office.deliver("push")
    assert await office.heads() == built


async def test_what_is_being_handled_is_waited_for(office: Office) -> None:
    await office.simulator.push(office.repository, "main", {"a.txt": "a"})
    await office.house.receive(office.house.sent("push"))
    mine = office.reconciler()
    assert await mine.reconcile() == {}
    await office.house.dispatch()
    assert await mine.reconcile() == {}
    assert len(await office.heads()) == 1


async def test_an_event_has_some_time_to_come(office: Office) -> None:
    await office.simulator.push(office.repository, "main", {"a.txt": "a"})
    minute = timedelta(minutes=1)
    assert await office.reconcile(grace=minute) == {}
    office.ahead = minute / 2
    assert await office.reconcile(grace=minute) == {}
    office.ahead = minute * 2
    assert await office.reconcile(grace=minute) == {"push": 1}


async def test_f46_tags_that_caused_no_event_are_built_and_old_ones_are_not(office: Office) -> None:
    await office.simulator.push(office.repository, "main", {"a.txt": "a"})
    await office.simulator.push_tags(office.repository, ["v0.1", "v0.2"])
    await office.reconcile()
    assert [one.ref for one in await office.house.builds()] == ["refs/heads/main"]
    released = await office.simulator.push(office.repository, "release", {"b.txt": "b"})
    sent = len(office.simulator.deliveries)
    tags = ["v1.0", "v1.1", "v1.2", "v1.3"]
    await office.simulator.push_tags(office.repository, tags, "release", message="Release")
    assert len(office.simulator.deliveries) == sent
    assert await office.reconcile() == {"push": 4}
    told = [one for one in await office.made() if one.ordering_key.startswith("ref:") and "/tags/" in one.ordering_key]
    assert sorted(one.ordering_key.rpartition("/")[2] for one in told) == tags
    # One commit: the first tag builds it, the others are told so.
    assert (await office.heads()).count(released) == 1
    assert await office.reconcile() == {}


async def test_a_tag_whose_event_came_is_left_to_it(office: Office) -> None:
    await office.reconcile()
    await office.simulator.push_tags(office.repository, ["v1"])
    await office.deliver("push")
    assert await office.reconcile() == {}


async def test_a_repository_without_a_pipeline_gets_a_reason_once(office: Office) -> None:
    await office.simulator.create_repository("octo/bare", {"README.md": "# bare\n"})
    await office.simulator.push("octo/bare", "feature", {"b.txt": "b"})
    await office.simulator.open_pull_request("octo/bare", "feature")
    await office.reconcile()
    of_bare = [one for one in await office.made() if one.repository == "octo/bare"]
    assert [one.state for one in of_bare] == [delivery.State.IGNORED] * 2
    assert all("There is no `.buildhook.yml`" in (one.reason or "") for one in of_bare)
    for _ in range(2):
        assert await office.reconcile() == {}
    # A push that we were told of, and ignored, is not made up for.
    await office.simulator.push("octo/bare", "main", {"a.txt": "a"})
    await office.deliver("push")
    assert await office.reconcile() == {}


async def test_t1_the_head_of_a_fork_waits_for_approval_as_always(office: Office) -> None:
    await office.reconcile()
    fork = await office.simulator.fork(office.repository, "stranger")
    await office.simulator.push(fork, "feature", {"b.txt": "b"}, author="stranger")
    await office.simulator.open_pull_request(office.repository, "feature", from_fork=fork)
    assert await office.reconcile() == {"pull_request": 1}
    newest = (await office.house.builds())[0]
    assert (newest.state, newest.trust) == (build.State.WAITING, build.Trust.UNTRUSTED)


async def test_a_reopened_pull_request_is_built_again(office: Office) -> None:
    await office.reconcile()
    await office.simulator.push(office.repository, "feature", {"b.txt": "b"})
    pull = await office.simulator.open_pull_request(office.repository, "feature")
    await office.deliver("pull_request", "opened")
    await office.house.end_build(build.State.CANCELLED, job.State.CANCELLED)
    # Times are as fine as seconds.
    pull.updated_at += timedelta(seconds=2)
    await office.simulator.close(pull)
    pull.updated_at += timedelta(seconds=2)
    await office.deliver("pull_request", "closed")
    await office.simulator.reopen(pull)
    pull.updated_at += timedelta(seconds=4)
    assert await office.reconcile() == {"pull_request": 1}
    assert [one.action for one in (await office.made())[-1:]] == ["reopened"]
    assert [one.state for one in await office.house.builds()][:2] == [build.State.QUEUED, build.State.CANCELLED]
    assert await office.reconcile() == {}


async def test_f77_two_replicas_make_nothing_twice(office: Office) -> None:
    await office.simulator.push(office.repository, "main", {"a.txt": "a"})
    passes = await asyncio.gather(*(office.reconciler(owner=f"r{number}").reconcile() for number in range(3)))
    assert sum(one["push"] for one in passes if one is not None) == 1
    assert len(await office.made()) == 1


async def test_a_restart_in_the_middle_makes_nothing_twice(office: Office) -> None:
    await office.simulator.push(office.repository, "main", {"a.txt": "a"})

    async def take_and_die(headers: Any, body: bytes) -> None:
        await office.intake.take(headers, body, source="state")
        raise errors.StoreUnavailable("The machine was switched off.")

    with pytest.raises(errors.StoreUnavailable):
        await office.reconciler(take=take_and_die).reconcile()
    await office.house.dispatch()
    assert await office.reconcile() == {}
    assert (len(await office.made()), len(await office.heads())) == (1, 1)


async def test_a_pass_ends_with_its_calls_and_the_next_one_goes_on(office: Office) -> None:
    names = [f"octo/repo-{number}" for number in range(4)]
    for name in names:
        await office.simulator.create_repository(name, PIPELINE)
    seen: list[str] = []
    for _ in range(5):
        # One repository each.
        assert await office.reconcile(most_calls=4) == {"push": 1}
        seen.append((await office.house.builds())[0].repository)
    assert sorted(seen) == sorted([*names, "octo/hello"])
    assert await office.store.read(bookmarks.find, reconciling.NAME) is not None


async def test_f39_what_cannot_be_asked_does_not_keep_the_others_waiting(office: Office) -> None:
    other = await office.simulator.create_repository("acme/tools", PIPELINE)
    gone = await office.simulator.create_repository("octo/gone", PIPELINE)
    office.simulator.faults.add(path=f"/repos/{gone.full_name}/", status=404, times=None)
    office.simulator.faults.add(path=f"/repos/{office.repository.full_name}/", status=403, times=None)
    assert await office.reconcile() == {"push": 1}
    assert {one.repository_id for one in await office.house.builds()} == {other.id}
    office.simulator.suspend("octo")
    await office.simulator.push(other, "main", {"a.txt": "a"})
    assert await office.reconcile() == {"push": 1}


async def test_a_full_inbox_ends_the_pass_and_loses_nothing(office: Office) -> None:
    async def refuse(headers: Any, body: bytes) -> None:
        raise errors.InboxFull

    assert await office.reconcile(take=refuse) == {}
    assert await office.reconcile() == {"push": 1}


async def test_a_github_that_is_down_is_asked_again_by_the_loop(office: Office) -> None:
    office.simulator.faults.add(path="/app/installations", status=500, times=8)
    settled = asyncio.Event()
    running = asyncio.create_task(office.reconciler(after=settled).run())
    await asyncio.sleep(0)
    assert office.simulator.requests == []
    settled.set()
    while not await office.made():
        await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


@on_postgresql
async def test_a_stop_is_a_stop_also_without_a_database(office: Office) -> None:
    asking = office.simulator.faults.add(path="/app/installations", delay_seconds=30)
    running = asyncio.create_task(office.reconciler().run())
    while not asking.hits:
        await asyncio.sleep(0.01)
    await office.store.close()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def ended_check(office: Office) -> build.Build:
    """A build whose check GitHub acknowledged as completed."""
    await office.reconcile()
    made = (await office.house.builds())[0]
    (one,) = await office.store.write(checks.claim_stale, now=office.now() + HOUR, owner="test", lease=HOUR, limit=9)
    run = await office.github.repository(
        installation_id=made.installation_id, repository_id=made.repository_id, full_name=made.repository
    ).put_check_run(_shown(one.name, one.head_sha, one.external_id, status="completed"))
    await office.store.write(
        checks.acknowledge, one, version=one.desired_version, github_id=run, status="completed", now=office.now()
    )
    return made


def _shown(name: str, sha: str, external_id: str, *, status: str) -> check.CheckRun:
    return check.CheckRun(
        name=name,
        head_sha=sha,
        external_id=external_id,
        details_url="https://example.org/",
        status=status,
        conclusion="success" if status == "completed" else None,
        started_at=None,
        completed_at=None,
        title="Passed",
        summary="Passed.",
    )


async def test_a_check_run_that_is_gone_is_made_again(office: Office) -> None:
    made = await ended_check(office)
    (run,) = office.simulator.check_runs(office.repository)
    del office.simulator.check_runs_by_id[run.id]
    run.suite.runs.remove(run)
    assert await office.reconcile() == {}
    office.ahead = HOUR
    assert await office.reconcile() == {"check_gone": 1}
    (stored,) = await office.store.read(checks.list_of_build, made.id)
    assert (stored.is_stale, stored.is_conclusion) == (True, True)
    assert await office.reconcile() == {}


async def test_a_check_run_that_is_not_completed_after_all_is_sent_again(office: Office) -> None:
    made = await ended_check(office)
    (run,) = office.simulator.check_runs(office.repository)
    run.status, run.conclusion, run.completed_at = "in_progress", None, None
    office.ahead = HOUR
    assert await office.reconcile() == {"check_unfinished": 1}
    (stored,) = await office.store.read(checks.list_of_build, made.id)
    assert (stored.is_stale, stored.github_id) == (True, run.id)


@on_sqlite
async def test_f21_a_check_run_of_a_lost_database_is_concluded(office: Office) -> None:
    await ended_check(office)
    head = office.repository.heads["main"]
    ours = office.github.repository(
        installation_id=(await office.house.builds())[0].installation_id,
        repository_id=office.repository.id,
        full_name="octo/hello",
    )
    orphan = await ours.put_check_run(_shown("buildhook", head, ORPHAN, status="in_progress"))
    foreign = await office.simulator.create_foreign_check_run(office.repository, head, "buildhook")
    assert await office.reconcile() == {}
    run = office.simulator.check_run(office.repository, orphan)
    assert run.started_at is not None
    run.started_at -= 2 * HOUR
    assert await office.reconcile() == {"check_orphaned": 1}
    assert (run.status, run.conclusion) == ("completed", "cancelled")
    assert "has no record of it" in (run.summary or "")
    assert office.simulator.check_run(office.repository, foreign.id).conclusion == foreign.conclusion
    assert await office.reconcile() == {}


@on_sqlite
async def test_a_check_that_changed_since_it_was_seen_is_left_alone(office: Office) -> None:
    made = await office.store.write(
        outcomes.create, factories.make_new_build(factories.make_build()), now=factories.NOW
    )
    (one,) = await office.store.read(checks.list_of_build, made.id)
    stale = replace(one, epoch=one.epoch + 1)
    assert not await office.store.write(checks.send_again, stale)
    assert await office.store.write(checks.send_again, one)
    assert not await office.store.write(checks.send_again, one)


async def test_f49_an_event_that_comes_hours_late_changes_nothing(office: Office) -> None:
    await office.simulator.push(office.repository, "feature", {"b.txt": "b"})
    pull = await office.simulator.open_pull_request(office.repository, "feature")
    late = office.house.sent("pull_request", "opened")
    newest = await office.simulator.push(office.repository, "feature", {"b.txt": "bb"})
    pull.updated_at += timedelta(hours=5)
    await office.reconcile()
    built = await office.heads()
    assert newest in built
    became = await office.house.deliver(late)
    assert (became.state, "is older" in (became.reason or "")) == (delivery.State.HANDLED, True)
    assert await office.heads() == built
    assert await office.reconcile() == {}


async def test_t92_f9_a_repository_whose_event_was_lost_is_told_of_no_more_after_one_pass(office: Office) -> None:
    async def is_told() -> bool:
        return await office.store.read(repositories.is_told, office.repository.id, digest=None)

    office.simulator.set_visibility(office.repository, private=False)
    await office.simulator.push(office.repository, "main", {"a.txt": "a"})
    await office.deliver("push")
    assert await is_told()
    assert await office.reconcile() == {}
    office.simulator.set_visibility(office.repository, private=True)
    assert await office.reconcile() == {"visibility": 1}
    assert not await is_told()
    # What was just said to be private is not public by a list, which may be older.
    office.simulator.set_visibility(office.repository, private=False)
    assert await office.reconcile() == {}
    assert not await is_told()
    office.ahead += repositories.LIST_LAG + timedelta(seconds=1)
    assert await office.reconcile() == {"visibility": 1}
    assert await is_told()


async def test_t92_what_github_does_not_show_any_more_is_told_of_no_more(store: Store) -> None:
    def known(connection: Connection) -> dict[int, bool]:
        rows = connection.execute(sa.select(table.c.id, table.c.is_public))
        return {row.id: row.is_public for row in rows}

    now = factories.NOW
    for number in (1, 2, 3):
        seen = outcome.Visibility(repository_id=number, is_public=True)
        await store.write(repositories.note, seen, now=now)
    # Where some could not be listed nothing is said of those that lack.
    assert await store.write(repositories.compare, {1: True, 2: False}, is_whole=False, now=now) == 1
    assert await store.read(known) == {1: True, 2: False, 3: True}
    assert await store.write(repositories.compare, {1: True, 2: False}, is_whole=True, now=now) == 1
    assert await store.read(known) == {1: True, 2: False, 3: False}
