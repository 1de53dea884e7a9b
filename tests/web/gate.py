"""The dashboard of `ACCESS=github` beside a simulated GitHub: people with every right there is, and their browsers."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from aiohttp import DummyCookieJar
from aiohttp.test_utils import TestClient, TestServer
from msgspec.structs import replace

from bot import identity, policy, telemetry
from bot.choices import Access
from bot.entrance import Entrance
from bot.environment import Secret
from bot.model import person
from bot.people import proof
from bot.proxies import Network
from bot.settings import Settings
from bot.simulator import Repository, Simulator
from bot.store import Store
from bot.visitors import Visitors
from bot.web import Entry, rules, viewing
from bot.web.login import BEGUN_COOKIE
from tests.web.house import House, build_house, close_house

#: Where people reach the service: a proxy in front of it speaks TLS.
URL = "https://builds.example.com"
BACK = f"{URL}/login/callback"
HTML = {"Accept": "text/html"}
OPERATOR = "operator"
#: What each may do in octo/hello.
PEOPLE = {"outsider": "none", "reader": "read", "triager": "triage", "writer": "write", "admin": "admin"}


@dataclass(kw_only=True)
class Gate:
    """The house with its guarded door."""

    house: House
    github: Simulator
    entrance: Entrance
    client: TestClient[Any, Any]
    hello: Repository
    #: Somebody else's private repository, and a public one.
    secret: Repository
    open: Repository
    cookies: dict[str, str] = field(default_factory=dict)
    #: By how much the clock that rights are kept by is ahead.
    ahead: list[float] = field(default_factory=lambda: [0.0])

    def pass_seconds(self, seconds: float) -> None:
        """Let what is kept of rights grow old."""
        self.ahead[0] += seconds

    async def sign_in(self, login: str, *, wanted: str = "/") -> str:
        """Sign somebody in as a browser does; gives the cookie."""
        started = await self.client.get("/login/start", params={"next": wanted}, allow_redirects=False)
        begun = started.cookies[BEGUN_COOKIE].value
        back = urlsplit(self.github.sign_in(login, started.headers["Location"]))
        answer = await self.come_back({name: values[0] for name, values in parse_qs(back.query).items()}, begun=begun)
        assert answer.status == 303, await answer.text()
        assert answer.headers["Location"] == wanted
        self.cookies[login] = answer.cookies[viewing.COOKIE].value
        return self.cookies[login]

    async def come_back(self, query: Mapping[str, str], *, begun: str | None) -> Any:
        """What GitHub's page leads a browser to."""
        headers = {"Cookie": f"{BEGUN_COOKIE}={begun}"} if begun is not None else {}
        return await self.client.get(
            "/login/callback", params=dict(query), headers={**HTML, **headers}, allow_redirects=False
        )

    async def ask(
        self, method: str, path: str, *, login: str | None = None, token: str | None = None, **more: Any
    ) -> Any:
        """Ask as somebody: with the cookie and the form of their own browser, or with an API token."""
        headers: dict[str, str] = dict(more.pop("headers", {}))
        data = dict(more.pop("data", {}))
        is_api = rules.is_api(path)
        if login is not None:
            cookie = self.cookies[login]
            headers = {"Cookie": f"{viewing.COOKIE}={cookie}", "Origin": URL, "Sec-Fetch-Site": "same-origin"} | headers
            if method == "POST" and not is_api:
                data = {viewing.FORM_FIELD: form_token(cookie)} | data
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        if method == "POST" and is_api:
            more.setdefault("json", {})
        elif method == "POST":
            more["data"] = data
        return await self.client.request(method, path, headers=headers, allow_redirects=False, **more)

    async def token(self, login: str, *scopes: person.Scope) -> str:
        """An API token of somebody who signed in."""
        assert self.entrance.entry is not None
        people = self.entrance.entry.people
        viewer = await people.of_cookie(self.cookies[login])
        assert viewer is not None
        return await people.make_token(
            viewer, name="laptop", scopes=scopes, expires_at=self.house.now + timedelta(days=1)
        )


def form_token(cookie: str) -> str:
    """What a page that is shown to this browser has in its forms."""
    return proof.form_token(cookie)


@contextlib.asynccontextmanager
async def gate(folder: Path, *, trusted: Sequence[Network] = ()) -> AsyncIterator[Gate]:
    """A gate with people, an own repository that they have rights in, and two of somebody else.

    :param trusted: the proxies in front.
    """
    async with contextlib.AsyncExitStack() as stack:
        github = await stack.enter_async_context(Simulator(folder=folder / "github"))
        github.app.callback_urls = [BACK]
        hello = await github.create_repository("octo/hello", private=True)
        secret = await github.create_repository("other/secret", private=True)
        public = await github.create_repository("other/open", private=False)
        for login, level in PEOPLE.items():
            github.create_user(login)
            github.set_permission(hello, login, level)
        operator = github.create_user(OPERATOR)
        rules = policy.Policy(access=policy.Access(operators=frozenset({operator.id})))
        settings = Settings(
            access=Access.GITHUB,
            data_dir=folder / "data",
            github_api_url=github.api_url,
            app_id=github.app_id,
            private_key=Secret(github.private_key),
            webhook_secret=Secret(github.webhook_secret or ""),
            client_id=github.client_id,
            client_secret=Secret(github.client_secret),
            public_url=URL,
        )
        metrics = telemetry.Metrics()
        settings.data_dir.mkdir()
        made: list[Entrance] = []
        ahead = [0.0]

        def enter(store: Store, now: Callable[[], datetime]) -> Entry | None:
            one = Entrance(
                settings,
                store,
                metrics=metrics,
                rules=lambda: rules,
                new_id=identity.Ids(),
                now=now,
                monotonic=lambda: time.monotonic() + ahead[0],
            )
            made.append(one)
            assert one.entry is not None
            return replace(one.entry, again_seconds=0.05)

        house = await build_house(folder, enter=enter, visitors=Visitors(lambda: trusted))
        stack.push_async_callback(close_house, house)
        (entrance,) = made
        await entrance.open()
        stack.push_async_callback(entrance.close)
        server = TestServer(house.app)
        client: TestClient[Any, Any] = TestClient(server, cookie_jar=DummyCookieJar())
        await client.start_server()
        stack.push_async_callback(client.close)
        yield Gate(
            house=house,
            github=github,
            entrance=entrance,
            client=client,
            hello=hello,
            secret=secret,
            open=public,
            ahead=ahead,
        )
