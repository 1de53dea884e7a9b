"""Makes text from outside fit to be shown: no secrets, no terminal codes, nothing invisible, within a size. Pure."""

from __future__ import annotations

import re
import unicodedata

from bot import telemetry

#: Terminal sequences: CSI, strings (OSC, DCS, SOS, PM, APC) with or without their end, and the short ones.
_ANSI = re.compile(
    r"""
      (?:\x1b\[|\x9b) [0-?]* [\ -/]* [@-~]?
    | (?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f]) [^\x07\x1b\x9c\n]* (?:\x07|\x1b\\|\x9c)?
    | \x1b [\ -/]* [0-~]?
    """,
    re.VERBOSE,
)
_UNUSUAL = re.compile(r"[^\n\t -~]")
#: Controls, bidirectional and other formatting, surrogates, unassigned, line and paragraph separators.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp"})
#: Scripts and emoji need the two joiners.
_JOINERS = frozenset("\u200c\u200d")
_MORE = "…"
#: How many characters are looked at for each byte that is shown: terminal codes take up some, and cleaning costs time.
_SLACK = 4


def visible(text: str) -> str:
    """The text as a terminal would have shown it, secrets taken out, and everything invisible written as an escape.

    Lines end with a newline only; what a carriage return overwrote, such as the steps of a progress bar, is left out.
    """
    plain = _ANSI.sub("", text.replace("\r\n", "\n"))
    if "\r" in plain:
        plain = "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in plain.split("\n"))
    return telemetry.redact(_UNUSUAL.sub(_escaped, plain))


def one_line(text: str, *, limit_bytes: int) -> str:
    """Visible text on one line, cut to a number of UTF-8 bytes."""
    return cut(" ".join(visible(text[: limit_bytes * _SLACK]).split()), limit_bytes=limit_bytes)


def last_lines(text: str, *, lines: int, line_bytes: int) -> str:
    """The last lines of an output that are not empty at its end, each cut."""
    found = visible(text[-lines * line_bytes * _SLACK :]).rstrip().split("\n")
    return "\n".join(cut(line, limit_bytes=line_bytes) for line in found[-lines:])


def first_lines(text: str, *, lines: int, line_bytes: int) -> str:
    """The first lines of a script, each cut, with a sign where more follow."""
    found = visible(text[: lines * line_bytes * _SLACK]).rstrip().split("\n")
    more = [_MORE] if len(found) > lines else []
    return "\n".join([cut(line, limit_bytes=line_bytes) for line in found[:lines]] + more)


def cut(text: str, *, limit_bytes: int) -> str:
    """The text, or as much of its beginning as fits into that many UTF-8 bytes together with the sign of a cut."""
    data = text.encode("utf-8", "replace")
    if len(data) <= limit_bytes:
        return data.decode("utf-8")
    return data[: max(0, limit_bytes - len(_MORE.encode()))].decode("utf-8", "ignore") + _MORE


def _escaped(found: re.Match[str]) -> str:
    one = found.group()
    if unicodedata.category(one) not in _HIDDEN or one in _JOINERS:
        return one
    return f"\\x{ord(one):02x}" if ord(one) < 0x100 else f"\\u{ord(one):04x}"
