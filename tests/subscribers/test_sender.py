"""The sender, over real HTTP and on both databases: signed, again by its schedule, each once, in good order."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from msgspec.structs import replace

from bot import policy, signing, telemetry
from bot.builds import transitions
from bot.model import build, job, notification
from bot.store import Store, jobs, notifications, outcomes, subscribers
from bot.subscribers import schedule, sender
from bot.subscribers.posting import Poster
from tests import factories, forgeries
from tests.databases import on_postgresql
from tests.subscribers import receiver
from tests.subscribers.receiver import Receiver


@dataclass
class House:
    """A sender with one subscriber, and the time that a test lets pass."""

    store: Store
    metrics: telemetry.Metrics
    receiver: Receiver
    stack: AsyncExitStack
    now: datetime = factories.NOW
    to: dict[str, policy.Subscriber] = field(default_factory=dict)

    def replica(self, *, owner: str = "test") -> sender.Sender:
        """One replica's sender."""
        made = sender.Sender(
            self.store,
            to=self.to,
            details_url=lambda kind, of_id: f"https://builds.example.org/{kind}/{of_id}",
            metrics=self.metrics,
            owner=owner,
            now=lambda: self.now,
            poster=Poster(total_seconds=5),
        )
        self.stack.callback(made.close)
        return made

    async def subscribe(self, name: str = "chat", *, port: int | None = None, **changes: Any) -> None:
        """Name a subscriber in the policy."""
        self.to[name] = policy.Subscriber(
            name=name,
            url=f"http://127.0.0.1:{port or self.receiver.port}/{name}",
            secrets=(),
            keys=(forgeries.KEY,),
            allow_http=True,
            **changes,
        )
        await self.replica().keep()

    async def build(self, state: build.State = build.State.SKIPPED, **changes: Any) -> build.Build:
        """Make a build in some state, which may be something to tell."""
        made = factories.make_new_build(factories.make_build(state=state, **changes))
        return await self.store.write(outcomes.create, made, now=self.now)

    async def send(self, one: sender.Sender | None = None) -> None:
        """Send what is due now."""
        using = one or self.replica()
        async with asyncio.TaskGroup() as group:
            await using.send_ready(group)

    async def made(self, name: str = "chat") -> list[notification.Notification]:
        """What was made for a subscriber, oldest first."""
        found = await self.store.read(notifications.list_newest, subscriber=name, limit=999)
        return found[::-1]

    async def state(self, name: str = "chat") -> notification.Subscriber:
        """How it is going with a subscriber."""
        (found,) = [one for one in await self.store.read(subscribers.list_all) if one.name == name]
        return found

    def counted(self, outcome: str) -> float:
        """How many attempts ended so."""
        found = self.metrics.registry.get_sample_value("buildhook_notifications_total", {"outcome": outcome})
        return found or 0.0


@pytest.fixture
async def house(store: Store, metrics: telemetry.Metrics) -> AsyncIterator[House]:
    """A sender with a subscriber called chat."""
    async with receiver.receiving() as receiving, AsyncExitStack() as stack:
        made = House(store=store, metrics=metrics, receiver=receiving, stack=stack)
        await made.subscribe()
        yield made


async def test_a_build_is_told_from_its_start_to_its_end_each_once_and_signed(house: House) -> None:
    new = factories.make_new_build()
    await house.store.write(outcomes.create, new, now=house.now)
    (claimed,) = await house.store.write(
        jobs.claim_ready, now=house.now, owner="test", lease=timedelta(minutes=1), limit=1
    )
    for state in (job.State.STARTING, job.State.RUNNING, job.State.PASSED):
        at = house.now if state == job.State.PASSED else None
        claimed = replace(claimed, state=state, finished_at=at)
        await house.store.write(transitions.save, claimed, now=house.now)
    await house.send()
    told = {}
    for came in house.receiver.received:
        proof = signing.verify(came.headers, came.body, keys=[forgeries.KEY], now=house.now)
        body = json.loads(came.body)
        told[body["type"]] = body["data"]["build"]
        assert proof.id == f"msg_{new.build.id}_{body['type'].replace('.', '_')}"
        assert body["timestamp"] == "2026-03-04T05:06:07Z"
    assert {event: one["state"] for event, one in told.items()} == {
        "build.started": "running",
        "build.finished": "passed",
    }
    assert told["build.finished"]["url"] == f"https://builds.example.org/builds/{new.build.id}"
    assert {one.state for one in await house.made()} == {notification.State.SENT}
    await house.send()
    assert len(house.receiver.received) == 2
    assert house.counted("sent") == 2


