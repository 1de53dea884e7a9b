"""Whatever the order in which deliveries arrive, and however often: it ends as if each had come when it happened."""

from __future__ import annotations

import itertools
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import sqlalchemy as sa

from bot.model import build, delivery
from bot.simulator import Repository
from bot.store import builds, checks, deliveries, jobs, schema
from tests.databases import long_on_postgresql, on_sqlite
from tests.events.conftest import PIPELINE, House

#: So many deliveries are delivered in every order, where there is the time; of more, as many orders by chance.
EVERY_ORDER_UP_TO = 6
EVERY_ORDER = 720
#: So many orders by chance in `make test`. The second database only shows that nothing hangs on the first one.
SOME_ORDERS, FEW_ORDERS = 16, 4

Happen = Callable[[], Awaitable[object]]
Story = Callable[["Tale"], Awaitable[None]]


class Tale:
    """What happens on GitHub, told to the house as it happens; all deliveries are kept."""

    def __init__(self, house: House, *, pause_seconds: float) -> None:
        self.house = house
        self.github = house.simulator
        #: GitHub's times are whole seconds: without a pause nothing tells the order.
        self.pause_seconds = pause_seconds
        self.sent: list[Any] = []
        self._seen = 0

    async def repository(self, name: str = "octo/hello", pipeline: dict[str, str] | None = None) -> Repository:
        """A repository; what that sends is told to nobody."""
        made = await self.github.create_repository(name, files=pipeline or PIPELINE)
        self._seen = len(self.github.deliveries)
        return made

    async def tell(self, *only: str) -> None:
        """Deliver what was sent since the last time, of these events (`name` or `name.action`)."""
        new, self._seen = self.github.deliveries[self._seen :], len(self.github.deliveries)
        for one in new:
            if not only or one.event in only or one.payload_summary in only:
                self.sent.append(one)
                await self.house.deliver(one)
        await self.house.pass_time(self.pause_seconds)


@dataclass(frozen=True)
class Ending:
    """The state that counts."""

    #: Of each head that is built: what for, where it is reported, under which names.
    live: frozenset[tuple[str, ...]]
    pulls: frozenset[tuple[Any, ...]]
    installations: frozenset[tuple[Any, ...]]


def _ending(connection: sa.Connection, *, by_ref: bool) -> Ending:
    live = []
    for one in builds.list_newest(connection, limit=1000):
        if one.state in build.FINAL or jobs.is_ending(connection, one.id):
            continue
        # An older one that is alive would be hidden by the checks of the newer one.
        latest = builds.find_latest(connection, repository_id=one.repository_id, head_sha=one.head_sha)
        assert latest == one
        shown = checks.list_of_build(connection, one.id)
        assert {(c.head_sha, c.repository, c.installation_id) for c in shown} == {
            (one.head_sha, one.repository, one.installation_id)
        }
        why = (one.event, one.ref, str(one.base_ref), str(one.base_sha)) if by_ref else ()
        names = ",".join(sorted(c.name for c in shown))
        live.append((one.head_sha, one.repository, str(one.installation_id), names, *why))
    assert len({one[0] for one in live}) == len(live)
    pulls, installations = schema.pulls.c, schema.installations.c
    return Ending(
        live=frozenset(live),
        pulls=frozenset(
            tuple(row)
            for row in connection.execute(sa.select(pulls.number, pulls.state, pulls.head_sha, pulls.base_ref))
        ),
        installations=frozenset(
            tuple(row) for row in connection.execute(sa.select(installations.id, installations.state))
        ),
    )


def _forget(connection: sa.Connection) -> None:
    for table in reversed(schema.metadata.sorted_tables):
        connection.execute(sa.delete(table))


def _orders(count: int, *, most: int) -> Iterator[tuple[int, ...]]:
    dice = random.Random(48)
    if count <= EVERY_ORDER_UP_TO:
        every = list(itertools.permutations(range(count)))
        dice.shuffle(every)
        yield from every[:most]
        return
    for _ in range(most):
        yield tuple(dice.sample(range(count), count))


