"""Deliveries: inserted once, claimed in order and one at a time for each key, finished behind a fence."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import lz4.frame
import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from bot import errors
from bot.model import delivery
from bot.store import deliveries, inbox_list
from tests.databases import on_sqlite
from tests.factories import NOW, make_verified_delivery
from tests.store import database

MINUTE = timedelta(minutes=1)
State = delivery.State


def _insert(connection: sa.Connection, **changes: Any) -> str:
    new = make_verified_delivery(**changes)
    assert deliveries.insert_many(connection, [new]) == [deliveries.Put.STORED]
    return new.guid


def _claim(connection: sa.Connection, *, now: datetime = NOW, limit: int = 100) -> list[delivery.Delivery]:
    return deliveries.claim_next(connection, now=now, owner="octo", lease=MINUTE, limit=limit)


def _claim_one(connection: sa.Connection, **changes: Any) -> delivery.Delivery:
    _insert(connection, **changes)
    (claimed,) = _claim(connection)
    return claimed


def _get(connection: sa.Connection, guid: str) -> delivery.Delivery:
    found = deliveries.find(connection, guid)
    assert found is not None
    return found


def test_what_is_stored_is_given_back_whole(connection: sa.Connection) -> None:
    new = make_verified_delivery(action="opened", headers={"x": "ü\u2028"}, body=bytes(range(256)) * 1000)
    deliveries.insert_many(connection, [new])
    found = _get(connection, new.guid)
    for name in ("hook_id", "event", "action", "installation_id", "repository_id", "repository", "ordering_key"):
        assert getattr(found, name) == getattr(new, name)
    assert (found.id, found.body, found.headers, found.received_at) == (
        new.guid,
        new.body,
        new.headers,
        new.received_at,
    )
    assert (found.state, found.attempts, found.generation) == (State.RECEIVED, 0, 1)
    assert found.size_bytes == len(new.body)


def test_a_batch_is_answered_one_by_one_in_order(connection: sa.Connection) -> None:
    first, second = make_verified_delivery(guid="a"), make_verified_delivery(guid="b")
    other_body, other_hook = (
        make_verified_delivery(guid="a", body=b"{}"),
        make_verified_delivery(guid="a", hook_id=1),
    )
    answers = deliveries.insert_many(connection, [first, second, first, other_body, other_hook, other_hook])
    assert answers == ["stored", "stored", "duplicate", "conflict", "stored", "duplicate"]
    assert [(one.id, one.hook_id) for one in inbox_list.list_newest(connection, limit=9)] == [
        ("a", 1),
        ("b", 4242),
        ("a", 4242),
    ]
    assert deliveries.insert_many(connection, []) == []


@pytest.mark.parametrize("level", [1, 9])
def test_a_redelivery_is_known_whoever_packed_the_first_one(connection: sa.Connection, level: int) -> None:
    """Versions of the packing library differ; the first version of ours took the digest of the body itself."""
    new = make_verified_delivery(body=b'{"a": "' + b"ab" * 5000 + b'"}')
    packed = deliveries.pack(new)
    otherwise = lz4.frame.compress(new.body, compression_level=level, content_checksum=True)
    assert otherwise != packed.body
    first = msgspec.structs.replace(packed, body=otherwise, sha256=hashlib.sha256(new.body).digest())
    other = msgspec.structs.replace(new, body=new.body + b" ")
    assert deliveries.insert_packed(connection, [first]) == ["stored"]
    assert deliveries.insert_many(connection, [new, other, new]) == ["duplicate", "conflict", "duplicate"]
    assert deliveries.insert_many(connection, [other]) == ["conflict"]
    assert _get(connection, new.guid).body == new.body


def test_a_claim_counts_the_attempt_before_anybody_handles_it(connection: sa.Connection) -> None:
    guid = _insert(connection)
    (claimed,) = _claim(connection)
    stored = _get(connection, guid)
    assert stored == claimed
    assert (stored.state, stored.attempts, stored.epoch) == (State.HANDLING, 1, 1)
    assert _claim(connection) == []


def test_of_one_key_the_oldest_is_claimed_and_the_others_wait(connection: sa.Connection) -> None:
    first, other, second = (_insert(connection, ordering_key=key) for key in ("k", "other", "k"))
    claimed = _claim(connection)
    assert [one.id for one in claimed] == [first, other]
    assert _claim(connection) == []
    deliveries.finish(connection, claimed[0], state=State.HANDLED, now=NOW, trail=("Done.",))
    assert [one.id for one in _claim(connection)] == [second]


@pytest.mark.parametrize("next_attempt_at", [NOW + MINUTE, None])
def test_one_that_waits_for_its_next_attempt_holds_the_later_ones_back_and_a_parked_one_does_not(
    connection: sa.Connection, next_attempt_at: datetime | None
) -> None:
    claimed = _claim_one(connection, ordering_key="k")
    second = _insert(connection, ordering_key="k")
    deliveries.fail(connection, claimed, error="no", next_attempt_at=next_attempt_at)
    assert [one.id for one in _claim(connection)] == ([] if next_attempt_at else [second])


def test_an_attempt_is_due_at_its_time_and_not_before(connection: sa.Connection) -> None:
    claimed = _claim_one(connection)
    deliveries.fail(connection, claimed, error="no", next_attempt_at=NOW + MINUTE)
    assert deliveries.next_due_at(connection, now=NOW) == NOW + MINUTE
    assert _claim(connection, now=NOW + MINUTE - timedelta(microseconds=1)) == []
    (again,) = _claim(connection, now=NOW + MINUTE)
    assert (again.attempts, again.next_attempt_at) == (2, None)
    assert deliveries.next_due_at(connection, now=NOW) is None


def test_one_that_is_put_off_does_not_count_the_attempt(connection: sa.Connection) -> None:
    claimed = _claim_one(connection)
    deliveries.look_again(connection, claimed, at=NOW + MINUTE, reason="GitHub is away.")
    stored = _get(connection, claimed.id)
    assert (stored.state, stored.attempts, stored.reason) == (State.RETRYING, 0, "GitHub is away.")


def test_f3_a_lease_that_ran_out_is_taken_over_and_the_first_owner_writes_nothing(connection: sa.Connection) -> None:
    first = _claim_one(connection)
    assert _claim(connection, now=NOW + MINUTE) == []
    (second,) = _claim(connection, now=NOW + MINUTE + timedelta(microseconds=1))
    assert (second.id, second.attempts, second.epoch) == (first.id, 2, 2)
    for write in _writes(connection):
        with pytest.raises(errors.LeaseLost):
            write(first)
    assert _get(connection, first.id) == second
    deliveries.finish(connection, second, state=State.HANDLED, now=NOW, trail=("Done.",))


def _writes(connection: sa.Connection) -> list[Callable[[delivery.Delivery], None]]:
    return [
        lambda one: deliveries.finish(connection, one, state=State.HANDLED, now=NOW, trail=("x",)),
        lambda one: deliveries.look_again(connection, one, at=NOW, reason="x"),
        lambda one: deliveries.fail(connection, one, error="x", next_attempt_at=NOW),
        lambda one: deliveries.fail(connection, one, error="x", next_attempt_at=None),
    ]


def test_f11_nothing_is_written_twice_by_one_claim(connection: sa.Connection) -> None:
    claimed = _claim_one(connection)
    deliveries.finish(connection, claimed, state=State.IGNORED, now=NOW, trail=("First.", "Last."))
    stored = _get(connection, claimed.id)
    assert (stored.state, stored.reason, stored.trail) == (State.IGNORED, "Last.", ("First.", "Last."))
    assert (stored.handled_at, stored.error) == (NOW, None)
    for write in _writes(connection):
        with pytest.raises(errors.LeaseLost):
            write(claimed)
    assert _get(connection, claimed.id) == stored


def test_a_replay_while_it_is_handled_fences_the_handler_off(connection: sa.Connection) -> None:
    claimed = _claim_one(connection)
    deliveries.requeue(connection, claimed.seq)
    with pytest.raises(errors.LeaseLost):
        deliveries.finish(connection, claimed, state=State.HANDLED, now=NOW, trail=("Done.",))
    (again,) = _claim(connection)
    assert (again.id, again.generation, again.attempts) == (claimed.id, 2, 1)


def test_a_replayed_delivery_waits_for_a_later_one_with_its_key_that_is_being_handled(
    connection: sa.Connection,
) -> None:
    first = _claim_one(connection, ordering_key="k")
    deliveries.finish(connection, first, state=State.HANDLED, now=NOW, trail=("Done.",))
    second = _claim_one(connection, ordering_key="k")
    deliveries.replay(connection, first.id)
    assert _claim(connection) == []
    deliveries.finish(connection, second, state=State.HANDLED, now=NOW, trail=("Done.",))
    assert [one.id for one in _claim(connection)] == [first.id]


def test_a_replayed_delivery_does_not_wait_for_a_later_one_whose_owner_died(connection: sa.Connection) -> None:
    first = _claim_one(connection, ordering_key="k")
    deliveries.finish(connection, first, state=State.HANDLED, now=NOW, trail=("Done.",))
    second = _claim_one(connection, ordering_key="k")
    deliveries.replay(connection, first.id)
    late = NOW + 2 * MINUTE
    assert [one.id for one in _claim(connection, now=late)] == [first.id]
    assert [one.id for one in _claim(connection, now=late)] == []
    deliveries.finish(connection, _get(connection, first.id), state=State.HANDLED, now=late, trail=("Done again.",))
    assert [one.id for one in _claim(connection, now=late)] == [second.id]


def test_replay_queues_the_newest_of_an_id_and_says_when_it_cannot(connection: sa.Connection) -> None:
    with pytest.raises(errors.NotFound, match="no delivery g"):
        deliveries.replay(connection, "g")
    claimed = _claim_one(connection, guid="g", ordering_key="1")
    with pytest.raises(errors.Conflict, match="still being handled"):
        deliveries.replay(connection, "g")
    deliveries.finish(connection, claimed, state=State.HANDLED, now=NOW, trail=("Done.",))
    deliveries.replay(connection, "g")
    assert (_get(connection, "g").state, _get(connection, "g").handled_at) == (State.RECEIVED, None)


def test_release_all_gives_back_every_lease_and_keeps_the_attempts(connection: sa.Connection) -> None:
    for number in range(3):
        _insert(connection, ordering_key=str(number))
    _claim(connection, limit=2)
    assert deliveries.release_all(connection) == 2
    assert [(one.attempts, one.epoch) for one in _claim(connection)] == [(2, 2), (2, 2), (1, 1)]


def test_t7_one_that_was_begun_often_without_an_end_is_told_apart(connection: sa.Connection) -> None:
    def suspect() -> delivery.Delivery | None:
        return deliveries.claim_suspect(connection, now=NOW, owner="octo", lease=MINUTE, min_attempts=2)

    poison, fine = _insert(connection, ordering_key="poison"), _insert(connection, ordering_key="fine")
    assert suspect() is None
    for _ in range(2):
        # The process dies of it, and the next one starts.
        assert [one.id for one in _claim(connection, limit=1)] == [poison]
        deliveries.release_all(connection)
    claimed = suspect()
    assert claimed is not None
    assert (claimed.id, claimed.attempts) == (poison, 3)
    assert suspect() is None
    assert [one.id for one in _claim(connection)] == [fine]


def test_the_backlog_counts_what_is_unfinished(connection: sa.Connection) -> None:
    assert deliveries.backlog(connection) == deliveries.Backlog(rows=0, size_bytes=0, oldest_received_at=None)
    for number in range(4):
        _insert(connection, ordering_key=str(number), received_at=NOW + number * MINUTE, body=b"x" * (10**number))
    first, second, third, _ = _claim(connection)
    deliveries.finish(connection, first, state=State.HANDLED, now=NOW, trail=("Done.",))
    deliveries.fail(connection, second, error="no", next_attempt_at=None)
    deliveries.fail(connection, third, error="no", next_attempt_at=NOW)
    expected = deliveries.Backlog(rows=2, size_bytes=1100, oldest_received_at=NOW + 2 * MINUTE)
    assert deliveries.backlog(connection) == expected
    assert deliveries.count_by_state(connection) == {
        State.HANDLED: 1,
        State.PARKED: 1,
        State.RETRYING: 1,
        State.HANDLING: 1,
    }


def test_lists_are_newest_first_and_without_bodies(connection: sa.Connection) -> None:
    for number in range(6):
        _insert(
            connection,
            guid=f"g{number}",
            event=("push", "ping")[number % 2],
            repository=("octo/a", "octo/b", "octo/a_")[number % 3],
        )
    every = inbox_list.list_newest(connection, limit=10)
    assert [one.id for one in every] == ["g5", "g4", "g3", "g2", "g1", "g0"]
    assert {(one.body, tuple(one.headers)) for one in every} == {(b"", ())}

    def ids(**given: Any) -> list[str]:
        return [one.id for one in inbox_list.list_newest(connection, limit=3, **given)]

    assert ids() == ["g5", "g4", "g3"]
    assert ids(before_seq=every[2].seq) == ["g2", "g1", "g0"]
    assert ids(event="ping") == ["g5", "g3", "g1"]
    assert ids(repository="octo/a") == ["g3", "g0"]
    assert ids(state=State.PARKED) == []
    assert ids(event="push", repository="octo/b", state=State.RECEIVED) == ["g4"]


def test_old_finished_deliveries_go_oldest_first_and_unfinished_ones_stay(connection: sa.Connection) -> None:
    for number in range(6):
        _insert(connection, guid=f"g{number}", ordering_key=str(number), received_at=NOW + number * MINUTE)
    claimed = _claim(connection, limit=5)
    for one, state in zip(claimed[:3], (State.HANDLED, State.IGNORED, State.HANDLED), strict=True):
        deliveries.finish(connection, one, state=state, now=NOW, trail=("Done.",))
    deliveries.fail(connection, claimed[3], error="no", next_attempt_at=None)
    deliveries.fail(connection, claimed[4], error="no", next_attempt_at=NOW)
    assert deliveries.delete_finished(connection, before=NOW + 10 * MINUTE, limit=2) == 2
    assert [one.id for one in inbox_list.list_newest(connection, limit=9)] == ["g5", "g4", "g3", "g2"]
    assert deliveries.delete_finished(connection, before=NOW + 2 * MINUTE, limit=9) == 0
    assert deliveries.delete_finished(connection, before=NOW + 10 * MINUTE, limit=9) == 2
    assert [one.id for one in inbox_list.list_newest(connection, limit=9)] == ["g5", "g4"]


@on_sqlite
def test_the_indexes_hold_claims_and_backlog(connection: sa.Connection) -> None:
    """Without them a claim reads every delivery that was ever stored."""
    statements: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, text: str, parameters: Any, *_: Any) -> None:
        statements.append((text, parameters))

    sa.event.listen(connection, "before_cursor_execute", note)
    _claim(connection)
    deliveries.backlog(connection)
    waiting, claim, backlog = (
        [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", parameters)]
        for text, parameters in statements[:3]
    )
    in_the_index = [step for step in waiting if "deliveries" in step]
    assert len(in_the_index) == 2
    assert all("USING INDEX ix_deliveries_repository" in step for step in in_the_index)
    assert claim[0] == "SCAN deliveries USING INDEX ix_deliveries_due"
    assert len([step for step in claim if "USING INDEX ix_deliveries_unfinished (ordering_key=? AND seq" in step]) == 2
    # Either holds unfinished deliveries only.
    partial = ("USING INDEX ix_deliveries_due", "USING INDEX ix_deliveries_repository")
    assert any(index in step for step in backlog for index in partial)


class Queue(RuleBasedStateMachine):
    """Deliveries of a few keys, handlers that end well or badly or die, replays, and time that goes on."""

    def __init__(self) -> None:
        super().__init__()
        self._scope = database.fresh()
        self.connection = self._scope.__enter__()
        self.now = NOW
        self.held: dict[int, tuple[delivery.Delivery, datetime]] = {}

    def teardown(self) -> None:
        """Whatever happened, everything can be handled in the end: nothing waits for ever."""
        self._drain()
        self._scope.__exit__(None, None, None)

    @rule(keys=st.lists(st.sampled_from("ab"), min_size=1, max_size=4))
    def receive(self, keys: list[str]) -> None:
        deliveries.insert_many(self.connection, [make_verified_delivery(ordering_key=key) for key in keys])

    @rule(limit=st.integers(1, 4))
    def claim(self, limit: int) -> None:
        unfinished = {
            (one.seq, one.ordering_key): one
            for one in inbox_list.list_newest(self.connection, limit=1000)
            if one.state in delivery.UNFINISHED
        }
        claimed = deliveries.claim_next(self.connection, now=self.now, owner="octo", lease=MINUTE, limit=limit)
        assert [one.seq for one in claimed] == sorted(one.seq for one in claimed)
        for one in claimed:
            older = [key for seq, key in unfinished if seq < one.seq]
            assert one.ordering_key not in older, "an older one with the same key is unfinished"
            held = self.held.get(one.seq)
            assert held is None or held[1] < self.now, "somebody holds it"
            self.held[one.seq] = (one, self.now + MINUTE)

    @invariant()
    def never_two_of_one_key_at_once(self) -> None:
        keys = [one.ordering_key for one, until in self.held.values() if until >= self.now]
        assert len(keys) == len(set(keys))

    @precondition(lambda self: self.held)
    @rule(data=st.data(), end=st.sampled_from(["handled", "ignored", "again", "retry", "park"]))
    def end(self, data: st.DataObject, end: str) -> None:
        one, _ = self.held.pop(data.draw(st.sampled_from(sorted(self.held))))
        try:
            if end in {"handled", "ignored"}:
                deliveries.finish(self.connection, one, state=State(end), now=self.now, trail=("Done.",))
            elif end == "again":
                deliveries.look_again(self.connection, one, at=self.now + MINUTE, reason="Later.")
            else:
                at = self.now + MINUTE if end == "retry" else None
                deliveries.fail(self.connection, one, error="no", next_attempt_at=at)
        except errors.LeaseLost:
            stored = _get(self.connection, one.id)
            assert stored.epoch != one.epoch
        else:
            assert _get(self.connection, one.id).epoch == one.epoch

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def die(self, data: st.DataObject) -> None:
        """The process is gone; its leases run out."""
        _, until = self.held[data.draw(st.sampled_from(sorted(self.held)))]
        self.now = max(self.now, until) + timedelta(microseconds=1)

    @rule(seconds=st.integers(1, 90))
    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(data=st.data())
    def replay(self, data: st.DataObject) -> None:
        ended = [
            one.id
            for one in inbox_list.list_newest(self.connection, limit=1000)
            if one.state not in delivery.UNFINISHED
        ]
        if ended:
            deliveries.replay(self.connection, data.draw(st.sampled_from(sorted(ended))))

    def _drain(self) -> None:
        for _ in range(1000):
            self.now += 2 * MINUTE
            claimed = deliveries.claim_next(self.connection, now=self.now, owner="mona", lease=MINUTE, limit=10)
            for one in claimed:
                deliveries.finish(self.connection, one, state=State.HANDLED, now=self.now, trail=("Done.",))
            if not claimed:
                break
        assert deliveries.backlog(self.connection).rows == 0


def test_deliveries_under_any_order_of_events(kind: None) -> None:
    run_state_machine_as_test(Queue, settings=settings(max_examples=25, stateful_step_count=40, deadline=None))


def test_the_largest_ids_of_github_fit(connection: sa.Connection) -> None:
    _insert(connection, hook_id=10**18 - 1, repository_id=2**63 - 1, installation_id=2**63 - 1)
    (found,) = inbox_list.list_newest(connection, limit=1)
    assert (found.repository_id, found.installation_id, found.hook_id) == (2**63 - 1, 2**63 - 1, 10**18 - 1)
