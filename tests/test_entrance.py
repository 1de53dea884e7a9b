"""`ACCESS=github` does not start with something missing, and says what."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from bot import app, entrance, errors, identity, policy, telemetry
from bot.settings import load
from bot.simulator import Simulator
from bot.store import Store
from bot.web import setup, viewing
from bot.web.login import BEGUN_COOKIE
from tests import factories
from tests.acceptance import process

WHOLE = {
    "access": "github",
    "app_id": 1,
    "private_key": "a key",
    "webhook_secret": "a secret",
    "client_id": "Iv23li0123456789",
    "client_secret": "c" * 40,
    "public_url": "https://builds.example.com",
}


async def _made(folder: Path, **given: Any) -> entrance.Entrance:
    store = Store(f"sqlite:///{folder / 'b.db'}")
    return entrance.Entrance(
        load(data_dir=folder, **given),
        store,
        metrics=telemetry.Metrics(),
        rules=policy.Policy,
        new_id=identity.Ids(),
        now=lambda: factories.NOW,
        monotonic=time.monotonic,
    )


async def test_nobody_signs_in_where_only_this_machine_reaches_the_pages(tmp_path: Path) -> None:
    made = await _made(tmp_path)
    assert made.entry is None
    await made.open()
    made.hear([factories.make_verified_delivery(event="member")])
    await made.run()
    await made.close()


async def test_before_the_app_is_set_up_nobody_signs_in_and_only_this_machine_reaches_the_pages(tmp_path: Path) -> None:
    made = await _made(tmp_path, access="github", public_url="https://builds.example.com")
    assert made.entry is None


async def test_with_all_that_is_needed_people_can_sign_in(tmp_path: Path) -> None:
    made = await _made(tmp_path, **WHOLE)
    assert made.entry is not None
    assert made.entry.public_url == WHOLE["public_url"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"client_id": None, "client_secret": None}, "set BUILDHOOK_CLIENT_ID, BUILDHOOK_CLIENT_SECRET as well"),
        ({"public_url": None}, "set BUILDHOOK_PUBLIC_URL as well"),
        ({"public_url": "http://builds.example.com"}, "it is https"),
        ({"public_url": "https://example.com/builds"}, "it has no path"),
    ],
)
async def test_what_is_missing_is_said(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(errors.SettingsError, match=says):
        await _made(tmp_path, **(WHOLE | changes))


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
async def test_plain_http_is_for_this_machine(tmp_path: Path, host: str) -> None:
    assert (await _made(tmp_path, **(WHOLE | {"public_url": f"http://{host}:8080"}))).entry is not None


@dataclass
class Visit:
    """A browser, at the address that is this machine's or at the one that people know."""

    session: aiohttp.ClientSession
    url: str
    host: str | None = None

    async def ask(self, method: str, path: str, **more: Any) -> tuple[int, str, Mapping[str, str]]:
        """Status, text and where it leads; cookies are the caller's."""
        headers = {"Accept": "text/html", **({"Host": self.host} if self.host else {}), **more.pop("headers", {})}
        async with self.session.request(
            method, self.url + path, headers=headers, allow_redirects=False, **more
        ) as answer:
            found = {name: one.value for name, one in answer.cookies.items()}
            return answer.status, await answer.text(), {"Location": answer.headers.get("Location", ""), **found}


@pytest.fixture
async def visit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Visit, Visit, Simulator, str]]:
    """A service that has no App yet, with `ACCESS=github`; two browsers, GitHub, and the link that was printed."""
    async with Simulator(folder=tmp_path / "github") as github:
        github.app.callback_urls = ["https://builds.example.com/login/callback"]
        await github.create_repository("octo/hello")
        given = process.environment(tmp_path / "data", github_api_url=github.api_url)
        given |= {"BUILDHOOK_ACCESS": "github", "BUILDHOOK_PUBLIC_URL": "https://builds.example.com"}
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        jar = aiohttp.DummyCookieJar()
        async with app.running(load()) as service, aiohttp.ClientSession(cookie_jar=jar) as session:
            here, there = Visit(session, service.url), Visit(session, service.url, "builds.example.com")
            github.webhook_url = f"{service.url}/webhook"
            yield here, there, github, (service.setup_link or "").removeprefix(service.url)


def _app(github: Simulator, token: str, **changes: str) -> dict[str, str]:
    known = {
        "token": token,
        "app_id": str(github.app_id),
        "private_key": github.private_key,
        "webhook_secret": str(github.webhook_secret),
        "client_id": github.client_id,
        "client_secret": github.client_secret,
        "public_url": "https://builds.example.com",
    }
    return known | changes


async def test_people_sign_in_as_soon_as_the_app_is_set_up(visit: tuple[Visit, Visit, Simulator, str]) -> None:
    here, there, github, link = visit
    # Before: this machine's pages, and nobody else's; nobody can sign in.
    assert (await here.ask("GET", "/"))[0] == 200
    for path in ("/", "/login", "/login/start", "/login/callback?code=a&state=b"):
        assert (await there.ask("GET", path))[0] == 404
    assert (await here.ask("GET", "/login/start"))[0] == 404
    own = {"Origin": here.url, "Sec-Fetch-Site": "same-origin"}
    sent = _app(github, link.partition("token=")[2])
    status, _, got = await here.ask("POST", "/setup/existing", data=sent, headers=own)
    assert (status, got["Location"]) == (303, "/setup")
    # Whoever set it up is told on this machine still, and nobody else is.
    holder = {"Cookie": f"{setup.COOKIE}={got[setup.COOKIE]}"}
    status, text, _ = await here.ask("GET", "/setup", headers=holder)
    assert (status, "people sign in from now on" in text) == (200, True)
    assert (await there.ask("GET", "/setup", headers=holder))[0] == 404
    # From now on everybody signs in, this machine as well.
    for browser in (here, there):
        status, _, got = await browser.ask("GET", "/")
        assert (status, got["Location"]) == (303, "/login?next=/")
    github.create_user("mona")
    status, _, got = await there.ask("GET", "/login/start")
    assert (status, got["Location"].startswith(github.url)) == (303, True)
    back = urlsplit(github.sign_in("mona", got["Location"]))
    begun = {"Cookie": f"{BEGUN_COOKIE}={got[BEGUN_COOKIE]}"}
    status, text, got = await there.ask("GET", f"{back.path}?{back.query}", headers=begun)
    assert (status, got["Location"]) == (303, "/"), text
    status, text, _ = await there.ask("GET", "/", headers={"Cookie": f"{viewing.COOKIE}={got[viewing.COOKIE]}"})
    assert (status, "mona" in text) == (200, True)


async def test_an_app_that_nobody_could_sign_in_by_is_told_of_at_once(
    visit: tuple[Visit, Visit, Simulator, str],
) -> None:
    here, there, github, link = visit
    own = {"Origin": here.url, "Sec-Fetch-Site": "same-origin"}
    sent = _app(github, link.partition("token=")[2], client_id="", client_secret="")
    status, text, got = await here.ask("POST", "/setup/existing", data=sent, headers=own)
    assert (status, "set BUILDHOOK_CLIENT_ID, BUILDHOOK_CLIENT_SECRET as well" in text) == (409, True)
    # It stays this machine's; with the rest of it, it goes on.
    assert (await there.ask("GET", "/login"))[0] == 404
    holder = own | {"Cookie": f"{setup.COOKIE}={got[setup.COOKIE]}"}
    assert (await here.ask("POST", "/setup/existing", data=_app(github, ""), headers=holder))[0] == 303
    assert (await there.ask("GET", "/login"))[0] == 200
