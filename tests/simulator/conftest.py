"""A simulator, a receiver of its webhooks and a client, each new for each test; our own answers are always judged."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import json
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
import yarl
from aiohttp import web

from bot.simulator import Repository, Simulator, openapi


@dataclasses.dataclass(slots=True)
class Received:
    """One webhook request as it came."""

    headers: Mapping[str, str]
    body: bytes

    @property
    def payload(self) -> Any:
        return json.loads(self.body)


class Receiver:
    """Takes webhooks; answers `status`, or nothing while `hold` is not set."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.status = 202
        self.hold: asyncio.Event | None = None
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        self.received.append(Received(dict(request.headers), await request.read()))
        if self.hold is not None:
            await self.hold.wait()
        return web.Response(status=self.status, text="taken", headers={"X-Receiver": "here"})

    def events(self) -> list[str]:
        """The events that came, each with its action."""
        names = []
        for one in self.received:
            action = one.payload.get("action")
            names.append(one.headers["X-GitHub-Event"] + (f".{action}" if action else ""))
        return sorted(names)

    def payload(self, name: str) -> Any:
        """The newest payload of an event such as `pull_request.opened`."""
        event, _, action = name.partition(".")
        for one in reversed(self.received):
            if one.headers["X-GitHub-Event"] == event and one.payload.get("action", "") == action:
                return one.payload
        raise AssertionError(f"no {name} came; there are {self.events()}")


@dataclasses.dataclass(slots=True)
class Reply:
    """An answer of the API."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.content) if self.content else None


class Client:
    """Calls the API with an installation token for everything that the App may do."""

    def __init__(self, github: Simulator, session: aiohttp.ClientSession) -> None:
        self.github = github
        self.session = session

    def app_jwt(self, **claims: Any) -> str:
        now = int(time.time())
        whole = {"iat": now - 60, "exp": now + 540, "iss": str(self.github.app_id), **claims}
        return jwt.encode(whole, self.github.private_key, algorithm="RS256")

    async def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        root: str | None = None,
    ) -> Reply:
        """Sends one request; `token` is that of the installation in `octo` by default, `""` for nobody."""
        sent = dict(headers or {})
        if token is None:
            token = self.github.installation_token("octo")
        if token:
            sent.setdefault("Authorization", f"Bearer {token}")
        content = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        url = yarl.URL((self.github.api_url if root is None else root) + path, encoded=True)
        async with self.session.request(
            method, url, data=io.BytesIO(content) if content else None, headers=sent, allow_redirects=False
        ) as answer:
            return Reply(answer.status, dict(answer.headers), await answer.read())

    async def as_app(self, method: str, path: str, body: Any = None) -> Reply:
        return await self(method, path, body, token=self.app_jwt())


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    application = web.Application(client_max_size=30 * 1024 * 1024)
    application.router.add_post("/webhook", receiver.take)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/webhook"
    yield receiver
    if receiver.hold is not None:
        receiver.hold.set()
    await runner.cleanup()


@pytest.fixture
async def github(receiver: Receiver, tmp_path: Path) -> AsyncIterator[Simulator]:
    """A simulator whose answers and payloads must satisfy GitHub's description, whatever the test is about."""
    async with Simulator(folder=tmp_path / "github", webhook_url=receiver.url) as github:
        yield github
        await github.settle_queues()
        await github.hooks.settle()
        assert github.problems == []
        for delivery in github.deliveries:
            assert openapi.event_problems(delivery.event, json.loads(delivery.payload_json)) == [], (
                delivery.payload_summary
            )


@pytest.fixture
async def client(github: Simulator) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as session:
        yield Client(github, session)


@pytest.fixture
async def repository(github: Simulator) -> Repository:
    return await github.create_repository("octo/hello", {"README.md": "# hello\n", "src/app.py": "print(1)\n"})
