"""Repositories, refs, commits, comparisons, files and rights over the API."""

from __future__ import annotations

import base64
import re

import pytest

from bot.simulator import Link, Repository, Simulator
from tests.simulator.conftest import Client


async def test_every_route_answers_at_the_root_at_api_v3_and_by_id(client: Client, repository: Repository) -> None:
    answers = [
        await client("GET", path, root=root)
        for root in (client.github.url, client.github.api_url)
        for path in ("/repos/octo/hello", "/repos/OCTO/Hello", f"/repositories/{repository.id}")
    ]
    assert [answer.status for answer in answers] == [200] * 6
    assert {answer.body["id"] for answer in answers} == {repository.id}
    assert answers[0].body["clone_url"] == repository.clone_url
    assert answers[0].body["html_url"].startswith(client.github.url)
    assert (await client("GET", f"/repositories/{repository.id}/contents/README.md")).status == 200


async def test_an_unknown_path_is_answered_as_json(client: Client, repository: Repository) -> None:
    for path in ("/repos/octo/hello/nothing", "/repos/octo/nope", "/repositories/1", "/nothing"):
        answer = await client("GET", path)
        assert (answer.status, answer.body["message"]) == (404, "Not Found")
        assert answer.body["documentation_url"]


async def test_a_renamed_repository_redirects_reads_and_writes_by_its_id(
    client: Client, repository: Repository
) -> None:
    client.github.rename(repository, "greeter")
    read = await client("GET", "/repos/octo/hello/contents/README.md?ref=main")
    assert read.status == 301
    assert read.headers["Location"] == (
        f"{client.github.api_url}/repositories/{repository.id}/contents/README.md?ref=main"
    )
    assert read.body["url"] == read.headers["Location"]
    write = await client("POST", "/repos/octo/hello/check-runs", {"name": "a", "head_sha": repository.heads["main"]})
    assert write.status == 307
    assert write.headers["Location"].endswith(f"/repositories/{repository.id}/check-runs")
    assert (await client("GET", "/repos/octo/greeter")).body["full_name"] == "octo/greeter"
    private = await client.github.create_repository("octo/secret", private=True)
    client.github.rename(private, "hidden")
    assert (await client("GET", "/repos/octo/secret", token="")).status == 404


@pytest.mark.parametrize("path", ["", "/check-runs/1?page=2", "/git/refs/heads/a%2Fb", "/nothing"])
@pytest.mark.parametrize(
    ("method", "status"),
    [("GET", 301), ("HEAD", 301), ("POST", 307), ("PATCH", 307), ("PUT", 307), ("DELETE", 307)],
)
async def test_every_verb_is_redirected_from_every_old_name(
    client: Client, repository: Repository, method: str, status: int, path: str
) -> None:
    client.github.rename(repository, "greeter")
    await client.github.create_repository("cats/other")
    client.github.transfer(repository, "cats")
    token = client.github.installation_token("cats")
    for name in ("octo/hello", "octo/greeter", "OCTO/Hello"):
        answer = await client(method, f"/repos/{name}{path}", token=token)
        assert answer.status == status
        assert answer.headers["Location"] == f"{client.github.api_url}/repositories/{repository.id}{path}"
    # Who may not see it is not told where it went.
    assert (await client(method, f"/repos/octo/nothing{path}", token=token)).status == 404


async def test_a_new_repository_takes_an_old_name_over(client: Client, repository: Repository) -> None:
    client.github.rename(repository, "greeter")
    new = await client.github.create_repository("octo/hello")
    assert (await client("GET", "/repos/octo/hello")).body["id"] == new.id


