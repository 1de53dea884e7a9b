"""T120: what a repository keeps altogether is bounded, right to the byte, and told of; a log keeps its end always."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot import clock, policy
from bot.engines import contract, scripted
from bot.model import job, outcome, storage
from bot.store import artifacts, builds, kept, results
from bot.store.results_tables import artifacts as artifact_table
from bot.store.schema import jobs as job_table
from tests import factories
from tests.builds.conftest import Yard
from tests.databases import long_on_postgresql

KIB = 1024
REPOSITORY = factories.REPOSITORY_ID


def one_job(**changes: object) -> outcome.NewBuild:
    """A build with one job."""
    return factories.make_new_build(factories.make_build(**changes), factories.make_job())


def zipped(name: str, size_bytes: int, *, goes_on: asyncio.Event | None = None) -> contract.ResultFile:
    """An artifact; its bytes come once they may."""

    async def copy(path: Path) -> None:
        if goes_on is not None:
            await goes_on.wait()
        await asyncio.to_thread(path.write_bytes, bytes(size_bytes))

    return contract.ResultFile(
        offset=0, kind=contract.ARTIFACT, path=name, size_bytes=size_bytes, sha256="a" * 64, copy=copy
    )


def junit(*, failed: int) -> contract.ResultFile:
    """A report of tests that failed."""
    cases = "".join(f'<testcase name="t{n}"><failure message="no"/></testcase>' for n in range(failed))
    text = f"<testsuite>{cases}<testcase name='well'/></testsuite>".encode()

    async def read() -> bytes:
        return text

    return contract.ResultFile(
        offset=0, kind="junit", path="report.xml", size_bytes=len(text), sha256="b" * 64, read=read
    )


async def run(yard: Yard, new: outcome.NewBuild, *left: contract.ResultFile, log: bytes = b"x" * KIB) -> job.Job:
    """The job, when it has ended; it says something and leaves these files."""
    made = new.jobs[0]
    await yard.create(new)
    yard.engine.tell(made.id, scripted.prepared(), scripted.output(log), *left)
    yard.engine.tell(made.id, scripted.finished(contract.Result.PASSED))
    async with yard.running():
        return await yard.until_job(made.id, job.State.PASSED)


def _counted(connection: Connection) -> tuple[int, int]:
    """What the rows themselves come to, of all repositories: logs that have ended, and artifacts."""
    ended = job_table.c.finished_at.is_not(None)
    logs = connection.execute(sa.select(sa.func.sum(job_table.c.log_size_bytes)).where(ended)).scalar_one()
    its = connection.execute(sa.select(sa.func.sum(artifact_table.c.size_bytes))).scalar_one()
    return int(logs or 0), int(its or 0)


async def sum_of(yard: Yard) -> storage.Kept:
    """What the repository keeps, proved to be what is there."""
    found = await yard.store.read(kept.of_repository, REPOSITORY)
    assert (found.log_bytes, found.artifact_bytes) == await yard.store.read(_counted)
    return found


@long_on_postgresql
async def test_t120_what_does_not_fit_is_left_out_and_the_check_and_the_page_say_why(yard: Yard) -> None:
    yard.quotas = policy.Quotas(storage_bytes=100 * KIB)
    new = one_job()
    ended = await run(yard, new, zipped("small", 60 * KIB), zipped("large", 50 * KIB), zipped("tiny", KIB))
    left = await yard.store.read(artifacts.list_of_jobs, [ended.id])
    assert [one.name for one in left] == ["small", "tiny"]
    found = await sum_of(yard)
    assert found == storage.Kept(log_bytes=KIB, report_bytes=found.report_bytes, artifact_bytes=61 * KIB)
    told = await yard.store.read(results.find, ended.id, most_cases=1, most_findings=1)
    assert told is not None
    (why,) = told.problems
    assert why.startswith("This repository keeps 0 bytes of 100.0 KiB: the artifact large was not kept. Lower ")
    assert "raise `storage` in the policy's section `quotas`" in why


async def test_t120_of_two_jobs_that_end_at_once_one_finds_the_room(yard: Yard) -> None:
    yard.quotas = policy.Quotas(storage_bytes=100 * KIB)
    goes_on = asyncio.Event()
    both = [one_job(head_sha=sha * 40, cause=sha) for sha in "ab"]
    for new in both:
        await yard.create(new)
        file = zipped("dist", 60 * KIB, goes_on=goes_on)
        yard.engine.tell(new.jobs[0].id, scripted.prepared(), file, scripted.finished(contract.Result.PASSED))
    async with yard.running():
        folder = yard.artifacts._folder
        await yard.until(lambda: len(yard.engine.started) == 2)
        goes_on.set()
        ended = [await yard.until_job(new.jobs[0].id, job.State.PASSED) for new in both]
        (left,) = await yard.store.read(artifacts.list_of_jobs, [one.id for one in ended])
        await yard.until(lambda: [path.stem for path in folder.glob("*.zip")] == [left.id])
    assert (await sum_of(yard)).artifact_bytes == 60 * KIB
    told = [await yard.store.read(results.find, one.id, most_cases=1, most_findings=1) for one in ended]
    assert [found is not None for found in told].count(True) == 1


@long_on_postgresql
async def test_t120_a_full_repository_keeps_the_end_of_logs_the_counts_of_reports_and_says_so(yard: Yard) -> None:
    yard.quotas = policy.Quotas(storage_bytes=10 * KIB)
    await run(yard, one_job(), zipped("dist", 8 * KIB))
    await run(yard, one_job(head_sha="b" * 40, cause="b"), log=b"y" * 10 * KIB)
    full = await sum_of(yard)
    assert full.total_bytes >= 10 * KIB
    ended = await run(yard, one_job(head_sha="c" * 40, cause="c"), zipped("dist", 1), junit(failed=120), log=b"end")
    assert [one.log_bytes for one in yard.engine.started] == [None, None, storage.LEAN_LOG_BYTES]
    assert await yard.logs.read(ended.id) == b"end"
    assert not await yard.store.read(artifacts.list_of_jobs, [ended.id])
    told = await yard.store.read(results.find, ended.id, most_cases=500, most_findings=1)
    assert told is not None
    assert (told.totals.failed, told.totals.passed, len(told.cases)) == (120, 1, storage.LEAN_ROWS)
    assert told.problems[0].startswith(
        f"This repository keeps {storage.size(full.total_bytes)} of 10.0 KiB: of this job"
    )
    # A job that leaves nothing says it as well: its log may be shorter.
    quiet = await run(yard, one_job(head_sha="d" * 40, cause="d"))
    told = await yard.store.read(results.find, quiet.id, most_cases=1, most_findings=1)
    assert told is not None
    assert len(told.problems) == 1


@long_on_postgresql
async def test_t120_the_sum_goes_down_with_what_is_deleted(yard: Yard) -> None:
    new, other = one_job(), one_job(head_sha="b" * 40, cause="b")
    await run(yard, new, zipped("dist", 7 * KIB), zipped("docs", KIB), junit(failed=2))
    await run(yard, other, zipped("dist", 3 * KIB))
    assert (await sum_of(yard)).artifact_bytes == 11 * KIB

    def end_time(connection: Connection) -> None:
        connection.execute(
            sa.update(artifact_table)
            .where(artifact_table.c.name == "dist")
            .values(expires_at=clock.now() - timedelta(seconds=1))
        )

    await yard.store.write(end_time)
    assert await yard.store.write(artifacts.delete_expired, before=clock.now(), limit=200) == 2
    assert (await sum_of(yard)).artifact_bytes == KIB
    await yard.store.write(builds.delete_finished, before=clock.now() + timedelta(days=1), limit=200)
    assert await sum_of(yard) == storage.Kept()


@long_on_postgresql
async def test_t120_a_job_that_the_engine_lost_is_counted_with_its_log(yard: Yard) -> None:
    new = one_job()
    await yard.create(new)
    yard.engine.tell(new.jobs[0].id, scripted.prepared(), scripted.output(b"x" * 3 * KIB))
    async with yard.running():
        await yard.until_job(new.jobs[0].id, job.State.RUNNING)
        async with asyncio.timeout(10):
            while (await yard.get_job(new.jobs[0].id)).log_size_bytes < 3 * KIB:
                await asyncio.sleep(0)
        yard.engine.forget(new.jobs[0].id)
        await yard.until_job(new.jobs[0].id, job.State.ERRORED)
    assert await sum_of(yard) == storage.Kept(log_bytes=3 * KIB)


def test_what_is_said_names_what_is_kept_and_what_may_be() -> None:
    room = storage.Room(kept=storage.Kept(artifact_bytes=int(10.2 * (1 << 30))), most_bytes=10 << 30)
    assert "This repository keeps 10.2 GiB of 10.0 GiB: the artifacts a, b were not kept." in storage.why_not_kept(
        room, ["a", "b"]
    )
