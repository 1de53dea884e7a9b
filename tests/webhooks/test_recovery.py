"""The recovery of deliveries, between a simulator of GitHub and a door that really listens."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bot import clock, errors
from bot.github import GitHub
from bot.model import delivery
from bot.simulator import Repository, Simulator
from bot.store import bookmarks, leases, schema
from bot.webhooks import intake, missed, recovery
from bot.webhooks.door import Credentials
from tests.databases import on_postgresql, on_sqlite
from tests.webhooks.service import Open, Service

NOWHERE = "http://127.0.0.1:9/webhook"


@dataclass
class House:
    """A simulator, a door, and what looks after missing deliveries."""

    simulator: Simulator
    service: Service
    client: GitHub
    repository: Repository
    #: By how much our clock was put forward.
    ahead: timedelta = field(default=timedelta(0))

    @property
    def url(self) -> str:
        """The door's address."""
        return f"http://127.0.0.1:{self.service.port}/webhook"

    def now(self) -> Any:
        return clock.now() + self.ahead

    def recovery(self, **changes: Any) -> recovery.Recovery:
        """One more replica's, in good time for tests."""
        given: dict[str, Any] = {
            "github": self.client,
            "intake": intake.Intake(self.service.inbox, app_id=self.simulator.app_id, now=self.now),
            "metrics": self.service.metrics,
            "owner": "test",
            "now": self.now,
            "retention": timedelta(days=90),
            "look_seconds": 0.05,
            "soon_seconds": 0.02,
            "doubt_seconds": 0.02,
        }
        return recovery.Recovery(self.service.store, **{**given, **changes})

    async def miss(self, count: int = 1) -> list[str]:
        """Push so often while nothing listens; gives the guids of all that could not be delivered."""
        self.simulator.webhook_url = NOWHERE
        before = len(self.simulator.deliveries)
        for number in range(count):
            await self.simulator.push(self.repository, "main", {"a.txt": f"{before + number}"})
        await self.simulator.hooks.settle()
        self.simulator.webhook_url = self.url
        return [one.guid for one in self.simulator.deliveries[before:]]

    def age(self, days: float) -> None:
        """Let all deliveries so far be older."""
        for one in self.simulator.deliveries:
            one.created_at -= timedelta(days=days)

    def asked(self) -> int:
        """How many redeliveries GitHub was asked for."""
        return sum(one.method == "POST" and one.path.endswith("/attempts") for one in self.simulator.requests)

    async def known(self) -> dict[str, delivery.Delivery]:
        """The inbox by guid."""
        return {one.id: one for one in await self.service.stored()}

    async def bookmark(self) -> str | None:
        return await self.service.store.read(bookmarks.find, recovery.NAME)


@pytest.fixture
async def house(open_service: Open, tmp_path: Path) -> AsyncIterator[House]:
    """Nothing is missing yet."""
    async with Simulator(folder=tmp_path / "github") as simulator:
        secret = (simulator.webhook_secret or "").encode()
        service = await open_service(credentials=Credentials(simulator.app_id, (secret,)))
        simulator.webhook_url = f"http://127.0.0.1:{service.port}/webhook"
        repository = await simulator.create_repository("octo/hello", {"README.md": "# hello\n"})
        await simulator.hooks.settle()
        async with GitHub(
            api_url=simulator.api_url,
            app_id=simulator.app_id,
            private_key=simulator.private_key,
            metrics=service.metrics,
        ) as client:
            yield House(simulator, service, client, repository)


def outcomes(done: tuple[recovery.Done, ...] | None) -> dict[str, str]:
    assert done is not None
    return {one.guid: one.outcome for one in done}


