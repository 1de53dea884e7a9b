"""Installations come, go and change; `ping` says that all is well."""

from __future__ import annotations

from bot.model import delivery
from bot.store import installations, jobs
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
    gone = {one.build_id for one in await house.store.read(jobs.list_cancel_requested)}
    assert {one.repository_id for one in await house.builds() if one.id in gone} == {repository.id}


async def test_ping_is_handled(house: House) -> None:
    ping = recorded.load("ping")
    body = ping.body
    sent = type("Sent", (), {"headers": house.simulator.hooks.headers(body, event="ping", guid="p"), "body": body})
    done = await house.deliver(sent)
    assert done.state == delivery.State.HANDLED
