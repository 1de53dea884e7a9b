"""Finds the places in a log that say what failed: pytest, Python tracebacks and compilers. Pure, in linear time."""

from __future__ import annotations

import re

import msgspec

from bot.checks import cleaning
from bot.model import check
from bot.reports.paths import Places

__all__ = ["Found", "Places", "find", "make"]

#: Places in a log that are kept.
MAX_ANNOTATIONS = 50
MAX_TEXT_BYTES = 4096
MAX_DETAILS_BYTES = 4096
MAX_TITLE_BYTES = 255
#: Longer lines are output, not messages.
_MAX_LINE_CHARACTERS = 2000

#: `src/hello.c:12:5: error: ...`, and the same without a column.
_COMPILER = re.compile(
    r"(?P<path>[^\s:][^:]{0,254}):(?P<line>\d{1,7}):(?:\d{1,7}:)?"
    r" (?P<level>fatal error|error|warning|note): (?P<text>.+)"
)
#: The last line of a failure as pytest writes it: `tests/test_hello.py:12: AssertionError`.
#: A frame on the way there has no name behind it.
_PYTEST_PLACE = re.compile(r"(?P<path>[^\s:][^:]{0,254}\.py):(?P<line>\d{1,7}): ?(?P<text>[A-Za-z_][\w.]{0,199})?")
#: What pytest says about it, in the lines before: `E   assert 1 == 2`.
_PYTEST_SAID = re.compile(r"E {1,20}(?P<text>\S.*)")
#: `FAILED tests/test_hello.py::test_it - AssertionError: ...` and `ERROR tests/test_hello.py - ...`.
_PYTEST_SHORT = re.compile(
    r"(?:FAILED|ERROR) (?P<path>[^\s:][^:]{0,254}\.py)(?:::(?P<test>\S{1,500}))?(?: - (?P<text>.+))?"
)
_TRACEBACK = "Traceback (most recent call last):"
_FRAME = re.compile(r'  File "(?P<path>[^"]{1,255})", line (?P<line>\d{1,7})(?:, in .*)?')
_LEVELS = {"warning": check.Level.WARNING, "note": check.Level.NOTICE}


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """Annotations within GitHub's limits."""

    annotations: tuple[check.Annotation, ...]
    #: How many there were before the limit.
    total: int


def find(log_tail: str, *, places: Places) -> Found:
    """The annotations that an output asks for, in its order, each place and text once."""
    search = _Search(places)
    for line in cleaning.visible(log_tail).split("\n"):
        if len(line) <= _MAX_LINE_CHARACTERS:
            search.take(line.rstrip())
    found = tuple(search.found.values())
    return Found(annotations=found[:MAX_ANNOTATIONS], total=len(found))


class _Search:
    def __init__(self, places: Places) -> None:
        self.found: dict[tuple[str, int, str], check.Annotation] = {}
        self._places = places
        #: What pytest said in the failure that is being read.
        self._said: str | None = None
        #: For each file that pytest passed through, the last line there.
        self._passed: dict[str, int] = {}
        self._annotated: set[str] = set()
        self._is_in_traceback = False
        #: The innermost frame of the traceback that lies in the repository.
        self._frame: tuple[str, int] | None = None

    def take(self, line: str) -> None:
        if line == _TRACEBACK:
            self._is_in_traceback, self._frame = True, None
        elif self._is_in_traceback:
            self._take_frame(line)
        elif found := _PYTEST_PLACE.fullmatch(line):
            self._take_place(found)
        elif found := _PYTEST_SAID.fullmatch(line):
            self._said = self._said or found["text"]
        elif found := _PYTEST_SHORT.fullmatch(line):
            self._take_short(found)
        elif found := _COMPILER.fullmatch(line):
            level = _LEVELS.get(found["level"], check.Level.FAILURE)
            self._add(found["path"], int(found["line"]), found["text"], title=found["level"], level=level)

    def _take_frame(self, line: str) -> None:
        if found := _FRAME.fullmatch(line):
            path = self._places.relative(found["path"])
            if path is not None:
                self._frame = (path, int(found["line"]))
        elif not line.startswith(" "):
            # The exception itself ends the traceback.
            self._is_in_traceback = False
            if self._frame is not None and line:
                self._put(*self._frame, line, title=line.partition(":")[0])

    def _take_place(self, found: re.Match[str]) -> None:
        path, line = self._places.relative(found["path"]), int(found["line"])
        if path is not None:
            self._passed[path] = line
        if found["text"]:
            self._add(found["path"], line, self._said or found["text"], title=found["text"])
            self._said = None

    def _take_short(self, found: re.Match[str]) -> None:
        path = self._places.relative(found["path"])
        if path is not None and path not in self._annotated:
            title = found["test"] or "pytest"
            self._put(path, self._passed.get(path, 1), found["text"] or f"{title} failed", title=title)

    def _add(self, path: str, line: int, text: str, *, title: str, level: check.Level = check.Level.FAILURE) -> None:
        relative = self._places.relative(path)
        if relative is not None:
            self._annotated.add(relative)
            self._put(relative, line, text, title=title, level=level)

    def _put(self, path: str, line: int, text: str, *, title: str, level: check.Level = check.Level.FAILURE) -> None:
        if line >= 1:
            made = make(path, line, text, title=title, level=level)
            self.found.setdefault((path, line, made.text), made)


def make(
    path: str,
    line: int,
    text: str,
    *,
    end_line: int | None = None,
    title: str | None = None,
    level: check.Level = check.Level.FAILURE,
    details: str | None = None,
) -> check.Annotation:
    """An annotation of one line or a few, with its texts cleaned and within GitHub's limits.

    :param path: relative to the repository.
    :param details: of which the end is kept.
    """
    return check.Annotation(
        path=path,
        start_line=line,
        end_line=line if end_line is None else end_line,
        level=level,
        text=cleaning.cut(cleaning.visible(text[:MAX_TEXT_BYTES]).strip(), limit_bytes=MAX_TEXT_BYTES)
        or "(no message)",
        title=cleaning.one_line(title, limit_bytes=MAX_TITLE_BYTES) or None if title else None,
        raw_details=cleaning.cut(cleaning.visible(details[-MAX_DETAILS_BYTES:]), limit_bytes=MAX_DETAILS_BYTES) or None
        if details
        else None,
    )
