"""Markdown with hostile text in it, judged by a real renderer: such text is code or plain words, and nothing else."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from bot.checks import markdown

CORPUS = [
    "@everyone look",
    "@octo/hello",
    "mail octo@example.com",
    "fixes #1",
    "closes octo/hello#1 and GH-12",
    "![x](https://evil.example/track.png)",
    "[click](javascript:alert(1))",
    "https://evil.example/ www.evil.example",
    "</details><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<!-- comment",
    "| a | b |",
    "`code` and ``more`` ``` and `",
    "` `` ``` ```` ` a",
    "a`b`c``d``e",
    "\\` \\`` \\",
    "*bold* _it_ **b** __b__ ~~s~~",
    "# heading",
    "- item",
    "1. item",
    "> quote",
    "---",
    "===",
    "```\nfence\n```",
    "line\n\n# new paragraph",
    ":smile: :shipit:",
    "$x$ $$y$$",
    "&lt;b&gt; &#64;octo",
    "0123456789abcdef0123456789abcdef01234567",
    "\u202egnp.exe",
    "[^1] [^1]: note",
    "[x] task",
    "",
    " ",
]
#: What our own words may render to.
_ALLOWED = {
    "paragraph_open",
    "paragraph_close",
    "inline",
    "text",
    "code_inline",
    "table_open",
    "table_close",
    "thead_open",
    "thead_close",
    "tbody_open",
    "tbody_close",
    "tr_open",
    "tr_close",
    "th_open",
    "th_close",
    "td_open",
    "td_close",
    "fence",
}


def tokens(text: str) -> list[Token]:
    """All tokens of a rendering, those within lines too."""
    renderer = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    found = renderer.parse(text)
    return [*found, *(child for token in found for child in token.children or [])]


def plain(text: str) -> str:
    """What stands outside of code: where GitHub looks for mentions, references and links."""
    return "\n".join(token.content for token in tokens(text) if token.type == "text")


def assert_is_inert(text: str) -> None:
    found = tokens(text)
    assert {token.type for token in found} <= _ALLOWED
    outside = plain(text)
    assert not set("@#/<>[]{}&*_~|\\`$^=+") & set(outside)
    # An emoji, an address of the web, a commit.
    assert not re.search(r":\S+:|www\.|[0-9a-f]{7}", outside)


@pytest.mark.parametrize("text", CORPUS)
def test_t88_hostile_text_as_code_is_inert(text: str) -> None:
    assert_is_inert(f"Why {markdown.code(text)} that")


@pytest.mark.parametrize("text", CORPUS)
def test_t88_hostile_text_in_a_sentence_is_inert(text: str) -> None:
    assert_is_inert(f"Why {markdown.prose(text)}")


@pytest.mark.parametrize("text", CORPUS)
def test_t88_hostile_text_in_a_table_stays_in_its_cell(text: str) -> None:
    table = "\n".join(
        [markdown.row("Job", "Result"), markdown.row("---", "---"), markdown.row(markdown.code(text), "last")]
    )
    assert_is_inert(table)
    found = [token.type for token in tokens(table)]
    assert (found.count("tr_open"), found.count("td_open")) == (2, 2)


@pytest.mark.parametrize("text", CORPUS)
def test_t88_hostile_text_in_a_block_stays_in_it(text: str) -> None:
    found = MarkdownIt("commonmark").parse(f"{markdown.fenced(text)}\n\nafter")
    assert [token.type for token in found] == ["fence", "paragraph_open", "inline", "paragraph_close"]
    assert found[0].content == f"{text}\n"


_HOSTILE = st.lists(st.sampled_from([*"`` ``@#|\\<>[]()!*_~:/ \n.-1a", "fixes", "www.a", "```", " "]), max_size=20).map(
    "".join
)


@given(st.lists(_HOSTILE, min_size=1, max_size=3))
def test_t88_no_mixture_of_hostile_texts_gets_out(texts: list[str]) -> None:
    line = " and ".join(f"{markdown.code(text)} or {markdown.prose(text)}" for text in texts)
    assert_is_inert(f"Why {line}")


@given(st.lists(_HOSTILE, min_size=1, max_size=4))
def test_t88_no_mixture_gets_out_of_its_cell(texts: list[str]) -> None:
    cells = [markdown.code(text) for text in texts]
    table = "\n".join([markdown.row(*["a"] * len(cells)), markdown.row(*["---"] * len(cells)), markdown.row(*cells)])
    assert_is_inert(table)
    assert [token.type for token in tokens(table)].count("td_open") == len(cells)


@given(_HOSTILE.filter(str.strip))
def test_code_shows_the_text_itself(text: str) -> None:
    (found,) = [token.content for token in tokens(markdown.code(text)) if token.type == "code_inline"]
    assert found == " ".join(text.split())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("merge conflict in a.txt", "merge conflict in `a.txt`"),
        ("exit status 1", "exit status 1"),
        ("`test` failed, so this did not run.", "`test` failed, so this did not run."),
        ("killed: out of memory (limit 2 GiB)", "killed: out of memory (limit 2 GiB)"),
        ("did you mean `steps`?", "did you mean `steps`?"),
        ("It's the engine's fault.", "It's the engine's fault."),
        ("look at https://a.b/c.", "look at `https://a.b/c`."),
        ("commit deadbeef", "commit `deadbeef`"),
    ],
)
def test_a_sentence_of_ours_stays_readable(text: str, shown: str) -> None:
    assert markdown.prose(text) == shown
