"""What earlier runs say of the tests that failed in a job: on the base branch, and on other branches."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot.model import build, job, report
from bot.store import results
from bot.store.results_tables import job_results, test_results
from bot.store.schema import builds, jobs

#: How many runs of a test are looked at.
RUNS = 50
#: Of so many rows of a test these are found: most may be of the branch itself.
_ROWS = 200
#: In so many builds of the base branch a test is looked for.
_BASE_BUILDS = 10
#: Failed tests that are compared with the base branch, and those whose runs are counted.
MAX_COMPARED = 500
MAX_COUNTED = 20
MAX_FINDINGS = 1_000


def find(connection: Connection, one: job.Job, of: build.Build) -> report.Told | None:
    """The results of an ended job as they are shown; None where it left nothing behind."""
    found = results.find(connection, one.origin_id or one.id, most_cases=MAX_COMPARED, most_findings=MAX_FINDINGS)
    if found is None:
        return None
    base = _base_jobs(connection, one, of)
    on_base = _states_on_base(connection, found.cases, base)
    failures = [report.Failure(case=case, on_base=on_base.get(results.digest(case))) for case in found.cases]
    # Sorting keeps the order among equals.
    failures.sort(key=lambda failure: not failure.is_new)
    counted = [_counted(connection, failure, of) for failure in failures[:MAX_COUNTED]]
    return report.Told(
        results=found,
        failures=(*counted, *failures[MAX_COUNTED:]),
        base_coverage=_base_coverage(connection, base),
        has_base=bool(base),
    )


def base_ref(of: build.Build) -> str:
    """The ref whose builds a build is compared with: the base of a pull request, else the ref itself."""
    return f"refs/heads/{of.base_ref}" if of.base_ref is not None else of.ref


def _base_jobs(connection: Connection, one: job.Job, of: build.Build) -> list[str]:
    """The ids of the same job in earlier builds of the base branch, newest first."""
    query = (
        sa.select(jobs.c.id)
        .join(builds, builds.c.id == jobs.c.build_id)
        .join(job_results, job_results.c.job_id == jobs.c.id)
        .where(
            builds.c.repository_id == of.repository_id,
            builds.c.ref == base_ref(of),
            builds.c.id < of.id,
            jobs.c.check_name == one.check_name,
            jobs.c.state.in_(sorted(job.DECIDED)),
        )
        .order_by(builds.c.id.desc())
        .limit(_BASE_BUILDS)
    )
    return list(connection.execute(query).scalars())


def _states_on_base(
    connection: Connection, cases: Sequence[report.Case], base: Sequence[str]
) -> dict[bytes, report.State]:
    """How each test ended in the newest of these jobs that has it."""
    wanted = {results.digest(case) for case in cases}
    found: dict[bytes, report.State] = {}
    for job_id in base:
        left = sorted(wanted - found.keys())
        if not left:
            break
        query = sa.select(test_results.c.digest, test_results.c.state).where(
            test_results.c.job_id == job_id, test_results.c.digest.in_(left)
        )
        of_job: dict[bytes, report.State] = {}
        for row in connection.execute(query):
            state = report.State(row.state)
            # A test that runs several times in one job failed there if it failed once.
            if row.digest not in of_job or state in report.UNWELL:
                of_job[row.digest] = state
        found |= of_job
    return found


def _base_coverage(connection: Connection, base: Sequence[str]) -> report.Coverage | None:
    if not base:
        return None
    query = sa.select(job_results).where(job_results.c.job_id.in_(base), job_results.c.lines_total.is_not(None))
    known = {row.job_id: results.coverage(row) for row in connection.execute(query)}
    return next((known[job_id] for job_id in base if job_id in known), None)


def _counted(connection: Connection, failure: report.Failure, of: build.Build) -> report.Failure:
    """A failure with what came of the test's last runs on other branches."""
    digest = results.digest(failure.case)
    rows = (
        sa.select(test_results.c.job_id, test_results.c.state, test_results.c.seq)
        .where(test_results.c.repository_id == of.repository_id, test_results.c.digest == digest)
        .order_by(test_results.c.seq.desc())
        .limit(_ROWS)
        .subquery("rows")
    )
    query = (
        sa.select(rows.c.state)
        .join(jobs, jobs.c.id == rows.c.job_id)
        .join(builds, builds.c.id == jobs.c.build_id)
        .where(builds.c.ref != of.ref, builds.c.id < of.id)
        .order_by(rows.c.seq.desc())
        .limit(RUNS)
    )
    states = list(connection.execute(query).scalars())
    failed = sum(report.State(state) in report.UNWELL for state in states)
    return report.Failure(case=failure.case, on_base=failure.on_base, failed_before=failed, runs_before=len(states))
