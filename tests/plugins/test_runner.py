"""Users' own handlers behind the inbox, before a simulator of GitHub: apart from ours, each with its own record."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import gidgethub
import gidgethub.abc
import pytest
from gidgethub import routing, sansio
from msgspec.structs import replace

from bot import clock, errors, telemetry
from bot.events import context, dispatcher, retrying
from bot.events.router import Router
from bot.github import GitHub
from bot.model import delivery, handler_run, outcome
from bot.plugins import loading, runner
from bot.simulator import Simulator
from bot.store import Store, deliveries, handler_runs
from tests import factories

Function = Callable[..., Coroutine[Any, Any, None]]


@dataclass
class House:
    """Our dispatcher, and users' handlers behind it."""

    store: Store
    simulator: Simulator
    github: GitHub
    metrics: telemetry.Metrics
    stack: AsyncExitStack
    ours: Router = field(default_factory=Router)
    router: routing.Router = field(default_factory=routing.Router)
    ahead: timedelta = timedelta(0)
    made: runner.Runner | None = None

    def now(self) -> Any:
        """The time, here."""
        return clock.now() + self.ahead

    def handlers(self) -> loading.Handlers:
        """What is registered by now."""
        by_name = {one.name: one for one in loading._handlers("own", self.router)}
        return loading.Handlers(by_name=by_name, router=self.router)

    def replica(self, *, owner: str = "test") -> runner.Runner:
        """One replica's runner."""
        made = runner.Runner(
            self.store,
            handlers=self.handlers(),
            github=self.github,
            metrics=self.metrics,
            owner=owner,
            now=self.now,
            timeout_seconds=0.3,
            grace_seconds=1.0,
        )
        self.stack.push_async_callback(made.close)
        return made

    async def receive(self, **changes: Any) -> str:
        """Put a delivery into the inbox; gives its id."""
        new = factories.make_verified_delivery(received_at=self.now(), **changes)
        await self.store.write(deliveries.insert_many, [new])
        return new.guid

    async def dispatch(self) -> None:
        """Let our own handlers do what they do."""

        def make_context(one: delivery.Delivery) -> context.Context:
            return context.Context(
                delivery=one, github=self.github, store=self.store, now=self.now, new_id=factories.new_id
            )

        made = dispatcher.Dispatcher(
            self.store,
            router=self.ours,
            context=make_context,
            metrics=self.metrics,
            owner="test",
            on_applied=lambda: None,
            now=self.now,
            hand_on=self.handlers().candidates,
        )
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                await made._dispatch_ready(group)

    async def run(self, one: runner.Runner | None = None) -> None:
        """Give users' handlers what is due now."""
        self.made = one or self.made or self.replica()
        async with asyncio.TaskGroup() as group:
            await self.made.run_ready(group)

    async def deliver(self, **changes: Any) -> str:
        """Receive one, let ours and theirs handle it; gives its id."""
        guid = await self.receive(**changes)
        await self.dispatch()
        await self.run()
        return guid

    async def find(self, guid: str) -> delivery.Delivery:
        """A delivery as it is stored."""
        found = await self.store.read(deliveries.find, guid)
        assert found is not None
        return found

    async def runs(self, guid: str) -> dict[str, handler_run.HandlerRun]:
        """What each handler did with it, by the function's name."""
        found = await self.store.read(handler_runs.list_of_delivery, (await self.find(guid)).seq)
        return {one.handler.rpartition(".")[2]: one for one in found}

    def ours_builds(self) -> None:
        """Let our own handler of pushes do well."""

        @self.ours.register("push")
        async def pushed(event: sansio.Event, context: context.Context) -> outcome.Outcome:
            return outcome.Outcome(trail=("It is built.",))


@pytest.fixture
async def house(store: Store, metrics: telemetry.Metrics, tmp_path: Path) -> AsyncIterator[House]:
    """A house without any handlers."""
    async with (
        Simulator(folder=tmp_path / "github") as simulator,
        GitHub(
            api_url=simulator.api_url,
            app_id=simulator.app_id,
            private_key=simulator.private_key,
            metrics=metrics,
        ) as github,
        AsyncExitStack() as stack,
    ):
        yield House(store=store, simulator=simulator, github=github, metrics=metrics, stack=stack)


