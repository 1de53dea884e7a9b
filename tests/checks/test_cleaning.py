"""Cleaning: what a reader sees is what is there, without secrets and within a size."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.checks import cleaning


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x9b31mred", "red"),
        ("\x1b]0;title\x07a\x1b]8;;https://a\x1b\\b", "ab"),
        ("\x1b]52;c;never closed\nnext", "\nnext"),
        ("\x1bP+q\x1b\\a\x1b(Bb\x1b=c\x1bMd", "abcd"),
        ("\x1b[", ""),
        ("10%\r50%\r100%\r\ndone", "100%\ndone"),
        ("a\tb", "a\tb"),
        ("a\x00b\x07\x7f", "a\\x00b\\x07\\x7f"),
        ("a\u202eb\u2066c\u200bd\ufeff", "a\\u202eb\\u2066c\\u200bd\\ufeff"),
        ("a\u2028b\u2029", "a\\u2028b\\u2029"),
        ("\ud800", "\\ud800"),
        ("grüße 漢字 ✅ 👩‍💻", "grüße 漢字 ✅ 👩‍💻"),
        ("token ghs_abcdefghijklmnopqrstuvwxyz0123", "token [secret]"),
        ("gh\x1b[0ms_abcdefghijklmnopqrstuvwxyz0123", "[secret]"),
    ],
)
def test_t87_text_is_shown_as_it_looks_and_what_hides_is_written_out(text: str, seen: str) -> None:
    assert cleaning.visible(text) == seen


def test_the_last_lines_of_an_output() -> None:
    text = "".join(f"line {number}\n" for number in range(30)) + "\n\n"
    assert cleaning.last_lines(text, lines=2, line_bytes=100) == "line 28\nline 29"
    assert cleaning.last_lines("", lines=2, line_bytes=100) == ""
    assert cleaning.last_lines("a" * 50, lines=2, line_bytes=10) == "aaaaaaa…"


def test_the_first_lines_of_a_script_say_that_more_follow() -> None:
    assert cleaning.first_lines("a\nb\nc\n", lines=2, line_bytes=100) == "a\nb\n…"
    assert cleaning.first_lines("a\nb\n", lines=2, line_bytes=100) == "a\nb"


@given(st.text(), st.integers(3, 100))
def test_text_is_cut_between_characters(text: str, limit: int) -> None:
    found = cleaning.cut(text, limit_bytes=limit)
    assert len(found.encode()) <= limit
    assert found.rstrip("…") in text.encode("utf-8", "replace").decode()


@given(st.text(st.characters(), max_size=100))
def test_one_line_is_one_line_that_can_be_sent(text: str) -> None:
    found = cleaning.one_line(text, limit_bytes=50)
    assert len(found.encode("utf-8")) <= 50
    assert "\n" not in found
    assert "\0" not in found


@pytest.mark.parametrize(
    "piece", ["\x1b[", "\x1b[0", "\x1b]", "\x1bP", "\x1b", "\r", "\u202e", "`", "\x1b[0;" + "1" * 50]
)
@pytest.mark.timeout(15)
def test_t106_hostile_output_is_cleaned_in_linear_time(piece: str) -> None:
    text = piece * (64 * 1024 // len(piece))
    assert "\x1b" not in cleaning.visible(text)
