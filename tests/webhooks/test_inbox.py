"""The durable inbox: many deliveries to one commit, an answer only when they are on disk, bounds, and a whole end."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta

import pytest
import sqlalchemy as sa

from bot import errors, telemetry
from bot.model import delivery
from bot.store import Store, deliveries, schema, sqlite
from bot.webhooks import inbox
from bot.webhooks.inbox import MAX_BATCH, Inbox
from tests.databases import on_sqlite
from tests.webhooks.proved import NOW, proved

STORED, DUPLICATE = deliveries.Put.STORED, deliveries.Put.DUPLICATE
REQUEUED, CONFLICT = deliveries.Put.REQUEUED, deliveries.Put.CONFLICT


class Running:
    """An inbox whose loop runs until the test ends or stops it."""

    def __init__(self, store: Store, metrics: telemetry.Metrics, *, bounds: dict[str, int]) -> None:
        self.wake_ups = 0
        self.inbox = Inbox(store, metrics=metrics, on_stored=self._wake, **bounds)
        self.loop = asyncio.create_task(self.inbox.run())

    def _wake(self, _stored: object) -> None:
        self.wake_ups += 1

    async def stop(self) -> None:
        """Cancel the loop and wait for its end."""
        self.loop.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.loop


Start = Callable[..., Running]


@pytest.fixture
async def start(store: Store, metrics: telemetry.Metrics) -> AsyncIterator[Start]:
    """Starts inboxes on the test's store."""
    started: list[Running] = []

    def start_one(**bounds: int) -> Running:
        started.append(Running(store, metrics, bounds=bounds))
        return started[-1]

    yield start_one
    for one in started:
        await one.stop()


async def _turns() -> None:
    """Let everything go on that can go on without the database."""
    for _ in range(20):
        await asyncio.sleep(0)


@contextlib.contextmanager
def _locked(store: Store) -> Iterator[None]:
    """Another process is in the middle of a write."""
    with contextlib.closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def _ids(connection: sa.Connection) -> list[str]:
    return list(connection.execute(sa.select(schema.deliveries.c.id).order_by(schema.deliveries.c.seq)).scalars())


def _on_disk(store: Store) -> int:
    with contextlib.closing(sqlite3.connect(store.path)) as other:
        count: int = other.execute("SELECT count(*) FROM deliveries").fetchone()[0]
        return count


def _claim(connection: sa.Connection) -> delivery.Delivery:
    return deliveries.claim_next(connection, now=NOW, owner="octo", lease=timedelta(minutes=1), limit=1)[0]


@pytest.mark.parametrize("is_large", [False, True])
async def test_only_a_large_body_is_packed_off_the_event_loop(
    store: Store, start: Start, monkeypatch: pytest.MonkeyPatch, is_large: bool
) -> None:
    threads = []
    pack = deliveries.pack

    def noted(new: delivery.VerifiedDelivery) -> deliveries.Packed:
        threads.append(threading.get_ident())
        return pack(new)

    monkeypatch.setattr(deliveries, "pack", noted)
    size_bytes = inbox.LARGE_BODY_BYTES - (not is_large)
    body = b'{"x":"' + b"x" * (size_bytes - 8) + b'"}'
    assert len(body) == size_bytes
    assert await start().inbox.put(proved("a", body=body)) == STORED
    assert [one != threading.get_ident() for one in threads] == [is_large]


@on_sqlite
async def test_when_put_returns_another_process_sees_the_row(store: Store, start: Start) -> None:
    running = start()
    for count in range(1, 6):
        assert await running.inbox.put(proved(f"g-{count}")) == STORED
        assert _on_disk(store) == count


@on_sqlite
async def test_many_deliveries_share_few_commits_and_keep_their_order(store: Store, start: Start) -> None:
    running = start()
    new = [proved(f"g-{number}") for number in range(1000)]
    before = store.writes_since_checkpoint
    answers = await asyncio.gather(*map(running.inbox.put, new))
    assert answers == [STORED] * 1000
    assert store.writes_since_checkpoint - before == running.wake_ups <= 1000 // MAX_BATCH + 2
    assert await store.read(_ids) == [one.guid for one in new]