async def test_a_handler_gets_what_ours_are_done_with(house: House) -> None:
    house.ours_builds()
    got: list[tuple[sansio.Event, object]] = []

    @house.router.register("push")
    async def look(event: sansio.Event, gh: gidgethub.abc.GitHubAPI) -> None:
        got.append((event, gh))

    guid = await house.receive()
    await house.run()
    assert got == []
    await house.dispatch()
    await house.run()
    ((event, gh),) = got
    assert (event.event, event.delivery_id, event.data) == ("push", guid, {"ref": "refs/heads/main"})
    assert isinstance(gh, gidgethub.abc.GitHubAPI)
    one = (await house.runs(guid))["look"]
    assert (one.state, one.attempts, one.error) == (delivery.State.HANDLED, 1, None)
    assert (await house.find(guid)).reason == "It is built."
    await house.run()
    assert len(got) == 1


async def test_events_that_only_they_take_and_those_that_ours_ignore_or_park_reach_them_as_well(house: House) -> None:
    got: list[str] = []

    @house.ours.register("push")
    async def pushed(event: sansio.Event, context: context.Context) -> outcome.Outcome:
        raise errors.Forbidden("The App lacks a permission.")

    @house.ours.register("create")
    async def created(event: sansio.Event, context: context.Context) -> outcome.Outcome:
        raise errors.ShapeUnknown("It is not of that shape.")

    @house.router.register("push")
    @house.router.register("create")
    @house.router.register("star")
    @house.router.register("issues", action="opened")
    async def note(event: sansio.Event, gh: gidgethub.abc.GitHubAPI) -> None:
        got.append(event.event)

    states = {}
    for name, action in (("push", None), ("create", None), ("star", None), ("issues", "opened"), ("issues", "closed")):
        body = b'{"action": "%s"}' % (action or "").encode()
        guid = await house.deliver(event=name, action=action, body=body, ordering_key=f"{name}-{action}")
        states[name, action] = ((await house.find(guid)).state.value, len(await house.runs(guid)))
    assert got == ["push", "create", "star", "issues"]
    assert states == {
        ("push", None): ("parked", 1),
        ("create", None): ("ignored", 1),
        ("star", None): ("ignored", 1),
        ("issues", "opened"): ("ignored", 1),
        ("issues", "closed"): ("ignored", 0),
    }


async def test_one_that_is_registered_for_a_value_is_given_only_that(house: House) -> None:
    got: list[str] = []

    @house.router.register("issues", state="open")
    async def opened(event: sansio.Event, gh: gidgethub.abc.GitHubAPI) -> None:
        got.append(event.data["state"])

    guids = [
        await house.deliver(event="issues", body=body, ordering_key=str(body))
        for body in (b'{"state": "open"}', b'{"state": "closed"}', b'{"state": []}', b"{}")
    ]
    assert got == ["open"]
    # Of those that it does not take no record remains.
    assert [len(await house.runs(guid)) for guid in guids] == [1, 0, 0, 0]


async def test_f91_one_that_fails_or_hangs_touches_neither_ours_nor_the_others(house: House) -> None:
    house.ours_builds()
    counts = dict.fromkeys(("fail", "hang", "block", "leave", "do_well"), 0)
    is_free = threading.Event()
    house.stack.callback(is_free.set)

    @house.router.register("push")
    async def fail(event: sansio.Event, gh: gidgethub.abc.GitHubAPI) -> None:
        counts["fail"] += 1
        raise KeyError("ghp_" + "a" * 36)

    @house.router.register("push")
    async def hang(event: sansio.Event, gh: gidgethub.abc.GitHubAPI) -> None:
        counts["hang"] += 1
        await asyncio.Event().wait()

    @house.router.register("push")
    async def block(event: sansio.Event, gh: gidgethub.abc.GitHubAPI) -> None:
        counts["block"] += 1
        is_free.wait(10)

    @house.router.register("push")
    async def leave(event: sansio.Event, gh: gidgethub.abc.GitHubAPI) -> None:
        counts["leave"] += 1
        raise SystemExit(1)

    @house.router.register("push")
    async def do_well(event: sansio.Event, gh: gidgethub.abc.GitHubAPI) -> None:
        counts["do_well"] += 1

    guid = await house.deliver()
    assert (await house.find(guid)).state == delivery.State.HANDLED
    found = await house.runs(guid)
    assert {name: one.state.value for name, one in found.items()} == {
        "fail": "retrying",
        "hang": "retrying",
        "block": "retrying",
        "leave": "retrying",
        "do_well": "handled",
    }
    said = found["fail"].error or ""
    assert said.startswith("KeyError in line ")
    assert said.endswith("test_runner.py: '[secret]'")
    assert "was stopped" in (found["hang"].error or "")
    assert "held its thread up" in (found["block"].error or "")
    assert "SystemExit" in (found["leave"].error or "")
    is_free.set()
    for _ in range(retrying.MAX_ATTEMPTS):
        house.ahead += timedelta(hours=1)
        await house.run()
    found = await house.runs(guid)
    assert found["fail"].state == delivery.State.PARKED
    assert counts["fail"] == counts["hang"] == counts["leave"] == retrying.MAX_ATTEMPTS
    # What one of them did well it does not do again because of the others.
    assert counts["do_well"] == 1
    assert (await house.find(guid)).attempts == 1