async def _in_any_order(house: House, tale: Tale, *, kept: int, by_ref: bool, most: int) -> None:
    """:param kept: so many deliveries come first in every order."""
    await house.pass_time(6)
    wanted = await house.store.read(_ending, by_ref=by_ref)
    began = house.ahead
    first, moved = list(range(kept)), len(tale.sent) - kept
    dice = random.Random(47)
    for number, order in enumerate(_orders(moved, most=most)):
        await house.store.write(_forget)
        house.ahead = began
        positions = first + [kept + position for position in order]
        # Each may come again, under its own id or another one.
        for copy in dice.sample(positions, 2):
            positions.insert(dice.randrange(positions.index(copy), len(positions)) + 1, copy)
        for place, position in enumerate(positions):
            guid = f"again-{number}-{place}" if positions.index(position) < place and place % 2 else None
            await house.deliver(tale.sent[position], guid=guid)
        await house.pass_time(6)
        told = [tale.sent[position].payload_summary for position in positions]
        assert await house.store.read(_ending, by_ref=by_ref) == wanted, f"in the order {told}"
        counts = await house.store.read(deliveries.count_by_state)
        assert set(counts) <= {delivery.State.HANDLED, delivery.State.IGNORED}


async def opened_pushed_closed(tale: Tale) -> None:
    repository = await tale.repository()
    await tale.github.commit(repository, "topic", {"a.txt": "a"})
    pull = await tale.github.open_pull_request(repository, "topic")
    await tale.tell("pull_request")
    for text in "bc":
        await tale.github.push(repository, "topic", {"a.txt": text})
        await tale.tell("pull_request")
    await tale.github.close(pull)
    await tale.tell("pull_request")


async def opened_pushed_labelled(tale: Tale) -> None:
    repository = await tale.repository()
    await tale.github.commit(repository, "topic", {"a.txt": "a"})
    pull = await tale.github.open_pull_request(repository, "topic", draft=True)
    await tale.tell("pull_request")
    await tale.github.push(repository, "topic", {"a.txt": "b"})
    await tale.tell("pull_request")
    await tale.github.label(pull, "odd")
    await tale.github.ready_for_review(pull)
    await tale.tell("pull_request")


async def closed_and_opened_again(tale: Tale) -> None:
    repository = await tale.repository()
    await tale.github.commit(repository, "topic", {"a.txt": "a"})
    pull = await tale.github.open_pull_request(repository, "topic")
    await tale.tell("pull_request")
    for _ in range(2):
        await tale.github.close(pull)
        await tale.tell("pull_request")
        await tale.github.reopen(pull)
        await tale.tell("pull_request")


async def pushed_back(tale: Tale) -> None:
    repository = await tale.repository()
    first = await tale.github.commit(repository, "topic", {"a.txt": "a"})
    await tale.github.open_pull_request(repository, "topic")
    await tale.tell("pull_request")
    await tale.github.push(repository, "topic", {"a.txt": "b"})
    await tale.tell("pull_request")
    await tale.github.push(repository, "topic", start=first)
    await tale.tell("pull_request")


async def retargeted(tale: Tale) -> None:
    repository = await tale.repository()
    await tale.github.commit(repository, "release", {"b.txt": "b"})
    await tale.github.commit(repository, "topic", {"a.txt": "a"})
    pull = await tale.github.open_pull_request(repository, "topic")
    await tale.tell("pull_request")
    await tale.github.retarget(pull, "release")
    await tale.tell("pull_request")
    await tale.github.push(repository, "topic", {"a.txt": "b"})
    await tale.tell("pull_request")
    await tale.github.retarget(pull, "main")
    await tale.tell("pull_request")


async def both_deliveries_of_each_push(tale: Tale) -> None:
    repository = await tale.repository()
    await tale.github.push(repository, "topic", {"a.txt": "a"})
    await tale.tell("push")
    await tale.github.open_pull_request(repository, "topic")
    await tale.tell("pull_request")
    await tale.github.push(repository, "topic", {"a.txt": "b"})
    await tale.tell("push", "pull_request")


async def both_deliveries_and_closed(tale: Tale) -> None:
    repository = await tale.repository()
    await tale.github.push(repository, "topic", {"a.txt": "a"})
    await tale.tell("push")
    pull = await tale.github.open_pull_request(repository, "topic")
    await tale.tell("pull_request")
    await tale.github.push(repository, "topic", {"a.txt": "b"})
    await tale.tell("push", "pull_request")
    await tale.github.close(pull)
    await tale.tell("pull_request")


async def pushed_before_and_after(tale: Tale) -> None:
    repository = await tale.repository()
    await tale.github.push(repository, "topic", {"a.txt": "a"})
    await tale.tell("push")
    await tale.github.push(repository, "topic", {"a.txt": "b"})
    await tale.tell("push")
    pull = await tale.github.open_pull_request(repository, "topic")
    await tale.tell("pull_request")
    await tale.github.close(pull)
    await tale.tell("pull_request")
    if tale.pause_seconds:
        # Within a second nothing would tell that it was pushed after the end, and not before.
        await tale.github.push(repository, "topic", {"a.txt": "c"})
        await tale.tell("push")


