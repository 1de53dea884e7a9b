"""Log lines keep their colours and lose everything else that a terminal would do; no byte becomes markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.web import ansi

#: What terminals do that a page must not.
HOSTILE = {
    "link": "\x1b]8;;javascript:alert(1)\x1b\\click\x1b]8;;\x1b\\",
    "clipboard": "\x1b]52;c;ZXZpbA==\x07",
    "title": "\x1b]0;owned\x07",
    "title in 8 bits": "\x9d0;owned\x9c",
    "cursor": "\x1b[2J\x1b[1;1H\x1b[5A\x1b[K",
    "device string": "\x1bP+q544e\x1b\\",
    "private mode": "\x1b[?1049h\x1b[?25l",
    "report": "\x1b[6n\x1b[c\x1bZ",
    "charset": "\x1b(0\x0e\x0f",
    "bell and backspace": "\x07\x08\x7f\x00",
    "conceal": "\x1b[8m",
    "blink": "\x1b[5m\x1b[6m",
}


class Checked(HTMLParser):
    """Reads what was rendered: only `span` with `class` is let through."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text = ""
        self.spans = 0
        self.feed(str(html))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag == "span"
        assert [name for name, _ in attrs] == ["class"]
        assert re.fullmatch(r"(a-[bdiusvx]|[fg]\d\d?)( (a-[bdiusvx]|[fg]\d\d?))*", attrs[0][1] or "")
        self.spans += 1

    def handle_endtag(self, tag: str) -> None:
        assert tag == "span"

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize(
    ("line", "html"),
    [
        ("plain", "plain"),
        ("\x1b[31mred\x1b[0m and not", '<span class="f1">red</span> and not'),
        ("\x1b[1;32mok\x1b[m", '<span class="a-b f2">ok</span>'),
        ("\x1b[91mbright\x1b[39m", '<span class="f9">bright</span>'),
        ("\x1b[31;42mboth", '<span class="g2">both</span>'),
        ("\x1b[7mturned", '<span class="a-v">turned</span>'),
        ("\x1b[7;31mturned", '<span class="g1">turned</span>'),
        ("\x1b[38;5;196mx", '<span class="f9">x</span>'),
        ("\x1b[38;5;3mx", '<span class="f3">x</span>'),
        ("\x1b[38;2;0;0;230mx", '<span class="f4">x</span>'),
        ("\x1b[38:2::0:0:230mx", '<span class="f4">x</span>'),
        ("\x1b[48;5;231mx", '<span class="g15">x</span>'),
        ("\x1b[4:3mx\x1b[4:0my", '<span class="a-u">x</span>y'),
        ("\x1b[1mx\x1b[22my", '<span class="a-b">x</span>y'),
        ("\x1b[31mA\x1b[31mB", '<span class="f1">AB</span>'),
        ("\x1b[31m\x1b[32m\x1b[0mx", "x"),
        ("a<b>&\"'", "a&lt;b&gt;&amp;&#34;&#39;"),
        ("\x1b[31", "31"),
        ("\x1b]0;never ends", "0;never ends"),
        ("tab\there", "tab\there"),
        ("\x1b[38;5mx", "x"),
        ("\x1b[999999999999999mx", "x"),
        ("\x1b[?31mx", "x"),
    ],
)
def test_a_line_is_rendered(line: str, html: str) -> None:
    assert ansi.render(line) == html


@pytest.mark.parametrize("sequence", HOSTILE.values(), ids=HOSTILE)
def test_t85_what_a_terminal_would_do_is_dropped(sequence: str) -> None:
    shown = Checked(ansi.render(f"before {sequence}behind"))
    assert shown.text.replace("click", "").replace("0;owned", "") == "before behind"
    assert shown.spans == 0


def test_t85_a_million_colours_make_no_markup_without_text() -> None:
    assert ansi.render("\x1b[31m\x1b[32m" * 500_000) == ""


def test_t85_text_cannot_be_hidden_in_its_own_colour() -> None:
    assert ansi.render("\x1b[30;40mhidden") == '<span class="g0">hidden</span>'


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("evil\u202etxt.exe", "evil⟨U+202E⟩txt.exe"),
        ("zero\u200bwidth", "zero⟨U+200B⟩width"),
        ("if\u2066 x\u2069", "if⟨U+2066⟩ x⟨U+2069⟩"),
        ("tag\U000e0041", "tag⟨U+E0041⟩"),
        ("family 👩\u200d💻 stays", "family 👩\u200d💻 stays"),
        ("שלום stays", "שלום stays"),
    ],
)
def test_t87_characters_that_deceive_the_eye_are_written_out(text: str, shown: str) -> None:
    assert Checked(ansi.render(text)).text == shown
    assert ansi.visible(text) == shown
    assert ansi.plain(text) == shown


terminal_text = st.lists(
    st.one_of(
        st.text(max_size=8),
        st.sampled_from(
            ["\x1b[", "\x1b]", "\x1b", "m", ";", "38", "5", "\x07", "\x1b\\", "<", "&", '"', "\x9b", "\u202e"]
        ),
        st.integers(0, 300).map(lambda number: f"\x1b[{number}m"),
    ),
    max_size=30,
).map("".join)


@given(terminal_text)
def test_t85_visible_text_is_the_stripped_text_whatever_comes(line: str) -> None:
    shown = Checked(ansi.render(line))
    assert shown.text == ansi.plain(line)
    assert not re.search(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u202e]", shown.text)


@given(st.text(st.characters(blacklist_categories=["Cc", "Cf", "Cs", "Zl", "Zp"])))
def test_text_without_sequences_is_shown_as_it_is(line: str) -> None:
    assert Checked(ansi.render(line)).text == line
