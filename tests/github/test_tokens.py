"""Installation tokens: narrow, shared by all who wait, renewed early, and what it means when there is none."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from bot import errors
from bot.github import GitHub, Repository, tokens
from tests.github.conftest import (
    INSTALLATION_ID,
    NAME,
    REPOSITORY_ID,
    SHA,
    START,
    TOKEN,
    TOKEN_PATH,
    Reply,
    Server,
    Time,
    granted,
    http_date,
)

FILE = "/repos/octo/hello/contents/a"


async def test_t76_a_token_is_for_one_repository_and_one_purpose(repository: Repository, server: Server) -> None:
    assert await repository.git_token() == TOKEN
    server.on("GET", FILE, Reply(raw=b"x", content_type="application/vnd.github.raw+json"))
    await repository.get_file("a", ref=SHA)
    git, report = (one.body for one in server.asked("POST"))
    assert git == {"repository_ids": [REPOSITORY_ID], "permissions": {"contents": "read"}}
    assert report == {
        "repository_ids": [REPOSITORY_ID],
        "permissions": {"checks": "write", "contents": "read", "metadata": "read", "pull_requests": "read"},
    }


async def test_other_repositories_and_installations_have_tokens_of_their_own(
    github: GitHub, repository: Repository, server: Server
) -> None:
    server.on("POST", "/app/installations/8/access_tokens", granted("ghs_other"))
    assert await repository.git_token() == TOKEN
    other = github.repository(installation_id=8, repository_id=REPOSITORY_ID, full_name=NAME)
    assert await other.git_token() == "ghs_other"


def _gated(entered: asyncio.Event, gate: asyncio.Event) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(_request: web.Request) -> web.StreamResponse:
        entered.set()
        await gate.wait()
        return granted().response()

    return answer


async def test_a_hundred_callers_share_one_request(repository: Repository, server: Server) -> None:
    entered, gate = asyncio.Event(), asyncio.Event()
    server.on("POST", TOKEN_PATH, _gated(entered, gate))
    callers = [asyncio.create_task(repository.git_token()) for _ in range(100)]
    await entered.wait()
    gate.set()
    assert set(await asyncio.gather(*callers)) == {TOKEN}
    assert len(server.seen) == 1


async def test_f100_a_cancelled_caller_does_not_cancel_the_others(repository: Repository, server: Server) -> None:
    entered, gate = asyncio.Event(), asyncio.Event()
    server.on("POST", TOKEN_PATH, _gated(entered, gate))
    first = asyncio.create_task(repository.git_token())
    await entered.wait()
    second = asyncio.create_task(repository.git_token())
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    gate.set()
    assert await second == TOKEN
    assert len(server.seen) == 1


async def test_all_who_wait_learn_of_the_error_and_the_next_asks_anew(repository: Repository, server: Server) -> None:
    server.on("POST", TOKEN_PATH, Reply(status=404, data={"message": "Not Found"}), granted())
    first = await asyncio.gather(*(repository.git_token() for _ in range(10)), return_exceptions=True)
    assert {type(error) for error in first} == {errors.NotReachable}
    assert await repository.git_token() == TOKEN
    assert len(server.seen) == 2


@pytest.mark.parametrize("is_joined", [True, False])
async def test_an_error_that_nobody_waits_for_any_more_is_quiet(
    repository: Repository, server: Server, is_joined: bool
) -> None:
    complaints: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: complaints.append(context))
    entered, gate = asyncio.Event(), asyncio.Event()

    async def refuse(_request: web.Request) -> web.StreamResponse:
        entered.set()
        await gate.wait()
        return Reply(status=404).response()

    server.on("POST", TOKEN_PATH, refuse, granted())
    caller = asyncio.create_task(repository.git_token())
    await entered.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    flights = [task for task in asyncio.all_tasks() if task.get_name().startswith("token for")]
    if is_joined:
        # The next caller joins the request that is still under way.
        joined = asyncio.create_task(repository.git_token())
        await asyncio.sleep(0)
        gate.set()
        with pytest.raises(errors.NotReachable):
            await joined
    gate.set()
    await asyncio.wait(flights)
    flights.clear()
    gc.collect()
    assert complaints == []
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("life_seconds", "used_seconds"), [(3600, 3000), (7200, 3000), (1800, 1200), (1200, 600), (600, 300)]
)
async def test_f29_a_token_is_renewed_long_before_it_ends(
    repository: Repository, server: Server, time: Time, life_seconds: int, used_seconds: int
) -> None:
    server.on("POST", TOKEN_PATH, granted("ghs_first", life_seconds=life_seconds), granted("ghs_second"))
    assert await repository.git_token() == "ghs_first"
    time.move(used_seconds - 1)
    assert await repository.git_token() == "ghs_first"
    time.move(2)
    assert await repository.git_token() == "ghs_second"


async def test_f26_a_tokens_life_is_measured_by_githubs_clock(
    repository: Repository, server: Server, time: Time
) -> None:
    # Our clock is two hours ahead: by it the token has ended already.
    github_now = START - timedelta(hours=2)
    server.on("POST", TOKEN_PATH, granted("ghs_first", at=github_now), granted("ghs_second", at=github_now))
    for _ in range(2):
        assert await repository.git_token() == "ghs_first"
        time.move(1000)


@given(st.floats(-1e9, 1e9))
def test_f29_a_token_is_never_given_away_at_its_end(life_seconds: float) -> None:
    used = tokens.usable_seconds(life_seconds)
    assert 0 <= used <= tokens.MAX_AGE_SECONDS
    assert life_seconds <= 0 or life_seconds - used >= min(600, life_seconds / 2) - 1e-6


async def test_f37_a_token_that_ended_early_is_renewed_once(repository: Repository, server: Server) -> None:
    server.on("POST", TOKEN_PATH, granted("ghs_first"), granted("ghs_second"))
    raw = Reply(raw=b"x", content_type="application/vnd.github.raw+json")
    server.on("GET", FILE, Reply(status=401, data={"message": "Bad credentials"}), raw)
    assert await repository.get_file("a", ref="main") == b"x"
    assert [one.headers["authorization"] for one in server.asked("GET")] == ["Bearer ghs_first", "Bearer ghs_second"]


async def test_f37_a_second_refusal_is_an_error(repository: Repository, server: Server) -> None:
    server.on("GET", FILE, Reply(status=401, data={"message": "Bad credentials"}))
    with pytest.raises(errors.Unauthorized):
        await repository.get_file("a", ref="main")
    assert len(server.asked("GET", FILE)) == 2
    assert len(server.asked("POST")) == 2


async def test_f37_many_refused_at_once_renew_once(repository: Repository, server: Server) -> None:
    server.on("POST", TOKEN_PATH, granted("ghs_first"), granted("ghs_second"))
    all_here = asyncio.Barrier(20)

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.headers["authorization"] == "Bearer ghs_first":
            await all_here.wait()
            return Reply(status=401).response()
        return Reply(raw=b"x", content_type="application/vnd.github.raw+json").response()

    server.on("GET", FILE, answer)
    read = await asyncio.gather(*(repository.get_file("a", ref="main") for _ in range(20)))
    assert set(read) == {b"x"}
    assert len(server.asked("POST")) == 2


async def test_f37_a_late_refusal_of_an_old_token_does_not_drop_the_new_one(
    repository: Repository, server: Server
) -> None:
    server.on("POST", TOKEN_PATH, granted("ghs_first"), granted("ghs_second"))
    entered, gate = asyncio.Event(), asyncio.Event()

    async def refuse_late(_request: web.Request) -> web.StreamResponse:
        entered.set()
        await gate.wait()
        return Reply(status=401).response()

    raw = Reply(raw=b"x", content_type="application/vnd.github.raw+json")
    server.on("GET", FILE, refuse_late, Reply(status=401), raw)
    late = asyncio.create_task(repository.get_file("a", ref="main"))
    await entered.wait()
    assert await repository.get_file("a", ref="main") == b"x"
    gate.set()
    assert await late == b"x"
    assert len(server.asked("POST")) == 2


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(status=404, data={"message": "Not Found"}), errors.NotReachable),
        (
            Reply(
                status=422,
                data={
                    "message": "There is at least one repository that does not exist or is not accessible to the "
                    "parent installation."
                },
            ),
            errors.NotReachable,
        ),
        (Reply(status=403, data={"message": "This installation has been suspended"}), errors.Suspended),
        (Reply(status=422, data={"message": "Validation Failed"}), errors.Invalid),
        (Reply(status=201, data={"token": "a b", "expires_at": "2026-05-04T13:00:00Z"}), errors.GitHubUnavailable),
        (Reply(status=201, data={"token": "a"}), errors.GitHubUnavailable),
        (
            Reply(
                status=201,
                data={
                    "token": "ghs_x",
                    "expires_at": "2026-05-04T13:00:00Z",
                    "repositories": [{"id": 1, "full_name": "octo/other"}],
                },
            ),
            errors.NotReachable,
        ),
    ],
)
async def test_t14_the_installation_is_proved_by_its_token(
    repository: Repository, server: Server, reply: Reply, error: type[Exception]
) -> None:
    server.on("POST", TOKEN_PATH, reply)
    with pytest.raises(error):
        await repository.get_file("a", ref="main")
    assert server.asked("GET") == []


async def test_f38_a_permission_that_was_not_accepted_is_named(repository: Repository, server: Server) -> None:
    server.on(
        "POST",
        TOKEN_PATH,
        Reply(status=422, data={"message": "The permissions requested are not granted to this installation."}),
    )
    server.on(
        "GET",
        f"/app/installations/{INSTALLATION_ID}",
        Reply(data={"permissions": {"contents": "write", "metadata": "read", "checks": "read"}}),
    )
    with pytest.raises(errors.Forbidden) as caught:
        await repository.get_file("a", ref="main")
    assert "(checks: write, pull_requests: read)" in str(caught.value)
    server.on("GET", f"/app/installations/{INSTALLATION_ID}", Reply(status=404))
    with pytest.raises(errors.Forbidden, match=r"checks: write, contents: read, metadata: read, pull_requests: read"):
        await repository.get_file("a", ref="main")


async def test_a_lost_token_is_asked_for_again(repository: Repository, server: Server) -> None:
    server.on("POST", TOKEN_PATH, Reply(status=502), granted())
    assert await repository.git_token() == TOKEN


async def test_f40_the_name_that_goes_with_the_id_is_used(github: GitHub, server: Server) -> None:
    # The payload is old: meanwhile the repository has another name, and another repository has its old one.
    server.on("POST", TOKEN_PATH, granted(name="octo/renamed"))
    server.on("GET", FILE, Reply(raw=b"of another repository"))
    server.on("GET", "/repos/octo/renamed/contents/a", Reply(raw=b"x", content_type="text/plain"))
    old = github.repository(installation_id=INSTALLATION_ID, repository_id=REPOSITORY_ID, full_name=NAME)
    assert await old.get_file("a", ref="main") == b"x"


async def test_f40_a_newer_name_renews_what_is_known(
    github: GitHub, repository: Repository, server: Server, time: Time
) -> None:
    server.on("POST", TOKEN_PATH, granted(), granted(name="octo/renamed"))
    server.on("GET", "/repos/octo/renamed/contents/a", Reply(raw=b"x", content_type="text/plain"))
    await repository.get_permission("octo", user_id=1)
    time.move(61)
    newer = github.repository(installation_id=INSTALLATION_ID, repository_id=REPOSITORY_ID, full_name="octo/renamed")
    for _ in range(3):
        assert await newer.get_file("a", ref="main") == b"x"
    # An old payload does not make us ask each time.
    for _ in range(3):
        await repository.get_permission("octo", user_id=1)
    assert len(server.asked("POST")) == 2


async def test_a_server_that_does_not_name_the_repository_will_do(repository: Repository, server: Server) -> None:
    server.on("POST", TOKEN_PATH, Reply(status=201, data={"token": "ghs_x", "expires_at": "2026-05-04T13:00:00Z"}))
    server.on("GET", FILE, Reply(raw=b"x", content_type="text/plain"))
    assert await repository.get_file("a", ref="main") == b"x"


async def test_f34_a_limit_of_the_app_stops_token_requests(repository: Repository, server: Server) -> None:
    server.on("POST", TOKEN_PATH, Reply(status=429, headers={"retry-after": "60", "date": http_date(START)}))
    for _ in range(3):
        with pytest.raises(errors.RateLimited):
            await repository.git_token()
    assert len(server.seen) == 1


async def test_closing_ends_requests_under_way(github: GitHub, repository: Repository, server: Server) -> None:
    entered, gate = asyncio.Event(), asyncio.Event()
    server.on("POST", TOKEN_PATH, _gated(entered, gate))
    caller = asyncio.create_task(repository.git_token())
    await entered.wait()
    await github.close()
    with pytest.raises(asyncio.CancelledError):
        await caller
    gate.set()