async def test_a_replay_and_a_redelivery_queue_only_what_was_parked(house: House) -> None:
    house.ours_builds()
    counts = {"bad": 0, "good": 0}
    is_broken = [True]

    @house.router.register("push")
    async def bad(event: sansio.Event, gh: gidgethub.abc.GitHubAPI) -> None:
        counts["bad"] += 1
        if is_broken[0]:
            raise errors.Forbidden("It lacks a permission.")

    @house.router.register("push")
    async def good(event: sansio.Event, gh: gidgethub.abc.GitHubAPI) -> None:
        counts["good"] += 1

    new = factories.make_verified_delivery(received_at=house.now())
    assert await house.store.write(deliveries.insert_many, [new]) == [deliveries.Put.STORED]
    await house.dispatch()
    await house.run()
    assert {name: one.state.value for name, one in (await house.runs(new.guid)).items()} == {
        "bad": "parked",
        "good": "handled",
    }
    await house.store.write(deliveries.replay, new.guid)
    await house.dispatch()
    await house.run()
    assert counts == {"bad": 2, "good": 1}
    is_broken[0] = False
    assert await house.store.write(deliveries.insert_many, [new]) == [deliveries.Put.REQUEUED]
    await house.run()
    assert counts == {"bad": 3, "good": 1}
    assert await house.store.write(deliveries.insert_many, [new]) == [deliveries.Put.DUPLICATE]
    await house.run()
    assert counts == {"bad": 3, "good": 1}


async def test_f77_two_replicas_run_each_handler_once(house: House) -> None:
    got: list[str] = []

    @house.router.register("push")
    async def note(event: sansio.Event, gh: gidgethub.abc.GitHubAPI) -> None:
        got.append(event.delivery_id)
        await asyncio.sleep(0.01)

    for number in range(12):
        await house.receive(ordering_key=str(number))
    await house.dispatch()
    replicas = [house.replica(owner=name) for name in ("a", "b")]
    for _ in range(6):
        await asyncio.gather(*(house.run(one) for one in replicas))
    assert len(got) == len(set(got)) == 12


async def test_f12_one_that_ends_the_process_is_parked_in_the_end(house: House) -> None:
    begun: list[str] = []

    @house.router.register("push")
    async def die(event: sansio.Event, gh: gidgethub.abc.GitHubAPI) -> None:
        begun.append(event.delivery_id)

    guid = await house.receive()
    await house.dispatch()
    for _ in range(retrying.MAX_ATTEMPTS):
        # Each time the process is gone before anything is written.
        claimed = await house.store.write(
            handler_runs.claim_due,
            most=dict.fromkeys(house.handlers().by_name, 9),
            now=house.now(),
            owner="dead",
            lease=runner.LEASE,
        )
        assert len(claimed) == 1
        await house.store.write(handler_runs.release_all, owner="dead")
    await house.replica().settle_suspects()
    one = (await house.runs(guid))["die"]
    assert one.state == delivery.State.PARKED
    assert "never ended" in (one.error or "")
    assert begun == []


