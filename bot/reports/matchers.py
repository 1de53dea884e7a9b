"""Problem matchers in the format of GitHub Actions, and what they find in a log.

https://github.com/actions/toolkit/blob/main/docs/problem-matchers.md

Their expressions are a stranger's: they are compiled by RE2, which takes time linear in the line whatever they are, and
refuses what cannot be matched so (look-around, back-references).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from bot.model import check, report
from bot.reports import limits, paths

MAX_MATCHERS = 50
MAX_PATTERNS = 10
MAX_EXPRESSION_CHARACTERS = 2_000
#: Of a log, the end is looked at.
MAX_LOG_CHARACTERS = 4 * 1024 * 1024
MAX_LINES = 50_000
#: Longer lines are output, not messages.
MAX_LINE_CHARACTERS = 2_000
#: Of one compiled expression, and of all those together that may begin something.
_MAX_MEMORY_BYTES = 4 * 1024 * 1024
_MAX_MEMORY_OF_ALL_BYTES = 64 * 1024 * 1024
_LEVELS = {
    "warning": check.Level.WARNING,
    "warn": check.Level.WARNING,
    "w": check.Level.WARNING,
    "notice": check.Level.NOTICE,
    "note": check.Level.NOTICE,
    "info": check.Level.NOTICE,
    "information": check.Level.NOTICE,
    "help": check.Level.NOTICE,
    "style": check.Level.NOTICE,
    "n": check.Level.NOTICE,
}
#: Terminal sequences, which no expression expects.
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]?|\][^\x07\x1b\n]*(?:\x07|\x1b\\)?|[ -/]*[0-~]?)")


class _Pattern(msgspec.Struct, rename="camel", frozen=True):
    regexp: str
    file: int | None = None
    line: int | None = None
    column: int | None = None
    end_line: int | None = None
    severity: int | None = None
    code: int | None = None
    message: int | None = None
    from_path: int | None = None
    loop: bool = False


class _Matcher(msgspec.Struct, rename="camel", frozen=True):
    owner: str
    pattern: list[_Pattern]
    severity: str | None = None


class _File(msgspec.Struct, rename="camel", frozen=True):
    problem_matcher: list[_Matcher]


_DECODER = msgspec.json.Decoder(_File)


class Pattern(msgspec.Struct, frozen=True, kw_only=True):
    """One line of what a matcher expects; the numbers are those of groups in its expression."""

    expression: Any
    file: int | None = None
    line: int | None = None
    end_line: int | None = None
    severity: int | None = None
    code: int | None = None
    message: int | None = None
    from_path: int | None = None
    #: Whether it is looked for in as many lines as follow.
    loops: bool = False


class Matcher(msgspec.Struct, frozen=True, kw_only=True):
    """Lines that come one after the other, and make one finding."""

    owner: str
    patterns: tuple[Pattern, ...]
    #: Where no pattern says how bad it is.
    level: check.Level = check.Level.FAILURE


def parse(data: bytes) -> tuple[Matcher, ...]:
    """The matchers of a file.

    :raises limits.Unreadable: if one of them cannot be used; then none is.
    """
    limits.check_size(data)
    try:
        found = _DECODER.decode(data.removeprefix(b"\xef\xbb\xbf")).problem_matcher
    except msgspec.ValidationError as error:
        raise limits.Unreadable(f"it holds no problem matchers: {limits.cut(str(error), 200)}.") from None
    except (msgspec.DecodeError, UnicodeError) as error:
        raise limits.Unreadable(f"it is no JSON: {limits.cut(str(error), 200)}.") from None
    except RecursionError:
        raise limits.Unreadable("its values are nested too deep.") from None
    if len(found) > MAX_MATCHERS:
        raise limits.Unreadable(f"it holds {len(found)} problem matchers: at most {MAX_MATCHERS} are taken.")
    return tuple(_matcher(one) for one in found)


def _matcher(one: _Matcher) -> Matcher:
    owner = limits.cut(one.owner, 80)
    if not 1 <= len(one.pattern) <= MAX_PATTERNS:
        raise limits.Unreadable(
            f"the matcher {owner!r} has {len(one.pattern)} patterns: 1 to {MAX_PATTERNS} are taken."
        )
    patterns = tuple(_pattern(pattern, owner=owner) for pattern in one.pattern)
    if any(pattern.loops for pattern in patterns[:-1]):
        raise limits.Unreadable(f"the matcher {owner!r} has `loop` at a pattern that is not its last.")
    if patterns[-1].loops and len(patterns) == 1:
        raise limits.Unreadable(f"the matcher {owner!r} has `loop` at its only pattern: one has to come before it.")
    if patterns[-1].message is None:
        raise limits.Unreadable(f"the last pattern of the matcher {owner!r} names no group for the `message`.")
    if all(pattern.file is None for pattern in patterns):
        raise limits.Unreadable(f"the matcher {owner!r} names no group for the `file`.")
    level = _LEVELS.get((one.severity or "error").lower(), check.Level.FAILURE)
    return Matcher(owner=owner, patterns=patterns, level=level)


def _pattern(one: _Pattern, *, owner: str) -> Pattern:
    expression = compiled(one.regexp, owner=owner)
    groups = {
        "file": one.file,
        "line": one.line,
        "column": one.column,
        "endLine": one.end_line,
        "severity": one.severity,
        "code": one.code,
        "message": one.message,
        "fromPath": one.from_path,
    }
    for name, number in groups.items():
        if number is not None and not 0 <= number <= expression.groups:
            raise limits.Unreadable(
                f"`{name}` of the matcher {owner!r} is group {number}, and its expression has {expression.groups}."
            )
    return Pattern(
        expression=expression,
        file=one.file,
        line=one.line,
        end_line=one.end_line,
        severity=one.severity,
        code=one.code,
        message=one.message,
        from_path=one.from_path,
        loops=one.loop,
    )


def compiled(text: str, *, owner: str) -> Any:
    """An expression that is matched in time linear in the line.

    :raises limits.Unreadable: if it is none.
    """
    if len(text) > MAX_EXPRESSION_CHARACTERS:
        raise limits.Unreadable(
            f"an expression of the matcher {owner!r} has {len(text)} characters, at most {MAX_EXPRESSION_CHARACTERS}."
        )
    # With the first log that is looked through: a service is ready before there is one.
    import re2

    try:
        return re2.compile(text, _options(memory_bytes=_MAX_MEMORY_BYTES))
    except re2.error as error:
        why = error.args[0] if error.args else ""
        words = why.decode("utf-8", "replace") if isinstance(why, bytes) else str(why)
        raise limits.Unreadable(
            f"the expression {limits.cut(text, 60)!r} of the matcher {owner!r} cannot be used:"
            f" {limits.cut(words, 120)}."
            " Look-around and back-references are not possible (https://github.com/google/re2/wiki/Syntax)."
        ) from None
    except UnicodeError:
        raise limits.Unreadable(f"an expression of the matcher {owner!r} is no Unicode text.") from None


def _options(*, memory_bytes: int) -> Any:
    import re2

    options = re2.Options()
    options.log_errors = False
    options.max_mem = memory_bytes
    return options


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What matchers found in a log."""

    #: Each place and text once, in the order of the log.
    findings: tuple[report.Finding, ...]
    total: int
    #: Where the first of them that is an error was complete, in lines from the end of the log: -1 is the last.
    first_error: int | None = None


