"""Every text colour of the style sheet can be read in both themes (WCAG 2.2 AA).

https://www.w3.org/TR/WCAG22/#contrast-minimum
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from bot import web as dashboard

SHEET = (Path(dashboard.__file__).parent / "static" / "site.css").read_text()
STATES = ("passed", "failed", "errored", "timed_out", "cancelled", "skipped", "waiting", "queued", "running")


def colours(theme: str) -> dict[str, str]:
    blocks = re.findall(r":root \{(.*?)\n\s*\}", SHEET, re.DOTALL)
    found: dict[str, str] = {}
    for block in blocks if theme == "dark" else blocks[:1]:
        found |= re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block)
    return found


def contrast(one: str, other: str) -> float:
    """https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio"""

    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


PAIRS = [
    *itertools.product(("text", "dim", "link", *STATES), ("page", "raised")),
    *itertools.product(("text", "dim", "link"), ("note", "bad", "button", "button-over", "log")),
    ("failed", "bad"),
    ("errored", "bad"),
    *itertools.product((*(f"f{number}" for number in range(16)), "text", "dim", "errored"), ("log", "raised")),
    *(("g-text", f"g{number}") for number in range(8)),
    ("text", "mark"),
    ("page", "text"),
    ("page", "link"),
]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_can_be_read(theme: str) -> None:
    known = colours(theme)
    weak = {pair: round(contrast(known[pair[0]], known[pair[1]]), 2) for pair in PAIRS}
    assert {pair: ratio for pair, ratio in weak.items() if ratio < 4.5} == {}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_edges_of_controls_and_focus_can_be_seen(theme: str) -> None:
    known = colours(theme)
    for edge in ("edge", "focus"):
        assert contrast(known[edge], known["page"]) >= 3


def test_both_themes_set_every_colour() -> None:
    light, dark = re.findall(r":root \{(.*?)\n\s*\}", SHEET, re.DOTALL)
    names = [set(re.findall(r"--([\w-]+): #", block)) for block in (light, dark)]
    assert names[0] == names[1]


def test_the_sheet_loads_nothing_and_respects_who_wants_no_motion() -> None:
    assert "url(" not in SHEET
    assert "@import" not in SHEET
    assert "prefers-reduced-motion" in SHEET
