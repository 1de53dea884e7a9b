"""Queries on what jobs' result files say: written in parts, because there may be much of it, and read as a whole."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from bot import errors
from bot.model import check, job, report
from bot.store import builds
from bot.store.results_tables import findings, job_results, test_results
from bot.store.schema import jobs

#: Rows of one part: the door waits for as long as they take.
PART_ROWS = 1_000
_CASE = ("name", "classname", "file", "line", "duration_seconds", "message", "details")
_FINDING = ("tool", "path", "line", "end_line", "is_inside", "text", "title", "details")
_TOTALS = ("passed", "failed", "errored", "skipped", "duration_seconds")


def digest(case: report.Case) -> bytes:
    """What a test is found by in the history of its repository."""
    # In any form that two names cannot share.
    return hashlib.sha256(f"{len(case.classname)}:{case.classname}{case.name}".encode("utf-8", "replace")).digest()[:16]


def clear(connection: Connection, of: job.Job) -> None:
    """Forget what an earlier attempt wrote of a job.

    :raises errors.LeaseLost: if another process took the job over.
    """
    _fence(connection, of)
    for table in (test_results, findings, job_results):
        connection.execute(sa.delete(table).where(table.c.job_id == of.id))


def insert_cases(connection: Connection, of: job.Job, cases: Sequence[report.Case], *, repository_id: int) -> None:
    """Write test cases of a job, at most `PART_ROWS` at once.

    :raises errors.LeaseLost: if another process took the job over.
    """
    _fence(connection, of)
    rows = [
        {
            "job_id": of.id,
            "repository_id": repository_id,
            "digest": digest(one),
            "state": one.state.value,
            **{name: getattr(one, name) for name in _CASE},
        }
        for one in cases
    ]
    if rows:
        connection.execute(sa.insert(test_results), rows)


def insert_findings(connection: Connection, of: job.Job, found: Sequence[report.Finding]) -> None:
    """Write findings of a job, at most `PART_ROWS` at once.

    :raises errors.LeaseLost: if another process took the job over.
    """
    _fence(connection, of)
    rows = [
        {"job_id": of.id, "level": one.level.value, **{name: getattr(one, name) for name in _FINDING}} for one in found
    ]
    if rows:
        connection.execute(sa.insert(findings), rows)


def insert(connection: Connection, job_id: str, made: report.Results) -> None:
    """Write what the results of a job come to, in the transaction that ends the job; cases and findings came before."""
    connection.execute(
        sa.insert(job_results).values(
            job_id=job_id,
            findings_total=made.findings_total,
            summary=made.summary,
            problems=made.problems,
            lines_covered=None if made.coverage is None else made.coverage.lines_covered,
            lines_total=None if made.coverage is None else made.coverage.lines_total,
            **{name: getattr(made.totals, name) for name in _TOTALS},
        )
    )


def find(connection: Connection, job_id: str, *, most_cases: int, most_findings: int) -> report.Results | None:
    """The results of a job, with those of its test cases that did not pass; None where it left nothing behind.

    :param most_cases: at most so many cases are read.
    """
    row = connection.execute(sa.select(job_results).where(job_results.c.job_id == job_id)).first()
    if row is None:
        return None
    unwell = (
        sa.select(test_results)
        .where(test_results.c.job_id == job_id, test_results.c.state.in_(sorted(report.UNWELL)))
        .order_by(test_results.c.seq)
        .limit(most_cases)
    )
    found = sa.select(findings).where(findings.c.job_id == job_id).order_by(findings.c.seq).limit(most_findings)
    return report.Results(
        totals=_totals(row),
        cases=tuple(_case(one) for one in connection.execute(unwell)),
        findings=tuple(_finding(one) for one in connection.execute(found)),
        findings_total=row.findings_total,
        coverage=coverage(row),
        summary=row.summary,
        problems=row.problems,
    )


def list_cases(
    connection: Connection, job_id: str, *, after_seq: int, limit: int, states: Collection[report.State] = ()
) -> list[tuple[int, report.Case]]:
    """Test cases of a job in the order of its reports, each with its place, which later calls go on behind."""
    query = (
        sa.select(test_results)
        .where(test_results.c.job_id == job_id, test_results.c.seq > after_seq)
        .order_by(test_results.c.seq)
        .limit(limit)
    )
    if states:
        query = query.where(test_results.c.state.in_(sorted(states)))
    return [(row.seq, _case(row)) for row in connection.execute(query)]


def list_totals(connection: Connection, job_ids: Collection[str]) -> dict[str, report.Results]:
    """What the results of these jobs come to, without cases and findings; jobs that left nothing are not in it."""
    query = sa.select(job_results).where(job_results.c.job_id.in_(job_ids))
    return {
        row.job_id: report.Results(
            totals=_totals(row),
            findings_total=row.findings_total,
            coverage=coverage(row),
            summary=row.summary,
            problems=row.problems,
        )
        for row in connection.execute(query)
    }


def delete_old(
    connection: Connection, *, before: datetime, most_builds: int, limit: int, installation_id: int | None = None
) -> int:
    """Delete test cases and findings of the builds that `builds.delete_finished` deletes next; gives how many.

    There may be thousands of each job, which are deleted a part at a time before their job takes the rest along.

    :param most_builds: the limit of `builds.delete_finished`.
    """
    old = builds.list_old_ids(connection, before=before, limit=most_builds, installation_id=installation_id)
    of_builds = list(connection.execute(sa.select(jobs.c.id).where(jobs.c.build_id.in_(old))).scalars())
    deleted = 0
    for table in (test_results, findings):
        query = sa.select(table.c.seq).where(table.c.job_id.in_(of_builds)).limit(limit - deleted)
        found = list(connection.execute(query).scalars())
        if found:
            connection.execute(sa.delete(table).where(table.c.seq.in_(found)))
        deleted += len(found)
    return deleted


def coverage(row: Row[Any]) -> report.Coverage | None:
    """The coverage in a row of `job_results`."""
    if row.lines_covered is None or row.lines_total is None:
        return None
    return report.Coverage(lines_covered=row.lines_covered, lines_total=row.lines_total)


def _fence(connection: Connection, of: job.Job) -> None:
    query = sa.select(jobs.c.epoch).where(jobs.c.id == of.id).with_for_update()
    if connection.execute(query).scalar_one_or_none() != of.epoch:
        raise errors.LeaseLost(f"Job {of.id} was taken over by another process.")


def _totals(row: Row[Any]) -> report.Totals:
    return report.Totals(**{name: getattr(row, name) for name in _TOTALS})


def _case(row: Row[Any]) -> report.Case:
    return report.Case(state=report.State(row.state), **{name: getattr(row, name) for name in _CASE})


def _finding(row: Row[Any]) -> report.Finding:
    return report.Finding(level=check.Level(row.level), **{name: getattr(row, name) for name in _FINDING})
