"""gidgethub's client over our transport: its interface, our limits and tokens, and no way out of GitHub's API."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import gidgethub
import pytest

from bot import errors, telemetry
from bot.github import GitHub
from bot.github.handler_api import HandlerAPI
from bot.simulator import Simulator
from bot.simulator.values import Repository


@pytest.fixture
async def simulator(tmp_path: Path) -> AsyncIterator[Simulator]:
    """A GitHub to talk to."""
    async with Simulator(folder=tmp_path / "github") as running:
        yield running


@pytest.fixture
async def github(simulator: Simulator, metrics: telemetry.Metrics) -> AsyncIterator[GitHub]:
    """Our client of it."""
    async with GitHub(
        api_url=simulator.api_url, app_id=simulator.app_id, private_key=simulator.private_key, metrics=metrics
    ) as made:
        yield made


@pytest.fixture
async def repository(simulator: Simulator) -> Repository:
    """A repository that the App is installed on."""
    return await simulator.create_repository("octo/hello", files={"README.md": "# hello\n"}, private=True)


@pytest.fixture
async def api(simulator: Simulator, github: GitHub, repository: Repository) -> HandlerAPI:
    """What a handler of that repository is given."""
    installation = simulator.installation_of("octo")
    assert installation is not None
    return github.handler_api(installation_id=installation.id, repository_id=repository.id)


def calls(simulator: Simulator) -> list[str]:
    return [f"{one.method} {one.path}" for one in simulator.requests if not one.path.endswith("/access_tokens")]


async def test_things_are_read_by_path_template_and_address(api: HandlerAPI, simulator: Simulator) -> None:
    read = await api.getitem("/repos/{owner}/{repo}", {"owner": "octo", "repo": "hello"})
    assert read["full_name"] == "octo/hello"
    assert (await api.getitem(read["url"]))["id"] == read["id"]
    assert api.rate_limit is not None
    assert api.rate_limit.remaining < api.rate_limit.limit


async def test_lists_are_read_over_their_pages(api: HandlerAPI, simulator: Simulator, repository: Repository) -> None:
    for number in range(5):
        await simulator.push(repository, f"b{number}", {"a.txt": str(number)})
    found = [one["name"] async for one in api.getiter("/repos/octo/hello/branches?per_page=2")]
    assert len(found) == 6


async def test_things_are_written_and_a_refusal_is_gidgethubs_own(
    api: HandlerAPI, simulator: Simulator, repository: Repository
) -> None:
    await simulator.push(repository, "topic", {"a.txt": "a"})
    pull = await simulator.open_pull_request(repository, head_branch="topic")
    url = f"/repos/octo/hello/issues/{pull.number}/comments"
    made = await api.post(url, data={"body": "Thank you!"})
    assert made["body"] == "Thank you!"
    assert [one["id"] async for one in api.getiter(url)] == [made["id"]]
    await api.patch(f"/repos/octo/hello/issues/comments/{made['id']}", data={"body": "Thanks!"})
    with pytest.raises(gidgethub.BadRequest) as refused:
        await api.getitem("/repos/octo/hello/issues/comments/999999")
    assert refused.value.status_code == 404
    with pytest.raises(gidgethub.BadRequest):
        await api.post(url, data={"nobody": 1})
    assert not simulator.problems


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/repos/octo/hello",
        "http://127.0.0.1:1/repos/octo/hello",
        "{origin}@example.org/repos",
        "{origin}.example.org/repos",
        "//example.org/repos",
        "file:///etc/passwd",
        "{api}/../octo/hello",
        "https://api.github.com/graphql",
        "",
    ],
)
async def test_t127_no_token_goes_anywhere_else(api: HandlerAPI, simulator: Simulator, url: str) -> None:
    before = len(simulator.requests)
    origin = simulator.api_url.removesuffix("/api/v3")
    asked = url.format(origin=origin, api=simulator.api_url)
    with pytest.raises((errors.Invalid, gidgethub.BadRequest, errors.NotReachable)) as refused:
        await api.getitem(asked)
    if isinstance(refused.value, errors.Invalid):
        assert len(simulator.requests) == before
    assert "token goes there" in str(refused.value) or not asked.startswith("http")


async def test_t127_a_redirect_to_elsewhere_is_not_followed(api: HandlerAPI, simulator: Simulator) -> None:
    simulator.faults.add(path="/repos/octo/hello$", status=302, headers={"Location": "https://example.org/"}, times=1)
    with pytest.raises(errors.GitHubUnavailable, match="credential does not go there"):
        await api.getitem("/repos/octo/hello")


async def test_the_token_is_for_the_repository_of_the_event_alone(api: HandlerAPI, simulator: Simulator) -> None:
    await simulator.create_repository("octo/secret", files={"README.md": "# secret\n"}, private=True)
    with pytest.raises(gidgethub.BadRequest):
        await api.getitem("/repos/octo/secret")


async def test_where_the_event_names_no_repository_it_is_for_the_installation(
    github: GitHub, simulator: Simulator, repository: Repository
) -> None:
    installation = simulator.installation_of("octo")
    assert installation is not None
    api = github.handler_api(installation_id=installation.id, repository_id=None)
    read = await api.getitem("/installation/repositories")
    assert [one["full_name"] for one in read["repositories"]] == ["octo/hello"]


async def test_without_an_installation_each_call_says_so(github: GitHub) -> None:
    api = github.handler_api(installation_id=None, repository_id=None)
    with pytest.raises(errors.NotReachable, match="no installation"):
        await api.getitem("/meta")


async def test_a_token_that_ended_early_is_renewed_once(api: HandlerAPI, simulator: Simulator) -> None:
    await api.getitem("/repos/octo/hello")
    simulator.faults.add(path="/repos/octo/hello$", status=401, body={"message": "Bad credentials"}, times=1)
    assert (await api.getitem("/repos/octo/hello"))["full_name"] == "octo/hello"
    assert calls(simulator).count("GET /repos/octo/hello") == 3


async def test_a_handlers_own_token_is_used_as_it_is(
    api: HandlerAPI, simulator: Simulator, repository: Repository
) -> None:
    own = simulator.user_token("octo")
    read = await api.getitem("/repos/octo/hello", oauth_token=own)
    assert read["full_name"] == "octo/hello"
    assert [one.authenticated_as for one in simulator.requests if one.path == "/repos/octo/hello"] != []
    with pytest.raises(gidgethub.BadRequest):
        await api.getitem("/repos/octo/hello", oauth_token="ghp_" + "x" * 36)


async def test_f34_a_wait_that_github_asks_for_holds_for_handlers_and_for_us(
    api: HandlerAPI, github: GitHub, simulator: Simulator, repository: Repository
) -> None:
    simulator.faults.add(
        path="/repos/octo/hello$",
        status=403,
        body={"message": "You have exceeded a secondary rate limit."},
        headers={"Retry-After": "60"},
        times=1,
    )
    with pytest.raises(errors.RateLimited):
        await api.getitem("/repos/octo/hello")
    before = len(simulator.requests)
    with pytest.raises(errors.RateLimited):
        await api.getitem("/repos/octo/hello")
    installation = simulator.installation_of("octo")
    assert installation is not None
    ours = github.repository(installation_id=installation.id, repository_id=repository.id, full_name="octo/hello")
    with pytest.raises(errors.RateLimited):
        await ours.get_branch_head("main")
    sent = [one.path for one in simulator.requests[before:] if not one.path.endswith("/access_tokens")]
    assert sent == []


async def test_it_works_in_another_threads_loop(api: HandlerAPI) -> None:
    read: list[str] = []

    def work() -> None:
        async def ask() -> None:
            read.append((await api.getitem("/repos/octo/hello"))["full_name"])

        asyncio.run(ask())

    thread = threading.Thread(target=work)
    thread.start()
    while thread.is_alive():
        await asyncio.sleep(0.01)
    assert read == ["octo/hello"]


async def test_no_token_is_shown(api: HandlerAPI) -> None:
    assert "gh" not in repr(api)
