"""From an empty folder to the first green check: `buildhook setup`, a browser, `buildhook init` and a push."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, async_playwright, expect

from bot.simulator import Simulator
from tests.acceptance import process
from tests.web.browsing import ARGUMENTS, CHROMIUM

MAKEFILE = "test:\n\t@echo well\n"


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    if not CHROMIUM.exists():
        pytest.fail("Chromium is not installed: apt-get install chromium")
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(ARGUMENTS))
        yield opened
        await opened.close()


@pytest.fixture
def empty(github: Simulator, tmp_path: Path) -> dict[str, str]:
    """The environment of somebody who has nothing but the address of GitHub."""
    return process.environment(tmp_path / "data", github_api_url=github.api_url)


async def _look(page: Page) -> None:
    """A page is well made, also for who does not see it."""
    found = await Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.long
async def test_from_an_empty_folder_to_the_first_green_check_in_three_commands(
    github: Simulator, empty: dict[str, str], browser: Browser, tmp_path: Path
) -> None:
    """Three commands, and in the browser what a person clicks; without JavaScript, as it has to work then too."""
    await github.create_repository("octo/hello", files={"Makefile": MAKEFILE}, installed=False)
    checkout = tmp_path / "hello"
    await _git(tmp_path, "clone", "-q", _signed_in(github, "octo/hello"), str(checkout))
    context = await browser.new_context(java_script_enabled=False)
    context.set_default_timeout(20_000)
    page = await context.new_page()
    # The first command.
    async with process.serving(empty, log=tmp_path / "service.log", command=["setup"]) as service:
        assert "/setup?token=" in service.told["setup"]
        await page.goto(service.told["setup"])
        await expect(page.locator("dl.reasons").first).to_contain_text("a check run for each job")
        await page.get_by_label("an organisation", exact=True).check()
        await page.get_by_label("Its name, if it is an organisation").fill("octo")
        await page.get_by_label("What the App is called").fill("Octo's <builds>")
        await page.get_by_label("Where this service is reached from outside").first.fill(service.url)
        await page.get_by_role("button", name="Look at what GitHub is sent").click()
        await page.get_by_role("button", name="Register it at").click()
        await page.get_by_role("button", name="Create GitHub App for octo").click()
        await expect(page.get_by_role("heading", name="The webhook works")).to_be_visible()
        assert "token" not in page.url
        # The first came before the secret was known; the service also asks by itself for what failed.
        await github.hooks.settle()
        first, *again = [one.status_code for one in github.deliveries if one.event == "ping"]
        assert (first, set(again)) == (503, {202})
        await page.get_by_role("link", name="Install it on your repositories").click()
        await page.get_by_role("button", name="Install").click()
        await context.close()
        # The second, in the repository.
        status, out, err = await process.run("init", str(checkout), environment=empty)
        assert status == 0, out + err
        # The third: to git.
        await _git(checkout, "add", ".buildhook.yml")
        await _git(checkout, "commit", "-q", "-m", "Have it built")
        await _git(checkout, "push", "-q")
        head = await _git(checkout, "rev-parse", "HEAD")
        await github.wait_for_check("octo/hello", head, conclusion="success")
    assert github.problems == []
    log = (tmp_path / "service.log").read_text()
    assert "Traceback" not in log
    kept = tmp_path / "data" / "settings.env"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    for secret in (github.webhook_secret, github.client_secret, service.told["setup"].partition("=")[2]):
        assert secret
        assert secret not in log
    # Started again it is the same App, without a word of it in the environment.
    async with process.serving(empty, log=tmp_path / "service.log") as later:
        assert "setup" not in later.told
        async with aiohttp.ClientSession() as session, session.get(f"{later.url}/readyz") as answer:
            assert answer.status == 200
        async with aiohttp.ClientSession() as session, session.get(f"{later.url}/setup") as answer:
            assert answer.status == 404
    status, _, err = await process.run("setup", environment=empty)
    assert (status, f"set up already, for App {github.app_id}" in err) == (1, True)


@pytest.mark.long
async def test_an_app_that_is_there_is_taken_on_pages_that_everybody_can_use_and_the_command_ends(
    github: Simulator, empty: dict[str, str], browser: Browser, tmp_path: Path
) -> None:
    """With `ACCESS=github`: people can sign in from then on; `--stop` ends it once the webhook was proved."""
    url = "https://builds.example.com"
    environment = empty | {"BUILDHOOK_ACCESS": "github", "BUILDHOOK_PUBLIC_URL": url}
    context = await browser.new_context()
    context.set_default_timeout(20_000)
    page = await context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    async with process.serving(environment, log=tmp_path / "service.log", command=["setup", "--stop"]) as service:
        await page.goto(service.told["setup"])
        await _look(page)
        assert await page.get_by_label("Where this service is reached").first.input_value() == url
        await page.get_by_label("What the App is called").fill("<img src=x onerror=alert(1)>")
        await page.get_by_role("button", name="Look at what GitHub is sent").click()
        await expect(page.get_by_role("heading", name="Register <img")).to_be_visible()
        await _look(page)
        await page.get_by_role("link", name="Change something").click()
        github.webhook_url = service.webhook_url
        github.ping()
        for label, text in (
            ("App ID", str(github.app_id)),
            ("Private key", github.private_key),
            ("Webhook secret", str(github.webhook_secret)),
            ("Client ID", github.client_id),
        ):
            await page.get_by_label(label).fill(text)
        await page.get_by_role("button", name="Take this App").click()
        wrong = page.get_by_text("People sign in by the client id and its secret together")
        await expect(wrong).to_be_visible()
        await _look(page)
        await page.get_by_label("Private key").fill(github.private_key)
        await page.get_by_label("Webhook secret").fill(str(github.webhook_secret))
        await page.get_by_label("Client secret").fill(github.client_secret)
        await page.get_by_role("button", name="Take this App").click()
        await expect(page.get_by_role("heading", name="The webhook works")).to_be_visible()
        await expect(page.get_by_text("people sign in from now on")).to_be_visible()
        await _look(page)
        assert await service.end() == 0
    # Of the form that was filled in wrong on purpose; the policy of the pages has nothing to say.
    assert [one for one in said if "422" not in one] == []
    async with (
        process.serving(environment, log=tmp_path / "service.log") as again,
        aiohttp.ClientSession() as session,
        session.get(f"{again.url}/", headers={"Accept": "text/html"}, allow_redirects=False) as answer,
    ):
        assert (answer.status, answer.headers["Location"]) == (303, "/login?next=/")
        log = (tmp_path / "service.log").read_text()
        assert "Traceback" not in log


async def _git(folder: Path, *arguments: str) -> str:
    """Not waited for by the loop, in which the simulator answers it."""
    who = ("-c", "user.name=mona", "-c", "user.email=mona@example.com")
    child = await asyncio.create_subprocess_exec(
        "git",
        "-C",
        str(folder),
        *who,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "GIT_TERMINAL_PROMPT": "0"},
    )
    out, _ = await child.communicate()
    assert child.returncode == 0, arguments
    return out.decode().strip()


def _signed_in(github: Simulator, repository: str) -> str:
    host = github.url.removeprefix("http://")
    return f"http://mona:{github.user_token('mona')}@{host}/{repository}.git"
