"""The page that sets a service up, on a whole service beside a simulator of GitHub: who may, what it does, and how
it ends."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from structlog.testing import capture_logs

from bot import app as application
from bot.settings import load
from bot.simulator import Simulator
from bot.web import setup
from tests.web.test_browser import XSS

HTML = {"Accept": "text/html"}
#: What a browser sends along with a form of ours.
OWN = {**HTML, "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate", "Origin": "null"}
#: And when GitHub sends it back.
BACK = {**HTML, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
SECRET = "CanarySecret"


class Visitor:
    """A browser, or something like one."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.session = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))

    async def get(self, path: str, **headers: str) -> tuple[int, str]:
        async with self.session.get(self.url + path, headers=BACK | headers, allow_redirects=False) as answer:
            self.headers = answer.headers
            return answer.status, await answer.text()

    async def post(self, path: str, form: dict[str, str], **headers: str) -> tuple[int, str]:
        sent = OWN | headers
        async with self.session.post(self.url + path, data=form, headers=sent, allow_redirects=False) as answer:
            self.headers = answer.headers
            return answer.status, await answer.text()


class Place:
    """A service without an App."""

    def __init__(self, service: application.Service, github: Simulator, settings_file: Path) -> None:
        self.service, self.github, self.file = service, github, settings_file
        assert service.setting_up is not None
        self.its = service.setting_up
        self.token = self.its.claim.token
        self.visitors: list[Visitor] = []

    def visitor(self) -> Visitor:
        self.visitors.append(Visitor(self.service.url))
        return self.visitors[-1]

    def form(self, **changes: str) -> dict[str, str]:
        given = {"token": self.token, "account": "person", "name": "Our builds", "public_url": self.service.url}
        return given | changes

    def existing(self, **changes: str) -> dict[str, str]:
        github = self.github
        assert github.webhook_secret is not None
        given = {
            "token": self.token,
            "app_id": str(github.app_id),
            "private_key": github.private_key,
            "webhook_secret": github.webhook_secret,
        }
        return given | changes

    async def agree(self, page: str) -> str:
        """What a person does on GitHub's page; gives where the browser is sent."""
        found = re.search(r'action="([^"]+)">\s*<input type="hidden" name="manifest" value="([^"]+)"', page)
        assert found is not None, page
        action, text = (_unescaped(one) for one in found.groups())
        parts = urlsplit(action)
        assert f"{parts.scheme}://{parts.netloc}" == self.github.url
        state = parse_qs(parts.query)["state"][0]
        its = self.github.registrations
        wish = its.wish({"manifest": text}, owner=self.github.user("mona"), state=state)
        location = its.register(wish, name=wish.manifest.name)
        self.github.ping()
        assert location.startswith(self.service.url)
        return location.removeprefix(self.service.url)


