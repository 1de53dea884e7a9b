"""Makes the pictures of the docs anew: a job's page, and the simulator's page of a pull request. Needs Chromium."""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

from playwright.async_api import async_playwright

from bot.cli import demo
from bot.simulator import Simulator

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
    """Tell the demo's story, and take its pictures."""
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("Chromium is missing: apt-get install chromium")
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        async with Simulator(folder=home / "github") as github, demo.service(github, home) as url:
            github.webhook_url = f"{url}/webhook"
            pages = await _story(github)
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
                for name, page_url in pages.items():
                    page = await browser.new_page(viewport={"width": 1100, "height": 800}, device_scale_factor=1.5)
                    await page.goto(page_url)
                    await page.wait_for_load_state("load")
                    await page.screenshot(path=IMAGES / f"{name}.png", full_page=True)
                    print(f"docs/images/{name}.png is made")
                await browser.close()


async def _story(github: Simulator) -> dict[str, str]:
    repository = await github.create_repository("octo/hello", files=demo.MAIN)
    await github.commit(repository, "greet-the-world", demo.TOPIC, "Greet the world when nobody is named")
    pull = await github.open_pull_request(repository, "greet-the-world", author="mona")
    run = await github.wait_for_check(repository, pull.head_sha, conclusion="failure")
    return {"job": run.details_url, "pull-request": f"{repository.html_url}/pull/{pull.number}"}


if __name__ == "__main__":
    asyncio.run(main())
