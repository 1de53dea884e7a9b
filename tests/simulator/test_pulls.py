"""Pull requests: every change, its event, its refs, and what the API says of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from bot.simulator import PullRequest, Repository, Simulator, SimulatorError
from tests.simulator.conftest import Client, Receiver


@pytest.fixture
async def pull(github: Simulator, repository: Repository) -> PullRequest:
    await github.push(repository, "topic", {"a.txt": "a\n"}, "Add a")
    return await github.open_pull_request(repository, "topic", title="Add a file", body="Because.")


async def told(github: Simulator, receiver: Receiver, action: str) -> Any:
    await github.hooks.settle()
    return receiver.payload(f"pull_request.{action}")


async def test_an_opened_one_is_told_in_full(
    github: Simulator, receiver: Receiver, repository: Repository, pull: PullRequest
) -> None:
    payload = await told(github, receiver, "opened")
    body = payload["pull_request"]
    assert (payload["number"], body["number"], body["id"], body["state"]) == (1, 1, pull.id, "open")
    assert (body["title"], body["body"], body["draft"], body["merged"]) == ("Add a file", "Because.", False, False)
    assert (body["user"]["login"], body["author_association"]) == ("mona", "MEMBER")
    assert body["head"]["sha"] == repository.heads["topic"]
    assert (body["head"]["ref"], body["head"]["label"]) == ("topic", "octo:topic")
    assert body["head"]["repo"]["id"] == body["base"]["repo"]["id"] == repository.id
    assert body["base"]["sha"] == repository.heads["main"]
    assert (body["commits"], body["changed_files"], body["additions"]) == (1, 1, 1)
    # Right after the change GitHub has not tried the merge yet.
    assert (body["mergeable"], body["merge_commit_sha"], body["mergeable_state"]) == (None, None, "unknown")


async def test_the_api_says_the_same_once_it_is_settled(
    client: Client, repository: Repository, pull: PullRequest
) -> None:
    body = (await client("GET", "/repos/octo/hello/pulls/1")).body
    assert (body["mergeable"], body["mergeable_state"]) == (True, "clean")
    assert body["merge_commit_sha"] == pull.merge_commit_sha is not None
    merge = await client.github.git_of(repository).commit(pull.merge_commit_sha)
    assert merge.parents == (pull.base_sha, pull.head_sha)
    assert (await client("GET", "/repos/octo/hello/pulls/2")).status == 404
    files = (await client("GET", "/repos/octo/hello/pulls/1/files")).body
    assert [(file["filename"], file["status"]) for file in files] == [("a.txt", "added")]
    commits = (await client("GET", "/repos/octo/hello/pulls/1/commits")).body
    assert [commit["sha"] for commit in commits] == [pull.head_sha]
    listed = (await client("GET", f"/repos/octo/hello/commits/{pull.head_sha}/pulls")).body
    assert [one["number"] for one in listed] == [1]


async def test_lists_are_chosen_by_state_head_and_base(
    client: Client, repository: Repository, pull: PullRequest
) -> None:
    github = client.github
    await github.push(repository, "other", {"b.txt": "b"})
    other = await github.open_pull_request(repository, "other", "topic")
    await github.close(pull)

    async def numbers(query: str) -> list[int]:
        return [one["number"] for one in (await client("GET", f"/repos/octo/hello/pulls?{query}")).body]

    assert await numbers("") == [2]
    assert await numbers("state=closed") == [1]
    assert await numbers("state=all") == [2, 1]
    assert await numbers("state=all&head=octo:topic") == [1]
    assert await numbers("state=all&base=topic") == [other.number]


async def test_lists_are_sorted_by_creation_or_update(
    client: Client, repository: Repository, pull: PullRequest
) -> None:
    await client.github.push(repository, "other", {"b.txt": "b"})
    other = await client.github.open_pull_request(repository, "other", "main")
    pull.updated_at = other.updated_at + timedelta(seconds=5)

    async def numbers(query: str) -> list[int]:
        return [one["number"] for one in (await client("GET", f"/repos/octo/hello/pulls?{query}")).body]

    assert await numbers("sort=created") == await numbers("") == [2, 1]
    assert await numbers("direction=asc") == [1, 2]
    assert await numbers("sort=updated&direction=desc") == [1, 2]
    assert await numbers("sort=updated") == [2, 1]


async def test_a_push_to_the_head_synchronizes(
    github: Simulator, receiver: Receiver, repository: Repository, pull: PullRequest
) -> None:
    before, updated_at = pull.head_sha, pull.updated_at
    old_merge = pull.merge_commit_sha
    after = await github.push(repository, "topic", {"b.txt": "b"})
    payload = await told(github, receiver, "synchronize")
    assert (payload["before"], payload["after"]) == (before, after)
    assert payload["pull_request"]["head"]["sha"] == pull.head_sha == after
    assert pull.updated_at >= updated_at
    assert pull.merge_commit_sha != old_merge
    assert await github.git_of(repository).git("rev-parse", "refs/pull/1/head") == f"{after}\n".encode()


async def test_a_push_to_the_base_makes_a_new_test_merge_and_no_event(
    github: Simulator, receiver: Receiver, repository: Repository, pull: PullRequest
) -> None:
    base_sha, old_merge = pull.base_sha, pull.merge_commit_sha
    new_base = await github.push(repository, "main", {"b.txt": "b"})
    await github.hooks.settle()
    assert receiver.events().count("pull_request.synchronize") == 0
    assert pull.base_sha == base_sha
    assert pull.merge_commit_sha not in (None, old_merge)
    ref = (await github.git_of(repository).git("rev-parse", "refs/pull/1/merge^1")).decode().strip()
    assert ref == new_base


async def test_a_conflict_has_no_test_merge(client: Client, repository: Repository, pull: PullRequest) -> None:
    await client.github.push(repository, "main", {"a.txt": "other\n"})
    body = (await client("GET", "/repos/octo/hello/pulls/1")).body
    assert (body["mergeable"], body["mergeable_state"], body["merge_commit_sha"]) == (False, "dirty", None)
    assert (await client("GET", "/repos/octo/hello/contents/a.txt?ref=refs/pull/1/merge")).status == 404
    with pytest.raises(SimulatorError, match="conflicts"):
        await client.github.merge(pull)


async def test_one_from_a_fork_is_reachable_in_the_base(client: Client, repository: Repository) -> None:
    github = client.github
    fork = await github.fork(repository, "hubot")
    sha = await github.push(fork, "topic", {"a.txt": "fork\n"})
    pull = await github.open_pull_request(repository, "topic", from_fork=fork)
    assert (pull.author.login, pull.is_fork, pull.title) == ("hubot", True, "Change files")
    body = (await client("GET", "/repos/octo/hello/pulls/1")).body
    assert body["head"]["repo"]["id"] == fork.id != body["base"]["repo"]["id"]
    assert (body["head"]["label"], body["author_association"]) == ("hubot:topic", "NONE")
    assert body["head"]["repo"]["fork"] is True
    assert (await client("GET", f"/repos/octo/hello/contents/a.txt?ref={sha}")).status == 200
    after = await github.push(fork, "topic", {"a.txt": "more\n"})
    assert pull.head_sha == after
    assert (await client("GET", f"/repos/octo/hello/contents/a.txt?ref={after}")).status == 200
    # The App is not installed in the fork: it hears of the pull request only.
    assert [one.event for one in github.deliveries if one.repository_id == fork.id] == []
    full = (await client("GET", "/repos/hubot/hello")).body
    assert full["parent"]["id"] == repository.id


async def test_a_merge_moves_the_base(
    github: Simulator, receiver: Receiver, repository: Repository, pull: PullRequest
) -> None:
    base = repository.heads["main"]
    sha = await github.merge(pull)
    payload = await told(github, receiver, "closed")
    body = payload["pull_request"]
    assert (body["merged"], body["state"], body["merge_commit_sha"]) == (True, "closed", sha)
    assert body["merged_by"]["login"] == "mona"
    assert repository.heads["main"] == sha
    push = receiver.payload("push")
    assert (push["ref"], push["before"], push["after"]) == ("refs/heads/main", base, sha)
    assert [commit["id"] for commit in push["commits"]] == [pull.head_sha, sha]
    assert receiver.events().count("pull_request.closed") == 1
    with pytest.raises(SimulatorError, match="no longer be reopened"):
        await github.reopen(pull)


async def test_a_squash_is_one_commit_on_the_base(github: Simulator, repository: Repository, pull: PullRequest) -> None:
    base = repository.heads["main"]
    sha = await github.merge(pull, method="squash", sender="octo")
    commit = await github.git_of(repository).commit(sha)
    assert (commit.parents, commit.message) == ((base,), "Add a file (#1)")
    assert [change.path for change in commit.changes] == ["a.txt"]


async def test_a_push_that_brings_the_head_merges(
    github: Simulator, receiver: Receiver, repository: Repository, pull: PullRequest
) -> None:
    await github.push(repository, "main", start="topic")
    payload = await told(github, receiver, "closed")
    assert payload["pull_request"]["merged"] is True
    assert pull.merged_at is not None


async def test_closed_and_opened_again(
    github: Simulator, receiver: Receiver, repository: Repository, pull: PullRequest
) -> None:
    await github.close(pull, sender="hubot")
    payload = await told(github, receiver, "closed")
    assert (payload["pull_request"]["merged"], payload["sender"]["login"]) == (False, "hubot")
    assert payload["pull_request"]["closed_at"] is not None
    sha = await github.push(repository, "topic", {"b.txt": "b"})
    assert pull.head_sha != sha, "a closed one does not follow its branch"
    await github.reopen(pull)
    payload = await told(github, receiver, "reopened")
    assert payload["pull_request"]["head"]["sha"] == sha
    assert payload["pull_request"]["closed_at"] is None
    with pytest.raises(SimulatorError, match="is open"):
        await github.reopen(pull)


async def test_edits_say_what_was_there(
    github: Simulator, receiver: Receiver, repository: Repository, pull: PullRequest
) -> None:
    await github.edit_title(pull, "Another title")
    assert (await told(github, receiver, "edited"))["changes"] == {"title": {"from": "Add a file"}}
    await github.edit_body(pull, "Another reason")
    assert (await told(github, receiver, "edited"))["changes"] == {"body": {"from": "Because."}}
    await github.push(repository, "release", {"r.txt": "r"})
    old = repository.heads["main"]
    await github.retarget(pull, "release")
    payload = await told(github, receiver, "edited")
    assert payload["changes"] == {"base": {"ref": {"from": "main"}, "sha": {"from": old}}}
    assert payload["pull_request"]["base"]["ref"] == "release"
    assert payload["pull_request"]["base"]["sha"] == repository.heads["release"]


async def test_drafts_and_labels(github: Simulator, receiver: Receiver, repository: Repository) -> None:
    await github.push(repository, "topic", {"a.txt": "a"})
    pull = await github.open_pull_request(repository, "topic", draft=True)
    assert (await told(github, receiver, "opened"))["pull_request"]["draft"] is True
    await github.ready_for_review(pull)
    assert (await told(github, receiver, "ready_for_review"))["pull_request"]["draft"] is False
    await github.convert_to_draft(pull)
    assert (await told(github, receiver, "converted_to_draft"))["pull_request"]["draft"] is True
    await github.label(pull, "ok to test", sender="octo")
    payload = await told(github, receiver, "labeled")
    assert (payload["label"]["name"], payload["sender"]["login"]) == ("ok to test", "octo")
    assert [one["name"] for one in payload["pull_request"]["labels"]] == ["ok to test"]
    await github.label(pull, "ok to test")
    await github.label(pull, "other")
    await github.unlabel(pull, "ok to test", sender="hubot")
    gone = await told(github, receiver, "unlabeled")
    assert (gone["label"], gone["sender"]["login"]) == (payload["label"], "hubot")
    assert [one["name"] for one in gone["pull_request"]["labels"]] == ["other"]
    assert receiver.events().count("pull_request.labeled") == 2
    with pytest.raises(SimulatorError, match="no label 'ok to test'"):
        await github.unlabel(pull, "ok to test")
    await github.close(pull)
    with pytest.raises(SimulatorError, match="is closed"):
        await github.ready_for_review(pull)


@pytest.mark.parametrize("branch", ["topic", "base"])
async def test_it_closes_with_either_of_its_branches(github: Simulator, repository: Repository, branch: str) -> None:
    await github.push(repository, "base", {"b.txt": "b"})
    await github.push(repository, "topic", {"a.txt": "a"})
    pull = await github.open_pull_request(repository, "topic", "base")
    await github.delete_branch(repository, branch)
    assert (pull.state, pull.merged_at) == ("closed", None)


async def test_impossible_ones_are_refused(github: Simulator, repository: Repository, pull: PullRequest) -> None:
    for head, base, sentence in (
        ("nope", "main", "has no branch 'nope'"),
        ("topic", "nope", "has no branch 'nope'"),
        ("topic", "main", "has this head and this base already"),
        ("main", "topic", "no commits between"),
    ):
        with pytest.raises(SimulatorError, match=sentence):
            await github.open_pull_request(repository, head, base)
    with pytest.raises(SimulatorError, match="there is no pull request 9"):
        github.pull_request(repository, 9)
    assert github.pull_request("octo/hello", 1) is pull
    other = await github.create_repository("hubot/other")
    await github.push(other, "topic", {"b.txt": "b"})
    with pytest.raises(SimulatorError, match="hubot/other is no fork of octo/hello"):
        await github.open_pull_request(repository, "topic", from_fork=other)


async def test_who_has_merged_before_is_a_contributor(github: Simulator, repository: Repository) -> None:
    fork = await github.fork(repository, "hubot")
    await github.push(fork, "one", {"a.txt": "a"})
    pull = await github.open_pull_request(repository, "one", from_fork=fork)
    assert github.association(repository, pull.author) == "NONE"
    await github.merge(pull)
    assert github.association(repository, pull.author) == "CONTRIBUTOR"
    own = await github.create_repository("hubot/own")
    github.set_permission(own, "octo", "write")
    assert github.association(own, github.user("hubot")) == "OWNER"
    assert github.association(own, github.user("octo")) == "COLLABORATOR"


async def test_a_fork_may_go_and_its_pull_request_stays(
    client: Client, repository: Repository, receiver: Receiver
) -> None:
    github = client.github
    fork = await github.fork(repository, "hubot")
    sha = await github.push(fork, "topic", {"a.txt": "fork\n"})
    pull = await github.open_pull_request(repository, "topic", from_fork=fork)
    await github.delete_repository(fork)
    body = (await client("GET", "/repos/octo/hello/pulls/1")).body
    assert (body["head"]["repo"], body["head"]["sha"], body["state"]) == (None, sha, "open")
    assert (await client("GET", f"/repos/octo/hello/contents/a.txt?ref={sha}")).status == 200
    assert (await client("GET", "/repos/hubot/hello")).status == 404
    page = await client("GET", "/octo/hello/pull/1", root=github.url, token="")
    assert b"a repository that is gone" in page.content
    await github.edit_title(pull, "Still here")
    await github.delete_repository(repository)
    await github.hooks.settle()
    assert receiver.payload("repository.deleted")["repository"]["id"] == repository.id
    assert receiver.payload("installation_repositories.removed")
    assert (await client("GET", f"/repositories/{repository.id}")).status == 404
