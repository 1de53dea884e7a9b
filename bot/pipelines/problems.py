"""Problems of a pipeline file: all of them together, each at its place and in words that say what to write instead."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

import msgspec

from bot.model import build

#: More do not help a reader, and it is what one check run can show.
MAX_PROBLEMS = 50
#: Of one file: reading them is the slow part of the rest.
MAX_EXPRESSIONS = 1000
MAX_EXPRESSION_CHARACTERS = 16 * 1024
_MAX_QUOTED = 60
_MAX_SEARCHED = 200
_MAX_COMPARED = 24
_MAX_CANDIDATES = 8
_MAX_LISTED = 8


class Place(msgspec.Struct, frozen=True):
    """A position in the file; both count from 1."""

    line: int
    column: int


START = Place(1, 1)


class Problems:
    """Collects the problems of one file, and counts what of it is costly to read."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._found: dict[tuple[Place, str], build.Problem] = {}
        self._text = ""
        self._lines: list[str] | None = None
        self._expressions = self._expression_characters = 0

    def know(self, text: str) -> None:
        """Take the file's text, so that a place can be told inside of a value."""
        self._text = text

    def place_of(self, part: str, *, after: Place) -> Place:
        """Where a part of a value that begins at `after` stands, in any case; `after` where that cannot be told."""
        first = next((line for line in part.split("\n") if line.strip()), "").strip().lower()
        if not first:
            return after
        if self._lines is None:
            self._lines = self._text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        for number in range(after.line, min(len(self._lines), after.line + _MAX_SEARCHED) + 1):
            line = self._lines[number - 1]
            column = line.lower().find(first, after.column - 1 if number == after.line else 0)
            if column >= 0:
                return Place(number, column + 1)
        return after

    def may_read_expression(self, text: str, *, at: Place) -> bool:
        """Whether the file may hold one more expression; the first one too many is a problem."""
        self._expressions += 1
        self._expression_characters += len(text)
        if self._expressions <= MAX_EXPRESSIONS and self._expression_characters <= MAX_EXPRESSION_CHARACTERS:
            return True
        most = f"{MAX_EXPRESSIONS}, and {MAX_EXPRESSION_CHARACTERS // 1024} KiB"
        self.add(at, f"The file has too many expressions: at most {most}.")
        return False

    def add(self, place: Place, text: str) -> None:
        """Note a problem; the same text at the same place counts once, and those after the limit are dropped."""
        if not self.is_full:
            problem = build.Problem(path=self._path, line=place.line, column=place.column, text=text)
            self._found.setdefault((place, text), problem)

    @property
    def is_full(self) -> bool:
        """Whether the limit is reached."""
        return len(self._found) >= MAX_PROBLEMS

    @property
    def has_any(self) -> bool:
        """Whether the file is wrong."""
        return bool(self._found)

    def in_order(self) -> tuple[build.Problem, ...]:
        """The problems in the order of the file."""
        return tuple(sorted(self._found.values(), key=lambda problem: (problem.line, problem.column)))


def quoted(text: str) -> str:
    """Text of the file as a problem can show it: short, on one line, printable and in backticks."""
    short = text if len(text) <= _MAX_QUOTED else f"{text[: _MAX_QUOTED - 1]}…"
    seen = "".join(one if one.isprintable() else f"\\u{ord(one):04x}" for one in short)
    return f"`{seen.replace('`', chr(39))}`"


def listed(words: Iterable[str], *, last: str = "and") -> str:
    """Words as a sentence lists them: "`a`, `b` and `c`"."""
    shown = [quoted(word) for word in words]
    if len(shown) < 2:
        return "".join(shown)
    return f"{', '.join(shown[:-1])} {last} {shown[-1]}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A sentence that offers the most similar known word, or lists them all where none is similar."""
    words = sorted(known)
    # Comparing costs the product of the lengths: a hostile file shall not get much of it.
    letters = set(word.lower())
    alike = [one for one in words if len(one) <= _MAX_COMPARED and abs(len(one) - len(word)) <= 6]
    alike.sort(key=lambda one: len(letters ^ set(one)))
    close = difflib.get_close_matches(word.lower(), alike[:_MAX_CANDIDATES], n=1)
    if close:
        return f"Did you mean {quoted(close[0])}?"
    return f"Known here: {listed(words)}." if 0 < len(words) <= _MAX_LISTED else ""
