"""YAML 1.2 text to parser events, in bounded time: the work is counted, and a file that costs too much is refused.

ruamel.yaml's own scanner and parser do the reading; nothing of a file is ever constructed as a Python object.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from ruamel.yaml import error, events, parser, reader, scanner

from bot.pipelines.problems import Place

#: Characters of a file. Larger ones are refused unread: scanning is the slow part of reading YAML.
MAX_CHARACTERS = 128 * 1024
#: Units of work for one file, each about a third of a microsecond: enough for 256 jobs of three steps.
MAX_WORK = 220_000
#: Nested lists and mappings; a pipeline needs 6.
MAX_DEPTH = 32
_WORK_OF_A_TOKEN = 27
_WORK_OF_A_MOVE = 3

_HINTS = {
    "mapping values are not allowed here": "put text that holds `: ` in quotes, or check the indentation",
    "could not find expected ':'": "a key needs `:` behind it",
    "sequence entries are not allowed here": "begin the list on a line of its own, below its key",
    "found unexpected end of stream": "a quote is not closed",
    "expected <block end>": "check the indentation of this line",
    "cannot start any token": "indent with spaces, not tabs; text that begins with a special character needs quotes",
    "expected ',' or": "a bracket is not closed, or a comma is missing",
    "found undefined tag handle": "delete the tag",
}


class Unreadable(Exception):
    """The text is not YAML, or not of a kind that is read here."""

    def __init__(self, place: Place, text: str) -> None:
        super().__init__(text)
        self.place = place
        self.text = text


class _Mark(NamedTuple):
    line: int
    column: int


class _Source(reader.Reader, scanner.Scanner, parser.Parser):
    """ruamel.yaml's three stages as one object, which counts the work it does."""

    #: YAML 1.2: `on`, `yes` and `no` are words, not booleans.
    processing_version = (1, 2)
    comment_handling = None
    # Plain attributes: the library looks each of these up some ten times for a token.
    reader: Any = None
    scanner: Any = None
    resolver: Any = None

    def __init__(self, text: str) -> None:
        self._work = 0
        self.reader = self.scanner = self.resolver = self
        reader.Reader.__init__(self, text, loader=self)
        scanner.Scanner.__init__(self, loader=self)
        parser.Parser.__init__(self, loader=self)

    def forward(self, length: int = 1) -> None:
        self._work += _WORK_OF_A_MOVE + length
        if self._work > MAX_WORK:
            raise Unreadable(self.here(), "The file is too long to be read: move scripts into files of their own.")
        super().forward(length)

    def fetch_more_tokens(self) -> Any:
        self._work += _WORK_OF_A_TOKEN
        return super().fetch_more_tokens()

    def need_more_tokens(self) -> bool:
        if self.tokens and not self.possible_simple_keys:
            return False
        return super().need_more_tokens()

    def fetch_flow_collection_start(self, TokenClass: Any, to_push: str) -> None:  # noqa: N803 - ruamel's name
        # The scanner looks ahead of the parser here, at a cost that is the square of the depth.
        if self.flow_level >= MAX_DEPTH:
            raise Unreadable(self.here(), f"Lists and mappings are nested deeper than {MAX_DEPTH} levels.")
        super().fetch_flow_collection_start(TokenClass, to_push)

    def fetch_directive(self) -> None:
        raise Unreadable(self.here(), "YAML directives (lines that begin with `%`) are not supported: delete them.")

    def get_mark(self) -> _Mark:
        return _Mark(self.line, self.column)

    def here(self) -> Place:
        return Place(self.line + 1, self.column + 1)


def scan(text: str) -> Iterator[events.Event]:
    """The parser events of a text.

    :raises Unreadable: if it is not YAML, or costs too much to read.
    """
    if len(text) > MAX_CHARACTERS:
        raise Unreadable(Place(1, 1), f"The file is larger than {MAX_CHARACTERS // 1024} KiB: move scripts into files.")
    source = None
    try:
        source = _Source(text)
        while source.check_event():
            yield source.get_event()
    except error.MarkedYAMLError as wrong:
        mark = wrong.problem_mark or wrong.context_mark or _Mark(0, 0)
        raise Unreadable(
            Place(mark.line + 1, mark.column + 1), _sentence(str(wrong.problem or wrong.context))
        ) from None
    except reader.ReaderError as wrong:
        raise Unreadable(
            _place(text, wrong.position), f"The character U+{wrong.character:04X} may not stand in a YAML file."
        ) from None
    except (ValueError, OverflowError):
        # An escape such as "\UFFFFFFFF", which is no character.
        raise Unreadable(source.here() if source else Place(1, 1), "An escape here names no character.") from None


def place_of(mark: Any) -> Place:
    """A parser mark, which counts from 0, as a place."""
    return Place(mark.line + 1, mark.column + 1)


def _place(text: str, index: int) -> Place:
    before = text[:index]
    return Place(before.count("\n") + 1, index - before.rfind("\n"))


def _sentence(problem: str) -> str:
    said = "".join(one if one.isprintable() else "?" for one in problem[:120])
    hint = next((hint for start, hint in _HINTS.items() if start in problem), None)
    return f"This is not valid YAML ({said}): {hint}." if hint else f"This is not valid YAML: {said}."
