"""T85: a line is shown as a terminal shows it, in bounded time, and what was written over is all that is not seen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.web import ansi, loglines, terminal


def text(*segments: str) -> str:
    return "".join(shown for _, shown in terminal.runs(segments))


@pytest.mark.parametrize(
    ("segments", "shown"),
    [
        ((" 10%", " 50%", "100%"), "100%"),
        (("downloading 9 MB", "done\x1b[K"), "done"),
        (("downloading", "done"), "doneloading"),
        (("[#   ]", "[##"), "[##  ]"),
        (("abc\b\bX",), "aXc"),
        (("abc\x1b[2DX",), "aXc"),
        (("abc\x1b[2GX",), "aXc"),
        (("a\x1b[3CX",), "a   X"),
        (("old text\x1b[2K\x1b[1Gnew",), "new"),
        (("abcdef\x1b[3G\x1b[1Kx",), "  xdef"),
        (("\b\b\x1b[9Dx",), "x"),
        (("gcc \x1b[01m\x1b[Kerror:\x1b[m\x1b[K bad",), "gcc error: bad"),
        # Moves between lines are no moves within one.
        (("one\x1b[2A\x1b[3Btwo\x1b[5;5Hthree",), "onetwothree"),
    ],
)
def test_a_line_is_as_on_a_terminal(segments: tuple[str, ...], shown: str) -> None:
    assert text(*segments) == shown


def test_colours_stay_with_what_they_were_written_with() -> None:
    assert list(terminal.runs(["\x1b[31mred red\x1b[0m", "ok"])) == [("", "ok"), ("f1", "d red")]


def test_t85_no_move_makes_a_line_wide_or_slow() -> None:
    assert len(text("\x1b[99999C\x1b[99999C" * 1000 + "x")) <= terminal.MAX_COLUMNS
    assert text("\x1b[99999999999999999999Gx") == "x"


pieces = st.lists(
    st.sampled_from(["a", "b", " ", "\x1b[31m", "\x1b[0m", "\x1b[K", "\x1b]0;title\x07", "\x9b1m", "ä", "\x00", "<"])
)


@given(pieces)
def test_t85_without_moves_all_text_is_seen(parts: list[str]) -> None:
    line = "".join(parts)
    assert text(line) == ansi.plain(line).replace("⟨U+0000⟩", "")
    # The same by the slow way.
    assert text(line, "") == text(line)


def test_what_is_read_is_what_the_row_shows() -> None:
    assert loglines.text(b"\x1b[31mlong text\x1b[0m\rshort\x1b[K") == "short"
    assert loglines.text(b"windows\r") == "windows"
