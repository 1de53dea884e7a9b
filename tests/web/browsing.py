"""A site for a real browser, and a trap for what a page must not do. Tests with them share one loop and one browser."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Request, async_playwright

from tests.web.house import House, build_house, close_house

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)


class Site:
    """A house that listens, and can be stopped and started on the same port."""

    def __init__(self, house: House, *, port: int) -> None:
        self.house = house
        self.port = port
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def open(self) -> None:
        self._runner = web.AppRunner(self.house.app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()
        self.port = self._runner.addresses[0][1]

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()


class Trap:
    """Writes down everything that a page must not do."""

    def __init__(self, site: Site) -> None:
        self.caught: list[str] = []
        self._own = site.url

    async def set_on(self, context: BrowserContext) -> None:
        await context.expose_function("hit", lambda: self.caught.append("hit"))
        context.on("dialog", lambda dialog: self.caught.append(f"dialog {dialog.message}"))
        context.on("weberror", lambda error: self.caught.append(str(error.error)))
        context.on("console", self._hear)
        context.on("request", self._see)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.caught.append(message.text)

    def _see(self, request: Request) -> None:
        if not request.url.startswith(self._own):
            self.caught.append(f"asked {request.url}")


@pytest_asyncio.fixture(loop_scope="session")
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    built = Site(await build_house(tmp_path), port=0)
    await built.open()
    yield built
    await built.close()
    await close_house(built.house)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    if not CHROMIUM.exists():
        pytest.fail("Chromium is not installed: apt-get install chromium")
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(ARGUMENTS))
        yield opened
        await opened.close()


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser) -> AsyncIterator[Page]:
    context = await browser.new_context()
    context.set_default_timeout(20_000)
    yield await context.new_page()
    await context.close()
