"""The dispatcher: order, attempts, retries, parking, and every event that GitHub knows."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gidgethub import sansio
from msgspec import structs
from msgspec.structs import replace

from bot import clock, errors, events, telemetry
from bot.events import context, dispatcher, payloads, retrying
from bot.events.router import Router
from bot.model import delivery, outcome
from bot.store import Store, deliveries, inbox_list
from tests import factories, recorded
from tests.events.conftest import House

SHAPES: dict[str, type[Any]] = {
    "check_run": payloads.CheckRunEvent,
    "check_suite": payloads.CheckSuiteEvent,
    "installation": payloads.InstallationEvent,
    "installation_repositories": payloads.InstallationRepositoriesEvent,
    "ping": payloads.Ping,
    "pull_request": payloads.PullRequest,
    "push": payloads.Push,
}


@pytest.fixture(params=["sqlite", "postgresql"])
def database_kind(request: pytest.FixtureRequest) -> str:
    """Both, also in `make test`: each has its own way to claim and to wake."""
    kind: str = request.param
    return kind


@pytest.fixture
def make(store: Store, metrics: telemetry.Metrics) -> Callable[[Router], dispatcher.Dispatcher]:
    """A dispatcher with these handlers, which need no GitHub."""

    def made(router: Router) -> dispatcher.Dispatcher:
        def make_context(one: delivery.Delivery) -> context.Context:
            nothing: Any = None
            return context.Context(delivery=one, github=nothing, store=store, now=clock.now, new_id=factories.new_id)

        return dispatcher.Dispatcher(
            store,
            router=router,
            context=make_context,
            metrics=metrics,
            owner="test",
            on_applied=lambda: None,
            now=clock.now,
        )

    return made


async def put(store: Store, *new: delivery.VerifiedDelivery) -> None:
    await store.write(deliveries.insert_many, list(new))


async def find(store: Store, guid: str) -> delivery.Delivery:
    found = await store.read(deliveries.find, guid)
    assert found is not None
    return found


async def settled(store: Store) -> list[delivery.Delivery]:
    """All deliveries, once nothing has to be done now."""
    while True:
        found = await store.read(inbox_list.list_newest, limit=1000)
        if all(one.state not in {delivery.State.RECEIVED, delivery.State.HANDLING} for one in found):
            return found
        await asyncio.sleep(0)


async def test_deliveries_of_one_key_are_handled_in_order_and_others_side_by_side(
    store: Store, make: Callable[[Router], dispatcher.Dispatcher]
) -> None:
    router, order, free = Router(), list[str](), asyncio.Event()

    @router.register("push")
    async def pushed(event: sansio.Event, context: context.Context) -> outcome.Outcome:
        if context.delivery.id == "slow-1":
            await free.wait()
        order.append(context.delivery.id)
        free.set() if context.delivery.id == "other" else None
        return outcome.Outcome(trail=("done",))

    news = [
        factories.make_verified_delivery(guid=guid, ordering_key=key)
        for guid, key in (("slow-1", "a"), ("slow-2", "a"), ("other", "b"))
    ]
    await put(store, *news)
    running = asyncio.create_task(make(router).run())
    assert {one.state for one in await settled(store)} == {delivery.State.HANDLED}
    running.cancel()
    assert order == ["other", "slow-1", "slow-2"]


async def test_f62_one_repository_that_waits_for_github_leaves_places_to_the_others(
    store: Store, make: Callable[[Router], dispatcher.Dispatcher]
) -> None:
    router, free, begun = Router(), asyncio.Event(), list[int]()

    @router.register("push")
    async def pushed(event: sansio.Event, context: context.Context) -> outcome.Outcome:
        repository_id = context.delivery.repository_id or 0
        begun.append(repository_id)
        if repository_id == 1:
            await free.wait()
        # All that may be in work at once of the one is in work, and another one's came to its end all the same.
        elif begun.count(1) == dispatcher.MAX_OF_ONE:
            free.set()
        return outcome.Outcome(trail=("done",))

    async def come(repository_id: int, count: int) -> None:
        news = [factories.make_verified_delivery(repository_id=repository_id) for _ in range(count)]
        await put(store, *(structs.replace(one, ordering_key=one.guid) for one in news))

    await come(1, dispatcher.MAX_SIDE_BY_SIDE * 2)
    running = asyncio.create_task((dispatching := make(router)).run())
    while len(begun) < dispatcher.MAX_OF_ONE:
        await asyncio.sleep(0)
    await come(2, 1)
    dispatching.wake()
    assert {one.state for one in await settled(store)} == {delivery.State.HANDLED}
    running.cancel()
    assert begun[: dispatcher.MAX_OF_ONE + 1] == [1] * dispatcher.MAX_OF_ONE + [2]


async def test_what_nobody_handles_is_ignored_without_being_read(
    store: Store, make: Callable[[Router], dispatcher.Dispatcher]
) -> None:
    router = Router()

    @router.register("pull_request", action="opened")
    async def opened(event: sansio.Event, context: context.Context) -> outcome.Outcome:
        return outcome.Outcome(trail=("done",))

    labelled = factories.make_verified_delivery(event="pull_request", action="labeled", body=b"not even JSON")
    starred = factories.make_verified_delivery(event="star", action="created", ordering_key="b")
    opening = factories.make_verified_delivery(event="pull_request", action="opened", body=b'{"action":"opened"}')
    await put(store, labelled, starred, opening)
    running = asyncio.create_task(make(router).run())
    found = {(one.event, one.action): (one.state.value, one.reason) for one in await settled(store)}
    running.cancel()
    assert found == {
        ("pull_request", "opened"): ("handled", "done"),
        ("pull_request", "labeled"): (
            "ignored",
            "Nothing follows from a `pull_request` event with the action `labeled`.",
        ),
        ("star", "created"): ("ignored", "No handler takes `star` events."),
    }


def test_an_event_and_its_action_alone_say_who_handles_it() -> None:
    with pytest.raises(ValueError, match="alone"):
        Router().register("create", ref_type="tag")


async def test_a_handler_that_fails_is_tried_again_then_parked_and_a_replay_starts_anew(
    store: Store, make: Callable[[Router], dispatcher.Dispatcher]
) -> None:
    router, is_broken = Router(), [True]

    @router.register("push")
    async def pushed(event: sansio.Event, context: context.Context) -> outcome.Outcome:
        if is_broken[0]:
            raise errors.Conflict("It does not fit yet.")
        return outcome.Outcome(trail=("done",))

    await put(store, factories.make_verified_delivery(guid="g"))
    made = make(router)
    for attempt in range(1, retrying.MAX_ATTEMPTS + 1):
        (claimed,) = await store.write(
            deliveries.claim_next,
            now=clock.now() + retrying.OUTAGE_PATIENCE,
            owner="test",
            lease=dispatcher.LEASE,
            limit=1,
        )
        assert claimed.attempts == attempt
        await made.dispatch(claimed)
    parked = await find(store, "g")
    assert (parked.state, parked.error) == (delivery.State.PARKED, "It does not fit yet.")
    is_broken[0] = False
    await store.write(deliveries.replay, "g")
    running = asyncio.create_task(made.run())
    await settled(store)
    running.cancel()
    assert (await find(store, "g")).state == delivery.State.HANDLED


async def test_a_parked_delivery_does_not_hold_back_the_next_of_its_key(
    store: Store, make: Callable[[Router], dispatcher.Dispatcher]
) -> None:
    router = Router()

    @router.register("push")
    async def pushed(event: sansio.Event, context: context.Context) -> outcome.Outcome:
        if context.delivery.id == "bad":
            raise errors.Forbidden("Accept `checks: write`.", status=403)
        return outcome.Outcome(trail=("done",))

    await put(store, factories.make_verified_delivery(guid="bad"), factories.make_verified_delivery(guid="good"))
    running = asyncio.create_task(make(router).run())
    states = {one.id: one.state for one in await settled(store)}
    running.cancel()
    assert states == {"bad": delivery.State.PARKED, "good": delivery.State.HANDLED}


async def test_a_stack_trace_reaches_the_log_once_with_the_delivery_id_and_no_user(
    store: Store, make: Callable[[Router], dispatcher.Dispatcher], capsys: pytest.CaptureFixture[str]
) -> None:
    telemetry.configure_logs(level="info", is_terminal=False)
    router = Router()

    @router.register("push")
    async def pushed(event: sansio.Event, context: context.Context) -> outcome.Outcome:
        raise RuntimeError("an inner detail")

    await put(store, factories.make_verified_delivery(guid="the-guid"))
    (claimed,) = await store.write(
        deliveries.claim_next, now=clock.now(), owner="test", lease=dispatcher.LEASE, limit=1
    )
    await make(router).dispatch(claimed)
    log = capsys.readouterr().err
    (line,) = (one for one in log.splitlines() if "Traceback" in one)
    assert "the-guid" in line
    assert "an inner detail" not in ((await find(store, "the-guid")).error or "")


async def test_a_lost_lease_writes_nothing(store: Store, make: Callable[[Router], dispatcher.Dispatcher]) -> None:
    router = Router()

    @router.register("push")
    async def pushed(event: sansio.Event, context: context.Context) -> outcome.Outcome:
        return outcome.Outcome(trail=("done",), builds=(factories.make_new_build(),))

    await put(store, factories.make_verified_delivery(guid="g"))
    (claimed,) = await store.write(
        deliveries.claim_next, now=clock.now(), owner="test", lease=dispatcher.LEASE, limit=1
    )
    await make(router).dispatch(replace(claimed, epoch=claimed.epoch - 1))
    assert (await find(store, "g")).state == delivery.State.HANDLING


async def test_several_handlers_of_one_event_are_applied_together(
    store: Store, make: Callable[[Router], dispatcher.Dispatcher]
) -> None:
    router = Router()

    @router.register("push")
    async def first(event: sansio.Event, context: context.Context) -> outcome.Outcome:
        return outcome.ignored("not for me")

    @router.register("push")
    async def second(event: sansio.Event, context: context.Context) -> outcome.Outcome:
        return outcome.Outcome(trail=("for me",))

    await put(store, factories.make_verified_delivery(guid="g"))
    running = asyncio.create_task(make(router).run())
    await settled(store)
    running.cancel()
    done = await find(store, "g")
    assert (done.state, done.trail) == (delivery.State.HANDLED, ("not for me", "for me"))


POISON = textwrap.dedent(
    """
    import asyncio, os, sys
    from bot import clock, telemetry
    from bot.events import context, dispatcher
    from bot.events.router import Router
    from bot.model import delivery, outcome
    from bot.store import Store, deliveries

    router = Router()

    @router.register("star")
    async def poison(event, context):
        os._exit(9)

    @router.register("push")
    async def fine(event, context):
        return outcome.Outcome(trail=("done",))

    async def main():
        store = await Store(sys.argv[1]).open()
        await store.write(deliveries.release_all)
        make = lambda one: context.Context(delivery=one, github=None, store=store, now=clock.now, new_id=str)
        made = dispatcher.Dispatcher(store, router=router, context=make, metrics=telemetry.Metrics(), owner="test",
                                     on_applied=lambda: None, now=clock.now)
        running = asyncio.create_task(made.run())
        while (await store.read(deliveries.backlog)).rows:
            await asyncio.sleep(0.01)
        running.cancel()
        await store.close()

    asyncio.run(main())
    """
)


async def test_t7_f12_a_delivery_that_kills_the_process_is_parked_and_the_others_are_handled(
    store: Store, database_url: str
) -> None:
    news = [factories.make_verified_delivery(guid=f"fine-{number}", ordering_key=f"k{number}") for number in range(5)]
    poison = factories.make_verified_delivery(guid="poison", event="star", ordering_key="p")
    await put(store, *news[:2], poison, *news[2:])

    def run() -> int:
        root = Path(__file__).parent.parent.parent
        return subprocess.run(
            [sys.executable, "-c", POISON, database_url], cwd=root, check=False, timeout=30
        ).returncode

    statuses = [await asyncio.to_thread(run) for _ in range(retrying.MAX_ATTEMPTS + 1)]
    assert statuses == [9] * retrying.MAX_ATTEMPTS + [0]
    parked = await find(store, "poison")
    assert parked.state == delivery.State.PARKED
    assert "perhaps it stops the process" in (parked.error or "")
    assert {(await find(store, one.guid)).state for one in news} == {delivery.State.HANDLED}


@pytest.mark.parametrize("event", sorted(SHAPES))
def test_t12_a_body_of_another_event_is_not_read_as_this_one(event: str) -> None:
    router, accepted = events.make_router(), set()
    for one in recorded.all_recorded():
        pretended = sansio.Event(one.payload(), event=event, delivery_id="1")
        try:
            payloads.read(pretended, SHAPES[event])
        except errors.ShapeUnknown:
            continue
        if router.handlers(pretended):
            accepted.add(one.event)
    assert accepted == {event}


async def test_t12_t14_every_event_that_github_documents_is_taken_and_none_is_parked(house: House) -> None:
    wrong = {}
    for number, one in enumerate(recorded.all_recorded()):
        headers = house.simulator.hooks.headers(one.body, event=one.event, guid=f"recorded-{number}")
        done = await house.deliver(type("Sent", (), {"headers": headers, "body": one.body}))
        # Their installations and repositories are none of this simulator's.
        if done.state not in {delivery.State.IGNORED, delivery.State.HANDLED} or not done.reason:
            wrong[one.name] = (done.state, done.error)
    assert wrong == {}
    assert await house.builds() == []


async def test_f91_a_handler_that_never_ends_is_stopped_and_parked_and_others_flow(
    store: Store, make: Callable[[Router], dispatcher.Dispatcher], monkeypatch: pytest.MonkeyPatch
) -> None:
    router, begun = Router(), list[str]()

    @router.register("push")
    async def wait_for_ever(_event: sansio.Event, one: context.Context) -> outcome.Outcome:
        begun.append(one.delivery.id)
        await asyncio.Event().wait()
        raise AssertionError

    @router.register("create")
    async def turn_for_ever(_event: sansio.Event, one: context.Context) -> outcome.Outcome:
        begun.append(one.delivery.id)
        while True:
            await asyncio.sleep(0)

    @router.register("ping")
    async def fall_over(_event: sansio.Event, one: context.Context) -> outcome.Outcome:
        begun.append(one.delivery.id)
        raise RecursionError

    @router.register("star")
    async def do_well(_event: sansio.Event, _one: context.Context) -> outcome.Outcome:
        return outcome.Outcome(trail=("It went well.",))

    monkeypatch.setattr(dispatcher, "HANDLER_TIMEOUT_SECONDS", 0.05)
    bad = [factories.make_verified_delivery(event=event, ordering_key=event) for event in ("push", "create", "ping")]
    good = [factories.make_verified_delivery(event="star", ordering_key=f"star-{number}") for number in range(40)]
    await put(store, *bad, *good)
    made = make(router)
    for _ in range(retrying.MAX_ATTEMPTS):
        later = clock.now() + retrying.OUTAGE_PATIENCE
        claimed = await store.write(
            deliveries.claim_next, now=later, owner="test", lease=dispatcher.LEASE, limit=len(bad) + len(good)
        )
        await asyncio.gather(*(made.dispatch(one) for one in claimed))
        assert {(await find(store, one.guid)).state for one in good} == {delivery.State.HANDLED}
    for one in bad:
        parked = await find(store, one.guid)
        assert parked.state == delivery.State.PARKED
        assert begun.count(one.guid) == retrying.MAX_ATTEMPTS
        assert parked.error == (
            "Handling it took too long and was stopped."
            if one.event != "ping"
            else "An unexpected RecursionError: the service's log has it under this delivery's id."
        )
