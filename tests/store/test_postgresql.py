"""PostgreSQL: transactions side by side, run again where they meet, hints to other replicas, and a server that goes."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import pytest
import sqlalchemy as sa
from msgspec.structs import replace

from bot import errors
from bot.builds import transitions
from bot.model import build, delivery, job
from bot.store import (
    Store,
    answers,
    builds,
    checks,
    deliveries,
    hints,
    jobs,
    leases,
    outcomes,
    postgresql,
    pulls,
    schema,
)
from tests import postgresql as server
from tests.databases import on_postgresql
from tests.factories import (
    NOW,
    REPOSITORY_ID,
    make_answer,
    make_build,
    make_job,
    make_new_build,
    make_outcome,
    make_plan,
    make_pull,
    make_verified_delivery,
)

pytestmark = on_postgresql
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def other(database_url: str) -> AsyncIterator[Store]:
    """Another replica's store on the same database."""
    opened = await Store(database_url).open()
    yield opened
    await opened.close()


@pytest.fixture
def beside(database_url: str) -> Iterator[sa.Connection]:
    """A connection of somebody else."""
    engine = server.engine(sa.make_url(database_url).database or "")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def _count(connection: sa.Connection, table: sa.Table) -> int:
    return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


async def test_f14_a_commit_is_durable_before_it_is_told(store: Store) -> None:
    def shown(connection: sa.Connection) -> str:
        found: str = connection.exec_driver_sql("SHOW synchronous_commit").scalar_one()
        return found

    assert await store.write(shown) == "on"


async def test_f47_one_delivery_at_two_replicas_at_once_is_stored_once(store: Store, other: Store) -> None:
    new = [make_verified_delivery(guid=f"g{number}") for number in range(20)]
    put = await asyncio.gather(*(one.write(deliveries.insert_many, [each]) for each in new for one in (store, other)))
    assert sorted(answer for (answer,) in put) == [deliveries.Put.DUPLICATE] * 20 + [deliveries.Put.STORED] * 20
    assert (await store.read(deliveries.backlog)).rows == 20


async def test_f77_replicas_that_claim_at_once_never_get_the_same(store: Store, other: Store) -> None:
    new = [make_verified_delivery(guid=f"g{number}", ordering_key=f"k{number % 30}") for number in range(60)]
    await store.write(deliveries.insert_many, new)

    async def claim_all(one: Store, owner: str) -> list[delivery.Delivery]:
        mine: list[delivery.Delivery] = []
        while claimed := await one.write(deliveries.claim_next, now=NOW, owner=owner, lease=MINUTE, limit=3):
            mine += claimed
        return mine

    taken = await asyncio.gather(*(claim_all(one, owner) for one, owner in ((store, "a"), (other, "b"), (store, "c"))))
    ids = [one.id for mine in taken for one in mine]
    assert len(ids) == len(set(ids)) == 30, "one of each ordering key, each once"


async def test_f73_replicas_that_claim_jobs_at_once_never_get_the_same(store: Store, other: Store) -> None:
    for number in range(10):
        plans = [make_plan(key=key, name=key) for key in "abcd"]
        new = make_new_build(make_build(head_sha=f"{number:040x}"), *(make_job(plan=plan) for plan in plans))
        await store.write(outcomes.create, new, now=NOW)

    def start(connection: sa.Connection, owner: str) -> list[job.Job]:
        claimed = jobs.claim_ready(connection, now=NOW, owner=owner, lease=MINUTE, limit=3)
        for one in claimed:
            jobs.save(connection, replace(one, state=job.State.STARTING))
        return claimed

    async def claim_all(one: Store, owner: str) -> list[job.Job]:
        mine: list[job.Job] = []
        while claimed := await one.write(start, owner):
            mine += claimed
        return mine

    taken = await asyncio.gather(*(claim_all(one, owner) for one, owner in ((store, "a"), (other, "b"), (store, "c"))))
    assert len({one.id for mine in taken for one in mine}) == sum(map(len, taken)) == 40


