"""What became of a job's tests, findings and coverage, as its own report files tell."""

from __future__ import annotations

import enum

import msgspec

from bot.model import check


class State(enum.StrEnum):
    """How one test case ended."""

    PASSED = "passed"
    #: An assertion did not hold.
    FAILED = "failed"
    #: It could not be run to its end.
    ERRORED = "errored"
    SKIPPED = "skipped"


#: The states that somebody has to look at.
UNWELL = frozenset({State.FAILED, State.ERRORED})


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One test case."""

    name: str
    #: The class, module or suite that it belongs to; empty where the report does not say.
    classname: str = ""
    #: Relative to the repository; None where it is not known, or lies outside.
    file: str | None = None
    #: From 1; only together with `file`.
    line: int | None = None
    state: State
    duration_seconds: float | None = None
    #: Why it did not pass, in a line or a few.
    message: str = ""
    #: What else it says of the failure, such as a stack trace.
    details: str = ""

    @property
    def full_name(self) -> str:
        """The name that tells it apart from others, e.g. `tests.test_hello::test_it`."""
        return f"{self.classname}::{self.name}" if self.classname else self.name


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """How many test cases ended in which way, those included that are not kept one by one."""

    passed: int = 0
    failed: int = 0
    errored: int = 0
    skipped: int = 0
    #: The sum of what the cases took.
    duration_seconds: float = 0.0

    @property
    def total(self) -> int:
        """All of them."""
        return self.passed + self.failed + self.errored + self.skipped

    @property
    def unwell(self) -> int:
        """Those that failed or could not be run."""
        return self.failed + self.errored

    def __add__(self, other: Totals) -> Totals:
        return Totals(
            passed=self.passed + other.passed,
            failed=self.failed + other.failed,
            errored=self.errored + other.errored,
            skipped=self.skipped + other.skipped,
            duration_seconds=self.duration_seconds + other.duration_seconds,
        )


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What a tool has to say of a place in the code."""

    #: The tool, or the matcher that found it in the log; may be empty.
    tool: str
    #: As the report has it.
    path: str
    #: From 1.
    line: int
    #: Not before `line`.
    end_line: int
    #: Whether `path` is relative to the repository, so that it can be annotated there.
    is_inside: bool = True
    level: check.Level
    text: str
    #: The rule's name or id, or a headline.
    title: str | None = None
    details: str | None = None


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """How much of the code the tests went through."""

    lines_covered: int
    lines_total: int

    @property
    def percent(self) -> float:
        """Of the lines, from 0 to 100."""
        return 100.0 * self.lines_covered / self.lines_total if self.lines_total else 0.0

    def __add__(self, other: Coverage) -> Coverage:
        return Coverage(
            lines_covered=self.lines_covered + other.lines_covered, lines_total=self.lines_total + other.lines_total
        )


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """All that the result files of one job say."""

    totals: Totals = Totals()
    #: Those that did not pass first; perhaps not all of them.
    cases: tuple[Case, ...] = ()
    #: Perhaps not all of them.
    findings: tuple[Finding, ...] = ()
    findings_total: int = 0
    coverage: Coverage | None = None
    #: Markdown of the job's own, as it wrote it: hostile.
    summary: str = ""
    #: What was wrong with which file, a sentence each.
    problems: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to tell."""
        return self == Results()


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A test that did not pass, with what earlier runs say of it."""

    case: Case
    #: How it ended in the newest build of the base branch that has it; None where none has, or there is no base.
    on_base: State | None = None
    #: Of its last runs on other branches, how many did not pass.
    failed_before: int = 0
    runs_before: int = 0

    @property
    def is_new(self) -> bool:
        """Whether the base branch does not fail in the same way."""
        return self.on_base not in UNWELL


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """The results of one job as they are shown: with their history."""

    results: Results = msgspec.field(default_factory=Results)
    #: New ones first.
    failures: tuple[Failure, ...] = ()
    #: Coverage of the same job in the newest build of the base branch that has it.
    base_coverage: Coverage | None = None
    #: Whether the base branch has results to compare with.
    has_base: bool = False