@on_sqlite
async def test_while_one_commit_is_under_way_the_next_deliveries_gather(store: Store, start: Start) -> None:
    running = start()
    before = store.writes_since_checkpoint
    with _locked(store):
        puts = [asyncio.create_task(running.inbox.put(proved("first")))]
        await _turns()
        for number in range(100):
            puts.append(asyncio.create_task(running.inbox.put(proved(f"g-{number}"))))
            await _turns()
    assert set(await asyncio.gather(*puts)) == {STORED}
    assert store.writes_since_checkpoint - before == 2


@on_sqlite
async def test_behind_a_commit_of_many_the_next_ones_gather_for_a_moment(
    store: Store, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "GATHER_SECONDS", 0.5)
    running = start()
    await asyncio.gather(*(running.inbox.put(proved(f"many-{number}")) for number in range(10)))
    before = store.writes_since_checkpoint
    puts = [asyncio.create_task(running.inbox.put(proved("next")))]
    await _turns()
    puts.append(asyncio.create_task(running.inbox.put(proved("behind"))))
    assert await asyncio.gather(*puts) == [STORED] * 2
    assert store.writes_since_checkpoint - before == 1


@on_sqlite
async def test_nobody_is_woken_before_the_commit(store: Store, start: Start) -> None:
    running = start()
    with _locked(store):
        put = asyncio.create_task(running.inbox.put(proved("a")))
        await _turns()
        assert (running.wake_ups, put.done()) == (0, False)
    assert (await put, running.wake_ups) == (STORED, 1)


async def test_t9_one_thousand_replays_at_once_are_one_row(store: Store, start: Start) -> None:
    running = start()
    one = proved("again")
    answers = await asyncio.gather(*(running.inbox.put(one) for _ in range(1000)))
    assert answers.count(STORED) == 1
    assert answers.count(DUPLICATE) == 999
    assert await store.read(_ids) == ["again"]


async def test_t9_two_hooks_may_use_one_id(store: Store, start: Start) -> None:
    running = start()
    answers = await asyncio.gather(*(running.inbox.put(proved("a", hook_id=hook)) for hook in (1, 2, 1)))
    assert answers == [STORED, STORED, DUPLICATE]


async def test_t11_another_body_under_a_known_id_changes_nothing(
    store: Store, start: Start, metrics: telemetry.Metrics
) -> None:
    running = start()
    first, other = proved("a"), proved("a", changes={"ref": "refs/heads/evil"})
    assert await asyncio.gather(*map(running.inbox.put, (first, other))) == [STORED, CONFLICT]
    assert await running.inbox.put(other) == CONFLICT
    kept = await store.read(deliveries.find, "a")
    assert kept is not None
    assert (kept.body, kept.headers, kept.generation) == (first.body, first.headers, 1)
    assert metrics.registry.get_sample_value("buildhook_webhook_conflicts_total") == 2


async def test_t11_a_conflict_does_not_queue_a_parked_delivery_again(store: Store, start: Start) -> None:
    running = start()
    await running.inbox.put(proved("a"))
    claimed = await store.write(_claim)
    await store.write(deliveries.fail, claimed, error="no", next_attempt_at=None)
    assert await running.inbox.put(proved("a", changes={"ref": "refs/heads/evil"})) == CONFLICT
    kept = await store.read(deliveries.find, "a")
    assert kept is not None
    assert kept.state == delivery.State.PARKED


async def test_a_duplicate_of_a_parked_delivery_queues_it_once_more(store: Store, start: Start) -> None:
    running = start()
    await running.inbox.put(proved("a"))
    claimed = await store.write(_claim)
    await store.write(deliveries.fail, claimed, error="The handler failed.", next_attempt_at=None)
    assert await asyncio.gather(*(running.inbox.put(proved("a")) for _ in range(3))) == [REQUEUED, DUPLICATE, DUPLICATE]
    queued = await store.read(deliveries.find, "a")
    assert queued is not None
    assert (queued.state, queued.attempts, queued.generation) == (delivery.State.RECEIVED, 0, 2)
    assert (await store.write(_claim)).id == "a"


