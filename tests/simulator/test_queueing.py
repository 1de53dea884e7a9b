"""The merge queue: its groups, what it tells of them, and when it merges or gives up."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bot.simulator import PullRequest, Repository, Simulator, SimulatorError
from bot.simulator.values import ZERO_SHA
from tests.simulator.conftest import Client, Receiver


@pytest.fixture
async def pulls(github: Simulator, repository: Repository) -> list[PullRequest]:
    """Three pull requests that may be merged into `main`, which has a queue."""
    github.enable_merge_queue(repository, "main", {"buildhook": github.app_id})
    pulls = []
    for name in ("one", "two", "three"):
        sha = await github.push(repository, name, {f"{name}.txt": "x\n"})
        pulls.append(await github.open_pull_request(repository, name, title=f"Add {name}"))
        await conclude(github, repository, sha)
    return pulls


async def conclude(github: Simulator, repository: Repository, sha: str, conclusion: str = "success") -> None:
    commit = await github.git_of(repository).commit(sha)
    github.create_check_run(repository, commit, {"name": "buildhook", "conclusion": conclusion}, app=github.app)
    await github.settle_queues()


async def settle(github: Simulator) -> None:
    await github.settle_queues()
    await github.hooks.settle()


def told(github: Simulator, event: str) -> list[Any]:
    """Every payload of an event, in the order in which they were sent."""
    return [json.loads(one.body) for one in github.deliveries if event in (one.event, one.payload_summary)]


def groups_told(github: Simulator) -> list[tuple[str, str]]:
    """What was told of groups: what happened (`requested`, or why one was destroyed), and to which branch."""
    return [
        (one.get("reason", "requested"), one["merge_group"]["head_ref"].split("/pr-")[1].partition("-")[0])
        for one in told(github, "merge_group")
    ]


async def test_a_queued_one_gets_a_branch_with_a_real_merge(
    github: Simulator, repository: Repository, pulls: list[PullRequest], receiver: Receiver
) -> None:
    base = repository.heads["main"]
    group = await github.enqueue(pulls[0], sender="hubot")
    await settle(github)
    assert group.branch == f"gh-readonly-queue/main/pr-1-{base}"
    assert repository.heads[group.branch] == group.head_sha
    assert group.head_commit.parents == (base, pulls[0].head_sha)
    body = receiver.payload("merge_group.checks_requested")
    assert body["merge_group"] | {"head_commit": None} == {
        "head_sha": group.head_sha,
        "head_ref": f"refs/heads/{group.branch}",
        "base_sha": base,
        "base_ref": "refs/heads/main",
        "head_commit": None,
    }
    assert body["merge_group"]["head_commit"]["id"] == group.head_sha
    assert body["merge_group"]["head_commit"]["author"]["name"] == "hubot"
    assert (body["sender"]["login"], body["sender"]["type"]) == ("github-merge-queue[bot]", "Bot")
    push = receiver.payload("push")
    assert (push["ref"], push["before"], push["after"]) == (f"refs/heads/{group.branch}", ZERO_SHA, group.head_sha)
    assert receiver.payload("create")["ref"] == group.branch
    assert receiver.payload("check_suite.requested")["check_suite"]["head_sha"] == group.head_sha
    enqueued = receiver.payload("pull_request.enqueued")
    assert (enqueued["number"], enqueued["sender"]["login"]) == (1, "hubot")
    assert github.merge_groups(repository) == [group]


async def test_it_is_merged_once_its_checks_have_passed(
    github: Simulator, repository: Repository, pulls: list[PullRequest], receiver: Receiver
) -> None:
    base = repository.heads["main"]
    group = await github.enqueue(pulls[0])
    await conclude(github, repository, group.head_sha, "skipped")
    await settle(github)
    assert repository.heads["main"] == pulls[0].merge_commit_sha == group.head_sha
    assert group.branch not in repository.heads
    assert groups_told(github) == [("requested", "1"), ("merged", "1")]
    destroyed = receiver.payload("merge_group.destroyed")
    assert destroyed["merge_group"] == receiver.payload("merge_group.checks_requested")["merge_group"]
    closed = receiver.payload("pull_request.closed")["pull_request"]
    assert (closed["merged"], closed["merge_commit_sha"]) == (True, group.head_sha)
    assert closed["merged_by"]["login"] == "github-merge-queue[bot]"
    pushes = {one["ref"]: (one["before"], one["after"]) for one in told(github, "push")}
    assert pushes["refs/heads/main"] == (base, group.head_sha)
    assert pushes[f"refs/heads/{group.branch}"] == (group.head_sha, ZERO_SHA)
    assert [one["reason"] for one in told(github, "pull_request.dequeued")] == ["MERGE"]
    assert github.merge_groups(repository) == []


async def test_each_is_built_with_all_before_it_and_merged_in_order(
    github: Simulator, repository: Repository, pulls: list[PullRequest]
) -> None:
    first, second, third = [await github.enqueue(pull) for pull in pulls]
    assert (second.base_sha, third.base_sha) == (first.head_sha, second.head_sha)
    assert second.branch == f"gh-readonly-queue/main/pr-2-{first.head_sha}"
    entries = await github.git_of(repository).tree(third.head_sha)
    assert {"one.txt", "two.txt", "three.txt"} <= {name for _, _, name, _ in entries}
    await conclude(github, repository, third.head_sha)
    await conclude(github, repository, second.head_sha)
    assert github.merge_groups(repository) == [first, second, third], "the first one is still being checked"
    await conclude(github, repository, first.head_sha)
    assert repository.heads["main"] == third.head_sha
    assert [pull.merge_commit_sha for pull in pulls] == [first.head_sha, second.head_sha, third.head_sha]
    assert groups_told(github)[3:] == [("merged", "1"), ("merged", "2"), ("merged", "3")]


async def test_a_failure_takes_it_out_and_those_behind_it_are_built_anew(
    github: Simulator, repository: Repository, pulls: list[PullRequest]
) -> None:
    first, second, _ = [await github.enqueue(pull) for pull in pulls]
    await conclude(github, repository, first.head_sha, "failure")
    assert groups_told(github)[3:] == [
        ("dequeued", "1"),
        ("invalidated", "2"),
        ("invalidated", "3"),
        ("requested", "2"),
        ("requested", "3"),
    ]
    assert [one["reason"] for one in told(github, "pull_request.dequeued")] == ["CI_FAILURE"]
    again = github.merge_groups(repository)
    assert [group.pull for group in again] == pulls[1:]
    assert again[0].base_sha == repository.heads["main"]
    assert again[0].head_sha != second.head_sha
    assert {name for name in repository.heads if name.startswith("gh-")} == {group.branch for group in again}
    assert pulls[0].state == "open"


@pytest.mark.parametrize("kind", ["foreign", "another name", "a status of a person", "not the newest"])
async def test_what_is_not_the_required_check_does_not_merge(
    github: Simulator, repository: Repository, pulls: list[PullRequest], kind: str
) -> None:
    group = await github.enqueue(pulls[0])
    if kind == "foreign":
        await github.create_foreign_check_run(repository, group.head_sha, "buildhook", conclusion="success")
    elif kind == "another name":
        github.create_check_run(
            repository, group.head_commit, {"name": "lint", "conclusion": "success"}, app=github.app
        )
    elif kind == "a status of a person":
        body = {"state": "success", "context": "buildhook"}
        github.create_status(repository, group.head_sha, body, creator=github.user("mona"))
    else:
        for body in ({"conclusion": "success"}, {"status": "in_progress"}):
            github.create_check_run(repository, group.head_commit, {"name": "buildhook", **body}, app=github.app)
    await settle(github)
    assert github.merge_groups(repository) == [group]
    assert pulls[0].merged_at is None


async def test_the_apps_own_calls_move_the_queue(
    client: Client, repository: Repository, pulls: list[PullRequest]
) -> None:
    group = await client.github.enqueue(pulls[0])
    path = "/repos/octo/hello/check-runs"
    made = await client("POST", path, {"name": "buildhook", "head_sha": group.head_sha, "status": "in_progress"})
    await client("PATCH", f"{path}/{made.body['id']}", {"conclusion": "success"})
    await client.github.wait_until(lambda: pulls[0].merged_at)
    assert repository.heads["main"] == group.head_sha


async def test_somebody_takes_one_out(
    github: Simulator, repository: Repository, pulls: list[PullRequest], receiver: Receiver
) -> None:
    group = await github.enqueue(pulls[0])
    await github.dequeue(pulls[0], sender="hubot")
    await settle(github)
    assert groups_told(github) == [("requested", "1"), ("dequeued", "1")]
    assert group.branch not in repository.heads
    dequeued = receiver.payload("pull_request.dequeued")
    assert (dequeued["reason"], dequeued["sender"]["login"]) == ("MANUAL", "hubot")
    with pytest.raises(SimulatorError, match="is not in the merge queue"):
        await github.dequeue(pulls[0])


async def test_an_invalidated_group_comes_anew(
    github: Simulator, repository: Repository, pulls: list[PullRequest]
) -> None:
    first, second, third = [await github.enqueue(pull) for pull in pulls]
    await github.invalidate(pulls[1])
    await settle(github)
    assert groups_told(github)[3:] == [
        ("invalidated", "2"),
        ("invalidated", "3"),
        ("requested", "2"),
        ("requested", "3"),
    ]
    again = github.merge_groups(repository)
    assert again[0] is first
    assert {second.head_sha, third.head_sha}.isdisjoint(group.head_sha for group in again)


async def test_a_push_to_the_base_invalidates_all(
    github: Simulator, repository: Repository, pulls: list[PullRequest]
) -> None:
    await github.enqueue(pulls[0])
    sha = await github.push(repository, "main", {"b.txt": "b\n"})
    await settle(github)
    assert groups_told(github) == [("requested", "1"), ("invalidated", "1"), ("requested", "1")]
    assert github.merge_groups(repository)[0].base_sha == sha


async def test_a_conflict_with_what_came_before_takes_it_out(
    github: Simulator, repository: Repository, pulls: list[PullRequest]
) -> None:
    await github.enqueue(pulls[0])
    await github.push(repository, "main", {"one.txt": "other\n"})
    await settle(github)
    assert groups_told(github) == [("requested", "1"), ("invalidated", "1")]
    assert [one["reason"] for one in told(github, "pull_request.dequeued")] == ["MERGE_CONFLICT"]
    assert github.merge_groups(repository) == []
    await github.push(repository, "two", {"three.txt": "another\n"})
    await github.enqueue(pulls[1], force=True)
    with pytest.raises(SimulatorError, match="has conflicts with what is before it"):
        await github.enqueue(pulls[2])


@pytest.mark.parametrize("change", ["push", "close", "draft", "retarget"])
async def test_one_that_changes_leaves_the_queue(
    github: Simulator, repository: Repository, pulls: list[PullRequest], change: str
) -> None:
    await github.enqueue(pulls[0])
    if change == "push":
        await github.push(repository, "one", {"more.txt": "x\n"})
    elif change == "close":
        await github.close(pulls[0])
    elif change == "draft":
        await github.convert_to_draft(pulls[0])
    else:
        await github.retarget(pulls[0], "two")
    await settle(github)
    assert groups_told(github) == [("requested", "1"), ("dequeued", "1")]
    assert github.merge_groups(repository) == []


async def test_a_squashing_queue_makes_one_commit(github: Simulator, repository: Repository) -> None:
    github.enable_merge_queue(repository, "main", method="squash")
    await github.push(repository, "topic", {"a.txt": "a\n"})
    pull = await github.open_pull_request(repository, "topic", title="Add a")
    base = repository.heads["main"]
    group = await github.enqueue(pull)
    assert (group.head_commit.parents, group.head_commit.message) == ((base,), "Add a (#1)")
    # It requires no checks, so that there is nothing to wait for.
    await settle(github)
    assert repository.heads["main"] == group.head_sha


async def test_what_cannot_be_queued_says_why(
    github: Simulator, repository: Repository, pulls: list[PullRequest]
) -> None:
    await github.enqueue(pulls[0])
    with pytest.raises(SimulatorError, match="in the merge queue already"):
        await github.enqueue(pulls[0])
    with pytest.raises(SimulatorError, match="must be made through the merge queue"):
        await github.merge(pulls[1])
    await github.push(repository, "two", {"more.txt": "x\n"})
    with pytest.raises(SimulatorError, match="the check 'buildhook' is missing"):
        await github.enqueue(pulls[1])
    await github.convert_to_draft(pulls[1])
    with pytest.raises(SimulatorError, match="it is a draft"):
        await github.enqueue(pulls[1], force=True)
    await github.retarget(pulls[2], "one")
    for call in (github.enqueue, github.dequeue, github.invalidate):
        with pytest.raises(SimulatorError, match="one has no merge queue"):
            await call(pulls[2])
    assert await github.merge(pulls[2]) == repository.heads["one"]


async def test_a_queue_goes_with_its_repository(
    github: Simulator, repository: Repository, pulls: list[PullRequest]
) -> None:
    await github.enqueue(pulls[0])
    github.create_status(repository, pulls[0].head_sha, {"state": "success"}, creator=github.user("mona"))
    await github.delete_repository(repository)
    await settle(github)
    assert groups_told(github) == [("requested", "1")]