async def only_pushes_are_built(tale: Tale) -> None:
    repository = await tale.repository(pipeline={".buildhook.yml": "on: push\njobs: {t: {steps: [{run: a}]}}\n"})
    await tale.github.push(repository, "topic", {"a.txt": "a"})
    await tale.tell("push")
    pull = await tale.github.open_pull_request(repository, "topic")
    await tale.tell("pull_request")
    await tale.github.push(repository, "topic", {"a.txt": "b"})
    await tale.tell("push", "pull_request")
    await tale.github.close(pull)
    await tale.tell("pull_request")


async def merged_as_it_is(tale: Tale) -> None:
    repository = await tale.repository()
    head = await tale.github.push(repository, "topic", {"a.txt": "a"})
    await tale.tell("push")
    await tale.github.open_pull_request(repository, "topic")
    await tale.tell("pull_request")
    await tale.github.push(repository, "main", start=head)
    await tale.tell("push", "pull_request")


async def merged(tale: Tale) -> None:
    repository = await tale.repository()
    await tale.github.push(repository, "topic", {"a.txt": "a"})
    await tale.tell("push")
    pull = await tale.github.open_pull_request(repository, "topic")
    await tale.tell("pull_request")
    await tale.github.merge(pull)
    await tale.tell("push", "pull_request")
    await tale.github.delete_branch(repository, "topic")
    await tale.tell("push", "delete")


async def branch_made_moved_deleted(tale: Tale) -> None:
    repository = await tale.repository()
    await tale.github.push(repository, "topic", {"a.txt": "a"})
    await tale.tell("push", "create")
    await tale.github.push(repository, "topic", {"a.txt": "b"}, force=True)
    await tale.tell("push")
    await tale.github.delete_branch(repository, "topic")
    await tale.tell("push", "delete")


async def tags_made(tale: Tale) -> None:
    repository = await tale.repository()
    await tale.github.commit(repository, "main", {"a.txt": "a"})
    await tale.github.push_tags(repository, ["v1"])
    await tale.tell("push", "create")
    await tale.github.commit(repository, "main", {"a.txt": "b"})
    await tale.github.push_tags(repository, ["v2/ü"], message="Second")
    await tale.tell("push", "create")


async def suspended_for_a_while(tale: Tale) -> None:
    repository = await tale.github.create_repository("octo/hello", files=PIPELINE)
    await tale.tell("installation")
    await tale.github.push(repository, "main", {"a.txt": "a"})
    await tale.tell("push")
    tale.github.suspend("octo")
    await tale.tell("installation")
    tale.github.unsuspend("octo")
    await tale.tell("installation")
    await tale.github.push(repository, "main", {"a.txt": "b"})
    await tale.tell("push")


async def uninstalled(tale: Tale) -> None:
    repository = await tale.github.create_repository("octo/hello", files=PIPELINE)
    await tale.tell("installation")
    await tale.github.push(repository, "main", {"a.txt": "a"})
    await tale.tell("push")
    tale.github.suspend("octo")
    await tale.tell("installation")
    tale.github.unsuspend("octo")
    tale.github.uninstall("octo")
    await tale.tell("installation")


async def removed_and_added_again(tale: Tale) -> None:
    repository = await tale.repository()
    await tale.github.push(repository, "main", {"a.txt": "a"})
    await tale.tell("push")
    tale.github.remove_from_installation(repository)
    await tale.tell("installation_repositories")
    await tale.house.pass_time(6)
    tale.github.install("octo", [repository])
    await tale.tell("installation_repositories")


async def renamed_twice(tale: Tale) -> None:
    repository = await tale.repository()
    await tale.github.push(repository, "main", {"a.txt": "a"})
    await tale.tell("push")
    tale.github.rename(repository, "second")
    await tale.tell("repository")
    await tale.github.push(repository, "main", {"a.txt": "b"})
    await tale.tell("push")
    tale.github.rename(repository, "third")
    await tale.tell("repository")


async def archived_for_a_while(tale: Tale) -> None:
    repository = await tale.repository()
    await tale.github.push(repository, "main", {"a.txt": "a"})
    await tale.tell("push")
    tale.github.archive(repository)
    await tale.tell("repository")
    tale.github.archive(repository, back=True)
    await tale.tell("repository")


