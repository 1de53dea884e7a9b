"""The pictures of the docs: every page of the dashboard has one, each is there and has words, none is left over."""

from __future__ import annotations

import re
from pathlib import Path

from bot.web import rules, setup
from bot.web.pages import PAGES, SIGN_IN_PAGES

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs/images"
_PICTURE = re.compile(r"!\[(?P<alt>[^\]]*)\]\((?P<path>[^)\s]+)\)")


def routes() -> set[str]:
    """The route of each page, as the table of routes and roles writes it."""
    modules = (*PAGES, *SIGN_IN_PAGES)
    return {re.sub(r"\{(\w+):[^{}]*(?:\{[^{}]*\}[^{}]*)*\}", r"{\1}", module.PAGE.route) for module in modules}


def shown() -> list[tuple[Path, str]]:
    """Every picture that a page of the docs shows, with its words."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [
        ((page.parent / found["path"]).resolve(), found["alt"])
        for page in pages
        for found in _PICTURE.finditer(page.read_text("utf-8"))
        if "://" not in found["path"]
    ]


def test_every_page_of_the_dashboard_has_a_picture() -> None:
    assert routes() <= set(rules.RULES["GET"])
    gallery = (ROOT / "docs/pages.md").read_text("utf-8").partition("\n## What they look like\n")[2]
    parts = {part.partition("\n")[0].strip("` "): _PICTURE.findall(part) for part in gallery.split("\n### ")[1:]}
    assert set(parts) == routes() | {setup.PATH}
    assert [route for route, pictures in parts.items() if not pictures] == []


def test_every_picture_is_there_and_has_words() -> None:
    found = shown()
    assert [str(path.relative_to(ROOT)) for path, _ in found if not path.is_file()] == []
    assert [path.name for path, alt in found if len(alt.split()) < 3] == []


def test_no_picture_is_left_over_and_all_together_are_small() -> None:
    there = {path.resolve() for path in IMAGES.iterdir()}
    assert {path.name for path in there - {path for path, _ in shown()}} == set()
    assert sum(path.stat().st_size for path in there) < 3_500_000