async def test_what_another_process_took_over_is_not_written(house: House) -> None:
    @house.router.register("push")
    async def note(event: sansio.Event, gh: gidgethub.abc.GitHubAPI) -> None:
        return None

    guid = await house.receive()
    await house.dispatch()
    names = dict.fromkeys(house.handlers().by_name, 9)
    claim: dict[str, Any] = {"most": names, "lease": runner.LEASE}
    (old,) = await house.store.write(handler_runs.claim_due, now=house.now(), owner="slow", **claim)
    later = house.now() + runner.LEASE + timedelta(seconds=1)
    (new,) = await house.store.write(handler_runs.claim_due, now=later, owner="fast", **claim)
    assert new.epoch == old.epoch + 1
    await house.replica().handle(old)
    assert (await house.runs(guid))["note"].state == delivery.State.HANDLING
    value = house.metrics.registry.get_sample_value("buildhook_handler_runs_total", {"state": "lease_lost"})
    assert value == 1


async def test_one_that_is_no_longer_named_waits_and_one_of_a_deleted_delivery_is_gone(house: House) -> None:
    @house.router.register("push")
    async def note(event: sansio.Event, gh: gidgethub.abc.GitHubAPI) -> None:
        return None

    guid = await house.receive()
    await house.dispatch()
    house.router = routing.Router()
    await house.run()
    assert (await house.runs(guid))["note"].state == delivery.State.RECEIVED
    seq = (await house.find(guid)).seq
    await house.store.write(deliveries.delete_finished, before=house.now() + timedelta(days=1), limit=9)
    assert await house.store.read(handler_runs.list_of_delivery, seq) == []


async def test_the_loop_goes_on_when_it_is_woken(house: House) -> None:
    got = asyncio.Event()
    loop = asyncio.get_running_loop()

    @house.router.register("push")
    async def note(event: sansio.Event, gh: gidgethub.abc.GitHubAPI) -> None:
        loop.call_soon_threadsafe(got.set)

    await house.receive()
    await house.dispatch()
    made = house.replica()
    running = asyncio.create_task(made.run())
    made.wake()
    async with asyncio.timeout(20):
        await got.wait()
    running.cancel()
    await asyncio.wait({running})


async def test_t12_an_event_of_githubs_that_is_called_hook_reaches_no_handler_of_webhooks(house: House) -> None:
    got: list[str] = []

    @house.ours.register("hook")
    async def hooked(event: sansio.Event, context: context.Context) -> outcome.Outcome:
        return outcome.ignored("It is something else.")

    @house.router.register("hook")
    async def note(event: sansio.Event, gh: gidgethub.abc.GitHubAPI) -> None:
        got.append(event.delivery_id)

    forged = await house.deliver(event="hook", ordering_key="forged")
    headers = {"content-type": "application/json", delivery.SOURCE: "hook/shop"}
    genuine = await house.deliver(event="hook", ordering_key="genuine", headers=headers)
    assert got == [genuine]
    assert await house.runs(forged) == {}


def verdict(error: Exception, **changes: Any) -> retrying.Verdict:
    """The verdict on a first failure."""
    claimed = handler_run.HandlerRun(
        seq=1,
        delivery_seq=1,
        handler="own:note",
        state=delivery.State.HANDLING,
        received_at=factories.NOW,
        attempts=1,
    )
    handler = loading.Handler(name="own:note", function=test_a_handler_gets_what_ours_are_done_with, file=__file__)  # type: ignore[arg-type]
    return runner.judge(error, replace(claimed, **changes), handler=handler, now=factories.NOW)


def test_what_follows_from_a_failure() -> None:
    from http import HTTPStatus

    limited = errors.RateLimited("Wait.", status=403, retry_at=factories.NOW + timedelta(minutes=7), is_secondary=False)
    assert (verdict(limited).again_at, verdict(limited).is_counted) == (factories.NOW + timedelta(minutes=7), False)
    broken = verdict(gidgethub.GitHubBroken(HTTPStatus.BAD_GATEWAY))
    assert (broken.text, broken.is_counted, broken.is_unexpected) == ("GitHub answered 502.", False, False)
    assert verdict(errors.NotReachable("It is gone.")).is_ignored
    assert verdict(errors.Forbidden("It lacks a permission.")).again_at is None
    bad = verdict(gidgethub.BadRequest(HTTPStatus.NOT_FOUND))
    assert (bad.text, bad.is_counted, bad.is_unexpected) == ("BadRequest: Not Found", True, True)
    assert verdict(ValueError("x"), attempts=retrying.MAX_ATTEMPTS).again_at is None
    assert len(verdict(ValueError("x" * 10_000)).text) <= 500