class Finder:
    """Matchers, ready to look through logs. One automaton for all of them says which lines may begin something."""

    def __init__(self, matchers: Iterable[Matcher]) -> None:
        import re2

        self._matchers = tuple(matchers)
        self._beginnings = re2.Set.SearchSet(_options(memory_bytes=_MAX_MEMORY_OF_ALL_BYTES))
        for one in self._matchers:
            self._beginnings.Add(one.patterns[0].expression.pattern)
        if self._matchers:
            self._beginnings.Compile()

    def find(
        self, log: str, *, places: paths.Places, most: int = limits.MAX_FINDINGS, most_lines: int = MAX_LINES
    ) -> Found:
        """What the matchers find in the end of a log.

        A line that one matcher takes is not given to those after it.

        :param most: how many are kept; all are counted.
        :param most_lines: how many lines of the end are looked at.
        """
        if not self._matchers:
            return Found(findings=(), total=0)
        runs = [_Run(one, places) for one in self._matchers]
        #: The one that is in the midst of something.
        active: _Run | None = None
        found: dict[tuple[str, int, str], report.Finding] = {}
        #: Those that came when there was no room any more; some may be there twice.
        more = 0
        looked_at = list(lines(log, most=most_lines))
        first_error: int | None = None
        for at, line in enumerate(looked_at, start=-len(looked_at)):
            finding = active.take(line) if active is not None and active.goes_on(line) else None
            if active is None or not active.has_taken:
                active = None
                if begins := self._beginnings.Match(line):
                    active = runs[min(begins)]
                    active.reset()
                    finding = active.take(line)
            if active is not None and not active.is_open:
                active = None
            if finding is not None:
                if first_error is None and finding.level is check.Level.FAILURE:
                    first_error = at
                key = (finding.path, finding.line, finding.text)
                if len(found) < most:
                    found.setdefault(key, finding)
                else:
                    more += key not in found
        return Found(findings=tuple(found.values()), total=len(found) + more, first_error=first_error)


