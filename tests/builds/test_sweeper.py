"""The sweeper deletes what is too old, whole, and nothing that is still needed; nothing half done stays."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from msgspec.structs import replace
from sqlalchemy.engine import Connection
from structlog.testing import capture_logs

from bot import clock, errors
from bot.builds import purge, sweeper
from bot.engines import contract, scripted
from bot.logs import Storage
from bot.model import build, delivery, job, outcome
from bot.store import (
    answers,
    audit,
    bookmarks,
    builds,
    deliveries,
    history,
    inbox_list,
    installations,
    jobs,
    leases,
    pauses,
    pulls,
    results,
    schema,
    secrets,
    self_tests,
)
from tests import factories
from tests.builds.conftest import Yard

RETENTION = timedelta(days=30)
OLD = clock.now() - timedelta(days=40)


@dataclass
class Time:
    """A clock that a test turns."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now


def make(yard: Yard, *, now: Time | None = None, owner: str = "test") -> sweeper.Sweeper:
    return sweeper.Sweeper(
        yard.store,
        engine=yard.engine,
        storage=yard.storage,
        retention=RETENTION,
        owner=owner,
        now=now or clock.now,
    )


async def add_ended(yard: Yard, *, log: bytes = b"log", **changes: object) -> outcome.NewBuild:
    """A build that ended, with its log."""
    new = factories.make_new_build(factories.make_build(**changes))
    await yard.create(new)
    await yard.logs.append(new.jobs[0].id, offset_bytes=0, data=log)
    await yard.store.write(jobs.save, replace(new.jobs[0], build_id=new.build.id, state=job.State.PASSED))
    await yard.store.write(
        builds.save_state, new.build.id, state=build.State.PASSED, started_at=OLD, finished_at=clock.now()
    )
    return new


async def add_handled(yard: Yard, *guids: str, **changes: object) -> None:
    """Deliveries that were handled."""
    await yard.store.write(
        deliveries.insert_many,
        [factories.make_verified_delivery(guid=guid, ordering_key=guid, **changes) for guid in guids],
    )
    claimed = await yard.store.write(
        deliveries.claim_next, now=clock.now(), owner="test", lease=timedelta(minutes=1), limit=len(guids)
    )
    for one in claimed:
        await yard.store.write(deliveries.finish, one, state=delivery.State.HANDLED, now=clock.now(), trail=("done",))


def count(connection: Connection) -> dict[str, int]:
    """How many rows each table has."""
    found = {
        table.name: connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
        for table in schema.metadata.sorted_tables
    }
    return {name: rows for name, rows in found.items() if rows}


async def test_f24_old_ended_builds_go_with_their_logs_and_everything_else_stays(yard: Yard) -> None:
    ended = await add_ended(yard, created_at=OLD, head_sha="a" * 40)
    running = factories.make_new_build(factories.make_build(created_at=OLD, head_sha="b" * 40))
    fresh = factories.make_new_build(factories.make_build(created_at=clock.now(), head_sha="c" * 40))
    for new in (running, fresh):
        await yard.create(new)
        await yard.logs.append(new.jobs[0].id, offset_bytes=0, data=b"log")
    await add_handled(yard, "done", received_at=OLD)
    await yard.store.write(
        deliveries.insert_many, [factories.make_verified_delivery(guid="open", received_at=OLD, ordering_key="open")]
    )
    await make(yard).sweep()
    kept = {one.id for one in await yard.store.read(builds.list_newest, limit=10)}
    assert kept == {running.build.id, fresh.build.id}
    assert await yard.logs.size(ended.jobs[0].id) == 0
    assert await yard.logs.read(fresh.jobs[0].id) == b"log"
    assert [one.id for one in await yard.store.read(inbox_list.list_newest, limit=10)] == ["open"]
    assert ended.jobs[0].id in yard.engine.removed
    with pytest.raises(errors.NotFound):
        await yard.store.read(jobs.get, ended.jobs[0].id)


