"""The client of a relay, against a relay and a door over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import io
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bot import errors
from bot.relay import client
from tests.relay.server import RelayServer, relaying

SECRET = b"secret"
FAST = client.Patience(pause_seconds=0.02, longest_pause_seconds=0.04, retry_seconds=0.01, connect_seconds=2.0)


@dataclass
class World:
    """A relay, a door that proves, and the client between them."""

    relay: RelayServer
    door_url: str
    #: What the door answers to what is genuine, in order; then 202.
    answers: list[int] = field(default_factory=list)
    taken: list[bytes] = field(default_factory=list)
    passed: list[client.Passed] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def note(self, into: list[Any]) -> Callable[[Any], None]:
        def noted(one: Any) -> None:
            into.append(one)
            self.changed.set()

        return noted

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not is_so():
                self.changed.clear()
                await self.changed.wait()

    async def post(
        self, body: bytes, *, secret: bytes = SECRET, guid: str = "g-1", content_type: str = "application/json"
    ) -> None:
        signature = "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
        given = {
            "Content-Type": content_type,
            "X-GitHub-Event": "push",
            "X-GitHub-Delivery": guid,
            "X-Hub-Signature-256": signature,
        }
        url = f"{self.relay.url}/channel"
        async with aiohttp.ClientSession() as github, github.post(url, data=io.BytesIO(body), headers=given) as answer:
            assert answer.status == 200


@contextlib.asynccontextmanager
async def _world(patience: client.Patience = FAST) -> AsyncIterator[World]:
    async with relaying() as relay:
        its = World(relay=relay, door_url="")

        async def door(request: web.Request) -> web.Response:
            body = await request.read()
            expected = "sha256=" + hmac.new(SECRET, body, hashlib.sha256).hexdigest()
            if not hmac.compare_digest(request.headers.get("X-Hub-Signature-256", ""), expected):
                return web.Response(status=401, text="the signature is wrong")
            status = its.answers.pop(0) if its.answers else 202
            if status == 202:
                its.taken.append(body)
            return web.Response(status=status)

        app = web.Application(client_max_size=30 * 1024 * 1024)
        app.router.add_post("/webhook", door)
        async with TestServer(app) as server:
            its.door_url = str(server.make_url("/webhook"))
            made = client.Relay(
                f"{relay.url}/channel",
                door=its.door_url,
                on_passed=its.note(its.passed),
                on_state=its.note(its.said),
                patience=patience,
            )
            task = asyncio.create_task(made.run())
            try:
                yield its
            finally:
                task.cancel()
                await asyncio.wait({task})


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with _world() as its:
        await its.relay.until_listening()
        yield its


async def test_what_github_signed_comes_in_as_it_was(world: World) -> None:
    body = '{"ref":"refs/heads/bücher","n":10,"e":"\\n \\" \\\\"}'.encode()
    await world.post(body)
    await world.until(lambda: bool(world.passed))
    assert world.taken == [body]
    assert world.passed == [client.Passed(event="push", guid="g-1", status=202, text="")]
    assert world.said == [f"GitHub's webhooks come by {world.relay.url}/channel."]


async def test_a_large_one_comes_in_whole(world: World) -> None:
    body = b'{"a":"' + b"x" * (5 << 20) + b'"}'
    await world.post(body)
    await world.until(lambda: bool(world.passed))
    assert world.taken == [body]


async def test_t1_what_the_relay_changes_or_makes_up_is_refused(world: World) -> None:
    """The relay, or whoever knows its channel, forges nothing: the door finds every change."""
    await world.post(b'{"a":1}', secret=b"guessed", guid="made-up")
    world.relay.alter = lambda payload: {**payload, "body": {"a": 2}}
    await world.post(b'{"a":1}', guid="changed")
    world.relay.alter = lambda payload: {key: value for key, value in payload.items() if "signature" not in key}
    await world.post(b'{"a":1}', guid="unsigned")
    world.relay.alter = lambda payload: payload
    await world.post(b'{"a": 1}', guid="written-anew")
    await world.post(b'{"a":1}', guid="good")
    await world.until(lambda: len(world.passed) == 5)
    assert [(one.guid, one.status) for one in world.passed] == [
        ("made-up", 401),
        ("changed", 401),
        ("unsigned", 401),
        ("written-anew", 401),
        ("good", 202),
    ]
    assert world.passed[0].text == "the signature is wrong"
    assert world.taken == [b'{"a":1}']


async def test_what_is_no_webhook_is_told_and_does_no_harm(world: World) -> None:
    for text in ("data: nonsense\n\n", 'data: {"body":{}}\n\n', "event: other\ndata: {}\n\n", ": ping\n\n", "\n\n\n"):
        await world.relay.say(text)
    await world.post(b"payload={}", content_type="application/x-www-form-urlencoded")
    await world.post(b"{}", guid="good")
    await world.until(lambda: len(world.passed) == 4)
    assert [one.status for one in world.passed] == [None, 401, None, 202]
    assert "no JSON object" in world.passed[0].text
    assert "choose the content type `application/json`" in world.passed[2].text


async def test_a_door_that_cannot_take_it_for_now_is_asked_again(world: World) -> None:
    """GitHub was told that all is well: it does not send it again."""
    world.answers = [503, 503]
    await world.post(b"{}")
    await world.until(lambda: bool(world.passed))
    assert (world.passed[0].status, world.taken) == (202, [b"{}"])
    world.answers = [503] * FAST.attempts
    await world.post(b"{}")
    await world.until(lambda: len(world.passed) == 2)
    assert world.passed[1].status == 503


async def test_a_channel_that_breaks_is_asked_for_again(world: World) -> None:
    world.relay.cut()
    await world.relay.until_listening(times=2)
    await world.post(b"{}")
    await world.until(lambda: bool(world.passed))
    assert world.passed[0].status == 202
    assert "it ended the stream" in world.said[1]


async def test_a_relay_that_is_none_is_told_and_asked_again(world: World) -> None:
    world.relay.status = 404
    world.relay.cut()
    await world.until(lambda: any("404" in one for one in world.said))
    world.relay.status = 200
    await world.relay.until_listening(times=2)
    world.relay.status = 302
    world.relay.cut()
    await world.until(lambda: any("302" in one for one in world.said))


async def test_a_channel_that_says_nothing_for_too_long_is_asked_for_again() -> None:
    async with _world(client.Patience(silence_seconds=0.1, pause_seconds=0.02)) as its:
        await its.relay.until_listening(times=3)
        assert any("said nothing for too long" in one for one in its.said)


async def test_an_event_that_is_too_large_ends_the_stream_and_nothing_else(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.relay.cut()
    monkeypatch.setattr("bot.relay.stream.Parser.__init__.__kwdefaults__", {"max_bytes": 1000})
    await world.relay.until_listening(times=2)
    await world.relay.say("data: " + "x" * 2000)
    await world.relay.until_listening(times=3)
    assert any("more than GitHub ever does" in one for one in world.said)
    await world.post(b"{}")
    await world.until(lambda: bool(world.passed))
    assert world.passed[0].status == 202


async def test_a_new_channel_is_made() -> None:
    async with relaying() as relay:
        made = await client.new_channel(f"{relay.url}/new")
        assert made.startswith(relay.url)
        assert made != await client.new_channel(f"{relay.url}/new")
        with pytest.raises(errors.SettingsError, match="made no channel"):
            await client.new_channel(f"{relay.url}/channel")
    with pytest.raises(errors.SettingsError, match="cannot be asked"):
        await client.new_channel(f"{relay.url}/new")


@pytest.mark.parametrize("location", ["https://evil.example/abc", "/", "", "/new", "//evil.example/abc"])
async def test_a_channel_elsewhere_is_refused(location: str) -> None:
    async def lead(_request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": location})

    app = web.Application()
    app.router.add_get("/new", lead)
    async with TestServer(app) as server:
        with pytest.raises(errors.SettingsError, match="made no channel"):
            await client.new_channel(str(server.make_url("/new")))


@pytest.mark.parametrize(
    "url", ["smee.io/x", "ftp://smee.io/x", "https://", "http://smee.io/x", "https://a:b@smee.io/x", "https://x:port/"]
)
def test_what_is_no_channel_is_refused(url: str) -> None:
    with pytest.raises(errors.SettingsError, match="--relay: write"):
        client.checked(url)


def test_a_channel_is_taken_as_it_stands() -> None:
    for url in ("https://smee.io/abc", "http://127.0.0.1:3000/abc", "http://localhost/abc"):
        assert client.checked(url) == url
