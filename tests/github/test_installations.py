"""What the App is installed in, and the repositories that each installation gives it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bot import errors
from bot.github import GitHub, tokens
from bot.github.repositories import RepositoryRef
from bot.model import build
from tests.github.conftest import INSTALLATION_ID, REPOSITORY_ID, TOKEN, TOKEN_PATH, Reply, Server, granted
from tests.github.test_app_auth import INSTALLATION

INSTALLATIONS = "/app/installations"
REPOSITORIES = "/installation/repositories"


def _next(server: Server) -> dict[str, str]:
    return {"link": f'<{server.url}/x?page=2>; rel="next", <{server.url}/x?page=2>; rel="last"'}


def _repository(number: int = REPOSITORY_ID, **changes: object) -> dict[str, object]:
    shown = {"id": number, "full_name": f"octo/r{number}", "default_branch": "main", "archived": False}
    return shown | changes


def _page(*repositories: object) -> dict[str, object]:
    return {"total_count": 1, "repository_selection": "selected", "repositories": list(repositories)}


async def test_all_installations_are_listed(github: GitHub, server: Server) -> None:
    first = [INSTALLATION | {"id": number} for number in range(100)]
    suspended = INSTALLATION | {"id": 100, "suspended_at": "2026-05-02T00:00:00Z", "account": {"slug": "big"}}
    server.on("GET", INSTALLATIONS, Reply(data=first, headers=_next(server)), Reply(data=[*first[99:], suspended]))
    listed = await github.list_installations()
    assert [one.id for one in listed] == list(range(101))
    assert listed[100] == build.Installation(
        id=100,
        account="big",
        state="suspended",
        updated_at=datetime(2026, 5, 1, tzinfo=UTC),
        permissions={"checks": "write"},
    )
    assert [one.query for one in server.seen] == [{"per_page": "100", "page": page} for page in ("1", "2")]


@pytest.mark.parametrize("data", [None, {}, [None], [{"id": 1}], [INSTALLATION | {"id": "1"}]])
async def test_installations_of_another_shape_are_none(github: GitHub, server: Server, data: object) -> None:
    server.on("GET", INSTALLATIONS, Reply(data=data))
    with pytest.raises(errors.GitHubUnavailable):
        await github.list_installations()


async def test_the_repositories_of_an_installation_are_listed(github: GitHub, server: Server) -> None:
    first = [_repository(number) for number in range(100)]
    second = [_repository(99), _repository(100, archived=True, default_branch="trunk/ü")]
    server.on("GET", REPOSITORIES, Reply(data=_page(*first), headers=_next(server)), Reply(data=_page(*second)))
    listed = await github.list_repositories(INSTALLATION_ID)
    assert [one.id for one in listed] == list(range(101))
    assert listed[0] == RepositoryRef(id=0, full_name="octo/r0", default_branch="main", is_archived=False)
    assert listed[100] == RepositoryRef(id=100, full_name="octo/r100", default_branch="trunk/ü", is_archived=True)
    assert {one.headers["authorization"] for one in server.asked("GET")} == {f"Bearer {TOKEN}"}


async def test_t76_the_token_that_lists_can_do_nothing_else(github: GitHub, server: Server) -> None:
    server.on("GET", REPOSITORIES, Reply(data=_page()))
    for _ in range(2):
        assert await github.list_repositories(INSTALLATION_ID) == ()
    (asked,) = server.asked("POST")
    assert asked.body == {"permissions": {"metadata": "read"}}


@pytest.mark.parametrize(
    ("repository_id", "purpose"),
    [(None, tokens.Purpose.REPORT), (None, tokens.Purpose.GIT), (REPOSITORY_ID, tokens.Purpose.LIST)],
)
def test_t76_no_other_token_is_for_a_whole_installation(repository_id: int | None, purpose: tokens.Purpose) -> None:
    with pytest.raises(ValueError, match=purpose):
        tokens.Key(installation_id=INSTALLATION_ID, repository_id=repository_id, purpose=purpose)


async def test_t76_the_token_that_lists_is_not_that_of_a_repository(github: GitHub, server: Server) -> None:
    server.on("POST", TOKEN_PATH, granted("ghs_list"), granted("ghs_report"))
    server.on("GET", REPOSITORIES, Reply(data=_page(_repository())))
    (ref,) = await github.list_repositories(INSTALLATION_ID)
    server.on("GET", f"/repos/{ref.full_name}", Reply(data={"id": ref.id}))
    server.on("GET", "/repos/octo/hello", Reply(data={"id": ref.id}))
    repository = github.repository(installation_id=INSTALLATION_ID, repository_id=ref.id, full_name=ref.full_name)
    await repository.get_raw()
    assert [one.headers["authorization"] for one in server.asked("GET")] == ["Bearer ghs_list", "Bearer ghs_report"]


async def test_f37_a_token_to_list_that_ended_early_is_renewed_once(github: GitHub, server: Server) -> None:
    server.on("POST", TOKEN_PATH, granted("ghs_first"), granted("ghs_second"))
    server.on("GET", REPOSITORIES, Reply(status=401), Reply(data=_page(_repository())))
    assert len(await github.list_repositories(INSTALLATION_ID)) == 1
    assert [one.headers["authorization"] for one in server.asked("GET")] == ["Bearer ghs_first", "Bearer ghs_second"]


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(status=403, data={"message": "This installation has been suspended"}), errors.Suspended),
        (Reply(status=404, data={"message": "Not Found"}), errors.NotReachable),
        (Reply(status=410, data={"message": "Gone"}), errors.NotReachable),
        (Reply(status=403, data={"message": "Resource not accessible by integration"}), errors.Forbidden),
    ],
)
@pytest.mark.parametrize("where", [("POST", TOKEN_PATH), ("GET", REPOSITORIES)])
async def test_f39_an_installation_that_gives_nothing_says_why(
    github: GitHub, server: Server, where: tuple[str, str], reply: Reply, error: type[errors.GitHubError]
) -> None:
    server.on(*where, reply)
    with pytest.raises(error) as raised:
        await github.list_repositories(INSTALLATION_ID)
    assert raised.type is error


@pytest.mark.parametrize("data", [None, [], {}, _page(None), _page({"id": 1}), _page(_repository(default_branch=None))])
async def test_repositories_of_another_shape_are_none(github: GitHub, server: Server, data: object) -> None:
    server.on("GET", REPOSITORIES, Reply(data=data))
    with pytest.raises(errors.GitHubUnavailable):
        await github.list_repositories(INSTALLATION_ID)


async def test_looking_for_repositories_ends(github: GitHub, server: Server) -> None:
    server.on("GET", REPOSITORIES, Reply(data=_page(_repository()), headers=_next(server)))
    assert len(await github.list_repositories(INSTALLATION_ID)) == 1
    assert len(server.asked("GET")) == 100
