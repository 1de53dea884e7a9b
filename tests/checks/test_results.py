"""What people see of a job's results: new failures first, hints, coverage, annotations; and nothing GitHub refuses."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from msgspec.structs import replace

from bot.checks import render, results
from bot.model import build, check, job, report
from tests import factories
from tests.factories import make_case, make_finding, make_results

FAILED, PASSED, ERRORED = report.State.FAILED, report.State.PASSED, report.State.ERRORED
PULL = factories.make_pull_build(id="01BUILD", state=build.State.FAILED)
PUSH = factories.make_build(id="01BUILD", state=build.State.FAILED)


def told(*failures: report.Failure, **changes: Any) -> report.Told:
    """The results of a job with these failures, and a passed test."""
    cases = tuple(one.case for one in failures)
    made = make_results(*cases, make_case(state=PASSED), **changes)
    return report.Told(results=replace(made, cases=cases), failures=failures, has_base=True)


def failure(name: str = "test_it", **changes: Any) -> report.Failure:
    case = make_case(name=name, **{key: value for key, value in changes.items() if key in ("file", "line", "state")})
    rest = {key: value for key, value in changes.items() if key not in ("file", "line", "state")}
    return report.Failure(case=case, **rest)


def rendered(
    shown: report.Told, *, made: build.Build = PULL, changed: tuple[str, ...] = (), log_tail: str | None = None
) -> check.CheckRun:
    step = factories.make_step_result(state="failed", exit_code=1)
    one = factories.make_job(id="01JOB", state=job.State.FAILED, reason="exit status 1", steps=(step,))
    return render.check_run(
        factories.make_check(),
        build=made,
        jobs=[one],
        job=one,
        log_tail=log_tail,
        details_url="https://ci.example/jobs/01JOB",
        told=shown,
        changed=changed,
    )


def test_failures_are_told_with_the_new_ones_first_and_what_earlier_runs_say() -> None:
    shown = told(
        failure("test_new", failed_before=3, runs_before=50),
        failure("test_old", on_base=FAILED),
        coverage=report.Coverage(lines_covered=812, lines_total=1000),
        findings=(make_finding(),),
        problems=("`a.xml`: it is no XML.",),
    )
    shown = replace(shown, base_coverage=report.Coverage(lines_covered=1604, lines_total=2000))
    assert (
        results.section(shown, made=PULL)
        == """\
### Tests: 2 failed, 1 passed in 1 s

- ❌ `tests.test_hello::test_new`: `assert 1 == 2` (**new**, failed 3 of the last 50 runs on other branches)
- ❌ `tests.test_hello::test_old`: `assert 1 == 2` (also fails on `main`)

`tests.test_hello::test_new` in `tests/test_hello.py:12`:

```text
>       assert 1 == 2
E       assert 1 == 2

tests/test_hello.py:12: AssertionError
```

Coverage: **81.2 %** of 1,000 lines, 1.0 points more than on `main`.

1 finding.

Result files that could not be used:

