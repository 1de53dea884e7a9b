"""A real browser: the live log, hostile text, buttons, anchors, small screens, and no JavaScript at all."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from aiohttp import web
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect

from bot.model import build, job
from tests import factories
from tests.web.browsing import Site, Trap
from tests.web.house import build_house, close_house, fill_with

# One loop for all of them, because their browser is one.
pytestmark = pytest.mark.asyncio(loop_scope="session")

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
        await page.evaluate("document.querySelectorAll('main a').forEach((one) => one.focus())")
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
    monkeypatch.setattr("bot.web.logparts.PART_LINES", 100)
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
    await expect(page.locator(".row .word").last).to_have_text("Queued")
    await site.house.save_build(new.build.id, state=build.State.PASSED)
    await page.clock.fast_forward(4000)
    await expect(page.locator(".row .word").last).to_have_text("Passed")


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
    await page.locator(".row-title").first.click()
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


def long_log(lines: int) -> bytes:
    return b"".join(b"line %d\n" % number for number in range(1, lines + 1))


async def test_any_line_of_a_long_log_is_at_hand_and_the_page_stays_small(site: Site, page: Page) -> None:
    trap = Trap(site)
    await trap.set_on(page.context)
    one = await site.house.add_job(log=long_log(30_000), state=job.State.PASSED)
    await site.house.logs.seal(one.id)
    await page.goto(f"{site.url}/jobs/{one.id}#L27000")
    await expect(page.locator("#L27000 .t")).to_have_text("line 27000")
    await expect(page.locator("#L27000")).to_be_in_viewport()
    # As far as the whole log, whatever is in the page.
    assert await page.evaluate("document.getElementById('log').offsetHeight / 30000") > 10
    await page.keyboard.press("g")
    await expect(page.locator("#L1")).to_be_in_viewport()
    await page.keyboard.press("Shift+G")
    await expect(page.locator("#L30000")).to_be_in_viewport()
    await page.locator("#line").fill("12345")
    await page.locator("#line").press("Enter")
    await expect(page.locator("#L12345")).to_be_in_viewport()
    await expect(page.locator("#L12345")).to_have_class("line sel")
    # Somebody drags the scroll bar, then reads on line by line.
    await page.evaluate("window.scrollTo(0, document.documentElement.scrollHeight / 3)")
    await page.wait_for_function(SEEN)
    await page.evaluate("window.scrollBy(0, 9000)")
    await page.wait_for_function(SEEN)
    assert await page.locator("#log .line").count() <= 2000
    assert trap.caught == []


#: Whether rows, without a gap, are all that is seen of the log.
SEEN = """() => {
  const rows = Array.from(document.querySelectorAll("#log > .line"));
  const seen = rows.filter((row) => {
    const box = row.getBoundingClientRect();
    return box.bottom > 0 && box.top < innerHeight;
  });
  const numbers = rows.map((row) => Number(row.id.slice(1)));
  return seen.length * seen[0]?.getBoundingClientRect().height > innerHeight * 0.9
    && numbers.every((one, at) => at === 0 || one === numbers[at - 1] + 1);
}"""


async def test_what_is_read_stays_where_it_is_when_long_lines_are_wrapped(site: Site, page: Page) -> None:
    log = b"".join(b"line %d %s\n" % (number, b"word " * (number % 97)) for number in range(1, 6000))
    one = await site.house.add_job(log=log, state=job.State.PASSED)
    await page.goto(f"{site.url}/jobs/{one.id}#L3000")
    await expect(page.locator("#L3000")).to_be_in_viewport()
    place = "document.getElementById('L3000').getBoundingClientRect().top"
    await page.wait_for_function(SEEN.replace("seen.length * seen[0]?.getBoundingClientRect().height", "Infinity"))
    before = await page.evaluate(place)
    await page.evaluate("window.scrollBy(0, 120)")
    await page.wait_for_timeout(0)
    assert abs(await page.evaluate(place) - before + 120) < 2
    await page.keyboard.press("w")
    await expect(page.locator("#log")).to_have_class("log whole nowrap")
    await expect(page.locator("#L3000")).to_be_in_viewport()
    # The choice is kept.
    await page.reload()
    await expect(page.locator("#wrap")).to_have_attribute("aria-pressed", "false")
    await expect(page.locator("#L3000")).to_be_in_viewport()


async def test_lines_are_selected_and_linked_to_and_copied(site: Site, page: Page) -> None:
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    log = b"".join(b"line %d ```\n" % number for number in range(1, 2000))
    one = await site.house.add_job(log=log, state=job.State.PASSED)
    await page.goto(f"{site.url}/jobs/{one.id}#L700")
    await page.locator("#L702 .n").click()
    await page.locator("#L705 .n").click(modifiers=["Shift"])
    await page.wait_for_url("**#L702-L705")
    await expect(page.locator(".line.sel")).to_have_count(4)
    await page.keyboard.press("y")
    await expect(page.locator("#news")).to_have_text("Permalink copied")
    link = await page.evaluate("navigator.clipboard.readText()")
    assert link == f"{site.url}/jobs/{one.id}?line=702#L702-L705"
    await page.locator("#copy").click()
    await expect(page.locator("#news")).to_have_text("Lines 702 to 705 copied")
    copied = await page.evaluate("navigator.clipboard.readText()")
    lines = "\n".join(f"line {number} ```" for number in range(702, 706))
    assert copied == f"[Lines 702 to 705]({link})\n\n````text\n{lines}\n````\n"
    await page.goto("about:blank")
    await page.goto(link)
    await expect(page.locator(".line.sel")).to_have_count(4)
    await expect(page.locator("#L702")).to_be_in_viewport()
    await page.keyboard.press("Escape")
    await expect(page.locator(".line.sel")).to_have_count(0)


async def test_text_is_found_anywhere_in_the_log_with_the_keyboard_alone(site: Site, page: Page) -> None:
    log = long_log(9000).replace(b"line 4000\n", b"a \x1b[31mnee\x1b[0mdle\n").replace(b"line 8000\n", b"Needle\n")
    one = await site.house.add_job(log=log, state=job.State.RUNNING)
    await page.goto(f"{site.url}/jobs/{one.id}#L5000")
    await page.keyboard.press("/")
    await expect(page.locator("#q")).to_be_focused()
    await page.keyboard.type("needle")
    await expect(page.locator("#L8000")).to_be_in_viewport()
    await expect(page.locator("#hits")).to_have_text("2 of 2 lines")
    await expect(page.locator("#L8000")).to_have_class("line hit at")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Shift+N")
    await expect(page.locator("#L4000")).to_be_in_viewport()
    assert await page.evaluate("Array.from(CSS.highlights.get('hit'), (one) => one.toString())") == ["needle"]
    await page.keyboard.press("n")
    await expect(page.locator("#L8000")).to_be_in_viewport()
    # The log grows meanwhile.
    await site.house.append(one, b"the last needle\n")
    await page.keyboard.press("n")
    await expect(page.locator("#L9001")).to_be_in_viewport()
    await expect(page.locator("#hits")).to_have_text("3 of 3 lines")
    await page.keyboard.press("n")
    await expect(page.locator("#L4000")).to_be_in_viewport()
    await page.keyboard.press("Escape")
    await expect(page.locator("#hits")).to_have_text("")


async def test_groups_fold_and_open_for_whoever_comes_to_a_line_in_them(site: Site, page: Page) -> None:
    log = b"before\n::group::Install\n" + b"in\n" * 3000 + b"::endgroup::\nbetween\n--- Test\n" + b"t\n" * 9
    one = await site.house.add_job(log=log, state=job.State.PASSED)
    await page.goto(f"{site.url}/jobs/{one.id}")
    await page.keyboard.press("g")
    shown = page.locator("#log > .line .t")
    await expect(shown).to_have_text(["before", "::group::Install", "between", "--- Test"])
    # What began the group is a sign for us: it is there, and not seen.
    await expect(shown).to_have_text(["before", "Install", "between", "Test"], use_inner_text=True)
    fold = page.get_by_role("button", name="Group of 3001 lines")
    await expect(fold).to_have_attribute("aria-expanded", "false")
    await fold.press("Enter")
    await expect(fold).to_have_attribute("aria-expanded", "true")
    await expect(page.locator("#L3")).to_be_in_viewport()
    await fold.click()
    await expect(page.locator("#log > .line")).to_have_count(4)
    await page.locator("#line").fill("2000")
    await page.locator("#line").press("Enter")
    await expect(page.locator("#L2000")).to_be_in_viewport()
    await page.goto("about:blank")
    await page.goto(f"{site.url}/jobs/{one.id}#L1500-L1501")
    await expect(page.locator("#L1500")).to_be_in_viewport()
    await expect(page.locator("#L3008")).to_have_count(0)


async def test_a_failure_is_one_key_or_one_link_away_and_its_group_is_open(site: Site, page: Page) -> None:
    log = b"::group::a\nx\n::endgroup::\n::group::b\n" + b"y\n" * 1000 + b"bad\n"
    steps = (factories.make_step_result(state="failed", exit_code=1, log_end_bytes=len(log)),)
    one = await site.house.add_job(log=log, state=job.State.FAILED, steps=steps)
    await site.house.save_build(one.build_id, state=build.State.FAILED)
    await page.goto(f"{site.url}/jobs/{one.id}")
    await page.keyboard.press("f")
    await expect(page.locator("#L1005 .t")).to_have_text("bad")
    await expect(page.locator("#L1005")).to_be_in_viewport()
    await expect(page.locator("#news")).to_have_text("Line 1005")
    await page.evaluate("window.scrollTo(0, 0)")
    await page.reload()
    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    await expect(page.get_by_text("Skip to the first failure")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("#L1005")).to_be_in_viewport()
    await expect(page.locator("#log")).to_be_focused()


async def test_keys_are_told_and_nothing_fires_where_somebody_types(site: Site, page: Page) -> None:
    one = await site.house.add_job(log=long_log(50), state=job.State.PASSED)
    await site.house.save_build(one.build_id, state=build.State.PASSED)
    await page.goto(f"{site.url}/jobs/{one.id}")
    await page.locator("#help").focus()
    await page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keys")
    await expect(dialog).to_be_visible()
    # Behind it nothing happens.
    await page.keyboard.press("w")
    await expect(page.locator("#wrap")).to_have_attribute("aria-pressed", "true")
    await page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    await expect(page.locator("#help")).to_be_focused()
    await page.locator("#line").press("w")
    await page.locator("#log").press("Control+w")
    await expect(page.locator("#wrap")).to_have_attribute("aria-pressed", "true")
    await page.locator("#log").press("r")
    await page.get_by_role("dialog").get_by_role("button", name="No").click()
    assert site.house.asked == []
    await page.locator("#log").press("r")
    await page.get_by_role("button", name="Run it again").click()
    await page.wait_for_load_state("load")
    await expect(page.locator("#log")).to_have_count(0)
    assert site.house.asked == [("retry", one.build_id)]


async def test_a_long_log_is_read_without_javascript(site: Site, browser: Browser) -> None:
    one = await site.house.add_job(log=long_log(2000), state=job.State.PASSED)
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(f"{site.url}/jobs/{one.id}")
    await expect(page.locator("#L2000")).to_have_count(1)
    await page.get_by_role("link", name="Older").click()
    await expect(page.locator("#L1001")).to_have_count(1)
    await page.get_by_role("link", name="First").click()
    await expect(page.locator("#log .line")).to_have_count(500)
    await page.get_by_role("link", name="Newer").click()
    await expect(page.locator("#L501")).to_have_count(1)
    await page.get_by_label("Go to line").fill("1700")
    await page.get_by_role("button", name="Go", exact=True).click()
    await expect(page.locator("#L1700")).to_have_count(1)
    await page.get_by_label("Search the log").fill("LINE 77")
    await page.get_by_role("button", name="Search", exact=True).click()
    await expect(page.get_by_text("11 lines with “LINE 77”.")).to_be_visible()
    await page.locator("#found").get_by_role("link", name="775").click()
    await expect(page.locator("#L775")).to_be_in_viewport()
    await expect(page.locator("button.js:visible")).to_have_count(0)
    await context.close()


async def test_who_looks_elsewhere_in_a_live_log_finds_all_of_it_at_its_end(site: Site, page: Page) -> None:
    one = await site.house.add_job(log=long_log(3000))
    await page.goto(f"{site.url}/jobs/{one.id}#L10")
    await expect(page.locator("#L10")).to_be_in_viewport()
    for number in range(3001, 3101):
        await site.house.append(one, b"line %d\n" % number)
    await expect(page.locator("#L10")).to_be_in_viewport()
    await expect(page.locator("#L3001")).to_have_count(0)
    await page.keyboard.press("j")
    await expect(page.locator("#L3100")).to_be_in_viewport()
    await site.house.append(one, b"line 3101\n")
    await expect(page.locator("#L3101")).to_be_in_viewport()
    numbers = [int(text.removeprefix("line ")) for text in await texts(page)]
    assert numbers == list(range(numbers[0], 3102))


@pytest.mark.long
async def test_a_flood_does_not_take_away_what_is_read_and_is_followed_to_its_end(site: Site, page: Page) -> None:
    one = await site.house.add_job(log=long_log(60))
    await page.goto(f"{site.url}/jobs/{one.id}")
    await page.keyboard.press("g")
    await expect(page.locator("#L1")).to_be_in_viewport()
    await site.house.append(one, long_log(9000).removeprefix(long_log(60)))
    await expect(page.locator("#L500")).to_have_count(1)
    await expect(page.locator("#L1")).to_be_in_viewport()
    await page.keyboard.press("j")
    await expect(page.locator("#L9000")).to_be_in_viewport()
    await site.house.append(one, long_log(20_000).removeprefix(long_log(9000)))
    await expect(page.locator("#L20000")).to_be_in_viewport()
    numbers = [int(text.removeprefix("line ")) for text in await texts(page)]
    assert numbers == list(range(numbers[0], 20_001))
    assert len(numbers) <= 2000


@pytest.mark.long
async def test_a_log_of_a_million_lines_is_opened_and_jumped_in(site: Site, page: Page) -> None:
    one = await site.house.add_job(state=job.State.RUNNING)
    log = b"".join(b"%07d some words of a build that goes on and on\n" % number for number in range(1, 1_000_001))
    for start in range(0, len(log), 1 << 22):
        await site.house.logs.append(one.id, offset_bytes=start, data=log[start : start + (1 << 22)])
    for is_packed in (False, True):
        if is_packed:
            await site.house.logs.seal(one.id)
            await site.house.save_job(one, state=job.State.PASSED)
        await page.goto("about:blank")
        await page.goto(f"{site.url}/jobs/{one.id}")
        await page.locator("#line").fill("900000")
        await page.locator("#line").press("Enter")
        await expect(page.locator("#L900000")).to_be_in_viewport()
        await page.wait_for_function(SEEN)
        await page.locator("#q").fill("0123456 SOME")
        await expect(page.locator("#L123456")).to_be_in_viewport()
        await expect(page.locator("#hits")).to_have_text("1 of 1 lines")
        # The scroll bar reaches every part, and reading on from there has no gap.
        for place in (0.2, 0.9, 0.5):
            await page.evaluate(f"window.scrollTo(0, document.documentElement.scrollHeight * {place})")
            await page.wait_for_function(SEEN)
            first = int((await page.locator("#log > .line").first.get_attribute("id") or "")[1:])
            assert abs(first / 1_000_000 - place) < 0.05
        for _ in range(20):
            await page.evaluate("window.scrollBy(0, 1000)")
            await page.wait_for_function(SEEN)
        assert await page.locator("#log .line").count() <= 2000


@pytest.mark.parametrize(
    ("scheme", "all_pages"),
    [
        ("light", False),
        pytest.param("light", True, marks=pytest.mark.long),
        pytest.param("dark", True, marks=pytest.mark.long),
    ],
)
async def test_axe_finds_nothing_against_people_who_see_or_move_less(
    site: Site, browser: Browser, scheme: str, all_pages: bool
) -> None:
    colours = [*range(30, 38), *range(40, 48), *range(90, 98), *range(100, 108), 1, 2, 3, 4, 7, 9]
    log = b"::group::a\nb\n::endgroup::\n" + b"".join(b"\x1b[%dmneedle %d\x1b[0m\n" % (one, one) for one in colours)
    steps = (factories.make_step_result(state="failed", exit_code=1, log_end_bytes=len(log)),)
    failed = await site.house.add_job(log=log, state=job.State.FAILED, steps=steps)
    live = await site.house.add_job(log=long_log(600))
    paths = [f"/jobs/{failed.id}#L5-L9", f"/jobs/{live.id}", f"/jobs/{failed.id}?q=needle"]
    paths = [*paths, *await fill_with(site.house, "text")] if all_pages else paths[:1]
    # What looks for faults is a script of its own, and no page lets it in.
    dark_or_light: Literal["dark", "light"] = "dark" if scheme == "dark" else "light"
    found: list[str] = []
    for width in (1280, 320) if all_pages else (1280,):
        context = await browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme=dark_or_light, bypass_csp=True
        )
        page = await context.new_page()

        async def look(of: Page, path: str) -> None:
            results = await Axe().run(of)
            found.extend(f"{path}: {one['id']} {one['nodes'][0]['html']}" for one in results.response["violations"])

        for path in paths:
            await page.goto(site.url + path)
            await look(page, path)
            if path.startswith(f"/jobs/{failed.id}#"):
                await page.locator("#q").fill("needle")
                await expect(page.locator("#hits")).to_contain_text("of 38 lines")
                await look(page, path)
                await page.locator("#log").press("?")
                await look(page, path)
        await context.close()
    assert found == []


async def test_every_page_has_its_keys_and_says_which(site: Site, page: Page) -> None:
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    for state in ("failed", "passed", "errored"):
        new = await site.house.add_build(factories.make_build(title=f"It is {state}"))
        await site.house.save_build(new.build.id, state=build.State(state))
    for path in ("/", "/audit", f"/builds/{new.build.id}"):
        await page.goto(site.url + path)
        await page.keyboard.press("?")
        await expect(page.locator("#keys")).to_be_visible()
        await expect(page.locator("#keys dt")).to_have_text(["f", "s or /", "g, G", "y", "r", "?"])
        await page.keyboard.press("Escape")
        await expect(page.locator("#keys")).to_be_hidden()
        await page.keyboard.press("s")
        await expect(page.locator(".ask input")).to_be_focused()
        await page.keyboard.type("frs?")
        await expect(page.locator(".ask input")).to_have_value("frs?")
        await page.keyboard.press("Escape")
        await page.keyboard.press("y")
        await expect(page.locator("#news")).to_have_text("Address copied")
        assert await page.evaluate("navigator.clipboard.readText()") == site.url + path
    await page.goto(f"{site.url}/?repository=octo/hello")
    for title in ("It is errored", "It is failed", "It is errored"):
        await page.keyboard.press("f")
        await expect(page.locator("main :focus")).to_have_text(title)
    await page.keyboard.press("r")
    await expect(page.locator("#news")).to_contain_text("no build here")
    await page.goto(f"{site.url}/builds/{new.build.id}")
    await page.keyboard.press("r")
    await page.get_by_role("button", name="No", exact=True).click()
    await expect(page.locator("#again")).to_be_hidden()
    assert site.house.asked == []
    await page.keyboard.press("r")
    await page.get_by_role("button", name="Run it again").click()
    await expect(page.locator("#again")).to_be_hidden()
    await page.wait_for_url(lambda url: not url.endswith(new.build.id))
    assert site.house.asked == [("retry", new.build.id)]
    # Without script there is nothing to press.
    await expect(page.locator("footer .help")).to_be_visible()