async def test_f24_what_old_jobs_left_behind_goes_in_parts_of_a_bounded_size(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper, "_ROWS", 10)
    kept = await add_ended(yard, created_at=clock.now(), head_sha="b" * 40)
    ended = await add_ended(yard, created_at=OLD, head_sha="a" * 40)
    for new in (ended, kept):
        one = await yard.get_job(new.jobs[0].id)
        cases = [factories.make_case(name=f"{number}") for number in range(25)]
        await yard.store.write(results.insert_cases, one, cases, repository_id=1)
        await yard.store.write(results.insert, one.id, factories.make_results(*cases))
    await make(yard).sweep()
    assert await yard.store.read(results.list_totals, [ended.jobs[0].id]) == {}
    found = await yard.store.read(history.find, await yard.get_job(kept.jobs[0].id), kept.build)
    assert found is not None
    assert len(found.failures) == 25


async def test_the_audit_is_kept_for_ninety_days_however_short_the_retention_is(yard: Yard) -> None:
    for days in (100, 40, 1):
        at = clock.now() - timedelta(days=days)
        await yard.store.write(audit.add, factories.make_audit_entry(detail=str(days)), now=at)
    await make(yard).sweep()
    assert [one.detail for one in await yard.store.read(audit.list_newest, limit=9)] == ["1", "40"]


async def test_old_pull_requests_and_bookmarks_go_and_a_pause_stays(yard: Yard) -> None:
    for number, at in ((1, OLD), (2, clock.now())):
        await yard.store.write(pulls.save, factories.make_pull(number=number, updated_at=at), now=clock.now())
        await yard.store.write(answers.add, factories.make_answer(pull_number=number), now=OLD)
    await yard.store.write(bookmarks.save, "old", "1", now=OLD)
    await yard.store.write(bookmarks.save, "new", "1", now=clock.now())
    await yard.store.write(self_tests.save, factories.make_self_test(tried_at=OLD))
    await yard.store.write(pauses.save, pauses.Pause(reason="It was restored.", at=OLD), now=OLD)
    await make(yard).sweep()
    found = [await yard.store.read(pulls.find, repository_id=1001, number=number) for number in (1, 2)]
    assert [one is not None for one in found] == [False, True]
    told = [await yard.store.read(answers.find, repository_id=1001, pull_number=number) for number in (1, 2)]
    assert [one is not None for one in told] == [False, True]
    assert set(await yard.store.read(bookmarks.list_names, prefix="")) == {"new", "paused", "self-test.local.worker-1"}


async def test_a_log_stays_as_long_as_a_later_build_has_taken_it_over(yard: Yard) -> None:
    old = await add_ended(yard, created_at=OLD, head_sha="a" * 40)
    later = factories.make_job(origin_id=old.jobs[0].id)
    await yard.create(factories.make_new_build(factories.make_build(created_at=clock.now()), later))
    await make(yard).sweep()
    assert await yard.store.read(builds.find, old.build.id) is None
    assert await yard.logs.read(old.jobs[0].id) == b"log"


async def test_f24_a_sweep_that_is_cut_off_behind_any_commit_leaves_no_log_without_a_job(yard: Yard) -> None:
    gone = [await add_ended(yard, created_at=OLD, head_sha=f"{number:040x}") for number in range(5)]
    fresh = await add_ended(yard, created_at=clock.now())
    # What a sweep has done when it dies between the rows and the files.
    await yard.store.write(builds.delete_finished, before=OLD + timedelta(days=1), limit=5)
    await yard.logs.seal(gone[0].jobs[0].id)
    assert await make(yard).free_logs() == 5
    assert await make(yard).free_logs() == 0
    found = [one async for some in yard.logs.list_ids() for one in some]
    assert found == [fresh.jobs[0].id]


async def test_a_database_without_jobs_deletes_no_logs(yard: Yard) -> None:
    await yard.logs.append(factories.new_id(), offset_bytes=0, data=b"of another database")
    assert await make(yard).free_logs() == 0


