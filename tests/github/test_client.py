"""The transport over real HTTP: lost answers, repeats, waits, kept answers, bounds."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web

from bot import errors, telemetry
from bot.github import Patience
from bot.github.client import USER_AGENT, Client
from bot.github.urls import derive
from tests.github.conftest import SECRET, VERBS, Reply, Server, Thing, Time, http_date, make_call


async def _drop(request: web.Request) -> web.StreamResponse:
    """End the connection instead of answering."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def _torn(request: web.Request) -> web.StreamResponse:
    """Promise a long body and end the connection in the middle of it."""
    response = web.StreamResponse(headers={"content-type": "application/json", "content-length": "1000"})
    await response.prepare(request)
    await response.write(b'{"id": 1')
    return await _drop(request)


def _stalls(server: Server, *, is_begun: bool) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def stall(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "application/json"})
        if is_begun:
            await response.prepare(request)
            await response.write(b'{"id": ')
        await server.released.wait()
        return response

    return stall


async def test_a_call_bears_what_github_asks_for(client: Client, server: Server) -> None:
    server.on("POST", "/thing", Reply(status=201, data={"id": 5}))
    assert await client.call(make_call("POST"), Thing) == Thing(5)
    (seen,) = server.seen
    assert seen.body == {"name": "ü", "n": 1}
    assert seen.headers["user-agent"] == USER_AGENT
    assert seen.headers["x-github-api-version"] == "2022-11-28"
    assert seen.headers["accept"] == "application/vnd.github+json"
    assert seen.headers["authorization"] == f"Bearer {SECRET}"
    assert seen.headers["content-type"].startswith("application/json")


async def test_the_paths_of_an_enterprise_server_begin_below_its_api(
    server: Server, metrics: telemetry.Metrics
) -> None:
    server.on("GET", "/api/v3/thing", Reply(data={"id": 1}))
    ghes = Client(derive(f"{server.url}/api/v3"), metrics=metrics)
    await ghes.open()
    assert await ghes.call(make_call(), Thing) == Thing(1)
    await ghes.close()


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_f30_a_read_is_tried_again(client: Client, server: Server, status: int) -> None:
    server.on("GET", "/thing", Reply(status=status), Reply(status=status), Reply(data={"id": 1}))
    assert await client.call(make_call(), Thing) == Thing(1)


async def test_f30_a_read_is_not_tried_for_ever(client: Client, server: Server) -> None:
    server.on("GET", "/thing", Reply(status=502))
    with pytest.raises(errors.GitHubUnavailable) as caught:
        await client.call(make_call(), Thing)
    assert not isinstance(caught.value, errors.AnswerLost)
    assert len(server.seen) == 3


@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=500),
        Reply(status=502, raw=b"<html>unicorn", content_type="text/html"),
        Reply(status=200, raw=b"<html>unicorn", content_type="text/html"),
        Reply(status=201, raw=b'{"id": 1'),
        Reply(status=201, raw=b""),
        _drop,
        _torn,
    ],
)
async def test_f32_a_write_is_sent_once_and_its_lost_answer_is_said(
    client: Client, server: Server, method: str, reply: Reply
) -> None:
    server.on(method, "/thing", reply)
    with pytest.raises(errors.AnswerLost):
        await client.call(make_call(method), Thing)
    assert len(server.seen) == 1


@pytest.mark.parametrize("reply", [Reply(raw=b"<html>", content_type="text/html"), _drop, _torn])
async def test_f54_a_read_without_a_whole_answer_is_unavailable(client: Client, server: Server, reply: Reply) -> None:
    server.on("GET", "/thing", reply)
    with pytest.raises(errors.GitHubUnavailable) as caught:
        await client.call(make_call(), Thing)
    assert not isinstance(caught.value, errors.AnswerLost)


async def test_a_write_that_does_no_harm_twice_is_tried_again(client: Client, server: Server) -> None:
    server.on("POST", "/thing", _drop, Reply(data={"id": 1}))
    assert await client.call(make_call("POST", is_repeatable=True), Thing) == Thing(1)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_refused_write_is_not_a_lost_one(client: Client, server: Server, method: str) -> None:
    server.on(method, "/thing", Reply(status=422, data={"message": "Validation Failed"}))
    with pytest.raises(errors.Invalid):
        await client.call(make_call(method), Thing)
    assert len(server.seen) == 1