async def test_f77_replicas_that_claim_answers_at_once_never_get_the_same(store: Store, other: Store) -> None:
    for number in range(1, 31):
        await store.write(answers.add, make_answer(pull_number=number), now=NOW)

    async def claim_all(one: Store, owner: str) -> list[int]:
        mine: list[int] = []
        while claimed := await one.write(answers.claim_stale, now=NOW, owner=owner, lease=MINUTE, limit=3):
            mine += [each.pull_number for each in claimed]
        return mine

    taken = await asyncio.gather(*(claim_all(one, owner) for one, owner in ((store, "a"), (other, "b"), (store, "c"))))
    assert sorted(number for mine in taken for number in mine) == list(range(1, 31))


async def test_f77_two_commands_at_once_on_one_pull_request_are_both_answered(store: Store, other: Store) -> None:
    new = [make_verified_delivery(guid=guid, ordering_key=guid) for guid in "ab"]
    await store.write(deliveries.insert_many, new)
    claimed = await store.write(deliveries.claim_next, now=NOW, owner="a", lease=MINUTE, limit=2)
    await asyncio.gather(
        *(
            each.write(outcomes.apply, one, make_outcome(answers=(make_answer(),)), now=NOW)
            for each, one in zip((store, other), claimed, strict=True)
        )
    )
    found = await store.read(answers.find, repository_id=REPOSITORY_ID, pull_number=7)
    assert found is not None
    assert (len(found.entries), found.desired_version) == (2, 2)


async def test_f77_two_deliveries_of_one_head_make_two_generations_at_once(store: Store, other: Store) -> None:
    new = [make_verified_delivery(guid=guid, ordering_key=guid) for guid in "ab"]
    await store.write(deliveries.insert_many, new)
    claimed = await store.write(deliveries.claim_next, now=NOW, owner="a", lease=MINUTE, limit=2)
    made = await asyncio.gather(
        *(
            each.write(outcomes.apply, one, make_outcome(builds=(make_new_build(),)), now=NOW)
            for each, one in zip((store, other), claimed, strict=True)
        )
    )
    assert sorted(one.generation for (one,) in made) == [1, 2]


async def test_f77_jobs_that_end_at_once_end_their_build_once_and_well(store: Store, other: Store) -> None:
    for number in range(10):
        plans = [make_plan(key=key, name=key) for key in "abcd"]
        new = make_new_build(make_build(head_sha=f"{number:040x}"), *(make_job(plan=plan) for plan in plans))
        await store.write(outcomes.create, new, now=NOW)
        claimed = await store.write(jobs.claim_ready, now=NOW, owner="a", lease=MINUTE, limit=4)
        await asyncio.gather(
            *(
                each.write(transitions.save, replace(one, state=job.State.PASSED, finished_at=NOW), now=NOW)
                for each, one in zip((store, other, store, other), claimed, strict=True)
            )
        )
        assert (await store.read(builds.get, new.build.id)).state == build.State.PASSED


async def test_f39_a_job_that_breaks_in_the_moment_it_is_to_end_is_cancelled_or_nobody_wanted_it_to_end(
    store: Store, other: Store
) -> None:
    for number in range(20):
        new = make_new_build(make_build(head_sha=f"{number:040x}"))
        await store.write(outcomes.create, new, now=NOW)
        (claimed,) = await store.write(jobs.claim_ready, now=NOW, owner="a", lease=MINUTE, limit=1)
        broken = replace(claimed, state=job.State.ERRORED, finished_at=NOW)
        asked, _ = await asyncio.gather(
            other.write(jobs.request_cancel, [new.build.id], now=NOW, reason="Enough."),
            store.write(transitions.save, broken, now=NOW),
        )
        ended = await store.read(jobs.get, claimed.id)
        assert ended.state == (job.State.CANCELLED if asked else job.State.ERRORED)