@pytest.mark.parametrize("state", sorted(set(delivery.State) - {delivery.State.PARKED}))
async def test_a_duplicate_of_any_other_delivery_changes_nothing(
    store: Store, start: Start, state: delivery.State
) -> None:
    running = start()
    await running.inbox.put(proved("a"))
    if state != delivery.State.RECEIVED:
        claimed = await store.write(_claim)
    if state in {delivery.State.HANDLED, delivery.State.IGNORED}:
        await store.write(deliveries.finish, claimed, state=state, now=NOW, trail=("Done.",))
    if state == delivery.State.RETRYING:
        await store.write(deliveries.fail, claimed, error="no", next_attempt_at=NOW)
    before = await store.read(deliveries.find, "a")
    assert before is not None
    assert before.state == state
    assert await running.inbox.put(proved("a")) == DUPLICATE
    assert await store.read(deliveries.find, "a") == before


async def test_a_full_inbox_takes_nothing_until_it_has_drained(store: Store, start: Start) -> None:
    running = start(max_rows=3)
    answers = await asyncio.gather(*(running.inbox.put(proved(f"g-{n}")) for n in range(5)), return_exceptions=True)
    assert answers[:3] == [STORED] * 3
    assert [type(one) for one in answers[3:]] == [errors.InboxFull] * 2
    with pytest.raises(errors.InboxFull):
        await running.inbox.put(proved("late"))
    claimed = await store.write(_claim)
    await store.write(deliveries.finish, claimed, state=delivery.State.HANDLED, now=NOW, trail=("Done.",))
    await running.inbox.measure()
    assert await running.inbox.put(proved("late")) == STORED
    with pytest.raises(errors.InboxFull):
        await running.inbox.put(proved("later"))


async def test_the_bytes_that_wait_are_bounded_too(store: Store, start: Start) -> None:
    size_bytes = len(proved("a").body)
    running = start(max_bytes=2 * size_bytes)
    answers = await asyncio.gather(*(running.inbox.put(proved(f"g-{n}")) for n in range(3)), return_exceptions=True)
    assert answers[:2] == [STORED] * 2
    assert isinstance(answers[2], errors.InboxFull)
    with pytest.raises(errors.InboxFull):
        await running.inbox.put(proved("late"))


async def test_what_is_there_from_before_counts(store: Store, start: Start, metrics: telemetry.Metrics) -> None:
    first = start()
    await asyncio.gather(*(first.inbox.put(proved(f"g-{n}")) for n in range(3)))
    await first.stop()
    second = start(max_rows=3)
    await second.inbox.open()
    assert metrics.registry.get_sample_value("buildhook_inbox_depth") == 3
    assert metrics.registry.get_sample_value("buildhook_inbox_bytes") == 3 * len(proved("a").body)
    with pytest.raises(errors.InboxFull):
        await second.inbox.put(proved("late"))


@on_sqlite
async def test_f100_a_caller_that_goes_away_takes_nothing_back(store: Store, start: Start) -> None:
    running = start()
    with _locked(store):
        puts = [asyncio.create_task(running.inbox.put(proved(f"g-{number}"))) for number in range(3)]
        await _turns()
        puts[1].cancel()
        late = asyncio.create_task(running.inbox.put(proved("g-3")))
        await _turns()
        late.cancel()
    assert await asyncio.gather(*puts[::2]) == [STORED, STORED]
    assert await running.inbox.put(proved("g-4")) == STORED
    assert await store.read(_ids) == ["g-0", "g-1", "g-2", "g-3", "g-4"]


