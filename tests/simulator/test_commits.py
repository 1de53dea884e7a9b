"""Commits over the API: who has them, what they change, and those that only a fork's branch has."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.simulator import Repository, Simulator
from tests.simulator.conftest import Client
from tests.simulator.test_git_http import git

HELLO = "/repos/octo/hello"


@pytest.fixture
async def fork(github: Simulator, repository: Repository) -> Repository:
    return await github.fork(repository, "hubot")


async def test_a_commit_of_a_fork_can_be_read_in_the_base_by_its_sha_only(
    client: Client, repository: Repository, fork: Repository, tmp_path: Path
) -> None:
    github = client.github
    sha = await github.push(fork, "evil", {"evil.txt": "evil\n"}, "Not yours")
    assert (await client("GET", f"{HELLO}/commits/{sha}")).body["commit"]["message"] == "Not yours"
    assert (await client("GET", f"{HELLO}/contents/evil.txt?ref={sha}")).status == 200
    assert (await client("GET", f"{HELLO}/compare/main...{sha}")).body["ahead_by"] == 1
    # Nothing of the base leads to it.
    assert (await client("GET", f"{HELLO}/commits/evil")).status == 422
    assert (await client("GET", f"{HELLO}/git/ref/heads/evil")).status == 404
    assert (await client("GET", f"{HELLO}/commits/{sha}/branches-where-head")).body == []
    assert (await client("GET", f"{HELLO}/commits/{sha}/pulls")).body == []
    # The API takes a check run for it, and git hands it out: the repositories of a network share their objects.
    assert (await client("POST", f"{HELLO}/check-runs", {"name": "x", "head_sha": sha})).status == 201
    await git("init", "--quiet", ".", cwd=tmp_path)
    await git("fetch", "--quiet", repository.clone_url, sha, cwd=tmp_path)
    assert await git("show", "FETCH_HEAD:evil.txt", cwd=tmp_path) == "evil"


async def test_forks_of_forks_and_what_remains_of_a_deleted_one(
    client: Client, repository: Repository, fork: Repository
) -> None:
    github = client.github
    github.user("monalisa")
    second = await github.fork(fork, "monalisa")
    sha = await github.push(second, "topic", {"a.txt": "a\n"})
    await github.delete_repository(second)
    assert (await client("GET", f"{HELLO}/commits/{sha}")).status == 200
    await github.delete_repository(repository)
    assert (await client("GET", f"/repos/hubot/hello/commits/{sha}")).status == 200
    await github.delete_repository(fork)
    assert list(github.folder.iterdir()) == [], "nothing is left of a network without repositories"
    # Another repository of the same name is another network.
    await github.create_repository("octo/hello")
    assert (await client("GET", f"{HELLO}/commits/{sha}")).status == 422


async def test_a_comparison_reaches_into_forks(client: Client, repository: Repository, fork: Repository) -> None:
    sha = await client.github.push(fork, "topic", {"a.txt": "a\n"})
    body = (await client("GET", f"{HELLO}/compare/main...hubot:topic")).body
    assert (body["status"], [commit["sha"] for commit in body["commits"]]) == ("ahead", [sha])
    assert [file["filename"] for file in body["files"]] == ["a.txt"]
    for wrong in ("main...topic", "main...hubot:nope", "main...nobody:topic"):
        assert (await client("GET", f"{HELLO}/compare/{wrong}")).status == 404


async def test_the_branches_that_point_at_a_commit(client: Client, repository: Repository, fork: Repository) -> None:
    github = client.github
    first = repository.heads["main"]
    await github.push(repository, "same", start="main")
    second = await github.push(repository, "main", {"a.txt": "a\n"})

    async def names(sha: str) -> list[str]:
        return [one["name"] for one in (await client("GET", f"{HELLO}/commits/{sha}/branches-where-head")).body]

    assert await names(first) == ["same"]
    assert await names(second) == ["main"]
    assert (await client("GET", f"{HELLO}/commits/{'a' * 40}/branches-where-head")).status == 422


async def test_the_pull_requests_of_a_commit(client: Client, repository: Repository, fork: Repository) -> None:
    github = client.github

    async def numbers(sha: str) -> list[int]:
        return [one["number"] for one in (await client("GET", f"{HELLO}/commits/{sha}/pulls")).body]

    sha = await github.push(fork, "topic", {"a.txt": "a\n"})
    first = await github.open_pull_request(repository, "topic", from_fork=fork)
    await github.push(repository, "other", start=sha)
    second = await github.open_pull_request(repository, "other")
    assert await numbers(sha) == [1, 2]
    await github.close(second)
    assert await numbers(sha) == [1, 2]
    squashed = await github.merge(first, method="squash")
    assert await numbers(squashed) == [1]
    assert await numbers(sha) == [1, 2], "a squash leaves the commit itself outside of the default branch"
    await github.push(repository, "third", {"c.txt": "c\n"}, start="main")
    merged = await github.merge(await github.open_pull_request(repository, "third"))
    assert await numbers(merged) == [3]
    assert (await client("GET", f"{HELLO}/commits/{'a' * 40}/pulls")).status == 422


async def test_many_files_are_cut_off(client: Client, repository: Repository) -> None:
    files = {f"many/{number:04}.txt": f"{number}\n" for number in range(3001)}
    sha = await client.github.push(repository, "topic", files)
    await client.github.open_pull_request(repository, "topic")
    pages = [await client("GET", f"{HELLO}/pulls/1/files?per_page=100&page={page}") for page in (1, 30, 31)]
    assert [len(page.body) for page in pages] == [100, 100, 0]
    assert pages[1].body[-1]["filename"] == "many/2999.txt"
    assert 'page=30>; rel="last"' in pages[0].headers["Link"]
    assert (await client("GET", f"{HELLO}/pulls/1")).body["changed_files"] == 3001
    for path in (f"commits/{sha}", "compare/main...topic", "compare/main...topic?page=1"):
        assert len((await client("GET", f"{HELLO}/{path}")).body["files"]) == 300, path
    assert (await client("GET", f"{HELLO}/compare/main...topic?page=2")).body["files"] == []


async def test_many_commits_come_in_pages_or_the_newest_of_them(client: Client, repository: Repository) -> None:
    for number in range(3):
        await client.github.commit(repository, "topic", {"a.txt": f"{number}\n"}, f"{number}")

    async def messages(query: str) -> list[str]:
        body = (await client("GET", f"{HELLO}/compare/main...topic{query}")).body
        assert body["total_commits"] == 3
        return [commit["commit"]["message"] for commit in body["commits"]]

    assert await messages("") == ["0", "1", "2"]
    assert await messages("?per_page=2") == ["0", "1"]
    assert await messages("?per_page=2&page=2") == ["2"]