async def test_an_older_pull_request_never_overwrites_a_newer_one_of_another_replica(
    store: Store, other: Store
) -> None:
    seen = [make_pull(updated_at=NOW + number * MINUTE, head_sha=f"{number:040x}") for number in range(8)]
    await asyncio.gather(
        *((store, other)[number % 2].write(pulls.save, one, now=NOW) for number, one in enumerate(seen))
    )
    assert await store.read(pulls.find, repository_id=seen[0].repository_id, number=7) == seen[-1]


async def test_f77_one_of_many_gets_a_lease(store: Store, other: Store) -> None:
    got = await asyncio.gather(
        *(
            (store, other)[number % 2].write(leases.take, "recover", owner=f"r{number}", now=NOW, lease=MINUTE)
            for number in range(8)
        )
    )
    assert got.count(True) == 1
    owner = f"r{got.index(True)}"
    assert await store.write(leases.take, "recover", owner=owner, now=NOW + MINUTE, lease=MINUTE)
    assert not await store.write(leases.take, "recover", owner="late", now=NOW + 2 * MINUTE, lease=MINUTE)
    assert await store.write(leases.take, "recover", owner="late", now=NOW + 3 * MINUTE, lease=MINUTE)
    await store.write(leases.release, "recover", owner=owner)
    assert not await store.write(leases.take, "recover", owner=owner, now=NOW + 3 * MINUTE, lease=MINUTE)


async def test_a_commit_that_makes_work_is_told_to_other_replicas(store: Store, other: Store) -> None:
    told: asyncio.Queue[str] = asyncio.Queue()
    listening = asyncio.create_task(other.listen(told.put_nowait))
    assert await told.get() == "*"
    await store.write(deliveries.insert_many, [make_verified_delivery()])
    assert await told.get() == hints.Word.DELIVERIES
    await store.write(outcomes.create, make_new_build(), now=NOW)
    assert {await told.get(), await told.get()} == {hints.Word.JOBS, hints.Word.CHECKS}
    await store.write(checks.mark_stale, build_id="none", job_id=None, is_conclusion=True, now=NOW)
    assert await told.get() == hints.Word.CHECKS
    listening.cancel()
    await asyncio.wait([listening])


async def test_a_listener_whose_connection_is_cut_listens_again(store: Store, beside: sa.Connection) -> None:
    told: asyncio.Queue[str] = asyncio.Queue()
    listening = asyncio.create_task(store.listen(told.put_nowait))
    assert await told.get() == "*"
    await asyncio.to_thread(_cut_all, beside, "buildhook listener")
    assert await told.get() == "*", "it says that something may have been missed"
    listening.cancel()
    await asyncio.wait([listening])


def _cut_all(connection: sa.Connection, name: str) -> None:
    connection.execute(
        sa.text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = :name"),
        {"name": name},
    )
    connection.commit()


async def test_f18_a_connection_lost_within_a_transaction_is_unavailable_and_the_next_one_works(
    store: Store, beside: sa.Connection
) -> None:
    def cut_ourselves(connection: sa.Connection) -> None:
        deliveries.insert_many(connection, [make_verified_delivery()])
        connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(errors.StoreUnavailable):
        await store.write(cut_ourselves)
    assert (await store.read(deliveries.backlog)).rows == 0
    await store.write(deliveries.insert_many, [make_verified_delivery()])
    await asyncio.to_thread(_cut_all, beside, "buildhook")
    assert (await store.read(deliveries.backlog)).rows == 1, "dead connections of the pool are found"