@on_sqlite
async def test_f17_each_caller_waits_until_its_own_time_and_no_longer(store: Store, start: Start) -> None:
    running = start()
    loop = asyncio.get_running_loop()
    with _locked(store):
        now = loop.time()
        times = [now + 0.05, now + 0.05, now + 0.1, now + 60]
        puts = [
            asyncio.create_task(running.inbox.put(proved(f"g-{number}"), answer_by=at))
            for number, at in enumerate(times)
        ]
        done, _ = await asyncio.wait(puts, timeout=5, return_when=asyncio.FIRST_EXCEPTION)
        assert done == set(puts[:2])
        assert loop.time() < times[2]
        await asyncio.wait(puts[2:3], timeout=5)
        assert not puts[3].done()
    assert [type(one.exception()) for one in puts[:3]] == [TimeoutError] * 3
    assert await puts[3] == STORED
    # What was given up is stored all the same, and found by the sender's next attempt.
    assert await running.inbox.put(proved("g-0")) == DUPLICATE


@pytest.mark.parametrize("turns", range(6))
async def test_f100_a_put_cancelled_at_any_turn_is_stored_whole_or_not_at_all(
    store: Store, start: Start, turns: int
) -> None:
    running = start()
    put = asyncio.create_task(running.inbox.put(proved("a")))
    for _ in range(turns):
        await asyncio.sleep(0)
    put.cancel()
    await asyncio.wait([put])
    await running.inbox.put(proved("b"))
    assert await store.read(_ids) in (["a", "b"], ["b"])
    assert await running.inbox.put(proved("a")) in {STORED, DUPLICATE}
    assert sorted(await store.read(_ids)) == ["a", "b"]


@on_sqlite
async def test_a_commit_under_way_when_the_service_stops_is_answered(store: Store, start: Start) -> None:
    running = start()
    with _locked(store):
        under_way = asyncio.create_task(running.inbox.put(proved("a")))
        await _turns()
        waiting = asyncio.create_task(running.inbox.put(proved("b")))
        await _turns()
        running.loop.cancel()
        await _turns()
        assert not under_way.done()
    assert {await under_way, await waiting} == {STORED}
    with pytest.raises(asyncio.CancelledError):
        await running.loop
    assert _on_disk(store) == 2


@on_sqlite
async def test_a_stopped_inbox_refuses_instead_of_letting_wait(store: Store, start: Start) -> None:
    running = start()
    await running.inbox.put(proved("a"))
    await running.stop()
    with pytest.raises(errors.StoreUnavailable):
        await running.inbox.put(proved("b"))
    assert _on_disk(store) == 1


@on_sqlite
async def test_f15_a_full_disk_refuses_and_mends_itself(store: Store, start: Start) -> None:
    running = start()
    assert await running.inbox.put(proved("a")) == STORED
    await store.write(_let_grow_to, 0)
    large = proved("b", body=b'{"text":"' + bytes(range(35, 91)) * 4000 + b'"}')
    for _ in range(3):
        with pytest.raises(errors.StoreUnavailable):
            await asyncio.gather(*(running.inbox.put(one) for one in (large, proved("c"))))
    assert await store.read(_ids) == ["a"]
    await store.write(_let_grow_to, 1_000_000)
    assert await asyncio.gather(*(running.inbox.put(one) for one in (large, proved("c")))) == [STORED, STORED]


def _let_grow_to(connection: sa.Connection, pages: int) -> None:
    """The database file may have this many pages at most, and never fewer than it has: then it is a full disk."""
    connection.exec_driver_sql(f"PRAGMA max_page_count = {max(pages, 1)}")


async def test_f17_a_locked_database_refuses_in_time_and_mends_itself(
    tmp_path_factory: pytest.TempPathFactory, metrics: telemetry.Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sqlite.BUSY_TIMEOUT_SECONDS <= 8
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_SECONDS", 0.05)
    store = await Store(f"sqlite:///{tmp_path_factory.mktemp('locked') / 'buildhook.db'}").open()
    running = Running(store, metrics, bounds={})
    with _locked(store):
        for _ in range(2):
            with pytest.raises(errors.StoreUnavailable, match="locked"):
                await running.inbox.put(proved("a"))
    assert await running.inbox.put(proved("a")) == STORED
    await running.stop()
    await store.close()
