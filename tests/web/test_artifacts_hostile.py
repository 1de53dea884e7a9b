"""Artifacts made to attack whoever looks at them: their bytes and their names are a stranger's."""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from pathlib import Path, PurePosixPath, PureWindowsPath

import aiohttp
import pytest
from msgspec.structs import replace
from playwright.async_api import Download, Page

from bot.model import artifact, job
from bot.store import artifacts
from tests import factories
from tests.web.browsing import Site, Trap
from tests.web.house import House
from tests.web.test_browser import XSS

# One loop for all of them, because their browser is one.
pytestmark = pytest.mark.asyncio(loop_scope="session")

_SCRIPT = "hit()"
#: What a browser would run or show if it took the bytes for what they are.
CONTENTS = {
    "html": b"<!doctype html><script>parent.hit(); hit()</script>",
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg' onload='hit()'><script>hit()</script></svg>",
    "xml": b"<?xml version='1.0'?><x xmlns:h='http://www.w3.org/1999/xhtml'><h:script>hit()</h:script></x>",
    "js": _SCRIPT.encode(),
    "pdf": b"%PDF-1.7\n1 0 obj<</Type/Catalog/OpenAction<</S/JavaScript/JS(app.alert(1))>>>>endobj\n%%EOF",
    "mhtml": b"MIME-Version: 1.0\nContent-Type: multipart/related; boundary=x\n\n--x\nContent-Type: text/html\n\n"
    b"<script>hit()</script>\n--x--\n",
    "css": b"body { background: url(javascript:hit()) }",
}
#: Paths, devices, ends of lines and of fields, text that turns round, and what is longer than any file's name.
NAMES = (
    "../../../etc/passwd",
    "..\\..\\windows\\system32\\x",
    "/etc/passwd",
    "C:\\x",
    "CON",
    "a\r\nSet-Cookie: stolen=1\r\n\r\n<script>hit()</script>",
    'a"; filename="b.exe',
    "a; filename*=UTF-8''b.exe",
    "%2e%2e%2fx",
    "x\u202egpj.exe",
    "\x00x",
    "ä" * 200,
    *XSS,
)


async def keep(house: House, data: bytes, *, name: str = "dist", of: job.Job | None = None) -> artifact.Artifact:
    """An artifact with these bytes, as a stranger's job might have left it."""
    owner = of or await house.add_job(state=job.State.PASSED, finished_at=factories.NOW)
    kept = artifact.Artifact(
        id=factories.new_id(),
        job_id=owner.id,
        name=name,
        size_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        files=1,
        created_at=factories.NOW,
    )
    await house.store.write(artifacts.replace_of_job, owner.id, [kept])

    async def copy(path: Path) -> None:
        path.write_bytes(data)

    await house.artifacts.put(kept.id, copy)
    return kept


async def saved(page: Page, url: str) -> Download:
    """What the browser saves when somebody goes there."""
    async with page.expect_download() as downloading:
        # A navigation that becomes a download leaves the page where it is.
        await page.evaluate("url => { location.href = url }", url)
    return await downloading.value


async def test_t81_a_browser_saves_an_artifact_and_runs_and_shows_nothing_of_it(site: Site, page: Page) -> None:
    trap = Trap(site)
    await trap.set_on(page.context)
    await page.goto(f"{site.url}/")
    here = page.url
    for kind, data in CONTENTS.items():
        kept = await keep(site.house, data, name=f"page.{kind}")
        got = await saved(page, f"{site.url}/artifacts/{kept.id}")
        assert got.suggested_filename == f"page.{kind}.zip"
        assert Path(await got.path()).read_bytes() == data
        assert page.url == here
    assert trap.caught == []


async def test_t81_no_page_of_ours_can_be_made_to_take_an_artifact_in(site: Site, page: Page) -> None:
    hits: list[str] = []
    await page.context.expose_function("hit", lambda: hits.append("hit"))
    kept = await keep(site.house, _SCRIPT.encode())
    # Somebody found a way to put elements into a page: the worst that there could be.
    await page.goto(f"{site.url}/")
    outcomes = await page.evaluate(
        """async address => {
            const tried = {script: "src", link: "href", iframe: "src", embed: "src", object: "data"};
            const found = {};
            for (const [name, attribute] of Object.entries(tried)) {
                found[name] = await new Promise(done => {
                    const made = document.createElement(name);
                    if (name === "link") made.rel = "stylesheet";
                    made.onload = () => done("loaded");
                    made.onerror = () => done("refused");
                    document.addEventListener("securitypolicyviolation", () => done("refused"), {once: true});
                    try { made[attribute] = address } catch { done("refused") }
                    document.body.append(made);
                });
            }
            return found;
        }""",
        f"/artifacts/{kept.id}",
    )
    assert set(outcomes.values()) == {"refused"}, outcomes
    assert hits == []


async def test_t82_a_name_is_text_and_neither_a_header_nor_a_path(site: Site) -> None:
    owner = await site.house.add_job(state=job.State.PASSED, finished_at=factories.NOW)
    kept = await keep(site.house, b"zip", of=owner)
    async with aiohttp.ClientSession() as session:
        for name in NAMES:
            await site.house.store.write(artifacts.replace_of_job, owner.id, [replace(kept, name=name)])
            async with session.get(f"{site.url}/artifacts/{kept.id}") as answer:
                assert (answer.status, await answer.read()) == (200, b"zip")
                told = answer.headers["Content-Disposition"]
                # RFC 8187, section 3.2.1: `attr-char` and percent-encoded bytes, of which none is anything else.
                assert re.fullmatch(r"attachment; filename\*=UTF-8''[A-Za-z0-9_.~%-]*\.zip", told), name
                assert "Set-Cookie" not in answer.headers
                assert answer.headers["Content-Type"] == "application/zip"
                assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_t82_a_browser_saves_every_name_as_one_file_of_its_own_folder(site: Site, page: Page) -> None:
    await page.goto(f"{site.url}/")
    owner = await site.house.add_job(state=job.State.PASSED, finished_at=factories.NOW)
    kept = await keep(site.house, b"zip", of=owner)
    for name in NAMES:
        await site.house.store.write(artifacts.replace_of_job, owner.id, [replace(kept, name=name)])
        got = (await saved(page, f"{site.url}/artifacts/{kept.id}")).suggested_filename
        assert PurePosixPath(got).name == got, name
        assert PureWindowsPath(got).name == got, name
        assert "\n" not in got, name


async def test_t82_no_artifact_stands_where_anothers_does(site: Site) -> None:
    house = site.house
    first = await keep(house, b"first", name="dist")
    second = await keep(house, b"second", name="dist")
    for kept, data in ((first, b"first"), (second, b"second")):
        async with house.artifacts.opened(kept.id) as source:
            assert b"".join([part async for part in source.chunks()]) == data


async def test_t83_a_bomb_is_handed_on_as_it_is(site: Site) -> None:
    bomb = packed(packed(bytes(8 << 20), count=16), count=16)
    assert len(bomb) < 1 << 20
    kept = await keep(site.house, bomb)
    asking = aiohttp.ClientSession(headers={"Accept-Encoding": "gzip, br"}, auto_decompress=False)
    async with asking as session, session.get(f"{site.url}/artifacts/{kept.id}") as answer:
        assert "Content-Encoding" not in answer.headers
        assert int(answer.headers["Content-Length"]) == len(bomb)
        assert await answer.read() == bomb


def packed(data: bytes, *, count: int) -> bytes:
    """A zip with the same bytes so many times."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as opened:
        for number in range(count):
            opened.writestr(f"{number}", data)
    return made.getvalue()
