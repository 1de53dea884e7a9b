"""Pushes of every kind, by the world's own operations: what they leave in git, and what they tell."""

from __future__ import annotations

import json
import time

import pytest

from bot.simulator import GitError, Repository, Simulator, SimulatorError
from bot.simulator.values import ZERO_SHA
from tests.simulator.conftest import Client, Receiver


async def test_a_push_moves_the_branch_and_tells_all_about_it(
    github: Simulator, repository: Repository, receiver: Receiver
) -> None:
    before = repository.heads["main"]
    files = {"README.md": None, "src/app.py": "print(2)\n", "docs/a.md": "a\n"}
    after = await github.push(repository, "main", files, "Change much\n\nfor a reason", author="hubot")
    await github.hooks.settle()
    payload = receiver.payload("push")
    assert repository.heads["main"] == after
    assert (payload["ref"], payload["before"], payload["after"]) == ("refs/heads/main", before, after)
    assert (payload["created"], payload["deleted"], payload["forced"]) == (False, False, False)
    assert payload["compare"] == f"{repository.html_url}/compare/{before[:12]}...{after[:12]}"
    (commit,) = payload["commits"]
    assert commit == payload["head_commit"]
    assert (commit["id"], commit["message"]) == (after, "Change much\n\nfor a reason")
    assert (commit["added"], commit["removed"], commit["modified"]) == (["docs/a.md"], ["README.md"], ["src/app.py"])
    assert commit["author"]["name"] == payload["pusher"]["name"] == payload["sender"]["login"] == "hubot"
    assert payload["repository"]["id"] == repository.id
    assert payload["repository"]["default_branch"] == "main"
    assert payload["repository"]["owner"]["login"] == payload["organization"]["login"] == "octo"
    assert isinstance(payload["repository"]["pushed_at"], int), "in push events this is a number"
    installation = github.installation_of("octo")
    assert installation is not None
    assert payload["installation"]["id"] == installation.id
    suite = receiver.payload("check_suite.requested")["check_suite"]
    assert (suite["head_sha"], suite["before"], suite["head_branch"], suite["status"]) == (
        after,
        before,
        "main",
        "queued",
    )


async def test_what_was_written_is_told_as_git_tells_it(github: Simulator, repository: Repository) -> None:
    sha = await github.push(
        repository, "main", {"b.txt": "b\n", "README.md": "# hello\n", "src": None, "none.txt": None}, "Mixed"
    )
    its_git = github.git_of(repository)
    remembered = await its_git.commit(sha)
    its_git._commits.clear()
    assert await its_git.commit(sha) == remembered
    other = await github.push(repository, "main", {"b.txt": "c\n", "nope": None}, "One\n\n\n")
    remembered = await its_git.commit(other)
    its_git._commits.clear()
    assert await its_git.commit(other) == remembered


async def test_a_new_branch_says_so(github: Simulator, repository: Repository, receiver: Receiver) -> None:
    sha = await github.push(repository, "topic", {"a.txt": "a"})
    await github.hooks.settle()
    payload = receiver.payload("push")
    assert (payload["before"], payload["created"], payload["base_ref"]) == (ZERO_SHA, True, None)
    assert [commit["id"] for commit in payload["commits"]] == [sha]
    same = await github.push(repository, "same", start="topic")
    await github.hooks.settle()
    payload = receiver.payload("push")
    assert same == sha
    assert (payload["commits"], payload["base_ref"]) == ([], "refs/heads/topic")
    assert payload["head_commit"]["id"] == sha


async def test_a_forced_push_says_so(github: Simulator, repository: Repository, receiver: Receiver) -> None:
    first = await github.push(repository, "topic", {"a.txt": "a"})
    second = await github.push(repository, "topic", {"a.txt": "b"}, force=True)
    await github.hooks.settle()
    payload = receiver.payload("push")
    assert (payload["before"], payload["after"], payload["forced"]) == (first, second, True)
    assert (await github.git_of(repository).commit(second)).parents == (repository.heads["main"],)
    back = await github.push(repository, "topic", start=first)
    await github.hooks.settle()
    assert back == repository.heads["topic"] == first
    assert receiver.payload("push")["forced"] is True


