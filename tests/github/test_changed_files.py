"""Which files changed: all of them, or a word that these are not all."""

from __future__ import annotations

from typing import Any

import pytest

from bot import errors
from bot.github import Repository
from tests.github.conftest import SHA, Reply, Server

BASE = "b" * 40
COMPARE = f"/repos/octo/hello/compare/{BASE}...{SHA}"
FILES = "/repos/octo/hello/pulls/7/files"
PULL = "/repos/octo/hello/pulls/7"


def compared(*names: str, behind_by: int = 0, **more: Any) -> Reply:
    return Reply(data={"behind_by": behind_by, "files": [{"filename": name} for name in names], **more})


def pull(head: str) -> Reply:
    side = {"sha": head, "ref": "topic", "repo": {"id": 1}}
    user = {"id": 3, "login": "mona"}
    return Reply(
        data={
            "number": 7,
            "state": "open",
            "head": side,
            "base": side,
            "updated_at": "2026-01-01T00:00:00Z",
            "user": user,
        }
    )


async def test_the_files_of_a_push_are_those_of_the_comparison(repository: Repository, server: Server) -> None:
    server.on("GET", COMPARE, compared("a", "b/c"))
    found = await repository.changed_files(base=BASE, head=SHA)
    assert (found.names, found.is_whole) == (("a", "b/c"), True)
    assert len(server.asked("GET")) == 1


async def test_t31_a_renamed_file_counts_under_both_names(repository: Repository, server: Server) -> None:
    renamed = {"filename": "docs/a.py", "previous_filename": "src/a.py"}
    server.on("GET", COMPARE, Reply(data={"behind_by": 0, "files": [renamed]}))
    assert (await repository.changed_files(base=BASE, head=SHA)).names == ("docs/a.py", "src/a.py")


@pytest.mark.parametrize(
    "reply",
    [
        compared(*[f"f{number}" for number in range(300)]),
        # A forced push took something away, which no comparison shows.
        compared("a", behind_by=1),
        Reply(data={"behind_by": 0}),
        Reply(status=404, data={"message": "Not Found"}),
        Reply(status=422, data={"message": "Unprocessable"}),
        Reply(status=503, data={"message": "This diff takes too long."}),
    ],
)
async def test_t31_what_github_does_not_show_whole_is_not_whole(
    repository: Repository, server: Server, reply: Reply
) -> None:
    server.on("GET", COMPARE, reply)
    assert not (await repository.changed_files(base=BASE, head=SHA)).is_whole


async def test_who_has_to_wait_is_told_so(repository: Repository, server: Server) -> None:
    server.on(
        "GET", COMPARE, Reply(status=429, data={"message": "secondary rate limit"}, headers={"retry-after": "60"})
    )
    with pytest.raises(errors.RateLimited):
        await repository.changed_files(base=BASE, head=SHA)


async def test_what_only_the_base_has_does_not_count_for_a_pull_request(repository: Repository, server: Server) -> None:
    server.on("GET", COMPARE, compared("a", behind_by=3))
    found = await repository.changed_files_of_pull(7, base=BASE, head=SHA)
    assert (found.names, found.is_whole) == (("a",), True)
    assert len(server.asked("GET")) == 1


NAMES = [f"f{number}" for number in range(350)]


def pages(names: list[str]) -> list[Reply]:
    return [Reply(data=[{"filename": name} for name in names[at : at + 100]]) for at in range(0, len(names) or 1, 100)]


@pytest.mark.parametrize(
    ("listed", "head", "is_whole"),
    [
        (NAMES, SHA, True),
        # It has moved on meanwhile: these are another head's files.
        (NAMES, "c" * 40, False),
        # It had moved on, and came back.
        (NAMES[100:], SHA, False),
        ([f"f{number}" for number in range(3000)], SHA, False),
    ],
)
async def test_t31_more_files_are_asked_of_the_pull_request_while_it_stands_at_this_head(
    repository: Repository, server: Server, listed: list[str], head: str, is_whole: bool
) -> None:
    server.on("GET", COMPARE, compared(*NAMES[:300]))
    server.on("GET", FILES, *pages(listed))
    server.on("GET", PULL, pull(head))
    found = await repository.changed_files_of_pull(7, base=BASE, head=SHA)
    assert (found.names, found.is_whole) == (tuple(listed), is_whole)


async def test_the_message_of_a_commit_is_its_own(repository: Repository, server: Server) -> None:
    path = "/repos/octo/hello/commits"
    assert await repository.find_message(SHA) is None
    server.on("GET", path, Reply(data=[{"sha": SHA, "commit": {"message": "Mend\n\n[skip ci]"}}]))
    assert await repository.find_message(SHA) == "Mend\n\n[skip ci]"
    server.on("GET", path, Reply(data=[{"sha": BASE, "commit": {"message": "Other"}}]))
    assert await repository.find_message(SHA) is None