async def test_a_file_comes_as_json_and_raw(client: Client, repository: Repository) -> None:
    answer = await client("GET", "/repos/octo/hello/contents/src/app.py?ref=main")
    assert base64.b64decode(answer.body["content"]) == b"print(1)\n"
    assert (answer.body["type"], answer.body["encoding"], answer.body["size"]) == ("file", "base64", 9)
    assert (answer.body["name"], answer.body["path"]) == ("app.py", "src/app.py")
    raw = await client(
        "GET", "/repos/octo/hello/contents/src/app.py", headers={"Accept": "application/vnd.github.raw+json"}
    )
    assert raw.content == b"print(1)\n"
    assert raw.headers["Content-Type"].startswith("application/vnd.github.raw+json")


async def test_an_unchanged_file_is_answered_304_and_costs_nothing(client: Client, repository: Repository) -> None:
    token = client.github.installation_token("octo")
    path = "/repos/octo/hello/contents/README.md"
    first = await client("GET", path, token=token)
    etag = first.headers["Etag"]
    again = await client("GET", path, token=token, headers={"If-None-Match": etag})
    assert (again.status, again.content) == (304, b"")
    assert again.headers["Etag"] == etag
    assert again.headers["X-RateLimit-Remaining"] == first.headers["X-RateLimit-Remaining"]
    await client.github.push(repository, "main", {"README.md": "other\n"})
    assert (await client("GET", path, token=token, headers={"If-None-Match": etag})).status == 200


async def test_contents_are_found_by_branch_tag_sha_and_pull_request(client: Client, repository: Repository) -> None:
    github = client.github
    fork = await github.fork(repository, "hubot")
    sha = await github.push(fork, "topic", {"README.md": "fork\n"})
    pull = await github.open_pull_request(repository, "topic", from_fork=fork)
    await github.push_tags(repository, ["v1"], message="one")
    assert pull.merge_commit_sha is not None
    for ref, text in (
        ("main", "# hello\n"),
        ("heads/main", "# hello\n"),
        ("refs/heads/main", "# hello\n"),
        ("v1", "# hello\n"),
        ("refs/tags/v1", "# hello\n"),
        (repository.heads["main"], "# hello\n"),
        (sha, "fork\n"),
        ("refs/pull/1/head", "fork\n"),
        ("pull/1/merge", "fork\n"),
        (pull.merge_commit_sha, "fork\n"),
    ):
        answer = await client("GET", f"/repos/octo/hello/contents/README.md?ref={ref}")
        assert (ref, base64.b64decode(answer.body["content"]).decode()) == (ref, text)


@pytest.mark.parametrize(
    "path", ["nope", "src/nope.py", "README.md/x", "src/../README.md", "./README.md", "a%0Ab", "%00"]
)
async def test_a_file_that_is_not_there_is_404(client: Client, repository: Repository, path: str) -> None:
    assert (await client("GET", f"/repos/octo/hello/contents/{path}")).status == 404
    # The reader of objects is still well after it.
    assert (await client("GET", "/repos/octo/hello/contents/README.md")).status == 200


async def test_a_ref_that_is_not_there_is_404(client: Client, repository: Repository) -> None:
    for ref in ("nope", "a" * 40, "refs/pull/9/head", "HEAD~1", "--all", "main:README.md"):
        answer = await client("GET", f"/repos/octo/hello/contents/README.md?ref={ref}")
        assert (answer.status, answer.body["message"]) == (404, f"No commit found for the ref {ref}")


async def test_a_folder_is_a_list(client: Client, repository: Repository) -> None:
    root = await client("GET", "/repos/octo/hello/contents")
    assert [(one["name"], one["type"]) for one in root.body] == [("README.md", "file"), ("src", "dir")]
    assert root.body == (await client("GET", "/repos/octo/hello/contents/")).body
    inner = await client("GET", "/repos/octo/hello/contents/src")
    assert [(one["path"], one["size"]) for one in inner.body] == [("src/app.py", 9)]


