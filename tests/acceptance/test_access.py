"""The whole service with `ACCESS=github`: a person signs in, sees their build, and loses it when GitHub says so."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import aiohttp

from bot.simulator import Simulator
from tests.acceptance import process

URL = "https://builds.example.com"
FILES = {".buildhook.yml": "on: push\njobs:\n  test:\n    steps:\n      - run: echo ok\n"}
HTML = {"Accept": "text/html"}


async def test_t89_t90_a_person_sees_what_github_lets_them_see_and_no_longer(tmp_path: Path) -> None:
    async with Simulator(folder=tmp_path / "github") as github:
        environment = _environment(github, tmp_path)
        async with (
            process.serving(environment, log=tmp_path / "service.log") as service,
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as browser,
        ):
            github.webhook_url = service.webhook_url
            repository = await github.create_repository("octo/hello", files=FILES, private=True)
            github.create_user("hubot")
            github.set_permission(repository, "hubot", "write")
            head = await github.push(repository, "main", {"a": "b"})
            run = await github.wait_for_check(repository, head, conclusion="success")
            details = run.details_url
            assert details is not None
            assert details.startswith(URL)
            page = service.url + urlsplit(details).path

            async with browser.get(page, headers=HTML, allow_redirects=False) as answer:
                assert answer.status == 303
            cookie = await _sign_in(browser, service.url, github, "hubot")
            async with browser.get(page, headers=HTML | cookie) as answer:
                text = await answer.text()
                assert (answer.status, ">ok</span>" in text, "Run the build again" in text) == (200, True, True)
            async with browser.get(f"{service.url}/metrics", headers=cookie) as answer:
                assert answer.status == 404
            async with browser.get(f"{service.url}/readyz") as answer:
                assert answer.status == 200

            github.set_permission(repository, "hubot", "none")
            await github.hooks.settle()
            assert [one.status_code for one in github.deliveries if one.event == "member"][-1] == 202
            async with browser.get(page, headers=HTML | cookie) as answer:
                assert answer.status == 404
                assert "octo/hello" not in await answer.text()


async def test_f93_while_github_cannot_be_asked_about_people_builds_run_and_commands_say_how_they_went(
    tmp_path: Path,
) -> None:
    """Pages are no exception to what GitHub lets somebody see: an answer of it holds for less than a minute."""
    log = tmp_path / "service.log"
    async with Simulator(folder=tmp_path / "github") as github:
        environment = _environment(github, tmp_path)
        async with (
            process.serving(environment, log=log) as service,
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as browser,
        ):
            github.webhook_url = service.webhook_url
            repository = await github.create_repository("octo/hello", files=FILES, private=True)
            github.create_user("hubot")
            github.set_permission(repository, "hubot", "read")
            cookie = await _sign_in(browser, service.url, github, "hubot")

            async def look(path: str) -> tuple[int, str]:
                async with browser.get(f"{service.url}{path}", headers=HTML | cookie) as answer:
                    return answer.status, await answer.text()

            assert (await look("/"))[0] == 200
            github.faults.add(path="^/user", times=None, status=503)
            head = await github.push(repository, "main", {"a": "b"})
            await github.wait_for_check(repository, head, conclusion="success")
            (made,) = await service.command("builds", "list")
            assert (made["head_sha"], made["state"]) == (head, "passed")
            # What GitHub said a moment ago still holds.
            status, page = await look("/")
            assert (status, "octo/hello" in page) == (200, True)
            github.set_permission(repository, "hubot", "write")
            await github.hooks.settle()
            status, page = await look(f"/builds/{made['id']}")
            assert (status, "GitHub" in page, "octo/hello" in page) == (503, True, False)
            github.faults.clear()
            status, page = await look(f"/builds/{made['id']}")
            assert (status, "octo/hello" in page) == (200, True)
    assert "Traceback" not in log.read_text()


def _environment(github: Simulator, folder: Path) -> dict[str, str]:
    """The settings of a service where people sign in, which hears of their rights."""
    github.app.callback_urls = [f"{URL}/login/callback"]
    github.app.events.add("member")
    return process.for_github(
        github,
        folder / "data",
        access="github",
        client_id=github.client_id,
        client_secret=github.client_secret,
        public_url=URL,
    )


async def _sign_in(browser: aiohttp.ClientSession, url: str, github: Simulator, login: str) -> dict[str, str]:
    async with browser.get(f"{url}/login/start", allow_redirects=False) as answer:
        begun = answer.cookies["__Host-buildhook-login"].value
        back = urlsplit(github.sign_in(login, answer.headers["Location"]))
    query = {name: values[0] for name, values in parse_qs(back.query).items()}
    headers = {"Cookie": f"__Host-buildhook-login={begun}"}
    async with browser.get(f"{url}{back.path}", params=query, headers=headers, allow_redirects=False) as answer:
        assert answer.status == 303
        return {"Cookie": f"__Host-buildhook={answer.cookies['__Host-buildhook'].value}"}