async def test_a_plain_log_whose_job_has_ended_is_packed_later_and_no_other(yard: Yard, tmp_path: Path) -> None:
    ended = await add_ended(yard, created_at=clock.now())
    running = factories.make_new_build(factories.make_build(head_sha="c" * 40))
    await yard.create(running)
    await yard.logs.append(running.jobs[0].id, offset_bytes=0, data=b"goes on")
    await make(yard).seal_logs()
    assert not await yard.logs.is_sealed(ended.jobs[0].id), "it may be about to be sealed"
    for path in tmp_path.rglob("*.log"):
        os.utime(path, (0, 0))
    await make(yard).seal_logs()
    assert await yard.logs.is_sealed(ended.jobs[0].id)
    assert not await yard.logs.is_sealed(running.jobs[0].id)


async def test_f24_what_lies_in_an_object_store_without_a_job_is_deleted_by_its_own_database(
    yard: Yard, tmp_path: Path
) -> None:
    later = Time(clock.now() + timedelta(hours=2))
    far = Storage(tmp_path / "one", url=f"file://{tmp_path}/store")
    near, yard.storage = yard.storage, far
    old = await add_ended(yard, created_at=OLD, head_sha="a" * 40)
    fresh = await add_ended(yard, created_at=clock.now(), head_sha="b" * 40)
    orphan, artifact_id = factories.new_id(), factories.new_id()
    await far.logs.append(orphan, offset_bytes=0, data=b"log")
    for one in (old.jobs[0].id, fresh.jobs[0].id, orphan):
        await far.logs.seal(one)

    async def copy(path: Path) -> None:
        await asyncio.to_thread(path.write_bytes, b"zip")

    await far.artifacts.put(artifact_id, copy)
    await far.carry_all()
    there = tmp_path / "store"
    assert len(list(there.rglob("*.packed"))) == 3
    (there / "owner").write_text("another database")
    with capture_logs() as logged:
        await make(yard, now=later).sweep()
    assert [one["action"] for one in logged if one["log_level"] == "warning"] == ["sweep_storage"]
    # What the database itself deleted is deleted there as well: its own.
    assert {path.stem for path in there.rglob("*.packed")} == {fresh.jobs[0].id, orphan}
    assert list(there.rglob("*.zip"))
    (there / "owner").unlink()
    await make(yard, now=later).sweep()
    assert (there / "owner").read_text() == "test"
    assert {path.stem for path in there.rglob("*.packed")} == {fresh.jobs[0].id}
    assert not list(there.rglob("*.zip"))
    await far.close()
    yard.storage = near


async def test_one_replica_at_a_time_sweeps_the_database_and_each_its_own_logs(yard: Yard) -> None:
    old = await add_ended(yard, created_at=OLD, head_sha="a" * 40)
    await add_ended(yard, created_at=clock.now())
    orphan = factories.new_id()
    await yard.logs.append(orphan, offset_bytes=0, data=b"log")
    await yard.store.write(leases.take, "sweeper", owner="other", now=clock.now(), lease=timedelta(minutes=1))
    await make(yard).sweep()
    assert await yard.store.read(builds.find, old.build.id) is not None
    assert await yard.logs.size(orphan) == 0
    await yard.store.write(leases.release, "sweeper", owner="other")
    await make(yard).sweep()
    assert await yard.store.read(builds.find, old.build.id) is None


async def test_the_engine_keeps_what_there_are_builds_of(yard: Yard) -> None:
    await add_ended(yard, created_at=OLD, repository_id=5, head_sha="a" * 40)
    await add_ended(yard, created_at=clock.now(), repository_id=6)
    await make(yard).sweep()
    assert yard.engine.kept == [frozenset({6})]