@pytest.mark.parametrize("method", VERBS)
async def test_f53_nothing_was_sent_where_nobody_listens(
    client: Client, server: Server, metrics: telemetry.Metrics, method: str
) -> None:
    await server.close()
    with pytest.raises(errors.GitHubUnavailable, match=r"no connection to 127\.0\.0\.1") as caught:
        await client.call(make_call(method), Thing)
    assert not isinstance(caught.value, errors.AnswerLost)
    assert _count(metrics, method, "none") == (3 if method == "GET" else 1)


async def test_f53_a_name_that_does_not_resolve_is_said(metrics: telemetry.Metrics) -> None:
    lost = Client(derive("https://buildhook.invalid"), metrics=metrics, patience=Patience(attempts=1))
    await lost.open()
    with pytest.raises(errors.GitHubUnavailable, match=r"the name buildhook\.invalid cannot be resolved"):
        await lost.call(make_call("POST"), Thing)
    await lost.close()


@pytest.fixture
async def impatient(server: Server, metrics: telemetry.Metrics) -> AsyncIterator[Client]:
    """A client that waits only a moment."""
    patience = Patience(connect_seconds=0.2, total_seconds=0.2, attempts=2, pause_seconds=0.001)
    opened = Client(derive(server.url), metrics=metrics, patience=patience)
    await opened.open()
    yield opened
    await opened.close()


@pytest.mark.parametrize("is_begun", [False, True])
@pytest.mark.parametrize("method", ["GET", "PATCH"])
async def test_f31_a_stalled_answer_is_given_up(impatient: Client, server: Server, method: str, is_begun: bool) -> None:
    server.on(method, "/thing", _stalls(server, is_begun=is_begun))
    with pytest.raises(errors.GitHubUnavailable, match="took too long") as caught:
        await impatient.call(make_call(method), Thing)
    assert isinstance(caught.value, errors.AnswerLost) is (method == "PATCH")
    assert len(server.seen) == (1 if method == "PATCH" else 2)


async def test_f31_stalled_answers_do_not_stop_other_calls(impatient: Client, server: Server) -> None:
    server.on("GET", "/stalled", _stalls(server, is_begun=False))
    server.on("GET", "/thing", Reply(data={"id": 1}))
    stalled = [asyncio.create_task(impatient.call(make_call(path="/stalled"), Thing)) for _ in range(20)]
    assert await impatient.call(make_call(), Thing) == Thing(1)
    ended = await asyncio.gather(*stalled, return_exceptions=True)
    assert {type(error) for error in ended} == {errors.GitHubUnavailable}


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_f53_no_tls_is_no_reason_to_speak_plainly(
    server: Server, metrics: telemetry.Metrics, method: str
) -> None:
    secure = Client(derive(server.url.replace("http:", "https:")), metrics=metrics, patience=Patience(attempts=1))
    await secure.open()
    with pytest.raises(errors.GitHubUnavailable, match="TLS") as caught:
        await secure.call(make_call(method), Thing)
    assert not isinstance(caught.value, errors.AnswerLost)
    assert server.seen == []
    await secure.close()


async def test_an_answer_is_read_up_to_a_bound(client: Client, server: Server) -> None:
    server.on("GET", "/thing", Reply(raw=b" " * 2000 + b'{"id": 1}'))
    with pytest.raises(errors.Invalid, match="larger than 1000 bytes"):
        await client.call(make_call(max_bytes=1000), Thing)
    assert len(server.seen) == 1
    assert await client.call(make_call(max_bytes=3000), Thing) == Thing(1)


async def test_a_small_answer_that_unpacks_to_a_large_one_is_not_read(client: Client, server: Server) -> None:
    async def bomb(_request: web.Request) -> web.StreamResponse:
        response = web.Response(body=b" " * 10_000_000, content_type="application/json")
        response.enable_compression(web.ContentCoding.gzip)
        return response

    server.on("GET", "/thing", bomb)
    with pytest.raises(errors.Invalid, match="larger than"):
        await client.call(make_call(max_bytes=1_000_000), Thing)


async def test_f34_no_call_is_made_during_the_wait(client: Client, server: Server, time: Time) -> None:
    limited = Reply(
        status=403,
        data={"message": "API rate limit exceeded for installation ID 7."},
        headers={
            "x-ratelimit-remaining": "0",
            "x-ratelimit-reset": str(int(time.at.timestamp()) + 600),
            "date": http_date(time.at),
        },
    )
    server.on("GET", "/thing", limited, Reply(data={"id": 1}))
    for method in VERBS:
        with pytest.raises(errors.RateLimited):
            await client.call(make_call(method), Thing)
    assert len(server.seen) == 1
    server.on("GET", "/other", Reply(data={"id": 2}))
    assert await client.call(make_call(path="/other", account="installation 8"), Thing) == Thing(2)
    time.move(600)
    assert await client.call(make_call(), Thing) == Thing(1)


