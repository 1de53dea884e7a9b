"""Bounds of what is read from a report, and the one way to say that it cannot be read."""

from __future__ import annotations

#: Of one file. Larger ones are refused, not cut: half a report tells lies.
MAX_FILE_BYTES = 10 * 1024 * 1024
#: Elements of an XML file.
MAX_ELEMENTS = 600_000
MAX_DEPTH = 64
#: Test cases of a file that are kept one by one; all are counted.
MAX_CASES = 20_000
#: Findings of a file that are kept; all are counted.
MAX_FINDINGS = 2_000
MAX_NAME_CHARACTERS = 500
MAX_PATH_CHARACTERS = 1_000
MAX_TEXT_CHARACTERS = 4_000
MAX_DETAILS_CHARACTERS = 8_000
MAX_SUMMARY_CHARACTERS = 60_000
#: No line of a file or number of a test is larger.
MAX_NUMBER = 10_000_000


class Unreadable(Exception):
    """A file that cannot be read; the text is a sentence without the file's name."""


def check_size(data: bytes) -> None:
    """:raises Unreadable: if the file is too large to be read."""
    if len(data) > MAX_FILE_BYTES:
        raise Unreadable(f"it has {len(data):,} bytes, and at most {MAX_FILE_BYTES:,} are read.")


def cut(text: str, most: int) -> str:
    """The text, or its beginning with the sign of a cut, in at most this many characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def cut_start(text: str, most: int) -> str:
    """The text, or its end with the sign of a cut: of a stack trace the end says the most."""
    return text if len(text) <= most else f"…{text[len(text) - most + 1 :]}"


def whole_number(text: str | None) -> int | None:
    """A number from 1 on, or None."""
    if text is None or len(text) > 10 or not text.isascii() or not text.strip().isdigit():
        return None
    number = int(text)
    return number if 1 <= number <= MAX_NUMBER else None


def seconds(text: str | None) -> float | None:
    """A length of time in seconds, or None. Some tools write `1,234.5`."""
    if text is None or len(text) > 40:
        return None
    try:
        number = float(text.replace(",", ""))
    except ValueError:
        return None
    return number if 0.0 <= number <= 1e9 else None
