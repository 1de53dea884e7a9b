"""Sentences of ours on pages: code, short commits and links to builds; what is in them from outside stays text."""

from __future__ import annotations

import pytest

from bot.web import prose

SHA, BUILD = "0a1b2c3d" * 5, "01M8CNEWR3JQFBEA6JH58RT7SE"
LINK = f'<a class="inline" href="/builds/{BUILD}"><code class="long">{BUILD}</code></a>'


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("", ""),
        ("`main` is behind.", "<code>main</code> is behind."),
        (f"It stands at {SHA}.", f'It stands at <code class="long" title="{SHA}">0a1b2c3</code>.'),
        (f"Build {BUILD} starts; build {BUILD} ends.", f"Build {LINK} starts; build {LINK} ends."),
        # What is no sentence of ours stays as it is.
        (f"x{SHA} {SHA[:39]} {BUILD} `", f"x{SHA} {SHA[:39]} {BUILD} `"),
        ("``\n`", "``\n`"),
        (f"Rebuild {BUILD}", f"Rebuild {BUILD}"),
        (f"Build {BUILD}X", f"Build {BUILD}X"),
    ],
)
def test_a_sentence_is_marked_up(text: str, html: str) -> None:
    assert prose.html(text) == html


def test_nothing_is_nothing() -> None:
    assert prose.html(None) == ""


@pytest.mark.parametrize(
    "hostile", ["<img src=x onerror=hit()>", '"><script>hit()</script>', "a\u202eb", "{{ 7 * 7 }}"]
)
def test_t84_t87_what_stands_in_a_sentence_is_text(hostile: str) -> None:
    for text in (hostile, f"`{hostile}`", f"Build {hostile}", f"`x` {hostile} {SHA}"):
        shown = prose.html(text)
        assert "<img" not in shown
        assert "<script" not in shown
        assert "\u202e" not in shown