async def test_what_waits_for_approval_is_told_and_so_is_its_end(house: House) -> None:
    new = factories.make_new_build(factories.make_build(state=build.State.WAITING))
    made = await house.store.write(outcomes.create, replace(new, jobs=()), now=house.now)
    await house.store.write(outcomes.cancel_build, made.id, now=house.now, reason="Nobody wants it.")
    assert [one.event for one in await house.made()] == ["check.waiting", "build.finished"]


async def test_only_what_a_subscriber_wants_is_made(house: House) -> None:
    await house.subscribe("ends", events=frozenset({"build.finished"}))
    await house.subscribe("waits", events=frozenset({"check.waiting"}))
    await house.build()
    assert [len(await house.made(name)) for name in ("chat", "ends", "waits")] == [1, 1, 0]


async def test_what_is_not_taken_is_sent_again_by_the_schedule_as_the_same(house: House) -> None:
    await house.build()
    house.receiver.status = 503
    using = house.replica()
    for attempt, pause in enumerate(schedule.PAUSES, 1):
        await house.send(using)
        assert len(house.receiver.received) == attempt
        house.now += pause - timedelta(milliseconds=1)
        await house.send(using)
        assert len(house.receiver.received) == attempt, "before its time"
        house.now += pause * 0.25 + timedelta(milliseconds=1)
    (waiting,) = await house.made()
    assert (waiting.state, waiting.error, waiting.status) == (notification.State.RETRYING, "It answered 503.", 503)
    house.receiver.status = 200
    await house.send(using)
    assert len({(one.headers["webhook-id"], one.body) for one in house.receiver.received}) == 1
    stamps = [one.headers["webhook-timestamp"] for one in house.receiver.received]
    assert len(set(stamps)) == len(stamps) == len(schedule.PAUSES) + 1
    (sent,) = await house.made()
    assert (sent.state, sent.error, sent.attempts) == (notification.State.SENT, None, len(schedule.PAUSES) + 1)


async def test_what_was_never_taken_is_given_up_after_the_last_attempt(house: House) -> None:
    await house.build()
    house.receiver.status = 500
    for pause in (*schedule.PAUSES, timedelta(days=1)):
        await house.send()
        house.now += pause * 1.25
    await house.send()
    (given_up,) = await house.made()
    assert (given_up.state, given_up.attempts) == (notification.State.GIVEN_UP, len(schedule.PAUSES) + 1)
    assert len(house.receiver.received) == len(schedule.PAUSES) + 1
    assert (await house.state()).state == notification.SubscriberState.ACTIVE


async def test_a_subscriber_that_is_gone_is_sent_nothing_any_more(house: House) -> None:
    first, second = await house.build(), await house.build(head_sha="b" * 40)
    house.receiver.status = 410
    house.receiver.answer = None
    using = house.replica()
    (claimed,) = await house.store.write(
        notifications.claim_due, most={"chat": 1}, now=house.now, owner="test", lease=sender.LEASE
    )
    await using.send(claimed)
    found = await house.state()
    assert (found.state, found.reason) == (
        notification.SubscriberState.DISABLED,
        "It answered 410: it wants nothing any more.",
    )
    assert {one.build_id: one.state for one in await house.made()} == dict.fromkeys(
        (first.id, second.id), notification.State.GIVEN_UP
    )
    await house.build(head_sha="c" * 40)
    assert len(await house.made()) == 2
    await sender.measure(house.store, house.metrics)
    assert house.metrics.registry.get_sample_value("buildhook_subscribers_disabled") == 1
    assert house.counted("disable") == 1


async def test_one_that_fails_for_days_is_sent_nothing_any_more_and_one_success_is_a_new_beginning(
    house: House,
) -> None:
    house.receiver.status = 500
    await house.build()
    await house.send()
    assert (await house.state()).failing_since == house.now
    house.now += timedelta(days=4)
    house.receiver.status = 200
    await house.send()
    assert (await house.state()).failing_since is None
    house.receiver.status = 500
    for day in range(5):
        await house.build(head_sha=f"{day}" * 40)
        await house.send()
        house.now += timedelta(days=1)
        assert (await house.state()).state == notification.SubscriberState.ACTIVE
    await house.send()
    found = await house.state()
    assert found.state == notification.SubscriberState.DISABLED
    assert found.reason == "Nothing reached it since 2026-03-08 05:06 UTC."
    assert all(one.state != notification.State.RETRYING for one in await house.made())
    await house.store.write(subscribers.enable, "chat", now=house.now)
    house.receiver.status = 200
    await house.build(head_sha="f" * 40)
    await house.send()
    assert (await house.made())[-1].state == notification.State.SENT


