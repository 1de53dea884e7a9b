"""JUnit XML as runners write it, and the places that they hide in its texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.model import report
from bot.reports import junit, limits, paths

PYTEST = b"""\
<?xml version="1.0" encoding="utf-8"?>
<testsuites name="pytest tests"><testsuite name="pytest" errors="1" failures="1" skipped="1" tests="4" time="0.082">
<testcase classname="tests.test_hello.TestIt" name="test_it[\xc3\xa9]" time="0.001">
<failure message="assert 1 == 2">    def test_it():
&gt;       assert 1 == 2
E       assert 1 == 2

tests/test_hello.py:12: AssertionError</failure></testcase>
<testcase classname="tests.test_hello" name="test_ok" time="0.020" />
<testcase classname="tests.test_hello" name="test_left" time="0.000">
<skipped type="pytest.skip" message="not here">/workspace/tests/test_hello.py:20: not here</skipped></testcase>
<testcase classname="" name="tests.test_broken" time="0.000"><error message="collection failure">ImportError</error>
<system-out>tests/other.py:1: nothing</system-out></testcase>
</testsuite></testsuites>
"""


def case(text: str, **attributes: str) -> report.Case:
    """The one case of a file that has one."""
    words = " ".join(f'{name}="{value}"' for name, value in {"name": "t", **attributes}.items())
    (found,) = junit.parse(f"<testsuite><testcase {words}>{text}</testcase></testsuite>".encode()).cases
    return found


def test_what_pytest_writes_is_read_with_the_line_that_failed() -> None:
    suite = junit.parse(PYTEST)
    assert suite.totals == report.Totals(passed=1, failed=1, errored=1, skipped=1, duration_seconds=0.021)
    failed, errored, passed, skipped = suite.cases
    assert (failed.full_name, failed.state) == ("tests.test_hello.TestIt::test_it[é]", report.State.FAILED)
    assert (failed.file, failed.line, failed.message) == ("tests/test_hello.py", 12, "assert 1 == 2")
    assert failed.details.endswith("tests/test_hello.py:12: AssertionError")
    assert (errored.full_name, errored.state, errored.file) == ("tests.test_broken", report.State.ERRORED, None)
    assert (passed.name, passed.duration_seconds) == ("test_ok", 0.02)
    assert (skipped.state, skipped.message) == (report.State.SKIPPED, "not here")


def test_a_file_and_line_that_the_report_names_are_taken() -> None:
    assert (
        case("<failure/>", file="./a/b_test.js", line="7").file,
        case("<failure/>", file="a.js", line="7").line,
    ) == (
        "a/b_test.js",
        7,
    )
    suite = junit.parse(b'<testsuites><testsuite file="a.js"><testcase name="t"/></testsuite></testsuites>')
    assert suite.cases[0].file == "a.js"


def test_of_many_places_the_last_one_of_the_tests_own_file_counts() -> None:
    text = "<failure>tests/a.py:3: in t\nsrc/b.py:9: ValueError\n</failure>"
    assert (case(text).file, case(text).line) == ("src/b.py", 9)
    assert (case(text, file="tests/a.py").file, case(text, file="tests/a.py").line) == ("tests/a.py", 3)


@pytest.mark.parametrize("path", ["/etc/passwd", "../../a.py", "a/../../b.py", ".git/config", "/workspace/../etc/x"])
def test_a_path_outside_of_the_repository_is_no_place(path: str) -> None:
    assert case("<failure/>", file=path, line="3").file is None
    assert case(f"<failure>{path}:3: no</failure>").file is None


def test_runs_that_did_not_count_are_no_failures() -> None:
    assert case('<flakyFailure message="x"/>').state is report.State.PASSED
    assert case('<rerunFailure message="x"/><failure message="y"/>').message == "y"


def test_a_failure_stays_one_beside_something_that_was_skipped() -> None:
    assert case('<failure message="x"/><skipped/>').state is report.State.FAILED


def test_names_and_texts_are_cut() -> None:
    found = case(f"<failure>{'x' * 100_000}</failure>", name="n" * 9_000)
    assert len(found.name) == limits.MAX_NAME_CHARACTERS
    assert len(found.message) == limits.MAX_TEXT_CHARACTERS
    assert len(found.details) <= limits.MAX_DETAILS_CHARACTERS


def test_numbers_that_are_none_are_left_out() -> None:
    for time in ("nan", "-1", "inf", "1e400", "x", "9" * 100):
        assert case("", time=time).duration_seconds is None, time
    assert case("", time="1,234.5").duration_seconds == 1234.5
    assert case("<failure/>", file="a", line="-3").line is None
    assert case("<failure/>", file="a", line="99999999999").line is None


@pytest.mark.parametrize("data", [b"<html/>", b"<coverage/>", b"", b"{}", b"<testsuite>"])
def test_what_is_no_junit_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(limits.Unreadable, match="it is no"):
        junit.parse(data)


@given(st.text(max_size=60))
def test_a_relative_path_never_leads_out_and_is_the_same_the_second_time(path: str) -> None:
    found = paths.Places().relative(path)
    if found is not None:
        assert not found.startswith("/")
        assert ".." not in found.split("/")
        assert found.isprintable()
        assert paths.Places().relative(found) == found