async def test_f1_f45_what_could_not_be_delivered_is_asked_for_and_comes_in_once(house: House) -> None:
    guids = await house.miss(2)
    mine = house.recovery()
    assert outcomes(await mine.recover()) == dict.fromkeys(guids, "asked")
    assert mine.missing == len(guids)
    await house.simulator.hooks.settle()
    assert outcomes(await mine.recover(reads_list=False)) == dict.fromkeys(guids, "arrived")
    assert await mine.recover() == ()
    assert (mine.missing, house.asked()) == (0, len(guids))
    known = await house.known()
    assert set(guids) <= set(known)
    # By the door, signed, like any other.
    assert all("x-buildhook-source" not in one.headers for one in known.values())
    assert house.service.metric("webhook_recovered_total", outcome="arrived") == len(guids)
    assert house.service.metric("webhook_missed") == 0


async def test_f2_a_delivery_whose_answer_was_lost_is_in_the_inbox_and_not_asked_for(house: House) -> None:
    await house.simulator.push(house.repository, "main", {"a.txt": "a"})
    await house.simulator.hooks.settle()
    for one in house.simulator.deliveries:
        one.status, one.status_code = "timed out", 504
    assert await house.recovery().recover() == ()
    assert house.asked() == 0


async def test_a_quiet_pass_costs_one_call_and_no_write(house: House) -> None:
    mine = house.recovery()
    await mine.recover()
    before, calls = await house.bookmark(), len(house.simulator.requests)
    assert await mine.recover() == ()
    assert (await house.bookmark(), len(house.simulator.requests)) == (before, calls + 1)


async def test_the_bookmark_survives_a_restart(house: House) -> None:
    first = await house.miss()
    await house.recovery().recover()
    await house.simulator.hooks.settle()
    assert outcomes(await house.recovery().recover()) == dict.fromkeys(first, "arrived")
    house.age(1)
    second = await house.miss()
    assert outcomes(await house.recovery(owner="another").recover()) == dict.fromkeys(second, "asked")
    progress = json.loads(await house.bookmark() or "")
    assert [one["guid"] for one in progress["missed"]] == second


async def test_a_restart_right_after_asking_asks_for_nothing_twice(house: House) -> None:
    guids = await house.miss()
    house.simulator.webhook_url = NOWHERE
    asking = house.simulator.faults.add(path="/attempts$", times=None, delay_seconds=30)
    dying = asyncio.create_task(house.recovery().recover())
    await _until(lambda: asking.hits > 0)
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    house.simulator.faults.clear()
    assert await house.recovery().recover() == ()
    house.ahead = missed.PATIENCE
    assert set(outcomes(await house.recovery().recover())) == set(guids)


async def test_f77_two_replicas_do_not_ask_twice(house: House) -> None:
    guids = await house.miss(3)
    replicas = [house.recovery(owner=f"replica-{number}") for number in range(4)]
    passes = await asyncio.gather(*(one.recover() for one in replicas))
    assert sorted(one.guid for done in passes for one in done or () if one.outcome == "asked") == sorted(guids)
    await house.simulator.hooks.settle()
    assert (house.asked(), set(guids) <= set(await house.known())) == (len(guids), True)


async def test_f11_who_was_silent_meanwhile_does_not_overwrite_what_another_one_wrote(house: House) -> None:
    await house.miss()
    frozen = house.recovery(owner="frozen")
    reading = house.simulator.faults.add(path="/app/hook/deliveries", delay_seconds=0.5)
    slow = asyncio.create_task(frozen.recover())
    await _until(lambda: reading.hits > 0)
    await house.service.store.write(
        leases.take, recovery.NAME, owner="other", now=house.now() + timedelta(hours=1), lease=timedelta(hours=1)
    )
    assert await slow is None
    assert (await house.bookmark(), house.asked()) == (None, 0)