async def given_away(tale: Tale) -> None:
    repository = await tale.repository()
    await tale.repository("acme/other")
    await tale.github.push(repository, "main", {"a.txt": "a"})
    await tale.tell("push")
    tale.github.transfer(repository, "acme")
    await tale.tell("repository", "installation_repositories")


async def deleted(tale: Tale) -> None:
    repository = await tale.repository()
    await tale.github.push(repository, "main", {"a.txt": "a"})
    await tale.tell("push")
    await tale.github.delete_repository(repository)
    await tale.tell("repository", "installation_repositories")


async def strangers_draft_and_pushes(tale: Tale) -> None:
    repository = await tale.repository()
    fork = await tale.github.fork(repository, "stranger")
    await tale.github.commit(fork, "topic", {"a.txt": "a"})
    pull = await tale.github.open_pull_request(repository, "topic", from_fork=fork, author="stranger", draft=True)
    await tale.tell("pull_request")
    await tale.github.push(fork, "topic", {"a.txt": "b"}, author="stranger")
    await tale.tell("pull_request")
    await tale.github.ready_for_review(pull)
    await tale.tell("pull_request")
    await tale.github.push(fork, "topic", {"a.txt": "c"}, author="stranger")
    await tale.tell("pull_request")


async def queued_and_taken_out(tale: Tale) -> None:
    repository = await tale.repository()
    await tale.github.commit(repository, "topic", {"a.txt": "a"})
    pull = await tale.github.open_pull_request(repository, "topic")
    await tale.tell("pull_request.opened")
    tale.github.enable_merge_queue(repository, "main", ["buildhook"])
    await tale.github.enqueue(pull, force=True)
    await tale.tell("merge_group", "push")
    await tale.github.dequeue(pull)
    await tale.tell("merge_group", "push")


async def queued_again(tale: Tale) -> None:
    repository = await tale.repository()
    await tale.github.commit(repository, "topic", {"a.txt": "a"})
    pull = await tale.github.open_pull_request(repository, "topic")
    tale.github.enable_merge_queue(repository, "main", ["buildhook"])
    await tale.github.enqueue(pull, force=True)
    await tale.tell("merge_group")
    await tale.github.push(repository, "main", {"b.txt": "b"})
    await tale.github.settle_queues()
    await tale.tell("merge_group", "push")


#: Each with the number of deliveries that come first in every order: what GitHub no longer shows cannot come late.
STORIES: Sequence[tuple[Story, int]] = (
    (opened_pushed_closed, 0),
    (opened_pushed_labelled, 0),
    (closed_and_opened_again, 0),
    (pushed_back, 0),
    (retargeted, 0),
    (both_deliveries_of_each_push, 0),
    (both_deliveries_and_closed, 0),
    (pushed_before_and_after, 0),
    (only_pushes_are_built, 0),
    (merged_as_it_is, 0),
    (merged, 0),
    (branch_made_moved_deleted, 0),
    (tags_made, 0),
    (suspended_for_a_while, 0),
    (uninstalled, 0),
    (removed_and_added_again, 0),
    (renamed_twice, 0),
    (archived_for_a_while, 0),
    (given_away, 1),
    (deleted, 0),
    (strangers_draft_and_pushes, 0),
    (queued_and_taken_out, 0),
    (queued_again, 0),
)


in_each_story = pytest.mark.parametrize(("story", "kept"), STORIES, ids=[story.__name__ for story, _ in STORIES])
at_each_pace = pytest.mark.parametrize("pause_seconds", [2, 0], ids=["in_turn", "within_a_second"])


async def _check(house: House, story: Story, *, kept: int, pause_seconds: float, most: int) -> None:
    tale = Tale(house, pause_seconds=pause_seconds)
    await story(tale)
    await _in_any_order(house, tale, kept=kept, by_ref=story is not merged_as_it_is, most=most)


@long_on_postgresql
@at_each_pace
@in_each_story
async def test_f48_whatever_the_order_it_ends_as_if_all_had_come_when_it_happened(
    house: House, story: Story, kept: int, pause_seconds: float, database_kind: str
) -> None:
    most = SOME_ORDERS if database_kind == "sqlite" else FEW_ORDERS
    await _check(house, story, kept=kept, pause_seconds=pause_seconds, most=most)


@pytest.mark.long
@pytest.mark.timeout(900)
@on_sqlite
@at_each_pace
@in_each_story
async def test_f48_every_order_ends_as_if_all_had_come_when_it_happened(
    house: House, story: Story, kept: int, pause_seconds: float
) -> None:
    await _check(house, story, kept=kept, pause_seconds=pause_seconds, most=EVERY_ORDER)
