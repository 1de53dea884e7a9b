"""All annotations of a job's check run: failed tests, findings, then what stands in the log. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import msgspec

from bot.checks import annotations as marks
from bot.model import check, report
from bot.reports import usual

#: Of one check run: each 50 of them are a request, which all checks of an installation share a number of.
MAX_TOTAL = 250
#: Of a log's end; each takes a moment of the loop.
_MAX_LOG_LINES = 2_000
_MAX_LOG_FINDINGS = 500


class _Remark(msgspec.Struct, frozen=True, kw_only=True):
    """An annotation whose texts are not cleaned yet, which takes time and is done for those that are shown."""

    path: str
    line: int
    text: str
    end_line: int | None = None
    title: str | None = None
    level: check.Level = check.Level.FAILURE
    details: str | None = None

    def made(self) -> check.Annotation:
        return marks.make(
            self.path,
            self.line,
            self.text,
            end_line=self.end_line,
            title=self.title,
            level=self.level,
            details=self.details,
        )


def find(
    told: report.Told | None, log_tail: str | None, *, places: marks.Places, changed: Collection[str] = ()
) -> marks.Found:
    """The annotations within our limit, each place and text once, and how many there were.

    :param log_tail: the end of the output of the step that failed; None where none did.
    :param changed: the files that the pull request changes: what is said of these comes first.
    """
    merged: dict[tuple[str, int, str], _Remark] = {}
    taken: set[tuple[str, int]] = set()
    more = 0
    if told is not None:
        for one in (*_of_failures(told.failures), *_of_findings(told.results.findings)):
            merged.setdefault((one.path, one.line, one.text), one)
        taken = {(path, line) for path, line, _ in merged}
        more = told.results.findings_total - len(told.results.findings)
        more += max(0, told.results.totals.unwell - len(told.failures))
    if log_tail is not None:
        # What a report says of a line says more than the log.
        of_log = [one for one in _of_log(log_tail, places=places) if (one.path, one.line) not in taken]
        for one in of_log[: marks.MAX_ANNOTATIONS]:
            merged.setdefault((one.path, one.line, one.text), one)
        more += len(of_log[marks.MAX_ANNOTATIONS :])
    found = sorted(merged.values(), key=lambda one: one.path not in changed) if changed else list(merged.values())
    return marks.Found(annotations=tuple(one.made() for one in found[:MAX_TOTAL]), total=len(found) + more)


def first_error(log_tail: str, *, places: marks.Places) -> int | None:
    """The line of an output that says first what failed, from its end: -1 is the last; None where none does."""
    found = usual.finder().find(log_tail, places=places, most=_MAX_LOG_FINDINGS, most_lines=_MAX_LOG_LINES)
    return found.first_error


def _of_failures(failures: Iterable[report.Failure]) -> Iterator[_Remark]:
    for failure in failures:
        case = failure.case
        if case.file is not None:
            text = case.message or f"{case.full_name} {case.state.value}"
            yield _Remark(
                path=case.file, line=case.line or 1, text=text, title=case.full_name, details=case.details or None
            )


def _of_findings(findings: Iterable[report.Finding]) -> Iterator[_Remark]:
    for one in findings:
        if one.is_inside:
            yield _Remark(
                path=one.path,
                line=one.line,
                text=one.text,
                end_line=one.end_line,
                title=" ".join(word for word in (one.tool, one.title) if word) or None,
                level=one.level,
                details=one.details,
            )


def _of_log(log_tail: str, *, places: marks.Places) -> Iterator[_Remark]:
    found = marks.find(log_tail, places=places)
    for one in found.annotations:
        yield _Remark(path=one.path, line=one.start_line, text=one.text, title=one.title, level=one.level)
    known = {(one.path, one.start_line) for one in found.annotations}
    usually = usual.finder().find(log_tail, places=places, most=_MAX_LOG_FINDINGS, most_lines=_MAX_LOG_LINES)
    for more in usually.findings:
        if more.is_inside and (more.path, more.line) not in known:
            yield _Remark(path=more.path, line=more.line, text=more.text, title=more.title, level=more.level)
