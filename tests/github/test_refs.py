"""What a repository has now: its description, branches, tags and open pull requests."""

from __future__ import annotations

import msgspec
import pytest

from bot import errors
from bot.github import Repository
from bot.github.refs import Tag
from tests.github.conftest import REPOSITORY_ID, SHA, TOKEN_PATH, Reply, Server
from tests.github.test_repository import make_pull

REPO = "/repos/octo/hello"
SUSPENDED = Reply(status=403, data={"message": "This installation has been suspended"})
GONE = Reply(status=410, data={"message": "Gone"})


def _next(server: Server) -> dict[str, str]:
    return {"link": f'<{server.url}/x?page=2>; rel="next"'}


def _named(name: str, sha: str = SHA) -> dict[str, object]:
    return {"name": name, "commit": {"sha": sha, "url": "x"}, "protected": False}


async def test_a_branch_has_a_head(repository: Repository, server: Server) -> None:
    server.on("GET", f"{REPO}/branches/main", Reply(data=_named("main")))
    assert await repository.get_branch_head("main") == SHA


async def test_f95_odd_names_of_branches_arrive_as_they_are(repository: Repository, server: Server) -> None:
    server.on("GET", f"{REPO}/branches/a%2Fb%2F%C3%BC%23%3F%25", Reply(data=_named("a/b/ü#?%")))
    assert await repository.get_branch_head("a/b/ü#?%") == SHA
    for name in ("", ".", ".."):
        with pytest.raises(errors.ShapeUnknown):
            await repository.get_branch_head(name)
    assert len(server.asked("GET")) == 1


async def test_a_branch_that_is_not_there_is_none(repository: Repository, server: Server) -> None:
    server.on("GET", f"{REPO}/branches/gone", Reply(status=404, data={"message": "Branch not found"}))
    assert await repository.get_branch_head("gone") is None
    # GitHub goes on leading from the old name of a branch to the new one.
    server.on("GET", f"{REPO}/branches/old", Reply(status=301, headers={"location": f"{REPO}/branches/new"}))
    server.on("GET", f"{REPO}/branches/new", Reply(data=_named("new")))
    assert await repository.get_branch_head("old") is None


async def test_tags_are_listed_with_their_commits(repository: Repository, server: Server) -> None:
    first = [_named(f"v{number}") for number in range(100)]
    second = [_named("v99"), _named("release/ü", "b" * 40)]
    server.on("GET", f"{REPO}/tags", Reply(data=first, headers=_next(server)), Reply(data=second))
    listed = await repository.list_tags()
    assert len(listed) == 101
    assert (listed[0], listed[100]) == (Tag(name="v0", sha=SHA), Tag(name="release/ü", sha="b" * 40))
    assert [one.query for one in server.asked("GET")] == [{"per_page": "100", "page": page} for page in ("1", "2")]


async def test_a_tag_leads_to_its_commit_whatever_its_name(repository: Repository, server: Server) -> None:
    text = Reply(raw=SHA.encode(), content_type="application/vnd.github.sha; charset=utf-8")
    server.on("GET", f"{REPO}/commits/tags/v1/%C3%BC%231%252F", text)
    assert await repository.get_tag("v1/ü#1%2F") == SHA
    assert [one.headers["accept"] for one in server.asked("GET")] == ["application/vnd.github.sha"]


async def test_a_tag_that_is_not_there_is_none_and_an_odd_answer_is_no_commit(
    repository: Repository, server: Server
) -> None:
    server.on("GET", f"{REPO}/commits/tags/gone", Reply(status=422, data={"message": "No commit found for SHA: gone"}))
    assert await repository.get_tag("gone") is None
    server.on("GET", f"{REPO}/commits/tags/odd", Reply(raw=b"<html>"))
    with pytest.raises(errors.GitHubUnavailable, match="no commit's id"):
        await repository.get_tag("odd")


async def test_looking_for_tags_and_pull_requests_ends(repository: Repository, server: Server) -> None:
    server.on("GET", f"{REPO}/tags", Reply(data=[_named("v1")], headers=_next(server)))
    server.on("GET", f"{REPO}/pulls", Reply(data=[make_pull(1)], headers=_next(server)))
    assert len(await repository.list_tags()) == len(await repository.list_open_pulls()) == 1
    assert len(server.asked("GET", f"{REPO}/tags")) == len(server.asked("GET", f"{REPO}/pulls")) == 10


async def test_open_pull_requests_come_as_read_and_as_they_were(repository: Repository, server: Server) -> None:
    first = [make_pull(number) | {"title": "ü", "large": 2**70} for number in range(100, 0, -1)]
    moved = make_pull(1) | {"title": "moved onto the next page"}
    server.on("GET", f"{REPO}/pulls", Reply(data=first, headers=_next(server)), Reply(data=[moved, make_pull(101)]))
    listed = await repository.list_open_pulls()
    assert [one.pull.number for one in listed] == [*range(100, 0, -1), 101]
    assert listed[0].raw == msgspec.json.encode(first[0])
    assert listed[99].raw == msgspec.json.encode(first[99])
    assert listed[0].pull.head_sha == SHA
    sorting = {"state": "open", "sort": "updated", "direction": "desc", "per_page": "100"}
    assert [one.query for one in server.asked("GET")] == [sorting | {"page": page} for page in ("1", "2")]


async def test_a_repository_is_described(repository: Repository, server: Server) -> None:
    server.on("GET", REPO, Reply(raw=b'{ "id": %d, "more": 1e400 }' % REPOSITORY_ID))
    assert await repository.get_raw() == b'{ "id": %d, "more": 1e400 }' % REPOSITORY_ID


async def test_f40_another_repository_under_the_name_is_not_ours(repository: Repository, server: Server) -> None:
    server.on("GET", REPO, Reply(data={"id": 99}))
    with pytest.raises(errors.NotReachable, match="99"):
        await repository.get_raw()


ASKED = {"branches/main": "get_branch_head", "tags": "list_tags", "pulls": "list_open_pulls", "": "get_raw"}


async def _ask(repository: Repository, server: Server, part: str, reply: Reply) -> object:
    server.on("GET", f"{REPO}/{part}".rstrip("/"), reply)
    method = getattr(repository, ASKED[part])
    answer: object = await (method("main") if part == "branches/main" else method())
    return answer


@pytest.mark.parametrize("part", ASKED)
@pytest.mark.parametrize("data", [None, "text", {}, [None], [{}], [_named("v1") | {"commit": None}], {"name": "main"}])
async def test_an_answer_of_another_shape_is_none(
    repository: Repository, server: Server, part: str, data: object
) -> None:
    with pytest.raises(errors.GitHubUnavailable):
        await _ask(repository, server, part, Reply(data=data))


@pytest.mark.parametrize("part", ASKED)
@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(status=404, data={"message": "Not Found"}), errors.NotReachable),
        (GONE, errors.NotReachable),
        (SUSPENDED, errors.Suspended),
    ],
)
async def test_f39_what_is_not_ours_says_so(
    repository: Repository, server: Server, part: str, reply: Reply, error: type[errors.GitHubError]
) -> None:
    with pytest.raises(error):
        await _ask(repository, server, part, reply)
    # The same where already the token is refused.
    server.on("POST", TOKEN_PATH, reply)
    with pytest.raises(error):
        await _ask(repository, server, part, Reply(status=401))
