"""A repository is renamed, given away and left while its build runs; names are as odd as GitHub allows."""

from __future__ import annotations

from urllib.parse import quote

import aiohttp

from bot.simulator import Repository, Simulator
from tests.acceptance.conftest import pipeline
from tests.acceptance.process import Process


async def running(github: Simulator, command: str) -> tuple[Repository, str]:
    """A repository whose build runs this command by now; gives it and the head."""
    repository = await github.create_repository("octo/hello", files=pipeline(command))
    head = await github.push(repository, "main", {"a.txt": "a"})
    await github.wait_until(lambda: any(one.status == "in_progress" for one in github.check_runs(repository, head)))
    return repository, head


async def test_f40_a_build_goes_on_while_its_repository_is_renamed(github: Simulator, service: Process) -> None:
    repository, head = await running(github, "sleep 2")
    github.rename(repository, "renamed")
    run = await github.wait_for_check(repository, head, conclusion="success")
    assert [one.id for one in github.check_runs(repository, head)] == [run.id]
    (made,) = await service.command("builds", "list")
    assert made["repository"] == "octo/renamed"
    # Another repository bears the old name now; what is pushed to either is shown there and nowhere else.
    other = await github.create_repository("octo/hello", files=pipeline("echo other"))
    heads = {one.id: await github.push(one, "main", {"b.txt": "b"}) for one in (repository, other)}
    for one in (repository, other):
        await github.wait_for_check(one, heads[one.id], conclusion="success")
        assert len(github.check_runs(one, heads[one.id])) == 1


async def test_f40_a_build_goes_on_while_its_repository_is_given_away(github: Simulator, service: Process) -> None:
    await github.create_repository("acme/other", files=pipeline("true"))
    repository, head = await running(github, "sleep 3")
    github.transfer(repository, "acme")
    run = await github.wait_for_check(repository, head, conclusion="success")
    assert [one.id for one in github.check_runs(repository, head)] == [run.id]
    (made,) = await service.command("builds", "list")
    assert made["repository"] == "acme/hello"


async def test_f94_f39_whoever_removes_the_app_ends_what_runs(github: Simulator, service: Process) -> None:
    _, head = await running(github, "sleep 1000")
    github.uninstall("octo")
    while (made := (await service.command("builds", "list"))[0])["state"] != "cancelled":
        pass
    assert made["head_sha"] == head
    (one,) = (await service.command("builds", "show", made["id"]))["jobs"]
    assert one["reason"] == "The App was uninstalled for octo."


async def test_f39_a_suspension_ends_what_runs_and_its_end_has_it_built_after_all(
    github: Simulator, service: Process
) -> None:
    repository, head = await running(github, "test $GITHUB_RUN_ATTEMPT = 2 || sleep 1000")
    github.suspend("octo")
    while (await service.command("builds", "list"))[0]["state"] != "cancelled":
        pass
    github.unsuspend("octo")
    await github.wait_for_check(repository, head, conclusion="success")
    assert [one["state"] for one in await service.command("builds", "list")] == ["passed", "cancelled"]


ODD_BRANCHES = ("feature/ü#1%2F", "a/b/" + "x" * 240, "emoji-🚀&<b>;$(id)'\"")
ODD_LOGIN, ODD_NAME = "octo-" + "o" * 30, "a.b_c-" + "n" * 94


async def test_f95_odd_names_go_through_everything(github: Simulator, service: Process) -> None:
    check = 'test "$(git log -1 --format=%an)" && test "$GITHUB_REPOSITORY" && test -n "$GITHUB_REF_NAME"'
    repository = await github.create_repository(f"{ODD_LOGIN}/{ODD_NAME}", files=pipeline(check))
    heads = {}
    for branch in ODD_BRANCHES:
        heads[branch] = await github.push(repository, branch, {"ü 🚀.txt": branch}, f"🚀 {branch}")
    for head in heads.values():
        await github.wait_for_check(repository, head, conclusion="success")
    pull = await github.open_pull_request(repository, ODD_BRANCHES[0], title="<b>🚀</b> \u202e ü")
    await github.push(repository, ODD_BRANCHES[0], {"b.txt": "b"})
    await github.wait_for_check(repository, pull.head_sha, conclusion="success")
    await github.push_tags(repository, [f"v1/{ODD_BRANCHES[0]}"], message="🚀")
    listed = await service.command("builds", "list", "--repo", repository.full_name, "--limit", "100")
    assert {f"refs/heads/{branch}" for branch in ODD_BRANCHES} <= {one["ref"] for one in listed}
    async with aiohttp.ClientSession() as session:
        addresses = [f"/repos/{quote(repository.full_name)}", *(f"/builds/{one['id']}" for one in listed)]
        for address in addresses:
            async with session.get(service.url + address) as answer:
                assert answer.status == 200
                assert "<b>" not in await answer.text()
    found = await service.command("deliveries", "list", "--limit", "1000")
    assert "parked" not in {one["state"] for one in found}