async def test_f94_t119_everything_of_a_deleted_installation_goes_after_its_days_and_nothing_else(yard: Yard) -> None:
    for installation_id, repository_id in ((1, 11), (2, 22)):
        of: dict[str, Any] = {"installation_id": installation_id, "repository_id": repository_id}
        await add_ended(yard, created_at=clock.now(), **of)
        await add_handled(yard, f"of-{installation_id}", received_at=clock.now(), **of)
        await yard.store.write(
            pulls.save, factories.make_pull(repository_id=repository_id, updated_at=clock.now()), now=clock.now()
        )
        one = factories.make_installation(
            id=installation_id, account=f"octo-{installation_id}", state="deleted" if installation_id == 1 else "active"
        )
        await yard.store.write(installations.save, one)
        await yard.store.write(_insert_budget, installation_id)
        await yard.store.write(answers.add, factories.make_answer(**of), now=clock.now())
        await yard.store.write(secrets.save, factories.make_secret(repository_id=repository_id))
    before = await yard.store.read(count)
    time = Time(clock.now())
    await make(yard, now=time).sweep()
    time.now += purge.PURGE_AFTER - timedelta(hours=1)
    await make(yard, now=time).sweep()
    assert await yard.store.read(count) == {**before, "bookmarks": 1}
    time.now += timedelta(hours=1)
    await make(yard, now=time).sweep()
    assert await yard.store.read(count) == {name: rows // 2 for name, rows in before.items()}
    assert {one.installation_id for one in await yard.store.read(builds.list_newest, limit=9)} == {2}
    assert yard.engine.kept[-1] == {22}
    assert [len(some) async for some in yard.logs.list_ids() if some] == [1]


async def test_an_installation_that_comes_back_within_its_days_keeps_everything(yard: Yard) -> None:
    kept = await add_ended(yard, created_at=clock.now())
    gone = factories.make_installation(state="deleted")
    await yard.store.write(installations.save, gone)
    time = Time(clock.now())
    await make(yard, now=time).sweep()
    # GitHub gives it another id.
    await yard.store.write(installations.save, factories.make_installation(id=7, account="Octo"))
    time.now += timedelta(days=20)
    await make(yard, now=time).sweep()
    assert await yard.store.read(builds.find, kept.build.id) is not None
    # Deleted once more, the days count from then.
    await yard.store.write(installations.save, factories.make_installation(id=7, account="Octo", state="deleted"))
    await make(yard, now=time).sweep()
    assert await yard.store.read(builds.find, kept.build.id) is not None
    time.now += purge.PURGE_AFTER
    await make(yard, now=time).sweep()
    assert await yard.store.read(count) == {}


async def test_a_build_that_still_runs_keeps_its_installation_until_it_has_ended(yard: Yard) -> None:
    new = factories.make_new_build()
    await yard.create(new)
    await yard.store.write(installations.save, factories.make_installation(state="deleted"))
    time = Time(clock.now())
    for _ in range(2):
        await make(yard, now=time).sweep()
        time.now += purge.PURGE_AFTER
    assert await yard.store.read(installations.find, factories.INSTALLATION_ID) is not None
    yard.engine.tell(new.jobs[0].id, scripted.prepared(), scripted.finished(contract.Result.PASSED))
    async with yard.running():
        await yard.until_job(new.jobs[0].id, job.State.PASSED)
    await make(yard, now=time).sweep()
    assert await yard.store.read(count) == {}


async def test_f24_who_reads_a_log_gets_all_of_it_though_it_is_swept_meanwhile(yard: Yard) -> None:
    data = b"".join(b"%08d\n" % number for number in range(100_000))
    old = await add_ended(yard, created_at=OLD, head_sha="a" * 40, log=data)
    await add_ended(yard, created_at=clock.now())

    async def read() -> bytes:
        async with yard.logs.opened(old.jobs[0].id) as log:
            found = await log.read(limit=10)
            opened.set()
            while part := await log.read(start=len(found), limit=8192):
                found += part
            return found

    opened = asyncio.Event()
    reading = asyncio.create_task(read())
    await opened.wait()
    await make(yard).sweep()
    assert await yard.logs.size(old.jobs[0].id) == 0
    assert await reading == data


def _insert_budget(connection: Connection, installation_id: int) -> None:
    connection.execute(sa.insert(schema.budgets).values(installation_id=installation_id, updated_at=clock.now()))