def lines(log: str, *, most: int = MAX_LINES) -> Iterable[str]:
    """The last lines of a log without what only a terminal understands; those too long for a message are empty."""
    for line in log[-MAX_LOG_CHARACTERS:].split("\n")[-most:]:
        if len(line) > 4 * MAX_LINE_CHARACTERS:
            yield ""
            continue
        plain = _ANSI.sub("", line).rstrip("\r").rpartition("\r")[2].rstrip()
        yield plain.encode("utf-8", "replace").decode() if len(plain) <= MAX_LINE_CHARACTERS else ""


class _Values(msgspec.Struct, frozen=True, kw_only=True):
    file: str = ""
    line: str = ""
    end_line: str = ""
    severity: str = ""
    code: str = ""
    message: str = ""
    from_path: str = ""


class _Run:
    """One matcher on its way through a log."""

    def __init__(self, matcher: Matcher, places: paths.Places) -> None:
        self._matcher = matcher
        self._places = places
        self.reset()

    def reset(self) -> None:
        """Begin anew with the next line."""
        self._at = 0
        self._values = _Values()
        #: Whether the last line was of this matcher.
        self.has_taken = False

    @property
    def is_open(self) -> bool:
        """Whether it waits for another line."""
        return self._at > 0

    def goes_on(self, line: str) -> bool:
        """Whether the next line is the one that it waits for."""
        self.has_taken = self._matcher.patterns[self._at].expression.search(line) is not None
        return self.has_taken

    def take(self, line: str) -> report.Finding | None:
        """Take a line that its next pattern matches; gives what is complete with it."""
        patterns = self._matcher.patterns
        pattern = patterns[self._at]
        found = pattern.expression.search(line)
        self.has_taken = found is not None
        if found is None:
            return None
        values = _merged(self._values, pattern, found)
        if self._at < len(patterns) - 1:
            self._at, self._values = self._at + 1, values
            return None
        if not pattern.loops:
            self._at, self._values = 0, _Values()
        return self._finding(values)

    def _finding(self, values: _Values) -> report.Finding | None:
        path, text = values.file.strip(), values.message.strip()
        if not path or not text:
            return None
        if values.from_path:
            path = f"{values.from_path.rpartition('/')[0] or '.'}/{path}"
        relative = self._places.relative(path)
        line = limits.whole_number(values.line) or 1
        severity = values.severity.lower()
        level = _LEVELS.get(severity, check.Level.FAILURE) if severity else self._matcher.level
        return report.Finding(
            tool=self._matcher.owner,
            path=limits.cut(relative or path, limits.MAX_PATH_CHARACTERS),
            line=line,
            end_line=max(line, limits.whole_number(values.end_line) or line),
            is_inside=relative is not None,
            level=level,
            text=limits.cut(text, limits.MAX_TEXT_CHARACTERS),
            title=limits.cut(values.code.strip(), limits.MAX_NAME_CHARACTERS) or None,
        )


def _merged(values: _Values, pattern: Pattern, found: Any) -> _Values:
    given = {
        "file": pattern.file,
        "line": pattern.line,
        "end_line": pattern.end_line,
        "severity": pattern.severity,
        "code": pattern.code,
        "message": pattern.message,
        "from_path": pattern.from_path,
    }
    return replace(values, **{name: found.group(number) or "" for name, number in given.items() if number is not None})


def single(owner: str, expression: str, **groups: int) -> Matcher:
    """A matcher of one line.

    :param groups: the numbers of the expression's groups, under the names of `Pattern`.
    """
    return Matcher(owner=owner, patterns=(_of_groups(owner, expression, groups),))


def in_two(
    owner: str, first: tuple[str, dict[str, int]], second: tuple[str, dict[str, int]], *, loops: bool
) -> Matcher:
    """A matcher of a line, and of one or, if it loops, any number of lines behind it; see `single`."""
    made = [_of_groups(owner, *one) for one in (first, second)]
    return Matcher(owner=owner, patterns=(made[0], replace(made[1], loops=loops)))


def _of_groups(owner: str, expression: str, groups: Mapping[str, int]) -> Pattern:
    return replace(Pattern(expression=compiled(expression, owner=owner)), **groups)