async def test_a_push_of_several_commits_lists_them_oldest_first(
    github: Simulator, repository: Repository, receiver: Receiver
) -> None:
    one = await github.commit(repository, "topic", {"a.txt": "a"}, "One")
    two = await github.commit(repository, "topic", {"b.txt": "b"}, "Two")
    assert await github.push(repository, "main", start="topic") == two
    await github.hooks.settle()
    payload = receiver.payload("push")
    assert [commit["id"] for commit in payload["commits"]] == [one, two]
    assert [commit["distinct"] for commit in payload["commits"]] == [False, False]
    assert payload["forced"] is False


async def test_a_commit_alone_tells_nothing(github: Simulator, repository: Repository, receiver: Receiver) -> None:
    await github.hooks.settle()
    count = len(receiver.received)
    sha = await github.commit(repository, "main", {"a.txt": "a"})
    await github.hooks.settle()
    assert repository.heads["main"] == sha
    assert len(receiver.received) == count


async def test_a_deleted_branch_says_so(github: Simulator, repository: Repository, receiver: Receiver) -> None:
    sha = await github.push(repository, "topic", {"a.txt": "a"})
    await github.delete_branch(repository, "topic")
    await github.hooks.settle()
    payload = receiver.payload("push")
    assert (payload["before"], payload["after"], payload["deleted"]) == (sha, ZERO_SHA, True)
    assert (payload["commits"], payload["head_commit"]) == ([], None)
    assert "topic" not in repository.heads
    assert receiver.events().count("check_suite.requested") == 1


async def test_tags_say_so_and_more_than_three_say_nothing(
    github: Simulator, repository: Repository, receiver: Receiver
) -> None:
    await github.push_tags(repository, ["v1"])
    await github.push_tags(repository, ["v2"], message="two")
    await github.hooks.settle()
    payload = receiver.payload("push")
    assert (payload["ref"], payload["base_ref"], payload["created"]) == ("refs/tags/v2", "refs/heads/main", True)
    assert payload["head_commit"]["id"] == repository.heads["main"] != payload["after"]
    assert repository.tags["v1"] == repository.heads["main"]
    count = receiver.events().count("push")
    await github.push_tags(repository, [f"w{number}" for number in range(4)])
    await github.hooks.settle()
    assert receiver.events().count("push") == count
    await github.push_tags(repository, [f"x{number}" for number in range(3)])
    await github.delete_tag(repository, "v1")
    await github.hooks.settle()
    assert receiver.events().count("push") == count + 4
    assert receiver.events().count("check_suite.requested") == 0


async def test_branches_and_tags_that_come_and_go_are_told(
    github: Simulator, repository: Repository, receiver: Receiver
) -> None:
    await github.push(repository, "topic/a", {"a.txt": "a"})
    await github.push(repository, "topic/a", {"a.txt": "b"})
    await github.push_tags(repository, ["v1", "v2", "v3"])
    await github.hooks.settle()
    assert receiver.events().count("create") == 4
    created = [one.payload for one in receiver.received if one.headers["X-GitHub-Event"] == "create"]
    assert {(one["ref"], one["ref_type"]) for one in created} == {
        ("topic/a", "branch"),
        ("v1", "tag"),
        ("v2", "tag"),
        ("v3", "tag"),
    }
    assert {one["master_branch"] for one in created} == {"main"}
    await github.delete_branch(repository, "topic/a")
    await github.delete_tag(repository, "v1")
    await github.hooks.settle()
    gone = [one.payload for one in receiver.received if one.headers["X-GitHub-Event"] == "delete"]
    assert {(one["ref"], one["ref_type"]) for one in gone} == {("topic/a", "branch"), ("v1", "tag")}
    await github.push_tags(repository, ["w1", "w2", "w3", "w4"])
    await github.hooks.settle()
    assert receiver.events().count("create") == 4