async def test_f77_two_replicas_send_each_once(house: House) -> None:
    for number in range(30):
        await house.build(head_sha=f"{number:040x}")
    replicas = [house.replica(owner=name) for name in ("a", "b")]
    for _ in range(12):
        await asyncio.gather(*(house.send(one) for one in replicas))
    assert Counter(house.receiver.ids) == {one.id: 1 for one in await house.made()}
    assert len(house.receiver.ids) == 30


async def test_a_replica_that_died_behind_the_post_has_it_sent_again_under_the_same_id(house: House) -> None:
    await house.build()
    (claimed,) = await house.store.write(
        notifications.claim_due, most={"chat": 9}, now=house.now, owner="dead", lease=sender.LEASE
    )
    await house.send()
    assert house.receiver.received == []
    house.now += sender.LEASE + timedelta(seconds=1)
    await house.send()
    assert house.receiver.ids == [claimed.id]
    # Should the dead one come back, it changes nothing any more.
    await house.replica().send(claimed)
    assert house.counted("lease_lost") == 1
    assert [one.state for one in await house.made()] == [notification.State.SENT]


async def test_f92_a_subscriber_that_hangs_holds_up_no_other(house: House) -> None:
    async def hang(request: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    async with receiver.receiving() as slow:
        slow.answer = hang
        await house.subscribe("slow", port=slow.port)
        for number in range(9):
            await house.build(head_sha=f"{number:040x}")
        running = asyncio.create_task(house.replica().run())
        async with asyncio.timeout(20):
            while len(house.receiver.received) < 9:
                await asyncio.sleep(0.01)
        assert len(slow.received) == sender.MAX_OF_ONE
        running.cancel()
        await asyncio.wait({running})


async def test_t110_a_subscriber_is_sent_no_more_than_so_many_in_a_minute(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "PER_MINUTE", 12)
    for number in range(9):
        await house.build(head_sha=f"{number:040x}")
    using = house.replica()
    for _ in range(9):
        await house.send(using)
    assert len(house.receiver.received) == 6


async def test_a_new_url_is_a_new_beginning_and_one_that_left_the_policy_is_forgotten(house: House) -> None:
    await house.build()
    await house.store.write(subscribers.disable, "chat", reason="It is gone.", now=house.now)
    await house.replica().keep()
    assert (await house.state()).state == notification.SubscriberState.DISABLED
    house.to["chat"] = dataclasses.replace(house.to["chat"], url=house.to["chat"].url + "/new")
    await house.replica().keep()
    assert (await house.state()).state == notification.SubscriberState.ACTIVE
    house.to.clear()
    await house.replica().keep()
    assert await house.made() == []
    assert await house.store.read(subscribers.list_all) == []


@on_postgresql
async def test_a_subscriber_that_is_forgotten_meanwhile_breaks_no_change_of_a_build(house: House) -> None:
    """Another replica reads a policy without it at the very moment that a build ends."""
    for number in range(20):
        await house.subscribe()
        house.to.clear()
        keeping = asyncio.create_task(house.replica().keep())
        made = asyncio.create_task(house.build(head_sha=f"{number:040x}"))
        await asyncio.gather(keeping, made)
        assert made.result().state == build.State.SKIPPED


async def test_each_secret_signs_while_they_are_changed(house: House) -> None:
    house.to["chat"] = dataclasses.replace(house.to["chat"], keys=(forgeries.KEY, forgeries.OTHER_KEY))
    await house.build()
    await house.send()
    (came,) = house.receiver.received
    for key in (forgeries.KEY, forgeries.OTHER_KEY):
        signing.verify(came.headers, came.body, keys=[key], now=house.now)


async def test_the_loop_sends_what_it_is_woken_for_and_outlives_an_error(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    using = house.replica()
    real: Callable[..., Awaitable[Any]] = using.send_ready
    failures = [RuntimeError("nobody expects this")]

    async def failing(group: asyncio.TaskGroup) -> Any:
        if failures:
            raise failures.pop()
        return await real(group)

    monkeypatch.setattr(using, "send_ready", failing)
    running = asyncio.create_task(using.run())
    await house.build()
    async with asyncio.timeout(20):
        while not house.receiver.received:
            using.wake()
            await asyncio.sleep(0.02)
    running.cancel()
    await asyncio.wait({running})
    assert failures == []