async def test_f50_an_unsigned_redelivery_is_refused_and_its_payload_fetched(house: House) -> None:
    guids = await house.miss()
    mine = house.recovery()
    house.simulator.hooks.unsigned_redeliveries = True
    assert set(outcomes(await mine.recover()).values()) == {"asked"}
    await house.simulator.hooks.settle()
    house.simulator.hooks.unsigned_redeliveries = False
    assert [one.status_code for one in house.simulator.deliveries if one.redelivery] == [401] * len(guids)
    assert outcomes(await mine.recover()) == dict.fromkeys(guids, "fetched")
    known = await house.known()
    for guid in guids:
        sent = next(one for one in house.simulator.deliveries if one.guid == guid)
        assert json.loads(known[guid].body) == json.loads(sent.body)
        assert known[guid].headers["x-buildhook-source"] == "api"
        assert known[guid].hook_id == int(sent.headers["X-GitHub-Hook-ID"])
        assert not any("signature" in name for name in known[guid].headers)
    # Sent again by hand, it is the same delivery.
    for one in list(house.simulator.deliveries):
        if one.guid in guids:
            house.simulator.redeliver(one.id)
    await house.simulator.hooks.settle()
    assert (await mine.recover(), set(await house.known())) == ((), set(known))


async def test_f46_what_is_too_old_to_be_sent_again_is_fetched(house: House) -> None:
    guids = await house.miss()
    house.simulator.faults.add(path="/attempts$", status=422, body={"message": "It is too old."}, times=None)
    assert outcomes(await house.recovery().recover()) == dict.fromkeys(guids, "fetched")
    assert set(guids) <= set(await house.known())


async def test_f9_what_github_no_longer_keeps_is_left_to_the_comparison_of_states(house: House) -> None:
    await house.miss()
    house.age(4)
    assert await house.recovery().recover() == ()
    assert house.asked() == 0


async def test_what_the_door_refuses_for_good_is_looked_at_once(house: House) -> None:
    guids = await house.miss()
    for one in house.simulator.deliveries:
        if one.guid in guids:
            one.status_code = 403
            one.headers["X-GitHub-Hook-Installation-Target-ID"] = "7"
    assert outcomes(await house.recovery().recover()) == dict.fromkeys(guids, "refused")
    assert await house.recovery().recover() == ()
    assert (house.asked(), set(await house.known()) & set(guids)) == (0, set())


async def test_what_a_proxy_found_too_large_is_fetched(house: House) -> None:
    guids = await house.miss()
    for one in house.simulator.deliveries:
        if one.guid in guids:
            one.status_code = 413
    assert outcomes(await house.recovery().recover()) == dict.fromkeys(guids, "fetched")


async def test_a_payload_that_is_gone_is_not_asked_for_for_ever(house: House) -> None:
    guids = await house.miss()
    house.simulator.faults.add(path="/attempts$", status=404, times=None)
    house.simulator.faults.add(path="/deliveries/[0-9]+$", status=404, times=None)
    assert outcomes(await house.recovery().recover()) == dict.fromkeys(guids, "gone")
    house.simulator.faults.clear()
    assert await house.recovery().recover() == ()


async def test_f21_what_a_restored_database_no_longer_has_comes_again(house: House) -> None:
    await house.recovery().recover()
    await house.simulator.push(house.repository, "main", {"a.txt": "a"})
    await house.simulator.hooks.settle()
    new = {one.guid for one in house.simulator.deliveries if one.event == "push"}
    assert new <= set(await house.known())
    await house.service.store.write(_forget, sorted(new))
    assert set(outcomes(await house.recovery().recover())) >= new
    await house.simulator.hooks.settle()
    assert new <= set(await house.known())


def _forget(connection: Any, guids: list[str]) -> None:
    connection.execute(schema.deliveries.delete().where(schema.deliveries.c.id.in_(guids)))


@on_sqlite
@pytest.mark.parametrize("status", [403, 429])
async def test_f34_a_limit_in_the_middle_stops_the_asking_and_loses_nothing(house: House, status: int) -> None:
    guids = await house.miss(3)
    house.simulator.faults.add(path="/attempts$", status=202, body={})
    house.simulator.faults.add(
        path="/attempts$", status=status, headers={"Retry-After": "60"}, times=None, body={"message": "secondary rate"}
    )
    mine = house.recovery()
    with pytest.raises(errors.RateLimited):
        await mine.recover()
    progress = json.loads(await house.bookmark() or "")
    assert [one["asked_at"] is not None for one in progress["missed"]] == [True] + [False] * (len(guids) - 1)


