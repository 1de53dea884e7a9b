"""GitHub's payloads change: what is new, missing, huge or unheard of is handled, or ignored with a reason."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.events import payloads
from bot.model import build, delivery
from tests import recorded
from tests.events.conftest import PIPELINE, House

#: Members that say nothing to us may be anything.
ODD: tuple[Any, ...] = (None, 2**53 + 1, 2**63, -1, 1.5, "", "\x00", "new_word", [], {}, [{}], True, "2026-13-40")
RECORDED = [
    one
    for one in recorded.all_recorded()
    if one.event
    in {
        "check_run",
        "check_suite",
        "create",
        "delete",
        "installation",
        "installation_repositories",
        "ping",
        "pull_request",
        "push",
        "repository",
    }
]


def places(value: Any, way: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The ways to all members of a payload, to three levels deep."""
    members = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for name, member in members:
        yield (*way, name)
        if len(way) < 2:
            yield from places(member, (*way, name))


def put(payload: dict[str, Any], way: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    """The payload with another value there."""
    changed: Any = copy.deepcopy(payload)
    inner = changed
    for name in way[:-1]:
        inner = inner[name]
    inner[way[-1]] = value
    whole: dict[str, Any] = changed
    return whole


async def deliver(house: House, event: str, payload: dict[str, Any], guid: str) -> delivery.Delivery:
    """Deliver any payload."""
    body = json.dumps(payload).encode()
    headers = house.simulator.hooks.headers(body, event=event, guid=guid)
    return await house.deliver(type("Sent", (), {"headers": headers, "body": body}))


@pytest.mark.parametrize("one", RECORDED, ids=lambda one: one.name)
async def test_f51_a_recorded_payload_with_anything_in_it_is_handled_or_ignored(
    house: House, one: recorded.Recorded
) -> None:
    payload, dice = one.payload(), random.Random(one.name)
    changed = [put(payload, way, dice.choice(ODD)) for way in dice.sample(sorted(places(payload), key=str), 12)]
    changed.append({**payload, "new_member": {"id": 2**60, "new": [None]}})
    for number, body in enumerate(changed):
        done = await deliver(house, one.event, body, f"drift-{number}")
        assert done.state in {delivery.State.HANDLED, delivery.State.IGNORED}, (done.error, body)
        assert done.reason


#: What GitHub could leave out or change of a push and a pull request without our missing it.
HARMLESS: dict[str, dict[str, Callable[[Any], Any]]] = {
    "push": {
        "head_commit.message": lambda _: None,
        "deleted": lambda _: None,
        "repository.pushed_at": lambda told: datetime.fromtimestamp(told, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "repository.new": lambda _: {"id": 2**60},
        "forced": lambda _: "new_word",
        "pusher": lambda _: None,
        "commits": lambda _: None,
        "sender.type": lambda _: "Robot",
    },
    "pull_request": {
        "pull_request.title": lambda _: None,
        "pull_request.updated_at": lambda told: told.removesuffix("Z"),
        "pull_request.merged": lambda _: None,
        "pull_request.draft": lambda _: None,
        "pull_request.author_association": lambda _: "NEW_WORD",
        "pull_request.id": lambda _: 2**62,
        "changes": lambda _: None,
        "pull_request.labels": lambda _: None,
    },
}


@pytest.mark.parametrize("event", sorted(HARMLESS))
async def test_f51_f28_what_we_do_not_need_may_be_anything_and_times_are_told_in_any_way(
    house: House, event: str
) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=PIPELINE)
    for number, (way, change) in enumerate(HARMLESS[event].items()):
        branch = f"topic-{number}"
        await house.simulator.push(repository, branch, {"a.txt": branch})
        if event == "pull_request":
            await house.simulator.open_pull_request(repository, branch)
        sent = house.sent(event, "opened" if event == "pull_request" else None)
        payload = json.loads(sent.body)
        *above, last = way.split(".")
        inner = payload
        for name in above:
            inner = inner[name]
        inner[last] = change(inner.get(last))
        done = await deliver(house, event, payload, f"harmless-{number}")
        assert done.state == delivery.State.HANDLED, (way, done.reason, done.error)
        newest = (await house.builds())[0]
        assert (newest.head_sha, newest.state) == (repository.heads[branch], build.State.QUEUED)


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9999, 12, 31)) | st.integers(0, 253_402_300_799))
def test_f28_a_time_is_utc_whatever_it_was_told_in(told: datetime | int) -> None:
    at = payloads.utc(told)
    assert at.tzinfo == UTC
    assert at.replace(tzinfo=None) == told if isinstance(told, datetime) else at.timestamp() == told


@pytest.mark.parametrize(
    "told",
    [
        "2038-01-19T03:14:08Z",
        "2038-01-19T04:14:08+01:00",
        "2038-01-19T03:14:08",
        2**31,
        "2016-12-31T23:59:60Z",
        "yesterday",
        -1,
        2**63,
        1e300,
        {},
    ],
)
async def test_f28_a_push_is_built_whatever_is_told_of_its_time(house: House, told: object) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=PIPELINE)
    await house.simulator.push(repository, "main", {"a.txt": "a"})
    payload = json.loads(house.sent("push").body)
    payload["repository"]["pushed_at"] = told
    assert (await deliver(house, "push", payload, "odd-time")).state == delivery.State.HANDLED
    assert len(await house.builds()) == 1
