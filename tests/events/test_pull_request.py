"""Pull requests: trust, identity, order, and what a newer event stops."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from bot.model import build, delivery, job
from bot.simulator import PullRequest, Repository
from bot.store import answers, jobs, pulls
from tests.events.conftest import PIPELINE, House


async def opened(house: House, **given: Any) -> tuple[Repository, PullRequest]:
    """A repository with an open pull request, told to nobody yet."""
    repository = await house.simulator.create_repository("octo/hello", files=PIPELINE)
    await house.simulator.commit(repository, "topic", {"a.txt": "a"})
    return repository, await house.simulator.open_pull_request(repository, "topic", title="Add a", **given)


def changed(house: House, sent: Any, guid: str, **changes: Any) -> Any:
    """A delivery with some members of its `pull_request` changed, signed anew."""
    payload = json.loads(sent.body)
    payload["pull_request"].update(changes)
    body = json.dumps(payload).encode()
    return type("Sent", (), {"headers": house.simulator.hooks.headers(body, event=sent.event, guid=guid), "body": body})


async def test_it_is_built_merged_with_its_base(house: House) -> None:
    repository, pull = await opened(house)
    await house.deliver(house.sent("pull_request", "opened"))
    (made,) = await house.builds()
    assert (made.head_sha, made.base_sha) == (pull.head_sha, pull.base_sha)
    assert (made.pull_number, made.base_ref, made.head_ref) == (pull.number, "main", "topic")
    assert (made.ref, made.title) == (f"refs/pull/{pull.number}/merge", "Add a")
    assert made.trust == build.Trust.TRUSTED
    known = await house.store.read(pulls.find, repository_id=repository.id, number=pull.number)
    assert known is not None
    assert known.runs


async def test_t10_the_same_pull_request_under_another_delivery_id_starts_nothing(house: House) -> None:
    await opened(house)
    sent = house.sent("pull_request", "opened")
    await house.deliver(sent)
    again = await house.deliver(sent, guid="another")
    assert "already tests" in (again.reason or "")
    assert len(await house.builds()) == 1


async def test_t21_a_fork_waits_and_nothing_of_it_is_planned(house: House) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=PIPELINE)
    fork = await house.simulator.fork(repository, "hubot")
    await house.simulator.commit(fork, "topic", {".buildhook.yml": "on: pull_request\njobs: {x: {steps: [{run: rm}]}}"})
    await house.simulator.open_pull_request(repository, "topic", from_fork=fork)
    await house.deliver(house.sent("pull_request", "opened"))
    (made,) = await house.builds()
    assert (made.state, made.trust) == (build.State.WAITING, build.Trust.UNTRUSTED)
    assert "approve" in (made.reason or "")
    assert await house.jobs() == []


@pytest.mark.parametrize(("level", "runs"), [("admin", True), ("maintain", True), ("write", True), ("triage", False)])
async def test_t30_only_who_may_push_is_built(house: House, level: str, runs: bool) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=PIPELINE)
    house.simulator.create_user("hubot")
    house.simulator.set_permission(repository, "hubot", level)
    await house.simulator.commit(repository, "topic", {"a.txt": "a"}, author="octo")
    await house.simulator.open_pull_request(repository, "topic", author="hubot")
    await house.deliver(house.sent("pull_request", "opened"))
    (made,) = await house.builds()
    assert (made.state == build.State.QUEUED) == runs


async def test_t28_the_permission_is_asked_when_it_is_decided(house: House) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=PIPELINE)
    house.simulator.create_user("hubot")
    house.simulator.set_permission(repository, "hubot", "write")
    await house.simulator.commit(repository, "topic", {"a.txt": "a"})
    await house.simulator.open_pull_request(repository, "topic", author="hubot")
    house.simulator.set_permission(repository, "hubot", "read")
    await house.deliver(house.sent("pull_request", "opened"))
    assert [one.state for one in await house.builds()] == [build.State.WAITING]


async def test_a_newer_push_asks_the_older_build_to_end(house: House) -> None:
    repository, _ = await opened(house)
    await house.deliver(house.sent("pull_request", "opened"))
    (older,) = await house.jobs()
    head = await house.simulator.push(repository, "topic", {"a.txt": "b"})
    await house.deliver(house.sent("pull_request", "synchronize"))
    newest = (await house.builds())[0]
    assert newest.head_sha == head
    asked = await house.store.read(jobs.list_cancel_requested)
    assert [one.id for one in asked] == [older.id]
    assert "newer push" in (asked[0].cancel_reason or "")


async def test_another_base_is_another_build_and_another_title_is_none(house: House) -> None:
    repository, pull = await opened(house)
    await house.deliver(house.sent("pull_request", "opened"))
    await house.simulator.edit_title(pull, "Another title")
    assert (await house.deliver(house.sent("pull_request", "edited"))).state == delivery.State.IGNORED
    await house.simulator.push(repository, "release", {"b.txt": "b"})
    await house.simulator.retarget(pull, "release")
    await house.deliver(house.sent("pull_request", "edited"))
    newest, oldest = await house.builds()
    assert (newest.base_ref, newest.generation) == ("release", oldest.generation + 1)


async def test_a_draft_that_becomes_ready_is_not_built_twice(house: House) -> None:
    _, pull = await opened(house, draft=True)
    await house.deliver(house.sent("pull_request", "opened"))
    await house.simulator.ready_for_review(pull)
    await house.deliver(house.sent("pull_request", "ready_for_review"))
    assert len(await house.builds()) == 1


async def test_closing_cancels_and_opening_again_builds_once(house: House) -> None:
    _, pull = await opened(house)
    await house.deliver(house.sent("pull_request", "opened"))
    await house.simulator.close(pull)
    await house.deliver(house.sent("pull_request", "closed"))
    (asked,) = await house.store.read(jobs.list_cancel_requested)
    assert "was closed" in (asked.cancel_reason or "")
    await house.end_build(build.State.CANCELLED, job.State.CANCELLED)
    await house.simulator.reopen(pull)
    await house.deliver(house.sent("pull_request", "reopened"))
    await house.deliver(house.sent("pull_request", "reopened"), guid="replayed")
    assert [one.generation for one in await house.builds()] == [2, 1]


async def test_closing_ends_what_waits_for_approval(house: House) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=PIPELINE)
    fork = await house.simulator.fork(repository, "hubot")
    await house.simulator.commit(fork, "topic", {"a.txt": "a"})
    pull = await house.simulator.open_pull_request(repository, "topic", from_fork=fork)
    await house.deliver(house.sent("pull_request", "opened"))
    await house.simulator.close(pull)
    await house.deliver(house.sent("pull_request", "closed"))
    assert [one.state for one in await house.builds()] == [build.State.CANCELLED]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=lambda order: "".join(map(str, order)))
async def test_f48_any_order_of_arrival_ends_with_the_newest_head(house: House, order: tuple[int, ...]) -> None:
    repository, pull = await opened(house)
    sent = [house.sent("pull_request", "opened")]
    for text in ("b", "c"):
        await house.simulator.push(repository, "topic", {"a.txt": text})
        sent.append(house.sent("pull_request", "synchronize"))
    for position in order:
        await house.deliver(sent[position])
    known = await house.store.read(pulls.find, repository_id=repository.id, number=pull.number)
    assert known is not None
    assert known.head_sha == pull.head_sha
    wanted = {one.build_id for one in await house.jobs() if one.cancel_requested_at is None}
    assert {one.head_sha for one in await house.builds() if one.id in wanted} == {pull.head_sha}


async def test_f48_a_late_event_of_a_closed_pull_request_starts_nothing(house: House) -> None:
    _, pull = await opened(house)
    late = house.sent("pull_request", "opened")
    await house.simulator.close(pull)
    await house.deliver(house.sent("pull_request", "closed"))
    done = await house.deliver(late)
    assert done.state == delivery.State.HANDLED
    assert await house.builds() == []


async def test_a_result_is_taken_over_only_where_tree_and_plan_are_proved_equal(house: House) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=PIPELINE)
    await house.simulator.push(repository, "topic", {"a.txt": "a"})
    await house.deliver(house.sent("push"))
    first = await house.end_build(build.State.PASSED, job.State.PASSED)
    pull = await house.simulator.open_pull_request(repository, "topic")
    await house.deliver(house.sent("pull_request", "opened"))
    newest = (await house.builds())[0]
    assert (newest.state, newest.origin_id, newest.generation) == (build.State.PASSED, first.id, 2)
    # The base moves: the merge is another tree, so nothing is proved any more.
    await house.simulator.push(repository, "release", {"b.txt": "b"})
    await house.simulator.retarget(pull, "release")
    await house.deliver(house.sent("pull_request", "edited"))
    newest = (await house.builds())[0]
    assert (newest.state, newest.origin_id, newest.generation) == (build.State.QUEUED, None, 3)


async def test_a_failed_push_is_not_taken_over(house: House) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=PIPELINE)
    await house.simulator.push(repository, "topic", {"a.txt": "a"})
    await house.deliver(house.sent("push"))
    await house.end_build(build.State.FAILED, job.State.FAILED)
    await house.simulator.open_pull_request(repository, "topic")
    await house.deliver(house.sent("pull_request", "opened"))
    assert [one.state for one in await house.builds()] == [build.State.QUEUED, build.State.FAILED]


@pytest.mark.parametrize(
    ("base_file", "head_file", "state"),
    [
        (None, None, None),
        ("on: pull_request\njobs: {t: {steps: [{run: a}]}}\n", None, build.State.FAILED),
        (None, "on: pull_request\njobs: {t: {steps: [{run: a}]}}\n", build.State.QUEUED),
        (None, "on: pull_request\njobs: {t: {step: [{run: a}]}}\n", build.State.FAILED),
        (None, "on: push\njobs: {t: {steps: [{run: a}]}}\n", None),
        (None, "on: {pull_request: {branches: [x]}}\njobs: {t: {steps: [{run: a}]}}\n", build.State.SKIPPED),
    ],
)
async def test_whose_file_counts(
    house: House, base_file: str | None, head_file: str | None, state: build.State | None
) -> None:
    files = {"README.md": "# hello", **({".buildhook.yml": base_file} if base_file else {})}
    repository = await house.simulator.create_repository("octo/hello", files=files)
    await house.simulator.commit(repository, "topic", {".buildhook.yml": head_file, "a.txt": "a"})
    await house.simulator.open_pull_request(repository, "topic")
    done = await house.deliver(house.sent("pull_request", "opened"))
    assert [one.state for one in await house.builds()] == ([state] if state else [])
    assert (done.state == delivery.State.IGNORED) == (state is None)


async def test_a_payload_that_contradicts_itself_is_ignored(house: House) -> None:
    await opened(house)
    done = await house.deliver(changed(house, house.sent("pull_request", "opened"), "odd", number=99))
    assert done.state == delivery.State.IGNORED
    assert await house.builds() == []


WITH_COMMENT = {".buildhook.yml": "on: {pull_request: {comment: true}}\njobs: {test: {steps: [{run: echo ok}]}}\n"}
CHANGED = {".buildhook.yml": "on: {pull_request: {comment: true}}\njobs: {other: {steps: [{run: echo ok}]}}\n"}


async def told(house: House, repository: Repository, pull: PullRequest) -> tuple[bool, bool]:
    """Whether builds are to be shown, and whether a comment is to be written."""
    known = await house.store.read(pulls.find, repository_id=repository.id, number=pull.number)
    assert known is not None
    found = await house.store.read(answers.find, repository_id=repository.id, pull_number=pull.number)
    return known.shows_builds, found is not None


@pytest.mark.parametrize(
    ("base", "head", "is_shown"),
    [
        (WITH_COMMENT, {"a.txt": "a"}, True),
        (WITH_COMMENT, CHANGED, True),
        (PIPELINE, CHANGED, False),
        (WITH_COMMENT, PIPELINE, False),
        (PIPELINE, {"a.txt": "a"}, False),
    ],
)
async def test_builds_are_shown_where_the_base_wants_it_and_not_against_what_runs(
    house: House, base: dict[str, str], head: dict[str, str], is_shown: bool
) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=base)
    await house.simulator.commit(repository, "topic", head)
    pull = await house.simulator.open_pull_request(repository, "topic")
    calls = len(house.simulator.requests)
    await house.deliver(house.sent("pull_request", "opened"))
    assert await told(house, repository, pull) == (is_shown, is_shown)
    asked = [one.path for one in house.simulator.requests[calls:] if "/contents/" in one.path]
    # Where the file that runs does not ask for it, no call is made for it.
    assert len(asked) == (2 if "comment" in head.get(".buildhook.yml", base[".buildhook.yml"]) else 1)


@pytest.mark.parametrize(("base", "is_shown"), [(PIPELINE, False), (WITH_COMMENT, True)])
async def test_a_fork_cannot_switch_the_comment_on_or_off(house: House, base: dict[str, str], is_shown: bool) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=base)
    fork = await house.simulator.fork(repository, "hubot")
    await house.simulator.commit(fork, "topic", CHANGED if base is PIPELINE else PIPELINE)
    pull = await house.simulator.open_pull_request(repository, "topic", from_fork=fork)
    await house.deliver(house.sent("pull_request", "opened"))
    assert await told(house, repository, pull) == (is_shown, is_shown)


async def test_what_is_shown_survives_late_and_double_deliveries_and_ends_with_the_base(house: House) -> None:
    repository = await house.simulator.create_repository("octo/hello", files=WITH_COMMENT)
    await house.simulator.commit(repository, "topic", {"a.txt": "a"})
    pull = await house.simulator.open_pull_request(repository, "topic")
    opened = house.sent("pull_request", "opened")
    await house.deliver(opened)
    before = await house.store.read(answers.find, repository_id=repository.id, pull_number=pull.number)
    await house.deliver(opened, guid="another")
    assert await house.store.read(answers.find, repository_id=repository.id, pull_number=pull.number) == before
    await house.simulator.push(repository, "main", PIPELINE)
    await house.simulator.push(repository, "topic", {"b.txt": "b"})
    await house.deliver(house.sent("pull_request", "synchronize"))
    assert await told(house, repository, pull) == (False, True)
    # Older than what is known: it switches nothing on.
    await house.deliver(opened, guid="late")
    assert await told(house, repository, pull) == (False, True)
