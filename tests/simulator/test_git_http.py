"""Real git clones, fetches and pushes; who may, and what a push sets off."""

from __future__ import annotations

import asyncio
import gzip
import os
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from bot.simulator import Repository, Simulator
from tests.simulator.conftest import Client, Receiver


class GitFailed(Exception):
    """git ended with a status that is not 0."""


async def git(*arguments: str, cwd: Path) -> str:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(cwd),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_AUTHOR_NAME": "mona",
        "GIT_AUTHOR_EMAIL": "mona@octo.example",
        "GIT_COMMITTER_NAME": "mona",
        "GIT_COMMITTER_EMAIL": "mona@octo.example",
        "GIT_ASKPASS": "true",
    }
    process = await asyncio.create_subprocess_exec(
        "git",
        *arguments,
        cwd=cwd,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    if process.returncode:
        raise GitFailed(errors.decode())
    return output.decode().strip()


def with_token(repository: Repository, token: str) -> str:
    return repository.clone_url.replace("://", f"://x-access-token:{token}@")


@pytest.fixture
async def clone(github: Simulator, repository: Repository, tmp_path: Path) -> Path:
    """A clone that may push as mona."""
    await git("clone", "--quiet", with_token(repository, github.user_token("mona")), "clone", cwd=tmp_path)
    return tmp_path / "clone"


async def test_a_clone_has_the_files(clone: Path) -> None:
    assert (clone / "src" / "app.py").read_text() == "print(1)\n"


async def test_an_exact_commit_and_less_than_all_can_be_fetched(
    github: Simulator, repository: Repository, tmp_path: Path
) -> None:
    gone = await github.push(repository, "topic", {"a.txt": "a"})
    await github.push(repository, "topic", {"a.txt": "b"}, force=True)
    await git("init", "--quiet", ".", cwd=tmp_path)
    await git("fetch", "--quiet", "--depth=1", "--filter=blob:none", repository.clone_url, gone, cwd=tmp_path)
    assert await git("rev-parse", "FETCH_HEAD", cwd=tmp_path) == gone


async def test_pull_requests_can_be_fetched_from_the_base(
    github: Simulator, repository: Repository, tmp_path: Path
) -> None:
    fork = await github.fork(repository, "hubot")
    await github.push(fork, "topic", {"a.txt": "fork\n"})
    pull = await github.open_pull_request(repository, "topic", from_fork=fork)
    await git("init", "--quiet", ".", cwd=tmp_path)
    await git(
        "fetch", "--quiet", repository.clone_url, "refs/pull/1/head:head", "refs/pull/1/merge:merge", cwd=tmp_path
    )
    assert await git("rev-parse", "head", cwd=tmp_path) == pull.head_sha
    assert await git("rev-parse", "merge", cwd=tmp_path) == pull.merge_commit_sha
    assert await git("show", "merge:a.txt", cwd=tmp_path) == "fork"


async def test_a_push_sets_off_what_a_push_sets_off(
    github: Simulator, repository: Repository, receiver: Receiver, clone: Path
) -> None:
    await github.push(repository, "topic", {"a.txt": "a\n"})
    pull = await github.open_pull_request(repository, "topic")
    await git("fetch", "--quiet", "origin", cwd=clone)
    await git("checkout", "--quiet", "topic", cwd=clone)
    (clone / "b.txt").write_text("b\n")
    await git("add", "b.txt", cwd=clone)
    await git("commit", "--quiet", "--message=Add b", cwd=clone)
    await git("push", "--quiet", "origin", "topic", cwd=clone)
    sha = await git("rev-parse", "HEAD", cwd=clone)
    await github.hooks.settle()
    assert repository.heads["topic"] == pull.head_sha == sha
    push = receiver.payload("push")
    assert (push["after"], push["pusher"]["name"], push["commits"][0]["added"]) == (sha, "mona", ["b.txt"])
    synchronize = receiver.payload("pull_request.synchronize")
    assert (synchronize["before"], synchronize["after"]) == (push["before"], sha)
    assert receiver.payload("check_suite.requested")["check_suite"]["head_sha"] == sha


async def test_several_refs_in_one_push_are_several_events(
    github: Simulator, repository: Repository, receiver: Receiver, clone: Path
) -> None:
    await git("tag", "v1", cwd=clone)
    await git("push", "--quiet", "origin", "main:one", "main:two", "v1", cwd=clone)
    await github.wait_until(lambda: receiver.events().count("push") == 3)
    refs = {one.payload["ref"] for one in receiver.received if one.headers["X-GitHub-Event"] == "push"}
    assert refs == {"refs/heads/one", "refs/heads/two", "refs/tags/v1"}
    await git("push", "--quiet", "origin", ":one", cwd=clone)
    await github.wait_until(lambda: receiver.events().count("push") == 4)
    assert receiver.payload("push")["deleted"] is True
    assert sorted(repository.heads) == ["main", "two"]


async def test_a_forced_push_is_one(github: Simulator, receiver: Receiver, clone: Path) -> None:
    await git("commit", "--quiet", "--amend", "--message=Another first commit", cwd=clone)
    with pytest.raises(GitFailed):
        await git("push", "--quiet", "origin", "main", cwd=clone)
    await git("push", "--quiet", "--force", "origin", "main", cwd=clone)
    await github.wait_until(lambda: receiver.events().count("push") == 1)
    assert receiver.payload("push")["forced"] is True


async def test_a_large_push_is_streamed(github: Simulator, repository: Repository, clone: Path) -> None:
    (clone / "large.bin").write_bytes(os.urandom(3_000_000))
    await git("add", "large.bin", cwd=clone)
    await git("commit", "--quiet", "--message=Add much", cwd=clone)
    await git("push", "--quiet", "origin", "main", cwd=clone)
    found = await github.git_of(repository).object(f"{repository.heads['main']}:large.bin")
    assert found is not None
    assert len(found[2]) == 3_000_000


@pytest.mark.parametrize("ref", ["refs/pull/1/head", "refs/heads/gh-readonly-queue/main/pr-1-a"])
async def test_some_namespaces_belong_to_github(clone: Path, ref: str) -> None:
    with pytest.raises(GitFailed, match="hidden ref"):
        await git("push", "origin", f"main:{ref}", cwd=clone)


async def test_a_merge_group_can_be_fetched_like_any_branch(
    github: Simulator, repository: Repository, tmp_path: Path
) -> None:
    github.enable_merge_queue(repository, "main", ["buildhook"])
    await github.push(repository, "topic", {"a.txt": "a\n"})
    group = await github.enqueue(await github.open_pull_request(repository, "topic"), force=True)
    await git("init", "--quiet", ".", cwd=tmp_path)
    await git("fetch", "--quiet", repository.clone_url, f"refs/heads/{group.branch}:group", cwd=tmp_path)
    assert await git("rev-parse", "group", cwd=tmp_path) == group.head_sha


async def test_who_may_not_push_is_told(
    github: Simulator, repository: Repository, client: Client, clone: Path, tmp_path: Path
) -> None:
    for token in (github.installation_token("octo"), github.user_token("hubot")):
        with pytest.raises(GitFailed, match="403"):
            await git("push", with_token(repository, token), "main:new", cwd=clone)
    with pytest.raises(GitFailed, match=r"401|Authentication failed|could not read"):
        await git("push", repository.clone_url, "main:new", cwd=clone)
    assert list(repository.heads) == ["main"]


async def test_a_token_that_may_write_contents_pushes_as_the_app(
    github: Simulator, repository: Repository, receiver: Receiver, clone: Path
) -> None:
    token = github.installation_token("octo", permissions={"contents": "write"})
    await git("push", "--quiet", with_token(repository, token), "main:by-app", cwd=clone)
    await github.wait_until(lambda: "push" in receiver.events())
    assert receiver.payload("push")["sender"]["login"] == "buildhook[bot]"


async def test_a_private_repository_needs_a_token_for_it(github: Simulator, tmp_path: Path) -> None:
    private = await github.create_repository("octo/private", private=True)
    other = await github.create_repository("octo/other")
    good = github.installation_token("octo", permissions={"contents": "read"}, repositories=[private])
    await git("clone", "--quiet", with_token(private, good), "good", cwd=tmp_path)
    for url, problem in (
        (private.clone_url, r"401|Authentication failed|could not read"),
        (with_token(private, "ghs_wrong"), r"401|Authentication failed"),
        (with_token(private, github.installation_token("octo", repositories=[other])), r"not found|404"),
        (with_token(private, github.installation_token("octo", permissions={"checks": "write"})), "403"),
        (f"{github.url}/octo/nope.git", r"401|Authentication failed|could not read"),
    ):
        with pytest.raises(GitFailed, match=problem):
            await git("clone", "--quiet", url, "bad", cwd=tmp_path)


async def test_an_old_name_leads_to_the_repository(github: Simulator, repository: Repository, tmp_path: Path) -> None:
    url = repository.clone_url
    github.rename(repository, "greeter")
    await git("clone", "--quiet", url, "clone", cwd=tmp_path)
    assert (tmp_path / "clone" / "README.md").exists()


async def test_a_packed_request_is_unpacked(client: Client, repository: Repository) -> None:
    request = b"0014command=ls-refs\n00010009peel\n0000"
    answer = await client(
        "POST",
        "/octo/hello.git/git-upload-pack",
        gzip.compress(request),
        root=client.github.url,
        token="",
        headers={
            "Content-Encoding": "gzip",
            "Git-Protocol": "version=2",
            "Content-Type": "application/x-git-upload-pack-request",
        },
    )
    assert answer.status == 200
    assert repository.heads["main"].encode() in answer.content


async def test_only_the_protocol_is_served(client: Client, repository: Repository) -> None:
    for path in ("/octo/hello.git/config", "/octo/hello.git/objects/info/packs", "/octo/hello.git/HEAD"):
        assert (await client("GET", path, root=client.github.url, token="")).status == 404
    answer = await client("GET", "/octo/hello.git/info/refs?service=git-evil", root=client.github.url, token="")
    assert answer.status == 403
    assert (await client("GET", "/octo/hello.git/info/refs", root=client.github.url, token="")).status == 403


async def test_faults_reach_git(github: Simulator, repository: Repository, tmp_path: Path) -> None:
    for fault in ({"status": 503}, {"drop_before": True}):
        github.faults.add(path=r"/octo/hello\.git/", **fault)
        with pytest.raises(GitFailed):
            await git("clone", "--quiet", repository.clone_url, "clone", cwd=tmp_path)
    await git("clone", "--quiet", repository.clone_url, "clone", cwd=tmp_path)


async def test_a_push_whose_answer_is_lost_was_done(
    github: Simulator, repository: Repository, receiver: Receiver, clone: Path
) -> None:
    github.faults.add(method="POST", path="git-receive-pack", drop_response_after_applying=True)
    with pytest.raises(GitFailed):
        await git("push", "--quiet", "origin", "main:new", cwd=clone)
    assert repository.heads["new"] == repository.heads["main"]
    await github.hooks.settle()
    assert receiver.payload("push")["ref"] == "refs/heads/new"


async def test_a_pusher_who_goes_away_half_way_changes_nothing_and_blocks_nobody(
    github: Simulator, repository: Repository, client: Client
) -> None:
    async def half() -> AsyncIterator[bytes]:
        line = f"{'0' * 40} {repository.heads['main']} refs/heads/new\0 report-status"
        yield f"{len(line) + 4:04x}{line}".encode() + b"0000"
        raise ConnectionResetError

    headers = {
        "Authorization": f"Bearer {github.user_token('mona')}",
        "Content-Type": "application/x-git-receive-pack-request",
    }
    with pytest.raises((aiohttp.ClientError, ConnectionError)):
        await client.session.post(f"{repository.clone_url}/git-receive-pack", data=half(), headers=headers)
    assert await github.push(repository, "main", {"a.txt": "a"})
    assert list(repository.heads) == ["main"]