async def test_a_link_to_a_file_is_the_file_and_any_other_is_itself(client: Client) -> None:
    files = {
        "real.yml": "on: push\n",
        "link.yml": Link("real.yml"),
        "deep/link.yml": Link("../real.yml"),
        "out.yml": Link("../../etc/passwd"),
        "absolute.yml": Link("/etc/passwd"),
        "loop.yml": Link("loop.yml"),
    }
    await client.github.create_repository("octo/links", files)
    for path in ("link.yml", "deep/link.yml"):
        answer = await client("GET", f"/repos/octo/links/contents/{path}")
        assert (answer.body["type"], base64.b64decode(answer.body["content"])) == ("file", b"on: push\n")
    for path, target in (("out.yml", "../../etc/passwd"), ("absolute.yml", "/etc/passwd"), ("loop.yml", "loop.yml")):
        answer = await client("GET", f"/repos/octo/links/contents/{path}")
        assert (answer.body["type"], answer.body["target"]) == ("symlink", target)


async def test_a_large_file_comes_without_content_unless_raw(client: Client) -> None:
    await client.github.create_repository("octo/large", {"large.bin": b"\0" * 1_000_001})
    answer = await client("GET", "/repos/octo/large/contents/large.bin")
    assert (answer.body["encoding"], answer.body["content"], answer.body["size"]) == ("none", "", 1_000_001)
    raw = await client("GET", "/repos/octo/large/contents/large.bin", headers={"Accept": "application/vnd.github.raw"})
    assert len(raw.content) == 1_000_001


async def test_branches_and_refs(client: Client, repository: Repository) -> None:
    sha = await client.github.push(repository, "feature/one", {"a.txt": "a"})
    branch = await client("GET", "/repos/octo/hello/branches/feature/one")
    assert (branch.body["name"], branch.body["commit"]["sha"]) == ("feature/one", sha)
    assert (await client("GET", "/repos/octo/hello/branches/nope")).body["message"] == "Branch not found"
    assert [one["name"] for one in (await client("GET", "/repos/octo/hello/branches")).body] == ["feature/one", "main"]
    ref = await client("GET", "/repos/octo/hello/git/ref/heads/feature/one")
    assert (ref.body["ref"], ref.body["object"]["sha"]) == ("refs/heads/feature/one", sha)
    assert (await client("GET", "/repos/octo/hello/git/ref/heads/feature")).status == 404
    matching = await client("GET", "/repos/octo/hello/git/matching-refs/heads/feature")
    assert [one["ref"] for one in matching.body] == ["refs/heads/feature/one"]
    await client.github.push_tags(repository, ["v1"], message="one")
    tag = await client("GET", "/repos/octo/hello/git/ref/tags/v1")
    assert tag.body["object"]["type"] == "tag"
    await client.github.open_pull_request(repository, "feature/one")
    assert (await client("GET", "/repos/octo/hello/git/ref/pull/1/head")).body["object"]["sha"] == sha


async def test_tags_are_listed_with_the_commits_that_they_stand_for(client: Client, repository: Repository) -> None:
    first = repository.heads["main"]
    await client.github.push_tags(repository, ["v1", "release/ü"])
    second = await client.github.push(repository, "main", {"a.txt": "a"})
    await client.github.push_tags(repository, ["v2"], message="two")
    assert repository.tags["v2"] != second
    listed = (await client("GET", "/repos/octo/hello/tags?per_page=2")).body
    assert [(one["name"], one["commit"]["sha"]) for one in listed] == [("v2", second), ("v1", first)]
    listed = (await client("GET", "/repos/octo/hello/tags?per_page=2&page=2")).body
    assert [one["name"] for one in listed] == ["release/ü"]


