"""`hook`: what a source's signed webhook has built, and every reason why it has nothing built."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from bot import policy
from bot.model import build, delivery
from bot.store import deliveries
from bot.webhooks import parse
from tests import forgeries
from tests.events.conftest import PIPELINE as PUSHED
from tests.events.conftest import House

PIPELINE = {".buildhook.yml": PUSHED[".buildhook.yml"].replace("on: [push, pull_request]", "on: hook")}
SHOP = policy.Source(
    name="shop",
    repository="octo/hello",
    ref="refs/heads/main",
    secrets=(),
    events=frozenset({"order.paid", "order.refunded"}),
    keys=(forgeries.KEY,),
)


async def receive(house: House, *, source: policy.Source = SHOP, id: str = "m1", body: bytes = forgeries.BODY) -> str:
    """Take a webhook in as the side door does; gives its delivery's id."""
    sent = forgeries.right(house.now(), id=id, body=body)
    headers = {"content-type": "application/json", **sent.headers}
    proved, _ = parse.signed(headers, body=sent.body, received_at=house.now(), source=source)
    await house.store.write(deliveries.insert_many, [proved])
    return proved.guid


async def deliver(house: House, **given: Any) -> delivery.Delivery:
    """Receive and handle one; gives what became of it."""
    guid = await receive(house, **given)
    await house.dispatch()
    found = await house.store.read(deliveries.find, guid)
    assert found is not None
    return found


@pytest.fixture
def policy_of(house: House) -> House:
    """A house whose policy names the source."""
    house.policy = policy.Policy(sources={"shop": SHOP})
    return house


async def test_the_head_of_the_ref_is_built_with_its_own_file(policy_of: House) -> None:
    house = policy_of
    repository = await house.simulator.create_repository("octo/hello", files=PIPELINE)
    head = repository.heads["main"]
    found = await deliver(house)
    (made,) = await house.builds()
    assert (found.state, found.reason) == (delivery.State.HANDLED, f"Build {made.id} starts with 1 job.")
    assert (made.event, made.ref, made.head_sha) == ("hook", "refs/heads/main", head)
    assert (made.repository_id, made.repository) == (repository.id, "octo/hello")
    assert (made.trust, made.sender, made.title) == (build.Trust.TRUSTED, "shop", "order.paid from shop")
    assert made.delivery_id == found.id
    assert f"stands at {head}" in found.trail[1]
    assert not house.simulator.problems


async def test_t9_a_replay_and_a_redelivery_start_nothing_and_the_next_webhook_is_the_next_generation(
    policy_of: House,
) -> None:
    house = policy_of
    await house.simulator.create_repository("octo/hello", files=PIPELINE)
    first = await deliver(house)
    await house.store.write(deliveries.replay, first.id)
    again = await deliver(house)
    assert (again.id, again.generation) == (first.id, 2)
    assert "already answers this webhook" in (again.reason or "")
    assert len(await house.builds()) == 1
    await deliver(house, id="m2")
    assert [one.generation for one in await house.builds()] == [2, 1]


async def test_a_tag_is_built_at_its_commit(policy_of: House) -> None:
    house = policy_of
    repository = await house.simulator.create_repository("octo/hello", files=PIPELINE)
    head = repository.heads["main"]
    await house.simulator.push_tags(repository, ["v1"], message="Release it")
    source = dataclasses.replace(SHOP, ref="refs/tags/v1")
    house.policy = policy.Policy(sources={"shop": source})
    await deliver(house)
    assert [(one.ref, one.head_sha) for one in await house.builds()] == [("refs/tags/v1", head)]


@pytest.mark.parametrize(
    ("on", "why"),
    [
        ("[push, pull_request]", "`on` does not name `hook`."),
        ("{hook: {branches: [release]}}", "`on.hook.branches` does not match `main`."),
        ("{hook: {tags: ['v*']}}", "`on.hook` names only tags, and `refs/heads/main` is a branch."),
    ],
)
async def test_nothing_runs_where_the_pipeline_file_does_not_want_it(policy_of: House, on: str, why: str) -> None:
    house = policy_of
    text = PUSHED[".buildhook.yml"].replace("[push, pull_request]", on)
    repository = await house.simulator.create_repository("octo/hello", files={".buildhook.yml": text})
    found = await deliver(house)
    assert found.state == delivery.State.IGNORED
    assert found.reason == f"Nothing runs at {repository.heads['main']}: {why}"
    assert await house.builds() == []


