"""Result files of one job, one after the other, to what they say together. Pure; large files take a second or two."""

from __future__ import annotations

import enum
from collections.abc import Iterable

from msgspec.structs import replace

from bot.model import report
from bot.reports import coverage, junit, limits, matchers, own, paths, sarif

#: Of a job, over all its files.
MAX_CASES = 5_000
MAX_FINDINGS = 1_000
MAX_PROBLEMS = 50
_MAX_MATCHERS = 100
#: Of so many failed tests all is kept that they say.
_MAX_DETAILED = 200


class Kind(enum.StrEnum):
    """What a result file is, as the pipeline file declares it or its place in the results folder says."""

    JUNIT = "junit"
    SARIF = "sarif"
    COVERAGE = "coverage"
    MATCHERS = "matchers"
    #: A file of the results folder.
    OWN = "results"


class Reader:
    """Collects what files say. What cannot be read becomes a problem; nothing is raised for what a file holds."""

    def __init__(self, *, places: paths.Places | None = None) -> None:
        self._places = places or paths.Places()
        self._totals = report.Totals()
        self._unwell: list[report.Case] = []
        self._others: list[report.Case] = []
        self._findings: list[report.Finding] = []
        self._findings_total = 0
        self._coverage: report.Coverage | None = None
        self._summaries: list[str] = []
        self._matchers: list[matchers.Matcher] = []
        self._problems: dict[str, None] = {}
        self._problems_total = 0

    @property
    def wants_log(self) -> bool:
        """Whether there are matchers for the job's log."""
        return bool(self._matchers)

    def note(self, path: str, problem: str) -> None:
        """Note what is wrong with a file.

        :param problem: a sentence that goes on behind "`path`: ".
        """
        self._problems_total += 1
        text = f"`{_shown(path)}`: {problem}"
        if len(self._problems) < MAX_PROBLEMS:
            self._problems[text] = None

    def take(self, kind: str, path: str, data: bytes) -> None:
        """Read one file.

        :param kind: one of `Kind`; files of any other are nobody's here.
        :param path: its name for people.
        """
        try:
            self._take(kind, path, data)
        except limits.Unreadable as error:
            self.note(path, str(error))

    def _take(self, kind: str, path: str, data: bytes) -> None:
        if kind == Kind.JUNIT:
            self._add_suite(junit.parse(data, places=self._places))
        elif kind == Kind.SARIF:
            found = sarif.parse(data, places=self._places)
            self._add_findings(found.findings, total=found.total)
        elif kind == Kind.COVERAGE:
            made = coverage.parse(data)
            self._coverage = made if self._coverage is None else self._coverage + made
        elif kind == Kind.MATCHERS:
            self._matchers = [*self._matchers, *matchers.parse(data)][:_MAX_MATCHERS]
        elif kind == Kind.OWN and path == own.ANNOTATIONS:
            findings = own.findings(data, places=self._places)
            self._add_findings(findings, total=len(findings))
        elif kind == Kind.OWN and path == own.SUMMARY:
            self._summaries.append(own.summary(data))

    def take_log(self, log: str) -> None:
        """Look through the job's log with the matchers that came in files."""
        found = matchers.Finder(self._matchers).find(log, places=self._places, most=MAX_FINDINGS)
        self._add_findings(found.findings, total=found.total)

    def results(self) -> report.Results:
        """All that was said."""
        problems = tuple(self._problems)
        if self._problems_total > len(problems):
            problems += (f"There are {self._problems_total - len(problems)} more problems of this kind.",)
        return report.Results(
            totals=self._totals,
            cases=tuple([*self._unwell, *self._others][:MAX_CASES]),
            findings=tuple(self._findings),
            findings_total=self._findings_total,
            coverage=self._coverage,
            summary=limits.cut("\n\n".join(self._summaries), limits.MAX_SUMMARY_CHARACTERS),
            problems=problems,
        )

    def _add_suite(self, suite: junit.Suite) -> None:
        self._totals += suite.totals
        for case in suite.cases:
            kept = self._unwell if case.state in report.UNWELL else self._others
            if len(kept) < MAX_CASES:
                is_whole = len(kept) < _MAX_DETAILED
                kept.append(case if is_whole else replace(case, message=limits.cut(case.message, 300), details=""))

    def _add_findings(self, findings: Iterable[report.Finding], *, total: int) -> None:
        self._findings_total += total
        self._findings += list(findings)[: MAX_FINDINGS - len(self._findings)]


def _shown(path: str) -> str:
    short = limits.cut(path, 200)
    return "".join(one if one.isprintable() else "\ufffd" for one in short).replace("`", "'")