async def test_a_commit_has_its_files(client: Client, repository: Repository) -> None:
    sha = await client.github.push(
        repository, "main", {"README.md": None, "src/app.py": "print(2)\n", "new.txt": "a\nb\n"}, "Change much"
    )
    answer = await client("GET", "/repos/octo/hello/commits/main")
    assert (answer.body["sha"], answer.body["commit"]["message"]) == (sha, "Change much")
    files = {one["filename"]: one for one in answer.body["files"]}
    assert {name: one["status"] for name, one in files.items()} == {
        "README.md": "removed",
        "new.txt": "added",
        "src/app.py": "modified",
    }
    assert files["new.txt"]["additions"] == 2
    assert "+print(2)" in files["src/app.py"]["patch"]
    first = await client("GET", f"/repos/octo/hello/commits/{answer.body['parents'][0]['sha']}")
    assert {one["status"] for one in first.body["files"]} == {"added"}
    short = await client("GET", "/repos/octo/hello/commits/main", headers={"Accept": "application/vnd.github.sha"})
    assert short.content.decode() == sha
    missing = await client("GET", f"/repos/octo/hello/commits/{'b' * 40}")
    assert (missing.status, missing.body["message"]) == (422, f"No commit found for SHA: {'b' * 40}")
    listed = await client("GET", "/repos/octo/hello/commits?sha=main&per_page=1")
    assert [one["sha"] for one in listed.body] == [sha]
    assert 'rel="next"' in listed.headers["Link"]


async def test_a_comparison_says_who_is_ahead(client: Client, repository: Repository) -> None:
    github = client.github
    base = repository.heads["main"]
    one = await github.push(repository, "topic", {"src/app.py": "print(1)\nprint(2)\n"})
    two = await github.push(repository, "topic", {"b.txt": "b"})
    await github.push(repository, "main", {"c.txt": "c"})
    expected = {
        f"{base}...topic": ("ahead", 2, 0),
        f"topic...{base}": ("behind", 0, 2),
        "main...topic": ("diverged", 2, 1),
        "octo:main...octo:topic": ("diverged", 2, 1),
        "main...main": ("identical", 0, 0),
    }
    for basehead, state in expected.items():
        body = (await client("GET", f"/repos/octo/hello/compare/{basehead}")).body
        assert (body["status"], body["ahead_by"], body["behind_by"]) == state, basehead
    body = (await client("GET", "/repos/octo/hello/compare/main...topic")).body
    assert [commit["sha"] for commit in body["commits"]] == [one, two]
    assert [file["filename"] for file in body["files"]] == ["b.txt", "src/app.py"]
    assert body["merge_base_commit"]["sha"] == base
    for wrong in ("main", "main...nope", "nope...main", "main..topic"):
        assert (await client("GET", f"/repos/octo/hello/compare/{wrong}")).status == 404


async def test_a_rename_is_seen_as_one(client: Client, repository: Repository) -> None:
    text = "".join(f"line {number}\n" for number in range(30))
    start = await client.github.push(repository, "main", {"old.txt": text})
    await client.github.push(repository, "main", {"old.txt": None, "new.txt": text + "more\n"})
    (file,) = (await client("GET", f"/repos/octo/hello/compare/{start}...main")).body["files"]
    assert (file["status"], file["filename"], file["previous_filename"]) == ("renamed", "new.txt", "old.txt")
    assert (file["additions"], file["deletions"]) == (1, 0)


@pytest.mark.parametrize(
    ("level", "legacy"),
    [
        ("admin", "admin"),
        ("maintain", "write"),
        ("write", "write"),
        ("triage", "read"),
        ("read", "read"),
        ("none", "none"),
    ],
)
async def test_a_permission_has_its_old_word_and_its_role(
    client: Client, repository: Repository, level: str, legacy: str
) -> None:
    client.github.set_permission(repository, "hubot", level)
    body = (await client("GET", "/repos/octo/hello/collaborators/hubot/permission")).body
    assert (body["permission"], body["role_name"], body["user"]["login"]) == (legacy, level, "hubot")


async def test_permissions_of_those_who_were_given_none(client: Client, repository: Repository) -> None:
    private = await client.github.create_repository("octo/private", private=True)
    client.github.create_user("hubot")
    path = "collaborators/hubot/permission"
    assert (await client("GET", f"/repos/octo/hello/{path}")).body["permission"] == "read"
    assert (await client("GET", f"/repositories/{private.id}/{path}")).body["permission"] == "none"
    assert (await client("GET", "/repos/octo/hello/collaborators/mona/permission")).body["permission"] == "admin"
    assert (await client("GET", "/repos/octo/hello/collaborators/octo/permission")).body["permission"] == "admin"
    missing = await client("GET", "/repos/octo/hello/collaborators/nobody/permission")
    assert (missing.status, missing.body["message"]) == (404, "nobody is not a user")