- `a.xml`: it is no XML."""
    )


def test_a_push_is_compared_with_its_own_branch_and_the_first_build_with_nothing() -> None:
    assert "(failed before on `main`)" in results.section(told(failure(on_base=FAILED)), made=PUSH)
    first = replace(told(failure()), has_base=False)
    assert "new" not in results.section(first, made=PUSH)


def test_the_title_and_the_check_run_say_how_many_failed() -> None:
    found = rendered(told(failure(), failure("b", state=ERRORED)))
    assert found.title == "Failed: step `test` exited with 1, 2 of 3 tests failed"
    assert "### First failure" in found.summary
    assert found.summary.index("### First failure") < found.summary.index("### Tests") < found.summary.index("| Step |")


def test_coverage_that_stays_or_falls_is_said() -> None:
    half = report.Coverage(lines_covered=1, lines_total=2)
    shown = replace(told(coverage=half), base_coverage=half)
    assert "**50.0 %** of 2 lines, as on `main`." in results.section(shown, made=PULL)
    full = report.Coverage(lines_covered=2, lines_total=2)
    assert "50.0 points less than on `main`" in results.section(replace(shown, base_coverage=full), made=PULL)
    assert "**50.0 %** of 2 lines." in results.section(replace(shown, base_coverage=None), made=PULL)


def test_more_failures_than_fit_are_counted() -> None:
    shown = told(*(failure(f"test_{number}") for number in range(400)))
    section = results.section(shown, made=PULL)
    assert "### Tests: 400 failed, 1 passed" in section
    assert section.count("- ❌") == results.MAX_NAMED
    assert "- … and 380 more" in section


def test_a_build_of_several_jobs_says_what_they_come_to() -> None:
    sums = {"a": make_results(make_case(), findings=(make_finding(),)), "b": make_results(make_case(state=PASSED))}
    jobs = [factories.make_job(state=job.State.FAILED), factories.make_job(position=1, state=job.State.PASSED)]
    found = render.check_run(
        factories.make_check(), build=PULL, jobs=jobs, job=None, log_tail=None, details_url="https://x", sums=sums
    )
    assert "Tests: 1 failed, 1 passed.\n\n1 finding." in found.summary
    assert found.text is None


def test_annotations_of_changed_files_come_first_and_what_a_report_says_before_the_log() -> None:
    shown = told(
        failure(),
        failure("b", file=None, line=None),
        findings=(make_finding(path="b.py", details="why"), make_finding(path="/etc/x", is_inside=False)),
    )
    log = "tests/test_hello.py:12: AssertionError\nsrc/c.c:9:1: error: bad\nsrc/d.ts(4,7): error TS1: worse\n"
    found = rendered(shown, log_tail=log)
    assert [(one.path, one.start_line, one.title) for one in found.annotations] == [
        ("tests/test_hello.py", 12, "tests.test_hello::test_it"),
        ("b.py", 3, "ruff F401"),
        ("src/c.c", 9, "error"),
        ("src/d.ts", 4, "TS1"),
    ]
    assert found.annotations[0].raw_details is not None
    assert (found.annotations[1].level, found.annotations[1].raw_details) == (check.Level.WARNING, "why")
    changed = rendered(shown, log_tail=log, changed=("src/d.ts", "b.py"))
    assert [one.path for one in changed.annotations] == ["b.py", "src/d.ts", "tests/test_hello.py", "src/c.c"]


def test_annotations_have_an_upper_limit_and_the_true_number_is_said() -> None:
    findings = tuple(make_finding(line=line, end_line=line) for line in range(1, 401))
    found = rendered(told(failure(), findings=findings, findings_total=5_000))
    assert len(found.annotations) == 250
    assert "250 of 5,001 annotations are shown." in found.summary


def test_a_passed_job_shows_its_findings_too() -> None:
    one = factories.make_job(state=job.State.PASSED)
    found = render.check_run(
        factories.make_check(),
        build=PUSH,
        jobs=[one],
        job=one,
        log_tail=None,
        details_url="https://x",
        told=told(findings=(make_finding(),)),
    )
    assert (found.conclusion, len(found.annotations)) == ("success", 1)
    assert "### Tests: 1 passed" in found.summary


HOSTILE = (
    "@octo fixes #1 <img src=x onerror=alert(1)> [a](http://x) ![b](http://y) ```\n# Head\n| a | b |\n\u202e\x1b[31m"
)


def test_the_jobs_own_summary_is_shown_as_code_only() -> None:
    found = rendered(told(summary=f"{HOSTILE}\n{'`' * 99}"))
    assert found.text is not None
    kinds = {token.type for token in MarkdownIt("gfm-like", {"linkify": False}).parse(found.text)}
    assert kinds == {"paragraph_open", "inline", "paragraph_close", "fence"}
    assert rendered(told(summary=" \n")).text is None


#: By the number that hypothesis draws: written out they would be some megabytes.
TEXTS = (HOSTILE, "`" * 5_000, "x" * 9_000, "\x1b" * 9_000, "|" * 900, "\u202e" * 8_000, "", "ok")
_TEXTS = st.integers(0, len(TEXTS) - 1)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(_TEXTS, min_size=7, max_size=7),
    st.sampled_from([None, *report.State]),
    st.sampled_from([0, 1, 20, 400]),
    st.sampled_from([0, 1, 49, 300]),
)
def test_t108_github_can_refuse_nothing_whatever_the_results_say(
    texts: list[int], on_base: report.State | None, failures: int, findings: int
) -> None:
    name, classname, message, details, more, base, log = (TEXTS[number] for number in texts)
    case = make_case(name=name, classname=classname, file="a.py", message=message, details=details * 3)
    cases = [replace(case, line=line) for line in range(1, failures + 1)]
    shown = told(
        *(report.Failure(case=one, on_base=on_base, failed_before=3, runs_before=50) for one in cases),
        findings=tuple(
            make_finding(line=line, end_line=line, tool=name, text=more, title=message, details=details)
            for line in range(1, findings + 1)
        ),
        summary=more * 20,
        problems=(message,) * 51,
    )
    made = replace(PULL, base_ref=base, problems=())
    found = rendered(shown, made=made, log_tail=log * 20)
    assert len(found.title.encode()) <= 255
    assert len(found.summary.encode()) <= 65_535
    assert len((found.text or "").encode()) <= 65_535
    assert len(found.annotations) <= 250
    for one in found.annotations:
        assert len(one.text.encode()) <= 64 * 1024
        assert len((one.title or "").encode()) <= 255
        assert len((one.raw_details or "").encode()) <= 64 * 1024
        assert 1 <= one.start_line <= one.end_line
