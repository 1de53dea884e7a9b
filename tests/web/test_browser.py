"""A real browser: the live log, hostile text, buttons, anchors, small screens, and no JavaScript at all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Request, async_playwright, expect

from bot.model import build, job
from tests import factories
from tests.web.house import House, build_house, close_house, fill_with

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
#: One of each kind: elements, attributes, schemes, templates, terminators, encodings.
XSS = (
    "<script>hit()</script>",
    "<img src=x onerror=hit()>",
    "<svg onload=hit()>",
    "\"><iframe srcdoc='<script>parent.hit()</script>'>",
    "' autofocus onfocus=hit() x='",
    "javascript:hit()",
    "</textarea></title></style></script><script>hit()</script>",
    "<a href=javascript:hit()>x</a>",
    "{{ cycler.__init__.__globals__ }}${hit()}",
    "<base href=//example.com/>",
    "<meta http-equiv=refresh content='0;url=javascript:hit()'>",
    "\x1b]8;;javascript:hit()\x1b\\link\x1b]8;;\x1b\\",
    "<details open ontoggle=hit()>",
    "\u2028<script>hit()</script>\u202e",
    "&lt;script&gt;hit()&lt;/script&gt;",
    "<form action=//example.com><button>x",
    "\\u003cscript\\u003ehit()",
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


@pytest.fixture
async def site(house: House) -> AsyncIterator[Site]:
    built = Site(house, port=0)
    await built.open()
    yield built
    await built.close()


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    if not CHROMIUM.exists():
        pytest.fail("Chromium is not installed: apt-get install chromium")
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(ARGUMENTS))
        yield opened
        await opened.close()


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    context = await browser.new_context()
    context.set_default_timeout(20_000)
    yield await context.new_page()
    await context.close()


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


async def texts(page: Page) -> list[str]:
    return await page.locator("#log .line .t").all_text_contents()


async def test_a_live_log_is_followed_to_the_end(site: Site, page: Page) -> None:
    trap = Trap(site)
    await trap.set_on(page.context)
    one = await site.house.add_job(log=b"first\n")
    await page.goto(f"{site.url}/jobs/{one.id}")
    await expect(page.locator("#follow")).to_have_attribute("aria-pressed", "true")
    for number in range(2, 120):
        await site.house.append(one, b"line %d\n" % number)
    await site.house.append(one, b"dots ..")
    await expect(page.locator("#L120 .t")).to_have_text("dots ..")
    await expect(page.locator("#L120")).to_be_in_viewport()
    await site.house.append(one, b".\n\x1b[31mred\x1b[0m")
    await expect(page.locator("#L120 .t")).to_have_text("dots ...")
    await expect(page.locator("#L121 .f1")).to_have_text("red")
    steps = (factories.make_step_result(log_end_bytes=9),)
    await site.house.save_job(one, state=job.State.PASSED, steps=steps, finished_at=factories.NOW)
    await expect(page.locator("#head .lead .word")).to_have_text("Passed")
    await expect(page.locator("#news")).to_have_text("The job is now: Passed")
    await expect(page.locator(".mark")).to_have_text("test")
    await expect(page.locator("#follow")).to_have_count(0)
    assert (await page.title()).startswith("Passed:")
    assert await texts(page) == ["first", *(f"line {number}" for number in range(2, 120)), "dots ...", "red"]
    assert trap.caught == []


async def test_who_scrolls_up_is_left_in_peace_until_following_again(site: Site, page: Page) -> None:
    one = await site.house.add_job(log=b"".join(b"line %d\n" % number for number in range(200)))
    await page.goto(f"{site.url}/jobs/{one.id}")
    await expect(page.locator("#L200")).to_be_in_viewport()
    await page.mouse.move(300, 300)
    await page.mouse.wheel(0, -3000)
    button = page.locator("#follow")
    await expect(button).to_have_attribute("aria-pressed", "false")
    await site.house.append(one, b"new\n")
    await expect(page.locator("#L201")).to_have_count(1)
    await expect(page.locator("#L201")).not_to_be_in_viewport()
    await button.click()
    await expect(page.locator("#L201")).to_be_in_viewport()


async def test_a_live_log_survives_a_restart_of_the_service_without_a_gap(tmp_path: Path, page: Page) -> None:
    first = Site(await build_house(tmp_path), port=0)
    await first.open()
    one = await first.house.add_job(log=b"before 1\nbef")
    await page.goto(f"{first.url}/jobs/{one.id}")
    await first.house.append(one, b"ore 2\nunfinis")
    await expect(page.locator("#L3")).to_have_count(1)
    await first.close()
    await close_house(first.house)
    second = Site(await build_house(tmp_path), port=first.port)
    await second.house.append(one, b"hed\nmeanwhile\n")
    await second.open()
    await second.house.append(one, b"after\n")
    await expect(page.locator("#L5")).to_have_count(1)
    assert await texts(page) == ["before 1", "before 2", "unfinished", "meanwhile", "after"]
    await second.close()
    await close_house(second.house)


async def test_t84_t85_hostile_text_in_every_field_runs_nothing(site: Site, page: Page) -> None:
    trap = Trap(site)
    await trap.set_on(page.context)
    paths = await fill_with(site.house, " ".join(XSS))
    running = await site.house.add_job(log="\n".join(XSS).encode(), of=factories.make_build(title=XSS[0]))
    await page.goto(f"{site.url}/jobs/{running.id}")
    await site.house.append(running, "".join(f"\n{text}" for text in XSS).encode())
    await site.house.save_job(running, state=job.State.FAILED, reason=" ".join(XSS), started_at=factories.NOW)
    await expect(page.locator("#head .lead .word")).to_have_text("Failed")
    await expect(page.locator(f"#L{2 * len(XSS)}")).to_have_count(1)
    for path in [*paths, f"/jobs/{running.id}"]:
        await page.goto(site.url + path)
        await page.wait_for_load_state("load")
        for target in await page.locator("main a").all():
            await target.focus()
        assert await page.locator("main script, main iframe, main img, base, [onerror], [onload]").count() == 0, path
        assert await page.locator("a:not([href^='/']):not([href^='#']):not([href^='?'])").count() == 0, path
    assert trap.caught == []


async def test_t84_the_policy_stops_what_would_get_through(site: Site, page: Page) -> None:
    await page.goto(f"{site.url}/")
    ran = await page.evaluate(
        """() => {
          const script = document.createElement("script");
          try {
            script.append(document.createTextNode("window.ran = true"));
            document.body.append(script);
          } catch {}
          const button = document.createElement("button");
          try { button.setAttribute("onclick", "window.ran = true"); } catch {}
          button.click();
          return window.ran === true;
        }"""
    )
    assert ran is False
    refused = await page.evaluate(
        "() => { try { document.body.innerHTML = '<b>x</b>'; return false; } catch (error) { return true; } }"
    )
    assert refused is True


async def test_a_line_can_be_linked_to(site: Site, page: Page) -> None:
    one = await site.house.add_job(
        log=b"".join(b"line %d\n" % number for number in range(1, 400)), state=job.State.PASSED
    )
    await page.goto(f"{site.url}/jobs/{one.id}#L300")
    await expect(page.locator("#L300")).to_be_in_viewport()
    plain = await page.locator("#L299").evaluate("row => getComputedStyle(row).backgroundColor")
    assert await page.locator("#L300").evaluate("row => getComputedStyle(row).backgroundColor") != plain
    await page.locator("#L310 .n").click()
    await page.wait_for_url("**#L310")


async def test_a_link_to_a_line_finds_its_part_of_a_long_log(
    site: Site, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.web.logparts.PART_BYTES", 2000)
    one = await site.house.add_job(
        log=b"".join(b"line %d\n" % number for number in range(1, 900)), state=job.State.PASSED
    )
    await page.goto(f"{site.url}/jobs/{one.id}#L12")
    await expect(page.locator("#L12 .t")).to_have_text("line 12")
    await expect(page.locator("#L12")).to_be_in_viewport()
    await page.goto(f"{site.url}/jobs/{one.id}#L99999")
    await expect(page.locator("#L899")).to_have_count(1)


async def test_t97_our_buttons_work_and_another_sites_form_does_not(site: Site, page: Page) -> None:
    new = await site.house.add_build()
    await page.goto(f"{site.url}/builds/{new.build.id}")
    await page.get_by_role("button", name="Cancel").click()
    await page.wait_for_load_state("load")
    assert site.house.asked == [("cancel", new.build.id)]

    async def lure(_request: web.Request) -> web.Response:
        form = f'<form method="post" action="{site.url}/builds/{new.build.id}/cancel"><button>Win</button></form>'
        return web.Response(text=form, content_type="text/html")

    evil = web.Application()
    evil.router.add_get("/", lure)
    runner = web.AppRunner(evil)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    # Another port is another origin; another name is another site too.
    for host in ("127.0.0.1", "localhost"):
        await page.goto(f"http://{host}:{runner.addresses[0][1]}/")
        async with page.expect_navigation() as moved:
            await page.get_by_role("button", name="Win").click()
        answer = await moved.value
        assert answer is not None
        assert answer.status == 403
    assert site.house.asked == [("cancel", new.build.id)]
    await runner.cleanup()


async def test_pages_look_again_while_something_runs(site: Site, page: Page) -> None:
    new = await site.house.add_build()
    await page.clock.install()
    await page.goto(f"{site.url}/")
    await expect(page.locator(".row .word")).to_have_text("Queued")
    await site.house.save_build(new.build.id, state=build.State.PASSED)
    await page.clock.fast_forward(4000)
    await expect(page.locator(".row .word")).to_have_text("Passed")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_no_page_scrolls_sideways_on_a_phone(site: Site, browser: Browser, scheme: str) -> None:
    paths = await fill_with(site.house, "averylongword" * 20)
    context = await browser.new_context(
        viewport={"width": 320, "height": 640}, color_scheme="dark" if scheme == "dark" else "light"
    )
    page = await context.new_page()
    for path in [*paths, "/repos/octo/hello", "/nothing", "/?state=waiting"]:
        await page.goto(site.url + path)
        width = await page.evaluate("document.documentElement.scrollWidth")
        assert width <= 320, path
    await context.close()


async def test_the_keyboard_reaches_the_content_first_and_shows_where_it_is(site: Site, page: Page) -> None:
    await site.house.add_build()
    await page.goto(f"{site.url}/")
    await page.keyboard.press("Tab")
    await expect(page.locator(".skip")).to_be_focused()
    await expect(page.locator(".skip")).to_be_in_viewport()
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    focused = page.locator("main :focus")
    await expect(focused).to_have_count(1)
    assert await focused.evaluate("element => getComputedStyle(element).outlineStyle") == "solid"


async def test_everything_can_be_read_and_done_without_javascript(site: Site, browser: Browser) -> None:
    one = await site.house.add_job(log=b"$ pytest\n\x1b[32mok\x1b[0m\n", state=job.State.RUNNING)
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(f"{site.url}/")
    await page.locator(".row-title").click()
    await page.locator(".card").click()
    await expect(page.locator("#L2 .f2")).to_have_text("ok")
    await expect(page.locator("#follow")).to_be_hidden()
    await expect(page.get_by_text("Reload for more")).to_be_visible()
    await page.get_by_role("button", name="Cancel the build").click()
    assert site.house.asked == [("cancel", one.build_id)]
    await page.goto(f"{site.url}/")
    await page.get_by_label("State").select_option("passed")
    await page.get_by_role("button", name="Show").click()
    await expect(page.get_by_text("No build is like that.")).to_be_visible()
    await context.close()
