"""T73, T74: whatever goes wrong, no error, log line or representation shows a token, a JWT or the private key."""

from __future__ import annotations

import asyncio
import io
import traceback
from collections.abc import Awaitable, Callable, Iterator

import pytest
from aiohttp import web

from bot import errors, telemetry
from bot.github import GitHub, Patience, Repository, tokens
from bot.github.app_auth import AppAuth
from bot.github.client import Call
from bot.model import check
from tests.github.conftest import (
    APP_ID,
    INSTALLATION_ID,
    NAME,
    REPOSITORY_ID,
    SHA,
    TOKEN,
    TOKEN_PATH,
    Reply,
    Server,
    Time,
    granted,
)

FILE = "/repos/octo/hello/contents/a"
#: An answer that tells the token back to us.
ECHO = {"message": f"Bad credentials: {TOKEN}", "errors": [TOKEN, {"message": f"Bearer {TOKEN}"}]}


async def _abort(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def _garbage(request: web.Request) -> web.StreamResponse:
    """Not HTTP at all, with our own credential in it."""
    assert request.transport is not None
    request.transport.write(b"HTTP/1.1 200 " + request.headers["authorization"].encode() + b"\x00\r\nx\r\n\r\n")
    request.transport.close()
    return web.Response()


async def _stall(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": "application/json"})
    await response.prepare(request)
    while request.transport is not None and not request.transport.is_closing():
        await asyncio.sleep(0.01)
    return response


TROUBLES: dict[str, Reply | Callable[[web.Request], Awaitable[web.StreamResponse]]] = {
    **{str(status): Reply(status=status, data=ECHO) for status in (400, 401, 403, 404, 409, 410, 422, 429, 500, 503)},
    "html": Reply(raw=f"<html>{TOKEN}".encode(), content_type="text/html"),
    "cut off": Reply(raw=f'{{"token": "{TOKEN}'.encode()),
    "another shape": Reply(status=201, data={"token": [TOKEN], "expires_at": TOKEN}),
    "token with a line break": Reply(
        status=201, data={"token": f"{TOKEN}\r\nx: y", "expires_at": "2026-05-04T13:00:00Z"}
    ),
    "redirect away": Reply(status=307, headers={"location": f"https://evil.example/{TOKEN}"}),
    "abort": _abort,
    "garbage": _garbage,
    "stall": _stall,
}


@pytest.fixture
def patience() -> Patience:
    """Little of it: many answers never come."""
    return Patience(total_seconds=0.3, attempts=2, pause_seconds=0.001)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        yield from _chain(error.__cause__)
        error = error.__context__


def _shown(error: BaseException) -> str:
    """All that an exception can show, with everything that it came from."""
    parts = ["".join(traceback.format_exception(error))]
    for one in _chain(error):
        parts += [str(one), repr(one), repr(one.args), repr(getattr(one, "__dict__", {}))]
    return "\n".join(parts)


def _assert_clean(text: str, private_key: str) -> None:
    assert "CanaryToken" not in text
    # Every JWT begins like this.
    assert "eyJ" not in text
    for line in private_key.splitlines()[1:-1]:
        assert line not in text


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("where", ["token", "read", "write"])
async def test_t74_no_trouble_shows_a_credential(
    repository: Repository,
    server: Server,
    private_key: str,
    log: io.StringIO,
    trouble: str,
    where: str,
) -> None:
    reply = TROUBLES[trouble]
    if where == "token":
        server.on("POST", TOKEN_PATH, reply)
    server.on("GET", FILE, reply)
    server.on("PATCH", "/repos/octo/hello/check-runs/4", reply)

    async def provoke() -> None:
        if where == "write":
            await repository.put_check_run(_check_run(), github_id=4)
        else:
            await repository.get_permission("octo", user_id=1)
            await repository.get_file("a", ref=SHA)

    shown = ""
    server.on("GET", "/repos/octo/hello/collaborators/octo/permission", Reply(data={"permission": "read"}))
    try:
        await provoke()
    except errors.GitHubError as error:
        shown = _shown(error)
        telemetry.log("test").error("It went wrong.", action="test", exc_info=error, text=str(error))
    lines = log.getvalue()
    assert not shown or "It went wrong." in lines
    _assert_clean(shown + lines, private_key)


def _check_run() -> check.CheckRun:
    return check.CheckRun(
        name="buildhook",
        head_sha=SHA,
        external_id="01J0",
        details_url="https://builds.example/jobs/01J0",
        status="queued",
        conclusion=None,
        started_at=None,
        completed_at=None,
        title="queued",
        summary="queued",
    )


async def test_t74_no_representation_shows_a_credential(
    github: GitHub, repository: Repository, server: Server, private_key: str, time: Time
) -> None:
    assert await repository.git_token() == TOKEN
    auth = AppAuth(app_id=APP_ID, private_key=private_key, clock=time.clock)
    auth.jwt()
    key = tokens.Key(installation_id=INSTALLATION_ID, repository_id=REPOSITORY_ID, purpose=tokens.Purpose.GIT)
    token = tokens.Token(value=TOKEN, full_name=NAME, fetched_at_seconds=0, usable_seconds=1)
    call = Call(method="GET", path="/x", credential=TOKEN, account="installation 7", scope="7")
    for thing in (github, repository, auth, key, token, call):
        _assert_clean(f"{thing!r} {thing}", private_key)
    assert server.seen


async def test_t73_tokens_may_have_any_length(repository: Repository, server: Server) -> None:
    long = "ghs_4711_" + "x" * 3000
    server.on("POST", TOKEN_PATH, granted(long))
    server.on("GET", FILE, Reply(raw=b"x", content_type="text/plain"))
    assert await repository.get_file("a", ref="main") == b"x"
    assert server.asked("GET")[0].headers["authorization"] == f"Bearer {long}"
