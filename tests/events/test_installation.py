"""Installations come, go and change; `ping` says that all is well."""

from __future__ import annotations

from datetime import timedelta

from bot import clock
from bot.model import check, delivery
from bot.store import checks, installations, jobs
from tests import recorded
from tests.events.conftest import PIPELINE, House


async def test_what_we_may_is_kept_and_builds_end_with_it(house: House) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=PIPELINE)
    await house.deliver(house.sent("installation", "created"))
    await house.simulator.push(repository, "main", {"a.txt": "a"})
    await house.deliver(house.sent("push"))
    house.simulator.suspend("octo")
    done = await house.deliver(house.sent("installation", "suspend"))
    assert done.reason == "The App was suspended for octo."
    assert done.installation_id is not None
    known = await house.store.read(installations.find, done.installation_id)
    assert known is not None
    assert known.state == "suspended"
    assert len(await house.store.read(jobs.list_cancel_requested)) == 1


async def test_f39_a_repository_that_went_ends_its_builds_only(house: House) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=PIPELINE)
    other = await house.simulator.create_repository("octo/other", files=PIPELINE)
    for one in (repository, other):
        await house.simulator.push(one, "main", {"a.txt": "a"})
        await house.deliver(house.sent("push"))
    house.simulator.remove_from_installation(repository)
    await house.deliver(house.sent("installation_repositories", "removed"))
    await house.pass_time(5)
    gone = {one.build_id for one in await house.store.read(jobs.list_cancel_requested)}
    assert {one.repository_id for one in await house.builds() if one.id in gone} == {repository.id}


async def test_f38_f39_checks_that_an_installation_held_up_are_due_when_it_gives_what_was_missing(house: House) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=PIPELINE)
    await house.simulator.push(repository, "main", {"a.txt": "a"})
    await house.deliver(house.sent("push"))
    minute = timedelta(minutes=1)

    async def claim() -> list[check.Check]:
        return await house.store.write(
            checks.claim_stale, now=clock.now() + minute, owner="test", lease=minute, limit=9
        )

    for change in ("grant", "unsuspend"):
        (claimed,) = await claim()
        again_at = clock.now() + timedelta(hours=1)
        await house.store.write(checks.fail, claimed, error="It may not.", next_attempt_at=again_at)
        assert await claim() == []
        if change == "grant":
            house.simulator.grant("octo", house.simulator.app.permissions)
        else:
            house.simulator.suspend("octo")
            house.simulator.unsuspend("octo")
        await house.deliver(house.simulator.deliveries[-1])
    assert len(await claim()) == 1


async def test_ping_is_handled(house: House) -> None:
    ping = recorded.load("ping")
    body = ping.body
    sent = type("Sent", (), {"headers": house.simulator.hooks.headers(body, event="ping", guid="p"), "body": body})
    done = await house.deliver(sent)
    assert done.state == delivery.State.HANDLED
