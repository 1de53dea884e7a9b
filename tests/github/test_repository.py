"""What can be asked of a repository: files, permissions, pull requests, comparisons."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest

from bot import errors, telemetry
from bot.github import GitHub, Pull, Repository
from bot.github.contents import MAX_FILE_BYTES
from tests.github.conftest import INSTALLATION_ID, REPOSITORY_ID, SHA, TOKEN_PATH, Reply, Server, Time, granted

CONTENTS = "/repos/octo/hello/contents/.buildhook.yml"
RAW = "application/vnd.github.raw+json; charset=utf-8"
USER_ID = 583231


def _raw(content: bytes) -> Reply:
    return Reply(raw=content, content_type=RAW, headers={"etag": '"a"'})


async def test_a_file_is_read_as_raw_bytes_at_one_ref(repository: Repository, server: Server) -> None:
    server.on("GET", CONTENTS, _raw(b"on: push\n\xff"))
    assert await repository.get_file(".buildhook.yml", ref=SHA) == b"on: push\n\xff"
    (seen,) = server.asked("GET")
    assert seen.query == {"ref": SHA}
    assert seen.headers["accept"] == "application/vnd.github.raw+json"


async def test_f95_odd_paths_and_refs_arrive_as_they_are(repository: Repository, server: Server) -> None:
    server.on("GET", "/repos/octo/hello/contents/d%20%C3%BC/a%23b%3F%25.yml", _raw(b"x"))
    assert await repository.get_file("d ü/a#b?%.yml", ref="feature/ü#1%2F&ref=main") == b"x"
    assert server.asked("GET")[0].query == {"ref": "feature/ü#1%2F&ref=main"}


@pytest.mark.parametrize("path", ["../../user", "a/../b", "/a", "", "a//b"])
async def test_a_path_cannot_climb_out_of_the_repository(repository: Repository, server: Server, path: str) -> None:
    with pytest.raises(errors.ShapeUnknown):
        await repository.get_file(path, ref=SHA)
    assert server.asked("GET") == []


async def test_a_file_at_a_commit_is_read_once(repository: Repository, server: Server) -> None:
    server.on("GET", CONTENTS, _raw(b"x"))
    for _ in range(3):
        assert await repository.get_file(".buildhook.yml", ref=SHA) == b"x"
    assert len(server.asked("GET")) == 1
    for _ in range(2):
        assert await repository.get_file(".buildhook.yml", ref="main") == b"x"
    assert len(server.asked("GET")) == 3


async def test_t14_a_kept_file_is_shown_only_while_the_repository_is_ours(
    github: GitHub, repository: Repository, server: Server, time: Time
) -> None:
    server.on("GET", CONTENTS, _raw(b"x"))
    await repository.get_file(".buildhook.yml", ref=SHA)
    # Another installation never sees it, and this one only as long as it gives tokens.
    other = github.repository(installation_id=8, repository_id=REPOSITORY_ID, full_name="octo/hello")
    with pytest.raises(errors.NotReachable):
        await other.get_file(".buildhook.yml", ref=SHA)
    time.move(3600)
    server.on("POST", TOKEN_PATH, Reply(status=404))
    with pytest.raises(errors.NotReachable):
        await repository.get_file(".buildhook.yml", ref=SHA)


async def test_a_missing_file_is_none_and_looked_for_again(repository: Repository, server: Server) -> None:
    server.on("GET", CONTENTS, Reply(status=404, data={"message": "Not Found"}), _raw(b"x"))
    assert await repository.get_file(".buildhook.yml", ref=SHA) is None
    assert await repository.get_file(".buildhook.yml", ref=SHA) == b"x"


async def test_f42_a_missing_commit_is_not_a_missing_file(repository: Repository, server: Server) -> None:
    unknown = Reply(status=404, data={"message": f"No commit found for the ref {SHA}"})
    server.on("GET", CONTENTS, unknown)
    with pytest.raises(errors.NotReachable, match="No commit found"):
        await repository.get_file(".buildhook.yml", ref=SHA)
    assert len(server.asked("GET")) == 3


async def test_f33_a_commit_that_github_shows_late_is_found(repository: Repository, server: Server) -> None:
    unknown = Reply(status=404, data={"message": f"No commit found for the ref {SHA}"})
    server.on("GET", CONTENTS, unknown, _raw(b"x"))
    assert await repository.get_file(".buildhook.yml", ref=SHA) == b"x"


async def test_f39_a_repository_that_was_taken_away_is_not_a_missing_file(
    repository: Repository, server: Server
) -> None:
    server.on("POST", TOKEN_PATH, granted(), Reply(status=404, data={"message": "Not Found"}))
    server.on("GET", CONTENTS, Reply(status=401, data={"message": "Bad credentials"}))
    with pytest.raises(errors.NotReachable):
        await repository.get_file(".buildhook.yml", ref=SHA)
    server.on("POST", TOKEN_PATH, granted(), Reply(status=404, data={"message": "Not Found"}))
    server.on("GET", f"/repos/octo/hello/compare/{'1' * 40}...{SHA}", Reply(status=401))
    with pytest.raises(errors.NotReachable):
        await repository.is_ahead_only(base="1" * 40, head=SHA)


@pytest.mark.parametrize("size", [MAX_FILE_BYTES + 1, 3 * MAX_FILE_BYTES])
async def test_a_file_that_is_too_large_is_an_error(repository: Repository, server: Server, size: int) -> None:
    server.on("GET", CONTENTS, _raw(b"x" * size))
    with pytest.raises(errors.Invalid, match="larger than"):
        await repository.get_file(".buildhook.yml", ref=SHA)


async def test_a_file_of_exactly_the_limit_is_read(repository: Repository, server: Server) -> None:
    server.on("GET", CONTENTS, _raw(b"x" * MAX_FILE_BYTES))
    assert await repository.get_file(".buildhook.yml", ref=SHA) == b"x" * MAX_FILE_BYTES


@pytest.mark.parametrize(
    "data", [[{"type": "file", "name": "a"}], [], {"type": "submodule", "size": 0}, {"type": "dir", "entries": []}]
)
async def test_folders_and_submodules_are_no_files(repository: Repository, server: Server, data: object) -> None:
    server.on("GET", CONTENTS, Reply(data=data))
    assert await repository.get_file(".buildhook.yml", ref=SHA) is None


async def test_a_server_without_the_raw_form_will_do(repository: Repository, server: Server) -> None:
    content = base64.encodebytes(b"on: push\n" * 20).decode()
    server.on("GET", CONTENTS, Reply(data={"type": "file", "encoding": "base64", "content": content, "size": 180}))
    assert await repository.get_file(".buildhook.yml", ref=SHA) == b"on: push\n" * 20
    server.on("GET", CONTENTS, Reply(data={"type": "file", "encoding": "none", "content": "", "size": 5_000_000}))
    with pytest.raises(errors.Invalid, match="5000000 bytes"):
        await repository.get_file(".buildhook.yml", ref="main")
    server.on("GET", CONTENTS, Reply(data={"type": "file", "encoding": "base64", "content": "ü"}))
    with pytest.raises(errors.GitHubUnavailable):
        await repository.get_file(".buildhook.yml", ref="main")


def _permission(permission: str, role: str | None, *, user_id: int | None = USER_ID) -> Reply:
    data: dict[str, object] = {"permission": permission}
    data |= {"role_name": role} if role is not None else {}
    data |= {"user": {"id": user_id, "login": "octo"}} if user_id is not None else {"user": None}
    return Reply(data=data)


@pytest.mark.parametrize(
    ("reply", "permission"),
    [
        (_permission("admin", "admin"), "admin"),
        (_permission("write", "maintain"), "maintain"),
        (_permission("write", "write"), "write"),
        (_permission("read", "triage"), "triage"),
        (_permission("read", "read"), "read"),
        (_permission("none", "none"), "none"),
        (_permission("write", None), "write"),
        (_permission("write", "Security engineer"), "write"),
        # A role that an organisation named so is still what the older word says.
        (_permission("read", "admin"), "read"),
        (_permission("read", "maintain"), "read"),
        (_permission("owner", "owner"), "none"),
        (_permission("admin", "admin", user_id=None), "admin"),
        # The login belongs to somebody else by now.
        (_permission("admin", "admin", user_id=1), "none"),
        (Reply(status=404, data={"message": "octo is not a user"}), "none"),
    ],
)
async def test_t21_a_permission_is_never_read_as_more_than_it_is(
    repository: Repository, server: Server, reply: Reply, permission: str
) -> None:
    server.on("GET", "/repos/octo/hello/collaborators/octo/permission", reply)
    assert await repository.get_permission("octo", user_id=USER_ID) == permission


async def test_t21_an_unknown_permission_is_an_error_and_no_default(repository: Repository, server: Server) -> None:
    server.on("GET", "/repos/octo/hello/collaborators/octo/permission", Reply(data={}))
    with pytest.raises(errors.GitHubUnavailable):
        await repository.get_permission("octo", user_id=USER_ID)


async def test_a_bots_login_arrives_as_it_is(repository: Repository, server: Server) -> None:
    server.on("GET", "/repos/octo/hello/collaborators/hello%5Bbot%5D/permission", _permission("write", "write"))
    assert await repository.get_permission("hello[bot]", user_id=USER_ID) == "write"


def make_pull(number: int = 1, *, head_ref: str = "topic", head_id: int | None = REPOSITORY_ID) -> dict[str, object]:
    """A pull request as GitHub answers."""
    return {
        "number": number,
        "state": "open",
        "draft": True,
        "user": {"id": 5, "login": "mona"},
        "updated_at": "2026-05-04T11:00:00Z",
        "head": {"sha": SHA, "ref": head_ref, "repo": None if head_id is None else {"id": head_id}},
        "base": {"sha": "b" * 40, "ref": "main", "repo": {"id": REPOSITORY_ID}},
    }


async def test_a_pull_request_is_read(repository: Repository, server: Server) -> None:
    server.on("GET", "/repos/octo/hello/pulls/1", Reply(data=make_pull(head_id=None) | {"user": None, "draft": None}))
    assert await repository.get_pull(1) == Pull(
        number=1,
        state="open",
        head_sha=SHA,
        head_ref="topic",
        head_repository_id=None,
        base_sha="b" * 40,
        base_ref="main",
        base_repository_id=REPOSITORY_ID,
        author="ghost",
        author_id=0,
        is_draft=False,
        updated_at=datetime(2026, 5, 4, 11, tzinfo=UTC),
    )
    with pytest.raises(errors.NotReachable):
        await repository.get_pull(2)


async def test_pull_requests_of_a_branch_are_those_of_this_repository(repository: Repository, server: Server) -> None:
    listed = [make_pull(1), make_pull(2, head_ref="other"), make_pull(3, head_id=99), make_pull(4, head_id=None)]
    server.on("GET", "/repos/octo/hello/pulls", Reply(data=listed))
    (found,) = await repository.list_pulls_of_head("topic")
    assert (found.number, found.author, found.is_draft) == (1, "mona", True)
    assert server.asked("GET")[0].query == {"state": "open", "head": "octo:topic", "per_page": "100"}


@pytest.mark.parametrize(("behind_by", "is_ahead_only"), [(0, True), (1, False)])
async def test_a_head_that_contains_its_base_is_known(
    repository: Repository, server: Server, behind_by: int, is_ahead_only: bool
) -> None:
    base = "b" * 40
    server.on("GET", f"/repos/octo/hello/compare/{base}...{SHA}", Reply(data={"ahead_by": 3, "behind_by": behind_by}))
    assert await repository.is_ahead_only(base=base, head=SHA) is is_ahead_only


async def test_commits_that_cannot_be_compared_prove_nothing(repository: Repository, server: Server) -> None:
    assert await repository.is_ahead_only(base="b" * 40, head=SHA) is False
    assert await repository.is_ahead_only(base=SHA, head=SHA) is True


@pytest.mark.parametrize("full_name", ["octo", "../hello", "octo/hello/../x", "octo/he llo", ""])
def test_t14_a_repository_without_a_name_is_refused(github: GitHub, full_name: str) -> None:
    with pytest.raises(errors.ShapeUnknown):
        github.repository(installation_id=INSTALLATION_ID, repository_id=REPOSITORY_ID, full_name=full_name)


async def test_f40_a_renamed_repository_answers_by_its_redirect(repository: Repository, server: Server) -> None:
    server.on("GET", CONTENTS, Reply(status=301, headers={"location": f"/repositories/{REPOSITORY_ID}/contents/y"}))
    server.on("GET", f"/repositories/{REPOSITORY_ID}/contents/y", _raw(b"x"))
    assert await repository.get_file(".buildhook.yml", ref=SHA) == b"x"


async def test_one_github_serves_its_urls(github: GitHub, server: Server, metrics: telemetry.Metrics) -> None:
    assert github.git_url("octo/hello") == f"{server.url}/octo/hello.git"
    assert (github.urls.web, github.urls.api) == (server.url, server.url)
    assert metrics is not None
