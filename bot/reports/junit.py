"""JUnit XML, as every test runner writes it and none specifies it.

https://github.com/testmoapp/junitxml describes what is common; pytest, Surefire, Gradle, Jest and gotestsum differ in
where they say the file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from bot.model import report
from bot.reports import limits, paths, xml

#: Where a failure's text says in which file it was: `tests/test_hello.py:12: AssertionError`, `a_test.go:9: …`.
_PLACE = re.compile(r"^[ \t]{0,40}(?P<path>[^\s:()\"']{1,255}\.[A-Za-z0-9]{1,8}):(?P<line>\d{1,7})\b", re.MULTILINE)
_FILE_ATTRIBUTES = ("file", "filepath", "filename")
_STATES = {"failure": report.State.FAILED, "error": report.State.ERRORED, "skipped": report.State.SKIPPED}


class Suite(msgspec.Struct, frozen=True, kw_only=True):
    """What one file says."""

    totals: report.Totals
    #: Those that did not pass before those that did.
    cases: tuple[report.Case, ...]


def parse(data: bytes, *, places: paths.Places | None = None) -> Suite:
    """The test cases of a file.

    :param places: where its paths lie.
    :raises limits.Unreadable: if it is no JUnit XML, or goes beyond a limit.
    """
    reader = _Reader(places or paths.Places())
    xml.read(data, reader)
    kept = [*reader.unwell, *reader.others][: limits.MAX_CASES]
    return Suite(totals=reader.totals(), cases=tuple(kept))


class _Reader:
    def __init__(self, places: paths.Places) -> None:
        self._places = places
        self._is_first = True
        self.unwell: list[report.Case] = []
        self.others: list[report.Case] = []
        self._counts = dict.fromkeys(report.State, 0)
        self._duration_seconds = 0.0
        #: The files that the open suites name.
        self._files: list[str | None] = []
        self._attributes: Mapping[str, str] | None = None
        self._depth_in_case = 0
        self._state = report.State.PASSED
        self._said: tuple[str, str] = ("", "")
        self._of_child: Mapping[str, str] = {}

    def totals(self) -> report.Totals:
        """All cases counted, also those that are not kept."""
        counts = {state.value: count for state, count in self._counts.items()}
        return report.Totals(**counts, duration_seconds=round(self._duration_seconds, 6))

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if self._is_first:
            self._is_first = False
            if name not in ("testsuites", "testsuite"):
                raise limits.Unreadable("it is no JUnit XML: its root is neither `testsuites` nor `testsuite`.")
        if self._attributes is not None:
            self._depth_in_case += 1
            if self._depth_in_case == 1 and name in _STATES:
                self._of_child = dict(attributes)
        elif name == "testsuite":
            self._files.append(_first(attributes, _FILE_ATTRIBUTES))
        elif name == "testcase":
            self._attributes = dict(attributes)
            self._state, self._said = report.State.PASSED, ("", "")

    def end(self, name: str, text: str) -> None:
        if self._attributes is None:
            if name == "testsuite" and self._files:
                self._files.pop()
            return
        if self._depth_in_case == 0:
            self._finish(self._attributes)
            self._attributes = None
            return
        # `rerunFailure` and `flakyFailure` tell of runs that did not count.
        if self._depth_in_case == 1 and name in _STATES and self._state not in report.UNWELL:
            self._state = _STATES[name]
            self._said = (self._of_child.get("message") or self._of_child.get("type") or "", text)
        self._depth_in_case -= 1

    def _finish(self, attributes: Mapping[str, str]) -> None:
        self._counts[self._state] += 1
        duration_seconds = limits.seconds(attributes.get("time"))
        self._duration_seconds += duration_seconds or 0.0
        kept = self.unwell if self._state in report.UNWELL else self.others
        if len(kept) >= limits.MAX_CASES:
            return
        message, details = _said(*self._said)
        file, line = self._place(attributes, details)
        kept.append(
            report.Case(
                name=limits.cut(attributes.get("name", ""), limits.MAX_NAME_CHARACTERS) or "(no name)",
                classname=limits.cut(attributes.get("classname", ""), limits.MAX_NAME_CHARACTERS),
                file=file,
                line=line,
                state=self._state,
                duration_seconds=duration_seconds,
                message=message,
                details=details,
            )
        )

    def _place(self, attributes: Mapping[str, str], details: str) -> tuple[str | None, int | None]:
        named = _first(attributes, _FILE_ATTRIBUTES) or next((one for one in reversed(self._files) if one), None)
        file = self._places.relative(named) if named else None
        line = limits.whole_number(attributes.get("line") or attributes.get("lineno"))
        if self._state not in report.UNWELL:
            return file, line if file else None
        # The last place in the test's own file says where it failed; else the last one in the repository.
        found = [
            (self._places.relative(one["path"]), limits.whole_number(one["line"])) for one in _PLACE.finditer(details)
        ]
        inside = [(path, number) for path, number in found if path is not None and number is not None]
        own = [place for place in inside if file is None or place[0] == file]
        if own:
            return own[-1]
        return (file, line) if file else (None, None)


def _said(message: str, text: str) -> tuple[str, str]:
    """The message and the details of a failure: where there is no message, the text's first line is one."""
    text = text.strip("\r\n")
    if not message.strip():
        message = next((line for line in text.splitlines() if line.strip()), "")
    return (
        limits.cut(message.strip(), limits.MAX_TEXT_CHARACTERS),
        limits.cut_start(text, limits.MAX_DETAILS_CHARACTERS),
    )


def _first(attributes: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((attributes[name] for name in names if attributes.get(name)), None)
