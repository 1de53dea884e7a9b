"""Takes pictures of pages with Chromium, small ones that look alike on each run."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page, StorageState

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
    "--disable-lcd-text",
    "--force-color-profile=srgb",
]
#: In CSS pixels: a desk's window, and a phone's.
DESK, PHONE = 1100, 360
#: Gives 256 colours of a picture, and for each pixel which of them is nearest.
_COUNT = """async (png) => {
  const binary = (bytes) => {
    let text = "";
    for (let at = 0; at < bytes.length; at += 32768) text += String.fromCharCode(...bytes.subarray(at, at + 32768));
    return btoa(text);
  };
  const bytes = Uint8Array.from(atob(png), (one) => one.charCodeAt(0));
  const image = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
  const drawing = new OffscreenCanvas(image.width, image.height).getContext("2d");
  drawing.drawImage(image, 0, 0);
  const { data } = drawing.getImageData(0, 0, image.width, image.height);
  const colours = new Uint32Array(data.buffer);
  const counts = new Map();
  for (const one of colours) counts.set(one, (counts.get(one) ?? 0) + 1);
  const parts = (one) => [one & 255, (one >> 8) & 255, (one >> 16) & 255];
  const palette = [];
  const find = (one) => {
    const [red, green, blue] = parts(one);
    let best = 0, least = Infinity;
    palette.forEach((other, index) => {
      const far = (red - other[0]) ** 2 + (green - other[1]) ** 2 + (blue - other[2]) ** 2;
      if (far < least) [best, least] = [index, far];
    });
    return [best, least];
  };
  const ordered = [...counts].sort((one, other) => other[1] - one[1] || one[0] - other[0]).map(([one]) => one);
  // What is rare and like nothing else, such as the colour of a state, comes before shades of what is there.
  for (const apart of [400, 100, 1]) {
    for (const one of ordered) if (palette.length < 256 && find(one)[1] >= apart) palette.push(parts(one));
  }
  const nearest = new Map(ordered.map((one) => [one, find(one)[0]]));
  const pixels = Uint8Array.from(colours, (one) => nearest.get(one));
  return {
    width: image.width, height: image.height, palette: binary(Uint8Array.from(palette.flat())), pixels: binary(pixels),
  };
}"""
_SIGN = b"\x89PNG\r\n\x1a\n"


class Camera:
    """A browser that may be signed in somewhere."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self.storage: StorageState | None = None
        #: The names of the pictures that were taken.
        self.taken: list[str] = []

    async def sign_in(self, start: str, agree: Callable[[str], str]) -> None:
        """Sign in at the address where that begins.

        :param agree: does what a person does at GitHub; gives where the browser goes next.
        """
        context = await self._browser.new_context()
        page = await context.new_page()
        await page.goto(start)
        await page.goto(agree(page.url))
        self.storage = await context.storage_state()
        await context.close()

    async def find(self, url: str, selector: str) -> str:
        """Where the first such link of a page leads."""
        context = await self._browser.new_context(storage_state=self.storage)
        page = await context.new_page()
        await page.goto(url)
        found = await page.locator(selector).first.evaluate("one => one.href")
        await context.close()
        return str(found)

    async def _count_colours(self, png: bytes) -> Mapping[str, Any]:
        # A page of nobody's, whose policy forbids nothing.
        page = await self._browser.new_page()
        drawn: Mapping[str, Any] = await page.evaluate(_COUNT, base64.b64encode(png).decode())
        await page.close()
        return drawn

    async def shoot(
        self,
        name: str,
        url: str,
        *,
        width: int = DESK,
        most: int = 1500,
        scale: float = 1.0,
        scheme: str = "light",
        is_stranger: bool = False,
        before: Callable[[Page], Awaitable[None]] | None = None,
    ) -> None:
        """Take a picture of a page.

        :param most: how high it may be; the rest of a longer page is cut off.
        :param scale: pixels of the picture for one of the page; a phone has more.
        :param is_stranger: whether nobody is signed in.
        :param before: what is done on the page first.
        """
        context = await self._browser.new_context(
            viewport={"width": width, "height": 700},
            device_scale_factor=1.5 if width < DESK else scale,
            color_scheme="dark" if scheme == "dark" else "light",
            reduced_motion="reduce",
            locale="en-GB",
            timezone_id="UTC",
            storage_state=None if is_stranger else self.storage,
        )
        page = await context.new_page()
        answer = await page.goto(url)
        if answer is None or answer.status != 200:
            raise AssertionError(f"{url} answers {answer and answer.status}")
        await page.wait_for_load_state("load")
        if before is not None:
            await before(page)
        high = await page.evaluate("Math.ceil(document.documentElement.getBoundingClientRect().height)")
        wide = await page.evaluate("document.documentElement.scrollWidth")
        if wide > width:
            raise AssertionError(f"{name}: {url} is {wide} pixels wide in a window of {width}")
        await page.set_viewport_size({"width": width, "height": min(most, max(high, 300))})
        IMAGES.mkdir(parents=True, exist_ok=True)
        taken = await page.screenshot(animations="disabled", caret="hide")
        await context.close()
        (IMAGES / f"{name}.png").write_bytes(_paletted(await self._count_colours(taken)))
        self.taken.append(name)
        print(f"docs/images/{name}.png is made")


def _paletted(drawn: Mapping[str, Any]) -> bytes:
    """A PNG of 256 colours, which takes a quarter of what the browser makes.

    https://www.w3.org/TR/png-3/
    """
    width, height = drawn["width"], drawn["height"]
    pixels = base64.b64decode(drawn["pixels"])
    # Each row begins with the number of its filter: none.
    rows = b"".join(b"\0" + pixels[at : at + width] for at in range(0, len(pixels), width))
    return _SIGN + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in (
            (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            (b"PLTE", base64.b64decode(drawn["palette"])),
            (b"IDAT", zlib.compress(rows, 9)),
            (b"IEND", b""),
        )
    )
