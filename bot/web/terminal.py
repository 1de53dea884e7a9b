"""One line as a terminal shows it: what was written over is not seen, what was cleared is gone; pure.

Only moves within the line count: to its start, back, forward, to a column, and clearing. What moves between lines, such
as the bars of several downloads at once, stays as lines below each other. The raw log has every byte.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from bot.web import ansi

#: No line is wider, however far something moves.
MAX_COLUMNS = 16 * 1024
#: What has an effect where nothing returned to the line's start.
_MOVES = re.compile(r"\x08|(?:\x1b\[|\x9b)(?:[0-9]*[CDG]|[12]K)")
_BLANK = (" ", "")


def runs(segments: Sequence[str]) -> list[tuple[str, str]]:
    """Stretches of text with the class names of their style; neighbours differ.

    :param segments: what was written between the returns to the line's start.
    """
    if not segments:
        return []
    if len(segments) == 1 and not _MOVES.search(segments[0]):
        return list(ansi.runs(segments[0]))
    return _joined(_cells(segments))


def _cells(segments: Sequence[str]) -> list[tuple[str, str]]:
    """Each column's character, and the class names of its style."""
    cells: list[tuple[str, str]] = []
    style = ansi.PLAIN
    for segment in segments:
        column = 0
        for text, parameters, kind in ansi.pieces(segment):
            classes = ansi.classes_of(style)
            text = text[: MAX_COLUMNS - column]
            if text:
                cells += [_BLANK] * (column - len(cells))
                cells[column : column + len(text)] = [(one, classes) for one in text]
                column += len(text)
            if kind == "m":
                style = ansi.changed(style, parameters)
            elif kind == "K":
                _clear(cells, column, parameters)
            else:
                column = max(0, min(_moved(column, parameters, kind), MAX_COLUMNS))
    return cells


def _moved(column: int, parameters: str, kind: str) -> int:
    if kind == "\b":
        return column - 1
    count = int(parameters) if parameters.isascii() and parameters.isdigit() and len(parameters) < 6 else 1
    match kind:
        case "C":
            return column + max(count, 1)
        case "D":
            return column - max(count, 1)
        case "G":
            return max(count, 1) - 1
        case _:
            return column


def _clear(cells: list[tuple[str, str]], column: int, parameters: str) -> None:
    match parameters:
        case "" | "0":
            del cells[column:]
        case "1":
            end = min(column + 1, len(cells))
            cells[:end] = [_BLANK] * end
        case "2":
            cells.clear()


def _joined(cells: list[tuple[str, str]]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    classes: str = ""
    text: list[str] = []
    for one, of in cells:
        if of != classes:
            if text:
                found.append((classes, "".join(text)))
            classes, text = of, []
        text.append(one)
    if text:
        found.append((classes, "".join(text)))
    return found