async def test_a_tag_that_moves_is_pushed_and_not_created_again(
    github: Simulator, repository: Repository, receiver: Receiver
) -> None:
    first = repository.heads["main"]
    await github.push_tags(repository, ["v1"], author="hubot")
    second = await github.push(repository, "main", {"a.txt": "a"})
    await github.push_tags(repository, ["v1"], second, author="hubot")
    await github.hooks.settle()
    payload = receiver.payload("push")
    assert (payload["ref"], payload["before"], payload["after"]) == ("refs/tags/v1", first, second)
    assert (payload["created"], payload["deleted"]) == (False, False)
    created = receiver.payload("create")
    assert (created["ref"], created["pusher_type"], created["sender"]["login"]) == ("v1", "user", "hubot")
    assert receiver.events().count("create") == 1


async def test_many_branches_are_pushed_quickly_and_signed(
    github: Simulator, repository: Repository, receiver: Receiver
) -> None:
    names = [f"branch-{number}" for number in range(200)]
    started = time.monotonic()
    prepared = await github.push_many(repository, names, send=False)
    assert time.monotonic() - started < 5
    assert len(prepared) == 200
    assert {json.loads(one.body)["after"] for one in prepared} == {repository.heads[name] for name in names}
    assert all(one.headers["X-Hub-Signature-256"] == github.sign(one.body) for one in prepared)
    await github.hooks.settle()
    assert receiver.events().count("push") == 0
    await github.push_many(repository, ["sent-1", "sent-2"])
    await github.hooks.settle()
    assert receiver.events().count("push") == receiver.events().count("check_suite.requested") == 2


async def test_no_two_commits_are_equal_by_chance(github: Simulator, repository: Repository) -> None:
    one = await github.push(repository, "one", {"a.txt": "a"})
    two = await github.push(repository, "two", {"a.txt": "a"})
    assert one != two


async def test_what_begins_with_a_shebang_is_executable(github: Simulator) -> None:
    repository = await github.create_repository("octo/tools", {"run.sh": "#!/bin/sh\n", "data": b"\0\1"})
    entries = await github.git_of(repository).tree(repository.heads["main"])
    assert {name: mode for mode, _, name, _ in entries} == {"run.sh": "100755", "data": "100644"}


async def test_impossible_pushes_are_refused_and_change_nothing(github: Simulator, repository: Repository) -> None:
    head = repository.heads["main"]
    with pytest.raises(SimulatorError, match="no branch or commit"):
        await github.push(repository, "main", {"a": "b"}, start="nope")
    with pytest.raises(SimulatorError, match="no parent"):
        await github.push(repository, "main", {"a": "b"}, force=True)
    with pytest.raises(GitError):
        await github.push(repository, "main", {"../outside": "x"})
    with pytest.raises(GitError):
        await github.push(repository, "bad..name", {"a": "b"})
    with pytest.raises(SimulatorError, match="there is no repository"):
        await github.push("octo/nope", "main", {"a": "b"})
    assert repository.heads["main"] == head
    assert await github.git_of(repository).refs() == {"refs/heads/main": head}


async def test_the_app_hears_nothing_where_it_is_not_installed_or_suspended(
    github: Simulator, repository: Repository, receiver: Receiver
) -> None:
    outside = await github.create_repository("octo/outside", installed=False)
    await github.push(outside, "main", {"a.txt": "a"})
    github.suspend("octo")
    await github.push(repository, "main", {"a.txt": "a"})
    github.unsuspend("octo")
    github.remove_from_installation(repository)
    await github.push(repository, "main", {"a.txt": "b"})
    await github.hooks.settle()
    assert receiver.events() == [
        "installation.created",
        "installation.suspend",
        "installation.unsuspend",
        "installation_repositories.removed",
    ]


async def test_only_events_that_were_subscribed_come(
    github: Simulator, repository: Repository, receiver: Receiver
) -> None:
    github.app.events -= {"push", "check_suite"}
    await github.push(repository, "main", {"a.txt": "a"})
    await github.hooks.settle()
    assert receiver.events() == ["installation.created"]


async def test_installations_are_told(github: Simulator, repository: Repository, receiver: Receiver) -> None:
    other = await github.create_repository("octo/other")
    github.install("octo", [other])
    await github.hooks.settle()
    assert receiver.payload("installation.created")["repositories"][0]["id"] == repository.id
    added = receiver.payload("installation_repositories.added")
    assert [one["full_name"] for one in added["repositories_added"]] == ["octo/other"]
    github.uninstall("octo")
    await github.hooks.settle()
    deleted = receiver.payload("installation.deleted")
    assert {one["id"] for one in deleted["repositories"]} == {repository.id, other.id}
    assert github.installation_of("octo") is None
    assert receiver.events().count("installation_repositories.added") == 1


