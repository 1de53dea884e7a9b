"""What jobs leave behind: written in parts behind a fence, found again with its history, gone with its build."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from msgspec.structs import replace

from bot import errors
from bot.model import build, job, report
from bot.store import builds, history, jobs, outcomes, results, schema
from tests.factories import (
    NOW,
    REPOSITORY_ID,
    make_build,
    make_case,
    make_finding,
    make_job,
    make_new_build,
    make_pull_build,
    make_results,
)

FAILED, PASSED, ERRORED = report.State.FAILED, report.State.PASSED, report.State.ERRORED


def run(
    connection: sa.Connection, *cases: report.Case, of: build.Build | None = None, **changes: Any
) -> tuple[build.Build, job.Job]:
    """A build whose only job ended with these results."""
    of = of or make_build(head_sha=f"{len(jobs.list_ended_ids(connection, after_id='')):040d}")
    of = replace(of, state=build.State.FAILED, finished_at=NOW)
    made = outcomes.create(connection, make_new_build(of, make_job(state=job.State.FAILED)), now=NOW)
    (one,) = jobs.list_of_builds(connection, [made.id])
    write(connection, one, make_results(*cases, **changes))
    return made, one


def write(connection: sa.Connection, one: job.Job, made: report.Results) -> None:
    results.clear(connection, one)
    results.insert_cases(connection, one, made.cases, repository_id=REPOSITORY_ID)
    results.insert_findings(connection, one, made.findings)
    results.insert(connection, one.id, made)


def find(connection: sa.Connection, one: job.Job) -> report.Results | None:
    return results.find(connection, one.id, most_cases=99, most_findings=99)


def test_results_are_found_as_they_were_written_without_what_passed(connection: sa.Connection) -> None:
    left, passed, errored = make_case(name="a", line=None, file=None), make_case(state=PASSED), make_case(state=ERRORED)
    made = make_results(
        left,
        passed,
        errored,
        findings=(make_finding(), make_finding(is_inside=False, title=None, details="more")),
        coverage=report.Coverage(lines_covered=3, lines_total=4),
        summary="# Well\0",
        problems=("`a.xml`: it is no XML.",),
    )
    _, one = run(connection)
    write(connection, one, made)
    expected = replace(made, cases=(left, errored), summary="# Well\ufffd")
    assert find(connection, one) == expected
    assert results.list_totals(connection, [one.id, "other"]) == {one.id: replace(expected, cases=(), findings=())}


def test_writing_again_leaves_the_same(connection: sa.Connection) -> None:
    _, one = run(connection, make_case(), findings=(make_finding(),))
    before = find(connection, one)
    write(connection, one, make_results(make_case(), findings=(make_finding(),)))
    assert find(connection, one) == before


def test_a_job_that_left_nothing_has_no_results(connection: sa.Connection) -> None:
    made = outcomes.create(connection, make_new_build(), now=NOW)
    (one,) = jobs.list_of_builds(connection, [made.id])
    assert find(connection, one) is None
    assert history.find(connection, one, made) is None


def test_nothing_is_written_by_who_lost_the_job(connection: sa.Connection) -> None:
    _, one = run(connection)
    jobs.take_over(connection, [one.id])
    with pytest.raises(errors.LeaseLost):
        results.clear(connection, one)
    with pytest.raises(errors.LeaseLost):
        results.insert_cases(connection, one, [make_case()], repository_id=1)
    with pytest.raises(errors.LeaseLost):
        results.insert_findings(connection, one, [make_finding()])


def test_the_base_branch_says_which_failures_are_new(connection: sa.Connection) -> None:
    run(connection, make_case(name="old"), make_case(name="mended"), make_case(name="once"))
    run(connection, make_case(name="old"), make_case(name="mended", state=PASSED))
    run(connection, make_case(name="old"), of=make_build(ref="refs/heads/other", head_sha="b" * 40))
    of, one = run(
        connection,
        *(make_case(name=name) for name in ("old", "once", "mended", "new")),
        make_case(name="old", classname="tests.another"),
        of=make_pull_build(),
    )
    told = history.find(connection, one, of)
    assert told is not None
    assert told.has_base
    said = [(failure.case.full_name, failure.on_base, failure.is_new) for failure in told.failures]
    assert said == [
        ("tests.test_hello::mended", PASSED, True),
        ("tests.test_hello::new", None, True),
        ("tests.another::old", None, True),
        ("tests.test_hello::old", FAILED, False),
        ("tests.test_hello::once", FAILED, False),
    ]


def test_a_push_is_compared_with_the_builds_of_its_branch_before(connection: sa.Connection) -> None:
    run(connection, make_case(), coverage=report.Coverage(lines_covered=1, lines_total=2))
    of, one = run(connection, make_case())
    told = history.find(connection, one, of)
    assert told is not None
    assert told.failures[0].on_base is FAILED
    assert told.base_coverage == report.Coverage(lines_covered=1, lines_total=2)
    of, one = run(connection, make_case(), of=make_build(ref="refs/heads/x"))
    first_told = history.find(connection, one, of)
    assert first_told is not None
    assert (first_told.has_base, first_told.failures[0].on_base, first_told.base_coverage) == (False, None, None)


def test_only_the_same_job_of_the_base_counts(connection: sa.Connection) -> None:
    of, one = run(connection, make_case())
    connection.execute(sa.update(schema.jobs).values(check_name="buildhook / other"))
    of, one = run(connection, make_case(), of=make_pull_build())
    told = history.find(connection, one, of)
    assert told is not None
    assert told.failures[0].on_base is None


def test_the_last_fifty_runs_on_other_branches_are_counted(connection: sa.Connection) -> None:
    for number in range(60):
        state = FAILED if number in (3, 20, 40, 59) else PASSED
        branch = make_build(ref=f"refs/heads/{number}", head_sha=f"{number:040d}")
        run(connection, make_case(state=state), of=branch)
    for number in range(5):
        run(connection, make_case(), of=make_pull_build(head_sha=f"{number:039d}a", generation=2))
    of, one = run(connection, make_case(), of=make_pull_build())
    told = history.find(connection, one, of)
    assert told is not None
    assert (told.failures[0].failed_before, told.failures[0].runs_before) == (3, 50)


def test_results_go_with_their_build_a_part_at_a_time(connection: sa.Connection) -> None:
    cases = [make_case(name=f"{number}") for number in range(25)]
    run(connection, *cases, of=make_build(created_at=NOW - timedelta(days=9)), findings=(make_finding(),) * 5)
    _, kept = run(connection, make_case())
    before = NOW - timedelta(days=1)
    gone = [results.delete_old(connection, before=before, most_builds=9, limit=10) for _ in range(5)]
    assert gone == [10, 10, 10, 0, 0]
    assert builds.delete_finished(connection, before=before, limit=9)[0] == 1
    counts = [connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one() for table in (
        schema.test_results, schema.findings, schema.job_results,
    )]  # fmt: skip
    assert counts == [1, 0, 1]
    assert find(connection, kept) is not None


def test_the_order_of_names_and_classes_tells_tests_apart() -> None:
    same = [make_case(name="b", classname="a"), make_case(name="ab", classname=""), make_case(name="", classname="ab")]
    assert len({results.digest(one) for one in same}) == 3
    assert results.digest(make_case(name="\ud800")) == results.digest(make_case(name="?"))