async def test_lists_have_pages(client: Client, repository: Repository) -> None:
    await client.github.push_many(repository, [f"b{number:03}" for number in range(130)])
    names: list[str] = []
    path = "/repos/octo/hello/branches?per_page=100"
    while path:
        answer = await client("GET", path)
        names += [one["name"] for one in answer.body]
        following = re.search(r'<([^<>]*)>; rel="next"', answer.headers["Link"])
        path = following[1].removeprefix(client.github.api_url) if following else ""
    assert len(names) == len(set(names)) == 131
    assert len((await client("GET", "/repos/octo/hello/branches?per_page=1000")).body) == 100
    assert len((await client("GET", "/repos/octo/hello/branches?per_page=nonsense&page=-4")).body) == 30


async def test_each_answer_says_what_is_left(client: Client, repository: Repository) -> None:
    token = client.github.installation_token("octo")
    first = await client("GET", "/repos/octo/hello", token=token)
    second = await client("GET", "/repos/octo/hello", token=token)
    assert first.headers["X-RateLimit-Limit"] == "5000"
    assert int(second.headers["X-RateLimit-Used"]) == int(first.headers["X-RateLimit-Used"]) + 1
    assert int(second.headers["X-RateLimit-Remaining"]) == 5000 - int(second.headers["X-RateLimit-Used"])
    assert second.headers["X-RateLimit-Resource"] == "core"
    assert second.headers["X-GitHub-Media-Type"]
    assert len(second.headers["X-GitHub-Request-Id"]) >= 16
    assert second.headers["Date"].endswith("GMT")
    told = await client("GET", "/rate_limit", token=token)
    assert told.body["rate"]["used"] == int(second.headers["X-RateLimit-Used"])
    assert (await client("GET", "/meta", token="")).status == 200


async def test_who_has_nothing_left_is_refused(client: Client, repository: Repository) -> None:
    client.github.rates.limit = 2
    answers = [await client("GET", "/repos/octo/hello") for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 403]
    assert answers[2].headers["X-RateLimit-Remaining"] == "0"
    assert answers[2].body["message"].startswith("API rate limit exceeded")
    assert (await client("GET", "/repos/octo/hello", token=client.github.user_token("mona"))).status == 200


@pytest.mark.parametrize("content", [b"{", b"[1]", b'"text"', b"\xff", b'{"a":NaN}', b'{"a":' * 5_000])
async def test_a_body_that_is_no_json_object_is_400(client: Client, repository: Repository, content: bytes) -> None:
    assert (await client("POST", "/repos/octo/hello/check-runs", content)).status == 400


async def test_every_call_is_recorded(client: Client, repository: Repository) -> None:
    body = {"name": "buildhook", "head_sha": repository.heads["main"]}
    await client("POST", "/repos/octo/hello/check-runs?x=1", body)
    (recorded,) = client.github.requests
    assert (recorded.method, recorded.path, recorded.status) == ("POST", "/repos/octo/hello/check-runs?x=1", 201)
    assert recorded.template == "/repos/{owner}/{repo}/check-runs"
    assert recorded.body == body
    installation = client.github.installation_of("octo")
    assert installation is not None
    assert recorded.authenticated_as == f"installation {installation.id}"


async def test_a_mistake_of_the_simulator_is_a_500_and_noted(
    github: Simulator, client: Client, repository: Repository
) -> None:
    repository.heads["broken"] = "c" * 40
    assert (await client("GET", "/repos/octo/hello/branches/broken")).status == 500
    assert github.problems.pop().startswith("GET /repos/octo/hello/branches/broken: KeyError")
    del repository.heads["broken"]