async def test_a_rename_is_told(github: Simulator, repository: Repository, receiver: Receiver, client: Client) -> None:
    github.rename(repository, "greeter")
    await github.hooks.settle()
    payload = receiver.payload("repository.renamed")
    assert payload["changes"] == {"repository": {"name": {"from": "hello"}}}
    assert payload["repository"]["clone_url"] == repository.clone_url == f"{github.url}/octo/greeter.git"
    with pytest.raises(SimulatorError, match="already"):
        github.rename(repository, "greeter")


async def test_a_transfer_moves_the_repository_to_the_installation_of_its_new_owner(
    github: Simulator, repository: Repository, receiver: Receiver, client: Client
) -> None:
    await github.create_repository("cats/other")
    old, new = github.installation_of("octo"), github.installation_of("cats")
    assert old is not None
    assert new is not None
    github.transfer(repository, "cats")
    await github.hooks.settle()
    payload = receiver.payload("repository.transferred")
    assert payload["changes"]["owner"]["from"]["organization"]["login"] == "octo"
    assert (payload["repository"]["id"], payload["repository"]["full_name"]) == (repository.id, "cats/hello")
    assert (payload["installation"]["id"], payload["organization"]["login"]) == (new.id, "cats")
    removed = receiver.payload("installation_repositories.removed")
    added = receiver.payload("installation_repositories.added")
    assert (removed["installation"]["id"], added["installation"]["id"]) == (old.id, new.id)
    assert added["repositories_added"][0]["full_name"] == "cats/hello"
    token = github.installation_token("cats")
    assert (await client("GET", "/repos/cats/hello", token=token)).body["clone_url"] == repository.clone_url
    assert (await client("GET", "/repos/octo/hello", token=token)).status == 301
    assert (await client("GET", "/repos/cats/hello")).status == 404
    await github.push(repository, "main", {"a.txt": "a"})
    await github.hooks.settle()
    assert receiver.payload("push")["installation"]["id"] == new.id
    with pytest.raises(SimulatorError, match="already"):
        github.transfer("cats/other", "cats")


async def test_a_transfer_to_where_the_app_is_not_is_a_loss(
    github: Simulator, receiver: Receiver, client: Client
) -> None:
    github.create_user("mona")
    repository = await github.create_repository("mona/hello", private=True)
    github.transfer(repository, "dogs")
    await github.hooks.settle()
    assert receiver.events() == ["installation.created", "installation_repositories.removed"]
    token = github.installation_token("mona")
    for path in ("/repos/mona/hello", "/repos/dogs/hello", f"/repositories/{repository.id}"):
        assert (await client("GET", path, token=token)).status == 404
    assert repository.permissions["mona"] == "admin"
    github.install("mona", [])
    github.transfer(repository, "mona")
    await github.hooks.settle()
    payload = receiver.payload("repository.transferred")
    assert payload["changes"]["owner"]["from"]["organization"]["login"] == "dogs"
    assert (await client("GET", "/repos/mona/hello", token=token)).status == 200
    assert (await client("GET", "/repos/dogs/hello", token=token)).status == 301


@pytest.mark.parametrize(
    "name", ["hello", "octo/", "octo/a b", "repos/hello", "octo/..", "octo/a.git", "-x/a", "octo/a/b"]
)
async def test_wrong_names_are_refused(github: Simulator, name: str) -> None:
    with pytest.raises(SimulatorError):
        await github.create_repository(name)


async def test_wrong_levels_and_accounts_are_refused(github: Simulator, repository: Repository) -> None:
    with pytest.raises(SimulatorError, match="no level"):
        github.set_permission(repository, "hubot", "owner")
    with pytest.raises(SimulatorError, match="not installed"):
        github.suspend("hubot")
    with pytest.raises(SimulatorError, match="not installed"):
        github.installation_token("hubot")
    with pytest.raises(SimulatorError, match="there is no delivery"):
        github.redeliver(1)