async def test_f18_what_was_committed_although_its_answer_was_lost_is_found_by_its_key(store: Store) -> None:
    """Whoever tries again after an unknown end finds what is there: a delivery by its id, an outcome by its fence."""
    new = make_verified_delivery(guid="g")
    await store.write(deliveries.insert_many, [new])
    assert await store.write(deliveries.insert_many, [new]) == [deliveries.Put.DUPLICATE]
    (claimed,) = await store.write(deliveries.claim_next, now=NOW, owner="a", lease=MINUTE, limit=1)
    decided = make_outcome(builds=(make_new_build(),))
    await store.write(outcomes.apply, claimed, decided, now=NOW)
    with pytest.raises(errors.LeaseLost):
        await store.write(outcomes.apply, claimed, decided, now=NOW)
    assert len(await store.read(builds.list_newest, limit=9)) == 1


async def test_f17_a_lock_that_stays_is_unavailable(
    store: Store, beside: sa.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.close()
    monkeypatch.setitem(postgresql._SETTINGS, "lock_timeout", "50ms")
    await store.open()
    await asyncio.to_thread(beside.exec_driver_sql, "LOCK TABLE deliveries IN EXCLUSIVE MODE")
    with pytest.raises(errors.StoreUnavailable):
        await store.write(deliveries.insert_many, [make_verified_delivery()])
    assert (await store.read(deliveries.backlog)).rows == 0, "reading goes on"
    await asyncio.to_thread(beside.rollback)
    await store.write(deliveries.insert_many, [make_verified_delivery()])


async def test_f100_a_write_whose_caller_goes_away_is_whole_or_nothing(store: Store, beside: sa.Connection) -> None:
    await asyncio.to_thread(beside.exec_driver_sql, "LOCK TABLE deliveries IN EXCLUSIVE MODE")
    new = [make_verified_delivery(guid=f"g{number}") for number in range(3)]
    writing = asyncio.create_task(store.write(deliveries.insert_many, new))
    while not await store.read(_is_waited_for):
        pass
    writing.cancel()
    await asyncio.wait([writing])
    assert writing.cancelled()
    await asyncio.to_thread(beside.rollback)
    await store.close()
    assert await asyncio.to_thread(_count, beside, schema.deliveries) == 3


def _is_waited_for(connection: sa.Connection) -> bool:
    waiting = connection.exec_driver_sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    return bool(waiting.scalar_one())


async def test_a_broken_rule_stays_what_it_is_and_its_text_does_not_tell_what_was_written(store: Store) -> None:
    with pytest.raises(sa.exc.IntegrityError) as caught:
        await store.write(jobs.insert_many, [make_job(build_id="01HIDDENHIDDENHIDDENHIDDEN", reason="hidden too")])
    assert "hidden too" not in str(caught.value)


async def test_a_server_that_is_not_there_is_unavailable(tmp_path_factory: pytest.TempPathFactory) -> None:
    store = Store("postgresql://nobody:hidden@127.0.0.1:1/none")
    with pytest.raises(errors.StoreUnavailable) as caught:
        await store.open()
    assert "hidden" not in str(caught.value)
    with pytest.raises(errors.StoreUnavailable):
        await store.read(deliveries.backlog)
    await store.close()


async def test_texts_with_nul_are_kept_as_far_as_the_database_can(store: Store) -> None:
    await store.write(deliveries.insert_many, [make_verified_delivery(guid="g", action="a\0b", repository="x" * 600)])
    stored = await store.read(deliveries.find, "g")
    assert stored is not None
    assert (stored.action, stored.repository) == ("a\ufffdb", "x" * 512)


async def test_a_transaction_that_waits_for_another_never_blocks_the_loop(store: Store, beside: sa.Connection) -> None:
    await asyncio.to_thread(beside.exec_driver_sql, "LOCK TABLE deliveries IN EXCLUSIVE MODE")
    writing = asyncio.create_task(store.write(deliveries.insert_many, [make_verified_delivery()]))
    while not await store.read(_is_waited_for):
        pass
    assert threading.current_thread() is threading.main_thread()
    assert (await store.read(deliveries.backlog)).rows == 0
    await asyncio.to_thread(beside.rollback)
    with contextlib.suppress(errors.StoreUnavailable):
        await writing
    assert (await store.read(deliveries.backlog)).rows == 1
