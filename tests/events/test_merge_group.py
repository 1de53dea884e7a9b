"""Merge groups: built under the same check names, stopped when they are no more, trusted only as GitHub tells them."""

from __future__ import annotations

import json
from typing import Any

from bot.model import build, delivery
from bot.simulator import PullRequest, Repository
from bot.store import checks, jobs
from tests.databases import long_on_postgresql
from tests.events.conftest import PIPELINE, House

pytestmark = long_on_postgresql


async def queued(house: House, *, files: dict[str, str] | None = None) -> tuple[Repository, PullRequest]:
    """A pull request in the merge queue, of which nobody heard yet."""
    repository = await house.simulator.create_repository("octo/hello", files=PIPELINE if files is None else files)
    await house.simulator.commit(repository, "topic", {"a.txt": "a"})
    pull = await house.simulator.open_pull_request(repository, "topic")
    house.simulator.enable_merge_queue(repository, "main", ["buildhook"])
    await house.simulator.enqueue(pull, force=True)
    return repository, pull


async def test_a_group_is_built_under_the_same_check_names(house: House) -> None:
    repository, _ = await queued(house)
    (group,) = house.simulator.merge_groups(repository)
    await house.deliver(house.sent("merge_group", "checks_requested"))
    (made,) = await house.builds()
    assert (made.event, made.head_sha, made.trust) == ("merge_group", group.head_sha, build.Trust.TRUSTED)
    assert (made.ref, made.base_ref) == (f"refs/heads/{group.branch}", "main")
    (one,) = await house.store.read(checks.list_of_build, made.id)
    assert one.name == "buildhook"


async def test_t36_a_push_to_its_branch_builds_nothing(house: House) -> None:
    await queued(house)
    pushes = [one for one in house.simulator.deliveries if one.event == "push"]
    (sent,) = [one for one in pushes if json.loads(one.body)["ref"].startswith("refs/heads/gh-readonly-queue/")]
    done = await house.deliver(sent)
    assert done.state == delivery.State.IGNORED
    assert "merge queue" in (done.reason or "")
    assert await house.builds() == []


def forged(house: House, sent: Any, **changes: str) -> Any:
    """A delivery of a group with other members, signed anew."""
    payload = json.loads(sent.body)
    payload["merge_group"].update(changes)
    body = json.dumps(payload).encode()
    return type("Sent", (), {"headers": house.simulator.hooks.headers(body, event=sent.event, guid="x"), "body": body})


async def test_t36_a_group_of_another_branch_is_no_group(house: House) -> None:
    await queued(house)
    sent = house.sent("merge_group", "checks_requested")
    done = await house.deliver(forged(house, sent, head_ref="refs/heads/main"))
    assert done.state == delivery.State.IGNORED
    assert await house.builds() == []


async def test_f44_a_group_that_is_taken_out_is_stopped(house: House) -> None:
    _, pull = await queued(house)
    await house.deliver(house.sent("merge_group", "checks_requested"))
    (made,) = await house.builds()
    await house.simulator.dequeue(pull)
    await house.deliver(house.sent("merge_group", "destroyed"))
    own = await house.store.read(jobs.list_of_builds, [made.id])
    assert {one.cancel_reason for one in own} == {"The merge group was taken out of the queue."}


async def test_f44_a_group_that_is_made_anew_has_a_build_of_its_own_and_the_first_one_is_stopped(house: House) -> None:
    _, pull = await queued(house)
    await house.deliver(house.sent("merge_group", "checks_requested"))
    (first,) = await house.builds()
    await house.simulator.invalidate(pull)
    for sent in [one for one in house.simulator.deliveries if one.event == "merge_group"][1:]:
        await house.deliver(sent)
    anew, stopped = await house.builds()
    assert (stopped.id, anew.event) == (first.id, "merge_group")
    assert anew.head_sha != first.head_sha
    reasons = {
        one.build_id: one.cancel_reason for one in await house.store.read(jobs.list_of_builds, [anew.id, first.id])
    }
    assert reasons == {anew.id: None, first.id: "The merge group was made anew, because something ahead of it changed."}


async def test_a_group_that_ended_before_it_was_heard_of_is_not_built(house: House) -> None:
    _, pull = await queued(house)
    asked = house.sent("merge_group", "checks_requested")
    await house.simulator.dequeue(pull)
    await house.deliver(house.sent("merge_group", "destroyed"))
    await house.deliver(asked)
    assert await house.builds() == []


async def test_the_push_of_a_merged_group_is_covered_by_its_build(house: House) -> None:
    repository, _ = await queued(house)
    await house.deliver(house.sent("merge_group", "checks_requested"))
    (made,) = await house.builds()
    commit = await house.simulator.git_of(repository).commit(made.head_sha)
    body = {"name": "buildhook", "head_sha": made.head_sha, "status": "completed", "conclusion": "success"}
    house.simulator.create_check_run(repository, commit, body, app=house.simulator.app)
    await house.simulator.settle_queues()
    await house.deliver(house.sent("merge_group", "destroyed"))
    done = await house.deliver(house.sent("push"))
    assert "already covers" in (done.reason or "")
    assert len(await house.builds()) == 1


async def test_skipping_is_not_for_the_queue(house: House) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=PIPELINE)
    await house.simulator.commit(repository, "topic", {"a.txt": "a"}, message="x [skip ci]")
    pull = await house.simulator.open_pull_request(repository, "topic", title="[skip ci]")
    house.simulator.enable_merge_queue(repository, "main", ["buildhook"])
    await house.simulator.enqueue(pull, force=True)
    await house.deliver(house.sent("merge_group", "checks_requested"))
    assert {one.state for one in await house.builds()} == {build.State.QUEUED}


async def test_a_group_that_deletes_the_file_fails(house: House) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=PIPELINE)
    await house.simulator.commit(repository, "topic", {".buildhook.yml": None, "a.txt": "a"})
    pull = await house.simulator.open_pull_request(repository, "topic")
    house.simulator.enable_merge_queue(repository, "main", ["buildhook"])
    await house.simulator.enqueue(pull, force=True)
    await house.deliver(house.sent("merge_group", "checks_requested"))
    assert {one.state for one in await house.builds()} == {build.State.FAILED}


async def test_a_file_that_asks_for_nothing_leaves_the_queue_a_reason(house: House) -> None:
    await queued(house, files={".buildhook.yml": "on: {push: {tags: ['v*']}}\njobs: {x: {steps: [{run: a}]}}\n"})
    await house.deliver(house.sent("merge_group", "checks_requested"))
    (made,) = await house.builds()
    assert made.state == build.State.SKIPPED
    assert "`on` does not name `pull_request`" in (made.reason or "")