async def test_a_broken_file_is_a_failed_build_that_shows_its_mistakes(policy_of: House) -> None:
    house = policy_of
    await house.simulator.create_repository("octo/hello", files={".buildhook.yml": "on: hook\njobs: {}\n"})
    await deliver(house)
    (made,) = await house.builds()
    assert (made.state, len(made.problems)) == (build.State.FAILED, 1)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"ref": "refs/heads/gone"}, "octo/hello has no `refs/heads/gone`."),
        ({"ref": "refs/tags/gone"}, "octo/hello has no `refs/tags/gone`."),
        ({"repository": "octo/nothing"}, "GitHub answered GET /repos/octo/nothing/installation with 404: Not Found."),
        (
            {"events": frozenset({"order.lost"})},
            "It has the type `order.paid`: the policy takes `order.lost` of `shop`.",
        ),
    ],
)
async def test_t14_what_the_policy_names_and_is_not_there_is_ignored_with_its_reason(
    policy_of: House, changes: dict[str, Any], why: str
) -> None:
    house = policy_of
    await house.simulator.create_repository("octo/hello", files=PIPELINE)
    house.policy = policy.Policy(sources={"shop": dataclasses.replace(SHOP, **changes)})
    found = await deliver(house)
    assert (found.state, found.reason) == (delivery.State.IGNORED, why)
    assert await house.builds() == []


async def test_without_a_file_nothing_is_built(policy_of: House) -> None:
    house = policy_of
    repository = await house.simulator.create_repository("octo/hello", files={"README.md": "# hello\n"})
    found = await deliver(house)
    assert found.reason == f"There is no `.buildhook.yml` at {repository.heads['main']}."


async def test_a_source_that_was_taken_out_of_the_policy_has_nothing_built_any_more(policy_of: House) -> None:
    house = policy_of
    await house.simulator.create_repository("octo/hello", files=PIPELINE)
    guid = await receive(house)
    house.policy = policy.Policy()
    await house.dispatch()
    found = await house.store.read(deliveries.find, guid)
    assert found is not None
    assert (found.state, found.reason) == (
        delivery.State.IGNORED,
        "The policy names no source `shop` any more.",
    )


async def test_t26_a_repository_that_was_renamed_is_not_built_under_its_old_name(policy_of: House) -> None:
    house = policy_of
    repository = await house.simulator.create_repository("octo/hello", files=PIPELINE)
    house.simulator.rename(repository, "hi")
    found = await deliver(house)
    assert found.state == delivery.State.IGNORED
    assert "octo/hello is called octo/hi by now" in (found.reason or "")


async def test_t12_an_event_of_githubs_that_is_called_hook_has_nothing_built(policy_of: House) -> None:
    """Neither the event's name nor this header is signed by GitHub: whoever replays a push could change both."""
    house = policy_of
    repository = await house.simulator.create_repository("octo/hello", files=PIPELINE)
    await house.simulator.push(repository, "main", {"a.txt": "a"})
    sent = house.sent("push")
    headers = {**sent.headers, "X-GitHub-Event": "hook", "X-GitHub-Delivery": "forged", delivery.SOURCE: "hook/shop"}
    found = await house.deliver(dataclasses.replace(sent, headers=headers))
    assert (found.state, found.reason) == (
        delivery.State.IGNORED,
        "It did not come to `/hooks/`, so it is no source's webhook.",
    )


async def test_t14_nothing_in_a_webhooks_body_says_what_is_built(policy_of: House) -> None:
    house = policy_of
    repository = await house.simulator.create_repository("octo/hello", files=PIPELINE)
    other = await house.simulator.create_repository("octo/other", files=PIPELINE)
    body = (
        b'{"type": "order.paid", "ref": "refs/heads/evil", "after": "%s",'
        b' "repository": {"id": %d, "full_name": "octo/other"}}' % (other.heads["main"].encode(), other.id)
    )
    await deliver(house, body=body)
    assert [(one.repository_id, one.head_sha) for one in await house.builds()] == [
        (repository.id, repository.heads["main"])
    ]


async def test_github_that_is_away_is_waited_for(policy_of: House) -> None:
    house = policy_of
    await house.simulator.create_repository("octo/hello", files=PIPELINE)
    house.simulator.faults.add(method="GET", path="/repos/octo/hello/installation", status=503, times=9)
    found = await deliver(house)
    assert (found.state, found.attempts) == (delivery.State.RETRYING, 0)
