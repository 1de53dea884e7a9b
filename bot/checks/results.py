"""What a job's result files say, as a part of its check run: tests with new failures first, coverage, its own words.

Pure. Every name and text in it is a stranger's: it is shown as code only, and each part has a size of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from bot.checks import cleaning, markdown, titles
from bot.model import build, report

#: Failed tests that are named.
MAX_NAMED = 20
DETAIL_LINES = 20
MAX_PROBLEMS = 10
_NAME_BYTES = 160
_MESSAGE_BYTES = 200
_LINE_BYTES = 300
_PROBLEM_BYTES = 300
#: Of the check run's `text`, whose limit is 65,535 characters. https://docs.github.com/en/rest/checks/runs
_MAX_TEXT_BYTES = 60_000
_LONG_RUN = re.compile(r"`{21,}")


def section(told: report.Told, *, made: build.Build) -> str:
    """The part of the summary about one job's results."""
    results = told.results
    parts = [
        _tests(told, made),
        _coverage(told, made),
        f"{_counted(results.findings_total, 'finding')}." if results.findings_total else "",
        _problems(results.problems),
    ]
    return "\n\n".join(part for part in parts if part)


def sum_section(results: Iterable[report.Results]) -> str:
    """The part of the summary about the results of all jobs of a build."""
    found = list(results)
    totals = sum((one.totals for one in found), start=report.Totals())
    findings = sum(one.findings_total for one in found)
    parts = [
        f"Tests: {counts(totals)}." if totals.total else "",
        _counted(findings, "finding") + "." if findings else "",
    ]
    return "\n\n".join(part for part in parts if part)


def text(told: report.Told) -> str | None:
    """What the job wrote itself, to be read as it was written: as code, for Markdown of a stranger may do much."""
    if not told.results.summary.strip():
        return None
    plain = cleaning.cut(cleaning.visible(told.results.summary).strip("\n"), limit_bytes=_MAX_TEXT_BYTES)
    # The fence has to be longer than any run of backticks in it.
    plain = _LONG_RUN.sub("`" * 20, plain)
    return f"What the job wrote to `summary.md`:\n\n{markdown.fenced(plain, language='markdown')}"


def counts(totals: report.Totals) -> str:
    """How many tests ended in which way: `3 failed, 1 errored, 396 passed, 2 skipped`."""
    given = {
        "failed": totals.failed,
        "errored": totals.errored,
        "passed": totals.passed,
        "skipped": totals.skipped,
    }
    return ", ".join(f"{count:,} {word}" for word, count in given.items() if count) or "none"


def in_title(told: report.Told) -> str | None:
    """What a title says of failed tests; None where none failed."""
    totals = told.results.totals
    return f"{totals.unwell:,} of {_counted(totals.total, 'test')} failed" if totals.unwell else None


def hints(failure: report.Failure, *, told: report.Told, made: build.Build) -> list[str]:
    """What earlier runs say of a failed test, in words; names of branches in it are code."""
    found: list[str] = []
    branch = markdown.code((made.base_ref or made.ref).removeprefix("refs/heads/"), limit_bytes=_NAME_BYTES)
    if not failure.is_new:
        found.append(f"also fails on {branch}" if made.base_ref is not None else f"failed before on {branch}")
    elif told.has_base:
        found.append("**new**")
    if failure.failed_before:
        runs = _counted(failure.runs_before, "run")
        found.append(f"failed {failure.failed_before} of the last {runs} on other branches")
    return found


def _tests(told: report.Told, made: build.Build) -> str:
    totals = told.results.totals
    if not totals.total:
        return ""
    took = f" in {titles.duration(totals.duration_seconds)}" if totals.duration_seconds else ""
    head = f"### Tests: {counts(totals)}{took}"
    if not told.failures:
        return head
    lines = [_line(failure, told=told, made=made) for failure in told.failures[:MAX_NAMED]]
    left = totals.unwell - len(lines)
    parts = [head, "\n".join([*lines, *([f"- … and {left:,} more"] if left > 0 else [])])]
    first = told.failures[0].case
    details = cleaning.last_lines(first.details, lines=DETAIL_LINES, line_bytes=_LINE_BYTES)
    if details.strip():
        parts += [f"{_name(first)}{_place(first)}:", markdown.fenced(details)]
    return "\n\n".join(parts)


def _line(failure: report.Failure, *, told: report.Told, made: build.Build) -> str:
    case = failure.case
    sign = "❌" if case.state is report.State.FAILED else "⚠️"
    said = next(iter(case.message.splitlines()), "")
    shown = f": {markdown.code(said, limit_bytes=_MESSAGE_BYTES)}" if said.strip() else ""
    words = hints(failure, told=told, made=made)
    return f"- {sign} {_name(case)}{shown}" + (f" ({', '.join(words)})" if words else "")


def _name(case: report.Case) -> str:
    return markdown.code(case.full_name, limit_bytes=_NAME_BYTES)


def _place(case: report.Case) -> str:
    if case.file is None:
        return ""
    place = case.file if case.line is None else f"{case.file}:{case.line}"
    return f" in {markdown.code(place, limit_bytes=_NAME_BYTES)}"


def _coverage(told: report.Told, made: build.Build) -> str:
    now, base = told.results.coverage, told.base_coverage
    if now is None:
        return ""
    line = f"Coverage: **{now.percent:.1f} %** of {_counted(now.lines_total, 'line')}"
    if base is None:
        return f"{line}."
    branch = markdown.code((made.base_ref or made.ref).removeprefix("refs/heads/"), limit_bytes=_NAME_BYTES)
    change = now.percent - base.percent
    if abs(change) < 0.05:
        return f"{line}, as on {branch}."
    return f"{line}, {abs(change):.1f} points {'more' if change > 0 else 'less'} than on {branch}."


def _problems(problems: tuple[str, ...]) -> str:
    if not problems:
        return ""
    lines = [f"- {markdown.prose(problem, limit_bytes=_PROBLEM_BYTES)}" for problem in problems[:MAX_PROBLEMS]]
    if len(problems) > MAX_PROBLEMS:
        lines.append(f"- … and {len(problems) - MAX_PROBLEMS} more")
    return "\n".join(["Result files that could not be used:", "", *lines])


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