@on_sqlite
async def test_f54_a_github_that_is_down_costs_time_and_no_delivery(house: House) -> None:
    guids = await house.miss()
    house.simulator.faults.add(path="", status=502, html=True, times=None)
    mine = house.recovery()
    running = asyncio.create_task(mine.run())
    await house.simulator.wait_until(lambda: len(house.simulator.requests) > 3)
    house.simulator.faults.clear()
    await _until_known(house, guids)
    await _end(running)


async def test_the_loop_brings_everything_by_itself(house: House) -> None:
    guids = await house.miss(2)
    running = asyncio.create_task(house.recovery().run())
    await _until_known(house, guids)
    more = await house.miss()
    await _until_known(house, more)
    await _end(running)


async def _until(happened: Callable[[], bool]) -> None:
    while not happened():
        await asyncio.sleep(0.01)


async def _end(loop: asyncio.Task[None]) -> None:
    loop.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loop


@on_postgresql
async def test_a_stop_is_a_stop_also_without_a_database(house: House) -> None:
    asking = house.simulator.faults.add(path="/app/hook/deliveries", delay_seconds=30)
    running = asyncio.create_task(house.recovery().run())
    await _until(lambda: asking.hits > 0)
    await house.service.store.close()
    await _end(running)


async def _until_known(house: House, guids: list[str]) -> None:
    while not set(guids) <= set(await house.known()):
        await asyncio.sleep(0.01)


@on_sqlite
async def test_without_a_door_the_payloads_are_fetched(house: House) -> None:
    guids = await house.miss()
    house.simulator.webhook_url = NOWHERE
    mine = house.recovery(may_redeliver=False)
    assert outcomes(await mine.recover(since=house.now() - timedelta(hours=1))) == dict.fromkeys(guids, "fetched")
    assert house.asked() == 0


@on_sqlite
async def test_a_full_inbox_keeps_what_is_missing_in_mind(open_service: Open, house: House) -> None:
    guids = await house.miss()
    full = await open_service(inbox={"max_rows": 0})
    mine = house.recovery(
        may_redeliver=False, intake=intake.Intake(full.inbox, app_id=house.simulator.app_id, now=house.now)
    )
    with pytest.raises(errors.InboxFull):
        await mine.recover()
    assert mine.missing == len(guids)


@on_sqlite
async def test_what_cannot_be_read_is_tried_again_and_given_up_in_the_end(house: House) -> None:
    (guid, *_) = await house.miss()
    house.simulator.faults.add(path="/deliveries/[0-9]+$", truncate=True, times=None)
    mine = house.recovery(may_redeliver=False, now=house.now)
    for _ in range(2):
        with contextlib.suppress(errors.GitHubUnavailable):
            await mine.recover()
    assert guid not in await house.known()
    assert mine.missing > 0
    house.ahead = missed.FETCH_WINDOW + timedelta(hours=1)
    while mine.missing:
        with contextlib.suppress(errors.GitHubUnavailable):
            await mine.recover()
    assert house.service.metric("webhook_recovered_total", outcome="failed") > 0


@on_sqlite
async def test_the_log_tells_of_a_pass_that_did_something_and_of_no_other(house: House, log: io.StringIO) -> None:
    guids = await house.miss()
    mine = house.recovery()
    await mine.recover()
    await house.simulator.hooks.settle()
    for _ in range(3):
        await mine.recover()
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    told = [line for line in lines if line.get("action") == "recover_deliveries"]
    assert [(line.get("asked"), line.get("arrived"), line["missing"]) for line in told] == [
        (len(guids), None, len(guids)),
        (None, len(guids), 0),
    ]


@on_sqlite
async def test_a_bookmark_of_another_version_is_begun_anew(house: House) -> None:
    await house.service.store.write(bookmarks.save, recovery.NAME, '{"other": 1}', now=house.now())
    guids = await house.miss()
    assert set(outcomes(await house.recovery().recover())) == set(guids)