def _unescaped(text: str) -> str:
    for name, character in (("&#34;", '"'), ("&#39;", "'"), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        text = text.replace(name, character)
    return text


@pytest.fixture
async def place(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    data = tmp_path / "data"
    data.mkdir()
    shutil.copyfile(empty_database, data / "buildhook.db")
    monkeypatch.chdir(tmp_path)
    async with Simulator(folder=tmp_path / "github") as github:
        monkeypatch.setenv("BUILDHOOK_DATA_DIR", str(data))
        monkeypatch.setenv("BUILDHOOK_GITHUB_API_URL", github.api_url)
        async with application.running(load(port=0)) as service:
            made = Place(service, github, data / "settings.env")
            yield made
            for one in made.visitors:
                await one.session.close()
        assert github.problems == []


async def test_t100_without_the_token_the_page_is_not_there(place: Place) -> None:
    visitor = place.visitor()
    status, nothing = await visitor.get("/nothing-here")
    assert status == 404
    for path in ("/setup", "/setup?token=", "/setup?token=wrong", "/setup/callback?code=a&state=b"):
        assert await visitor.get(path) == (404, nothing), path
    for path in ("/setup/register", "/setup/existing", "/setup/test"):
        for form in ({}, {"token": ""}, {"token": "wrong"}, place.form(token="wrong"), place.existing(token="x")):
            assert await visitor.post(path, form) == (404, nothing), path
    assert (await visitor.get(setup.link(place.its)))[0] == 200
    assert place.its.claim.is_open_to(place.token), "looking claims nothing"


async def test_t100_the_token_alone_is_not_enough_from_elsewhere(place: Place) -> None:
    """Another host's name, a proxy, and another site's form are refused although the token is right."""
    visitor = place.visitor()
    assert (await visitor.get(setup.link(place.its), Host="builds.example.org"))[0] == 404
    assert (await visitor.get(setup.link(place.its), **{"X-Forwarded-For": "203.0.113.5"}))[0] == 404
    foreign = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    assert (await visitor.post("/setup/register", place.form(), **foreign))[0] == 403
    assert place.its.claim.is_open_to(place.token)


async def test_t100_of_two_claimants_one_wins(place: Place) -> None:
    """Both have the token, as somebody has who reads the terminal's output in a log, and both come at once."""
    visitors = [place.visitor() for _ in range(4)]
    for one in visitors:
        assert (await one.get(setup.link(place.its)))[0] == 200
    answers = await asyncio.gather(*(one.post("/setup/register", place.form()) for one in visitors))
    assert sorted(status for status, _ in answers) == [200, *[404] * 3]
    winner = next(index for index, (status, _) in enumerate(answers) if status == 200)
    back = await place.agree(answers[winner][1])
    for index, one in enumerate(visitors):
        if index != winner:
            assert (await one.get(setup.link(place.its)))[0] == 404
            assert (await one.get("/setup"))[0] == 404
            # What GitHub sends back is of use to nobody else, who may have seen it.
            assert (await one.get(back))[0] == 404
            assert (await one.post("/setup/existing", place.existing()))[0] == 404
    assert (await visitors[winner].get(back))[0] == 303
    assert (await visitors[winner].get("/setup"))[0] == 200


async def test_t100_of_two_who_finish_at_once_one_app_is_kept_and_then_it_is_closed(place: Place) -> None:
    visitor = place.visitor()
    _, page = await visitor.post("/setup/register", place.form())
    place.github.webhook_url = f"{place.service.url}/webhook"
    existing = place.existing()
    back = await place.agree(page)
    results = await asyncio.gather(visitor.get(back), visitor.get(back), visitor.post("/setup/existing", existing))
    assert sorted(status for status, _ in results) in ([303, 404, 404], [303, 404, 409], [303, 409, 409])
    status, page = await visitor.get("/setup")
    assert (status, "The webhook works" in page) == (200, True)
    before = place.file.read_bytes()
    for path, form in (("/setup/register", place.form()), ("/setup/existing", existing)):
        assert (await visitor.post(path, form))[0] == 404
    assert (await visitor.get(back))[0] == 409
    stranger = place.visitor()
    for path in ("/setup", setup.link(place.its), back):
        assert (await stranger.get(path))[0] == 404
    assert (await stranger.post("/setup/test", {}))[0] == 404
    assert place.file.read_bytes() == before


async def test_t100_an_app_that_is_sent_twice_at_once_is_taken_once(place: Place) -> None:
    visitor = place.visitor()
    await visitor.post("/setup/existing", place.existing(app_id=""))
    results = await asyncio.gather(*(visitor.post("/setup/existing", place.existing()) for _ in range(2)))
    assert sorted(status for status, _ in results) == [303, 409]
    assert place.file.read_text().count("BUILDHOOK_APP_ID=") == 1


async def test_the_app_is_registered_and_in_force_at_once(place: Place) -> None:
    visitor = place.visitor()
    assert (await visitor.get("/readyz"))[0] == 503
    status, page = await visitor.post("/setup/register", place.form())
    assert status == 200
    policy = visitor.headers["Content-Security-Policy"]
    assert f"form-action 'self' {place.github.url};" in policy
    assert SECRET not in page
    with capture_logs() as logged:
        back = await place.agree(page)
        assert (await visitor.get(back))[0] == 303
        assert visitor.headers["Location"] == "/setup"
        status, page = await visitor.get("/setup")
    assert "form-action 'self';" in visitor.headers["Content-Security-Policy"]
    assert "The webhook works" in page
    assert f'href="{place.github.url}/apps/our-builds/installations/new"' in page
    assert "has to be given more" not in page
    found = load(port=0)
    github = place.github
    assert github.webhook_secret is not None
    assert (found.app_id, found.public_url) == (github.app_id, place.service.url)
    assert found.webhook_secrets == (github.webhook_secret.encode(),)
    assert (found.client_id, found.client_secret.get_secret_value()) == (  # type: ignore[union-attr]
        github.client_id,
        github.client_secret,
    )
    assert github.app.callback_urls == [f"{place.service.url}/login/callback"]
    for secret in (github.private_key[100:140], github.webhook_secret, github.client_secret, place.token):
        assert secret not in page
        assert secret not in str(logged)
    async with asyncio.timeout(20):
        while (await visitor.get("/readyz"))[0] != 200:
            await asyncio.sleep(0.02)


async def test_what_is_typed_wrong_is_told_and_shown_again_as_text(place: Place) -> None:
    visitor = place.visitor()
    hostile = "".join(XSS)
    status, page = await visitor.post(
        "/setup/register", place.form(name=hostile, account="organization", organization=hostile, public_url=hostile)
    )
    assert status == 422
    assert "form-action 'self';" in visitor.headers["Content-Security-Policy"]
    for said in ("at most 34 characters", "as it stands in its address", "like https://builds"):
        assert said in page
    assert "<script>hit" not in page
    assert "<img src=x" not in page
    assert 'name="token"' not in page, "it is spent, and the browser keeps what it gave"
    status, page = await visitor.post("/setup/register", place.form(token="", name="<b>Ours</b>"))
    assert status == 200
    assert "<b>" not in page
    assert "&lt;b&gt;Ours&lt;/b&gt;" in page
    status, page = await visitor.post("/setup/existing", place.existing(token="", app_id="x", webhook_secret=SECRET))
    assert (status, SECRET in page, "BEGIN RSA" in page) == (422, False, False)


async def test_a_return_that_did_not_begin_here_changes_nothing(place: Place) -> None:
    visitor = place.visitor()
    _, page = await visitor.post("/setup/register", place.form())
    back = await place.agree(page)
    code = parse_qs(urlsplit(back).query)["code"][0]
    for query in ("", f"?code={code}", f"?code={code}&state=", f"?code={code}&state=wrong", f"?state={'x' * 3000}"):
        status, page = await visitor.get(f"/setup/callback{query}")
        assert (status, "Begin" in page) == (409, True)
    assert "BUILDHOOK_" not in place.file.read_text()
    assert (await visitor.get(back))[0] == 303


@pytest.mark.long
async def test_a_code_that_github_does_not_take_is_told(place: Place) -> None:
    visitor = place.visitor()
    _, page = await visitor.post("/setup/register", place.form())
    back = await place.agree(page)
    place.github.clock.advance(3600)
    status, page = await visitor.get(back)
    assert (status, "good once, for an hour" in page) == (409, True)
    assert "BUILDHOOK_" not in place.file.read_text()
    status, page = await visitor.get(back)
    assert (status, "did not begin here" in page) == (409, True)


@pytest.mark.long
@pytest.mark.parametrize(
    ("fault", "says", "then"),
    [
        ({"status": 403, "body": {"message": "secondary rate limit"}}, "Load this page again", 303),
        ({"drop_response_after_applying": True}, "its key did not come", 409),
        ({"status": 502, "html": True}, "its key did not come", 409),
    ],
)
async def test_a_github_that_fails_is_told_and_a_code_that_is_good_still_can_be_used(
    place: Place, fault: dict[str, Any], says: str, then: int
) -> None:
    visitor = place.visitor()
    _, page = await visitor.post("/setup/register", place.form())
    back = await place.agree(page)
    place.github.faults.add(path="/app-manifests/", times=1, **fault)
    status, page = await visitor.get(back)
    assert (status, says in page) == (409, True), page
    assert "BUILDHOOK_" not in place.file.read_text()
    assert (await visitor.get(back))[0] == then


async def test_an_app_that_is_there_is_taken_with_what_it_lacks(place: Place) -> None:
    visitor = place.visitor()
    github = place.github
    github.webhook_url = f"{place.service.url}/webhook"
    del github.app.permissions["merge_queues"]
    github.app.events.discard("merge_group")
    github.ping()
    await github.hooks.settle()
    other = github.private_key[:400] + "A" + github.private_key[401:]
    for changes, says in (
        ({"app_id": "99"}, "Integration not found"),
        ({"private_key": "-----BEGIN nothing-----"}, "is not a private key in PEM form"),
        ({"private_key": other}, "private key"),
    ):
        status, page = await visitor.post("/setup/existing", place.existing(**changes))
        assert (status, says in page) == (409, True), page
    assert not place.file.exists()
    assert (await visitor.post("/setup/existing", place.existing()))[0] == 303
    _, page = await visitor.get("/setup")
    assert "The webhook works" in page
    assert "merge_queues: read" in page
    assert "it does not hear of: merge_group" in page
    assert load(port=0).app_id == github.app_id


async def test_a_webhook_that_leads_elsewhere_is_told_and_looked_at_again(place: Place) -> None:
    visitor = place.visitor()
    place.its._patience_seconds = 0.3
    place.github.webhook_url = f"{place.service.url}/elsewhere"
    place.github.ping()
    await place.github.hooks.settle()
    assert (await visitor.post("/setup/existing", place.existing()))[0] == 303
    _, page = await visitor.get("/setup")
    assert "does not work yet" in page
    assert "answered with 403" in page
    assert not place.its.is_told.is_set()
    place.github.webhook_url = f"{place.service.url}/webhook"
    place.its._patience_seconds = 10
    assert (await visitor.post("/setup/test", {}))[0] == 303
    _, page = await visitor.get("/setup")
    assert "The webhook works" in page
    assert place.its.is_told.is_set()


@pytest.mark.long
async def test_a_file_that_cannot_be_written_is_told_before_anything_is_registered(place: Place) -> None:
    place.file.mkdir()
    visitor = place.visitor()
    status, page = await visitor.post("/setup/register", place.form())
    assert (status, "cannot write" in page) == (409, True)


@pytest.mark.long
async def test_what_stands_before_the_file_is_told(place: Place) -> None:
    Path("key.pem").write_text(place.github.private_key)
    Path(".env").write_text("BUILDHOOK_APP_ID=5\nBUILDHOOK_PRIVATE_KEY_FILE=key.pem\nBUILDHOOK_WEBHOOK_SECRET=y\n")
    visitor = place.visitor()
    place.github.webhook_url = f"{place.service.url}/webhook"
    status, page = await visitor.post("/setup/existing", place.existing())
    assert (status, "something stands before it" in page) == (409, True)