async def test_f34_the_last_allowed_call_is_answered_and_the_next_not_made(
    client: Client, server: Server, time: Time
) -> None:
    reset = str(int(time.at.timestamp()) + 600)
    headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": reset, "date": http_date(time.at)}
    server.on("GET", "/thing", Reply(data={"id": 1}, headers=headers))
    assert await client.call(make_call(), Thing) == Thing(1)
    with pytest.raises(errors.RateLimited):
        await client.call(make_call(), Thing)
    assert len(server.seen) == 1


async def test_an_unchanged_answer_is_not_sent_again(client: Client, server: Server) -> None:
    server.on("GET", "/thing", Reply(data={"id": 1}, headers={"etag": 'W/"a"'}), Reply(status=304))
    for _ in range(3):
        assert await client.call(make_call(), Thing) == Thing(1)
    assert [one.headers.get("if-none-match") for one in server.seen] == [None, 'W/"a"', 'W/"a"']


async def test_a_changed_answer_takes_the_place_of_the_kept_one(client: Client, server: Server) -> None:
    changed = Reply(data={"id": 2}, headers={"etag": '"b"'})
    server.on("GET", "/thing", Reply(data={"id": 1}, headers={"etag": '"a"'}), changed, Reply(status=304))
    assert [(await client.call(make_call(), Thing)).id for _ in range(3)] == [1, 2, 2]
    assert server.seen[-1].headers["if-none-match"] == '"b"'


async def test_kept_answers_are_not_shared_across_rights_or_formats(client: Client, server: Server) -> None:
    server.on("GET", "/thing", Reply(data={"id": 1}, headers={"etag": '"a"'}))
    for call in (make_call(), make_call(scope="8/1"), make_call(accept="application/vnd.github.raw+json")):
        await client.fetch(call)
    assert [one.headers.get("if-none-match") for one in server.seen] == [None, None, None]


async def test_a_304_tells_of_the_rate_limit_now_and_not_then(client: Client, server: Server, time: Time) -> None:
    def limit(remaining: int) -> dict[str, str]:
        reset = str(int(time.at.timestamp()) + 600)
        return {"etag": '"a"', "x-ratelimit-remaining": str(remaining), "x-ratelimit-reset": reset}

    server.on(
        "GET",
        "/thing",
        Reply(data={"id": 1}, headers=limit(0) | {"date": http_date(time.at)}),
        Reply(status=304, headers=limit(5000) | {"date": http_date(time.at)}),
    )
    await client.call(make_call(), Thing)
    time.move(600)
    for _ in range(2):
        assert await client.call(make_call(), Thing) == Thing(1)


async def test_cookies_are_not_kept(client: Client, server: Server) -> None:
    server.on("GET", "/thing", Reply(data={"id": 1}, headers={"set-cookie": "a=b"}))
    for _ in range(2):
        await client.call(make_call(), Thing)
    assert "cookie" not in server.seen[1].headers


async def test_calls_are_counted(client: Client, server: Server, metrics: telemetry.Metrics) -> None:
    server.on("GET", "/thing", Reply(status=502), Reply(data={"id": 1}))
    server.on("POST", "/thing", _drop)
    await client.call(make_call(), Thing)
    with pytest.raises(errors.AnswerLost):
        await client.call(make_call("POST"), Thing)
    counted = [("GET", "2xx"), ("GET", "5xx"), ("POST", "none")]
    assert [_count(metrics, method, status_class) for method, status_class in counted] == [1, 1, 1]


def _count(metrics: telemetry.Metrics, method: str, status_class: str) -> float:
    labels = {"method": method, "status_class": status_class}
    return metrics.registry.get_sample_value("buildhook_github_requests_total", labels) or 0.0


async def test_a_closed_client_says_so(client: Client) -> None:
    await client.close()
    with pytest.raises(errors.GitHubUnavailable, match="closed"):
        await client.call(make_call("POST"), Thing)


async def test_f53_a_certificate_of_nobody_is_not_trusted(
    metrics: telemetry.Metrics, self_signed: ssl.SSLContext
) -> None:
    listening = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0, ssl=self_signed)
    port = listening.sockets[0].getsockname()[1]
    secure = Client(derive(f"https://127.0.0.1:{port}"), metrics=metrics, patience=Patience(attempts=1))
    await secure.open()
    with pytest.raises(errors.GitHubUnavailable, match=r"the certificate of 127\.0\.0\.1 is not trusted"):
        await secure.call(make_call("POST"), Thing)
    await secure.close()
    listening.close()
    await listening.wait_closed()
