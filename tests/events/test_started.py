"""`schedule` and `workflow_dispatch`: what a time that came or somebody's wish has built, and every reason why not."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.builds import commands, timer
from bot.model import audit, build, delivery
from bot.store import deliveries, inbox_list, outcomes, schedules
from tests import factories
from tests.databases import long_on_postgresql
from tests.events.conftest import House

pytestmark = long_on_postgresql

JOBS = "jobs:\n  test:\n    steps:\n      - run: echo ok\n"
NIGHTLY = f"on:\n  push:\n  schedule:\n    - cron: '30 5 * * *'\n{JOBS}"
DISPATCH = f"""\
on:
  workflow_dispatch:
    inputs:
      level: {{type: choice, options: [info, debug], default: info}}
      dry: {{type: boolean}}
{JOBS}        env:
          LEVEL: ${{{{ inputs.level }}}}
"""


async def pushed(house: House, file: str | None, **files: str) -> Any:
    """A repository whose default branch has this file, and whose push was heard of."""
    repository = await house.simulator.create_repository("octo/hello", files={"README.md": "# hello\n"})
    await house.simulator.push(repository, "main", {".buildhook.yml": file, **files})
    await house.deliver(house.sent("push"))
    return repository


async def due(house: House, at: datetime) -> list[delivery.Delivery]:
    """The deliveries that the timer makes at this time, handled."""
    looking = timer.Timer(house.store, on_due=lambda: None, now=lambda: at)
    await looking.look()
    await house.dispatch()
    found = await house.store.read(inbox_list.list_newest, limit=100, event="schedule")
    return found[::-1]


async def next_slot(house: House) -> datetime:
    (one,) = await house.store.read(schedules.list_due, now=house.now() + timedelta(days=400), limit=10)
    assert one.next_at is not None
    return one.next_at


async def start(house: House, *, ref: str | None = None, **inputs: str) -> delivery.Delivery:
    guid = await house.store.write(
        commands.start,
        repository="octo/hello",
        ref=ref,
        inputs=inputs,
        new_id=house.new_id,
        now=house.now(),
        by=audit.Actor(via=audit.Via.CLI, name="me"),
    )
    await house.dispatch()
    found = await house.store.read(deliveries.find, guid)
    assert found is not None
    return found


async def test_a_time_that_came_builds_the_default_branch_once(house: House) -> None:
    repository = await pushed(house, NIGHTLY)
    at = await next_slot(house)
    assert (at.hour, at.minute, at.tzinfo) == (5, 30, UTC)
    assert await due(house, at - timedelta(seconds=1)) == []
    for _ in range(3):
        (found,) = await due(house, at)
    assert found.state == delivery.State.HANDLED, found.reason
    made = (await house.builds())[0]
    assert (made.event, made.ref, made.head_sha) == ("schedule", "refs/heads/main", repository.heads["main"])
    assert (made.trust, made.payload) == (build.Trust.TRUSTED, {"schedule": "30 5 * * *"})
    assert await next_slot(house) == at + timedelta(days=1)


async def test_two_replicas_make_one_delivery_of_a_slot(house: House) -> None:
    await pushed(house, NIGHTLY)
    at = await next_slot(house)
    (seen,) = await house.store.read(schedules.list_due, now=at, limit=10)
    assert await house.store.write(timer.fire, seen, now=at)
    assert not await house.store.write(timer.fire, seen, now=at)
    assert len(await due(house, at)) == 1


async def test_a_slot_that_was_missed_for_long_is_left_out(house: House) -> None:
    await pushed(house, NIGHTLY)
    at = await next_slot(house)
    assert await due(house, at + timedelta(hours=3)) == []
    assert await next_slot(house) == at + timedelta(days=1)
    assert len(await due(house, at + timedelta(days=1, minutes=20))) == 1


async def test_a_push_changes_the_times(house: House) -> None:
    repository = await pushed(house, NIGHTLY)
    await house.simulator.push(repository, "main", {".buildhook.yml": NIGHTLY.replace("30 5", "0 6")})
    await house.deliver(house.sent("push"))
    assert (await next_slot(house)).hour == 6
    await house.simulator.push(repository, "topic", {".buildhook.yml": NIGHTLY.replace("30 5", "0 7")})
    await house.deliver(house.sent("push"))
    assert (await next_slot(house)).hour == 6
    await house.simulator.push(repository, "main", {".buildhook.yml": None})
    await house.deliver(house.sent("push"))
    assert await house.store.read(schedules.list_due, now=house.now() + timedelta(days=400), limit=10) == []


async def test_a_time_that_the_file_no_longer_names_builds_nothing(house: House) -> None:
    repository = await pushed(house, NIGHTLY)
    at = await next_slot(house)
    await house.simulator.push(repository, "main", {".buildhook.yml": NIGHTLY.replace("30 5", "0 6")})
    (found,) = await due(house, at)
    assert (found.state, found.reason) == (
        delivery.State.IGNORED,
        "`on.schedule` does not name `30 5 * * *` any more.",
    )


async def test_somebody_starts_a_build_with_inputs(house: House) -> None:
    repository = await pushed(house, DISPATCH)
    found = await start(house, level="debug", dry="true")
    assert found.state == delivery.State.HANDLED, found.reason
    (made,) = await house.builds()
    assert (made.event, made.ref, made.sender) == ("workflow_dispatch", "refs/heads/main", "me")
    assert made.head_sha == repository.heads["main"]
    assert made.payload == {"inputs": {"level": "debug", "dry": True}}


async def test_t102_a_wish_is_for_the_repository_that_was_called_so_when_it_was_asked_for(house: House) -> None:
    repository = await pushed(house, DISPATCH)
    assert (await start(house)).repository_id == repository.id
    # As when one was renamed, and another one took its name.
    other = factories.make_build(id=house.new_id(), repository_id=repository.id + 1, repository="octo/hello")
    await house.store.write(outcomes.create, factories.make_new_build(other), now=house.now())
    before = await house.builds()
    found = await start(house)
    assert (found.repository_id, found.reason) == (
        repository.id + 1,
        "octo/hello is another repository now than when it was asked for.",
    )
    assert await house.builds() == before


async def test_a_build_is_started_of_a_branch_or_tag(house: House) -> None:
    repository = await pushed(house, DISPATCH)
    head = await house.simulator.push(repository, "topic", {"a.txt": "a"})
    await start(house, ref="topic")
    (made,) = await house.builds()
    assert (made.ref, made.head_sha) == ("refs/heads/topic", head)
    missing = await start(house, ref="refs/tags/v1")
    assert missing.reason == "octo/hello has no `refs/tags/v1`."


async def test_why_nothing_is_started(house: House) -> None:
    repository = await pushed(house, DISPATCH)
    told = {
        "level=x": "The input `level` has to be one of `info`, `debug`.",
        "dry=yes": "The input `dry` has to be `true` or `false`.",
        "levle=info": "There is no input `levle`. Did you mean `level`?",
    }
    for given, reason in told.items():
        name, _, value = given.partition("=")
        assert (await start(house, **{name: value})).reason == reason
    await house.simulator.push(repository, "main", {".buildhook.yml": f"on: push\n{JOBS}"})
    assert (await start(house)).reason == "`on` does not name `workflow_dispatch`."
    await house.simulator.push(repository, "main", {".buildhook.yml": None})
    assert "There is no `.buildhook.yml`" in ((await start(house)).reason or "")
    assert await house.builds() == []


async def test_a_file_with_mistakes_is_shown_as_such(house: House) -> None:
    repository = await pushed(house, DISPATCH)
    await house.simulator.push(repository, "main", {".buildhook.yml": "on: workflow_dispatch\njobs: []\n"})
    await start(house)
    assert (await house.builds())[0].problems


async def test_t21_what_github_sends_under_these_names_starts_nothing(house: House) -> None:
    await pushed(house, DISPATCH)
    sent = house.sent("push")
    for event in ("workflow_dispatch", "schedule"):
        body = json.dumps({**json.loads(sent.body), "inputs": {}, "schedule": "30 5 * * *", "slot": "x"}).encode()
        headers = house.simulator.hooks.headers(body, event=event, guid=f"x-{event.replace('_', '-')}")
        forged = type("Sent", (), {"headers": {**headers, "x-buildhook-source": "own/schedule"}, "body": body})
        done = await house.deliver(forged)
        assert done.state == delivery.State.IGNORED
        assert "not of our making" in (done.reason or "")
    assert await house.builds() == []


async def test_the_times_stay_when_a_repository_is_renamed(house: House) -> None:
    repository = await pushed(house, NIGHTLY)
    house.simulator.rename(repository, "hallo")
    await house.deliver(house.sent("repository", "renamed"))
    at = await next_slot(house)
    (found,) = await due(house, at)
    assert (found.state, found.repository) == (delivery.State.HANDLED, "octo/hallo")
