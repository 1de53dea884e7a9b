"""Queries on the runs of one test, of whatever build and branch."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot.model import report
from bot.store.branches import COLUMNS, Brief, brief
from bot.store.results_tables import test_results
from bot.store.schema import builds, jobs

#: Runs that are told of.
RUNS = 50


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a test."""

    case: report.Case
    job_id: str
    job_name: str
    build: Brief


def list_runs(connection: Connection, *, repository_id: int, digest: bytes) -> list[Run]:
    """The newest runs of a test in a repository, the newest first."""
    newest = (
        sa.select(test_results)
        .where(test_results.c.repository_id == repository_id, test_results.c.digest == digest)
        .order_by(test_results.c.seq.desc())
        .limit(RUNS)
        .subquery("newest")
    )
    query = (
        sa.select(newest, jobs.c.check_name, *(column.label(f"of_{column.name}") for column in COLUMNS))
        .join(jobs, jobs.c.id == newest.c.job_id)
        .join(builds, builds.c.id == jobs.c.build_id)
        .order_by(newest.c.seq.desc())
    )
    return [
        Run(
            case=report.Case(
                name=row.name,
                classname=row.classname,
                file=row.file,
                line=row.line,
                state=report.State(row.state),
                duration_seconds=row.duration_seconds,
                message=row.message,
            ),
            job_id=row.job_id,
            job_name=row.check_name.rpartition(" / ")[2],
            build=brief({column.name: row._mapping[f"of_{column.name}"] for column in COLUMNS}),
        )
        for row in connection.execute(query)
    ]
