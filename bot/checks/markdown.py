"""GitHub's Markdown with text from outside in it: such text is only ever inside of code, where it can do nothing.

No mention, reference, closing keyword, link, image, emoji, table or HTML comes of it.
https://github.github.com/gfm/#code-spans, https://github.github.com/gfm/#fenced-code-blocks
"""

from __future__ import annotations

import re

from bot.checks import cleaning

#: What a sentence of ours is made of. Everything else might be a reference, a link or an emoji.
_WORD = re.compile(r"\(?[^\W_]+(?:[-'’][^\W\d_]+)*(?:[.,;:!?)]{0,2}|…)|[.,;:!?)]|…")
_HEX = re.compile(r"\(?[0-9a-f]{7,64}\W*", re.IGNORECASE)
_SPAN = re.compile(r"`([^`]+)`")
_RUN = re.compile(r"`+")


def code(text: str, *, limit_bytes: int = 200) -> str:
    """Text as an inline code span."""
    shown = cleaning.one_line(text, limit_bytes=limit_bytes)
    if not shown:
        return "(empty)"
    delimiter = "`" * (_longest_run(shown) + 1)
    # One space at both ends is taken away again by the renderer.
    padding = " " if shown[0] == "`" or shown[-1] == "`" else ""
    return f"{delimiter}{padding}{shown}{padding}{delimiter}"


def prose(text: str, *, limit_bytes: int = 600) -> str:
    """A sentence that may hold names from outside: what is in backticks, or is no plain word, becomes code."""
    pieces: list[str] = []
    for index, part in enumerate(_SPAN.split(cleaning.one_line(text, limit_bytes=limit_bytes))):
        piece = code(part) if index % 2 else " ".join(_safe(word) for word in part.split(" "))
        if pieces and pieces[-1].endswith("`") and piece.startswith("`"):
            # Two runs of backticks side by side would be one, and end neither span.
            pieces.append(" ")
        pieces.append(piece)
    return "".join(pieces)


def fenced(text: str, *, language: str = "text") -> str:
    """Lines, already cleaned, as a code block."""
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def row(*cells: str) -> str:
    """A row of a table; cells are Markdown."""
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _safe(word: str) -> str:
    if not word or (_WORD.fullmatch(word) and not _HEX.fullmatch(word)):
        return word
    ending = re.search(r"[.,;:]?$", word)
    end = ending.start() if ending is not None else len(word)
    return code(word[:end]) + word[end:] if end else code(word)


def _longest_run(text: str) -> int:
    return max((len(run) for run in _RUN.findall(text)), default=0)
