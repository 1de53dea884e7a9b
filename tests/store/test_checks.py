"""Checks: one for each job and one for the build, sent in the order of generations, never by two at once."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from msgspec.structs import replace

from bot import errors
from bot.model import build, check
from bot.store import builds, checks, jobs
from tests.factories import NOW, REPOSITORY_ID, make_build, make_job, make_new_build, make_plan
from tests.store import database

MINUTE = timedelta(minutes=1)
#: Progress follows on what was sent at NOW.
LATER = NOW + checks.PROGRESS_PAUSE


def _insert(connection: sa.Connection, *names: str, **changes: Any) -> build.Build:
    """A build with a job for each name (or none), and its checks."""
    new = make_new_build(make_build(**changes), *(make_job(plan=make_plan(name=name)) for name in names))
    made = builds.insert(connection, new.build)
    owned = new.jobs if names else ()
    jobs.insert_many(connection, owned)
    checks.insert_for_build(connection, made, owned)
    return made


def _claim(connection: sa.Connection, *, now: datetime = NOW, limit: int = 9) -> list[check.Check]:
    return checks.claim_stale(connection, now=now, owner="octo", lease=MINUTE, limit=limit)


def _acknowledge(connection: sa.Connection, claimed: check.Check, *, status: str = "completed") -> None:
    checks.acknowledge(
        connection,
        claimed,
        version=claimed.desired_version,
        github_id=claimed.github_id or 1000 + claimed.id,
        status=status,
        now=NOW,
    )


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ((), ["buildhook"]),
        (("test",), ["buildhook"]),
        (("test", "lint"), ["buildhook", "buildhook / test", "buildhook / lint"]),
    ],
)
def test_the_check_to_require_always_exists(
    connection: sa.Connection, names: tuple[str, ...], expected: list[str]
) -> None:
    made = _insert(connection, *names)
    stored = checks.list_of_build(connection, made.id)
    assert [one.name for one in stored] == expected
    owned = {one.id for one in jobs.list_of_builds(connection, [made.id])}
    for one in stored:
        assert one.external_id == (one.job_id or made.id)
        assert one.job_id is None or one.job_id in owned
        assert (one.repository_id, one.head_sha, one.generation) == (REPOSITORY_ID, made.head_sha, 1)
        assert (one.is_stale, one.github_id, one.attempts) == (True, None, 0)


def test_a_claim_counts_the_attempt_and_holds_the_check(connection: sa.Connection) -> None:
    _insert(connection, "test", "lint")
    first = _claim(connection, limit=2)
    assert [(one.name, one.attempts, one.epoch) for one in first] == [("buildhook", 1, 1), ("buildhook / test", 1, 1)]
    assert [one.name for one in _claim(connection)] == ["buildhook / lint"]
    assert _claim(connection) == []


def test_an_acknowledged_check_is_not_sent_again_until_it_changes(connection: sa.Connection) -> None:
    made = _insert(connection)
    (claimed,) = _claim(connection)
    _acknowledge(connection, claimed, status="in_progress")
    (stored,) = checks.list_of_build(connection, made.id)
    assert (stored.github_id, stored.reported_version, stored.reported_status) == (1000 + claimed.id, 1, "in_progress")
    assert (stored.is_stale, stored.attempts, stored.reported_at) == (False, 0, None)
    assert (_claim(connection), checks.count_stale(connection)) == ([], 0)
    checks.mark_stale(connection, build_id=made.id, job_id=None, is_conclusion=False, now=NOW)
    (again,) = _claim(connection, now=LATER)
    _acknowledge(connection, again)
    (stored,) = checks.list_of_build(connection, made.id)
    assert (stored.reported_status, stored.reported_at, stored.reported_version) == ("completed", NOW, 2)


def test_a_change_while_it_is_sent_is_sent_next(connection: sa.Connection) -> None:
    made = _insert(connection)
    (claimed,) = _claim(connection)
    checks.mark_stale(connection, build_id=made.id, job_id=None, is_conclusion=False, now=NOW)
    checks.mark_stale(connection, build_id=made.id, job_id=None, is_conclusion=False, now=NOW)
    assert _claim(connection) == []
    _acknowledge(connection, claimed)
    (again,) = _claim(connection, now=LATER)
    assert (again.desired_version, again.reported_version) == (3, 1)


def test_marking_touches_the_one_check(connection: sa.Connection) -> None:
    made, other = _insert(connection, "test", "lint"), _insert(connection, head_sha="a" * 40)
    job_id = jobs.list_of_builds(connection, [made.id])[1].id
    checks.mark_stale(connection, build_id=made.id, job_id=job_id, is_conclusion=False, now=NOW)
    assert [one.desired_version for one in checks.list_of_build(connection, made.id)] == [1, 1, 2]
    checks.mark_stale(connection, build_id=made.id, job_id=None, is_conclusion=False, now=NOW)
    assert [one.desired_version for one in checks.list_of_build(connection, made.id)] == [2, 1, 2]
    assert [one.desired_version for one in checks.list_of_build(connection, other.id)] == [1]


def test_a_failed_attempt_is_due_at_its_time_and_a_change_makes_it_due_at_once(connection: sa.Connection) -> None:
    made = _insert(connection)
    (claimed,) = _claim(connection)
    checks.fail(connection, claimed, error="GitHub is away.", next_attempt_at=NOW + MINUTE)
    assert (checks.next_due_at(connection, now=NOW), checks.count_stale(connection)) == (NOW + MINUTE, 1)
    assert _claim(connection, now=NOW + MINUTE - timedelta(microseconds=1)) == []
    (again,) = _claim(connection, now=NOW + MINUTE)
    assert (again.attempts, again.error) == (2, "GitHub is away.")
    checks.fail(connection, again, error="GitHub is away.", next_attempt_at=NOW + 9 * MINUTE)
    checks.mark_stale(connection, build_id=made.id, job_id=None, is_conclusion=False, now=NOW)
    assert len(_claim(connection, now=NOW + MINUTE)) == 1


def test_one_that_cannot_be_shown_is_left_until_it_changes(connection: sa.Connection) -> None:
    made = _insert(connection)
    (claimed,) = _claim(connection)
    checks.give_up(connection, claimed, error="The repository is gone.")
    (stored,) = checks.list_of_build(connection, made.id)
    assert (stored.is_stale, stored.error, stored.github_id) == (False, "The repository is gone.", None)
    assert _claim(connection) == []
    checks.mark_stale(connection, build_id=made.id, job_id=None, is_conclusion=False, now=NOW)
    assert len(_claim(connection)) == 1


def test_f11_a_lease_that_ran_out_is_taken_over_and_the_first_owner_writes_nothing(connection: sa.Connection) -> None:
    made = _insert(connection)
    (first,) = _claim(connection)
    assert _claim(connection, now=NOW + MINUTE) == []
    (second,) = _claim(connection, now=NOW + MINUTE + timedelta(microseconds=1))
    with pytest.raises(errors.LeaseLost):
        _acknowledge(connection, first)
    with pytest.raises(errors.LeaseLost):
        checks.give_up(connection, first, error="x")
    with pytest.raises(errors.LeaseLost):
        checks.fail(connection, first, error="x", next_attempt_at=NOW)
    (stored,) = checks.list_of_build(connection, made.id)
    # What is claimed tells what was before: the first owner may have made a run.
    assert (first.create_begun_at, second.create_begun_at) == (None, NOW)
    assert replace(stored, create_begun_at=second.create_begun_at) == second
    _acknowledge(connection, second)


def test_release_all_lets_a_new_process_go_on(connection: sa.Connection) -> None:
    _insert(connection, "test", "lint")
    assert len(_claim(connection, limit=2)) == 2
    assert checks.release_all(connection) == 2
    assert [one.attempts for one in _claim(connection)] == [2, 2, 1]


def test_of_one_slot_the_older_generation_is_settled_first(connection: sa.Connection) -> None:
    older = _insert(connection)
    (claimed,) = _claim(connection)
    newer = _insert(connection)
    assert _claim(connection) == []
    checks.fail(connection, claimed, error="x", next_attempt_at=NOW + MINUTE, begun_at=NOW)
    assert _claim(connection) == []
    (claimed,) = _claim(connection, now=NOW + MINUTE)
    assert (claimed.build_id, claimed.create_begun_at) == (older.id, NOW)
    _acknowledge(connection, claimed)
    assert [one.build_id for one in _claim(connection, now=NOW + MINUTE)] == [newer.id]


def test_a_generation_that_github_never_saw_is_dropped_for_a_newer_one(connection: sa.Connection) -> None:
    older, newer = _insert(connection), _insert(connection)
    assert [(one.build_id, one.generation) for one in _claim(connection)] == [(newer.id, 2)]
    checks.mark_stale(connection, build_id=older.id, job_id=None, is_conclusion=False, now=NOW)
    assert _claim(connection) == []
    (dropped,) = checks.list_of_build(connection, older.id)
    assert (dropped.is_stale, dropped.github_id) == (False, None)


def test_one_that_surely_was_never_made_is_dropped_for_a_newer_one(connection: sa.Connection) -> None:
    _insert(connection)
    (claimed,) = _claim(connection)
    newer = _insert(connection)
    checks.fail(connection, claimed, error="refused", next_attempt_at=NOW + MINUTE)
    assert [one.build_id for one in _claim(connection)] == [newer.id]


def test_one_that_github_has_no_more_is_made_anew_unless_a_newer_one_is_there(connection: sa.Connection) -> None:
    made = _insert(connection)
    (claimed,) = _claim(connection)
    _acknowledge(connection, claimed, status="in_progress")
    checks.mark_stale(connection, build_id=made.id, job_id=None, is_conclusion=True, now=NOW)
    (again,) = _claim(connection)
    checks.forget(connection, again, now=NOW)
    (anew,) = _claim(connection)
    assert (anew.github_id, anew.create_begun_at, anew.is_conclusion) == (None, None, True)
    _acknowledge(connection, anew, status="in_progress")
    newer = _insert(connection)
    checks.mark_stale(connection, build_id=made.id, job_id=None, is_conclusion=True, now=NOW)
    both = _claim(connection)
    assert {one.build_id for one in both} == {made.id, newer.id}
    checks.forget(connection, next(one for one in both if one.build_id == made.id), now=NOW)
    assert _claim(connection) == []


def test_what_an_attempt_leaves_behind_is_remembered_until_it_is_known(connection: sa.Connection) -> None:
    made = _insert(connection)
    (claimed,) = _claim(connection)
    assert checks.list_of_build(connection, made.id)[0].create_begun_at == NOW
    checks.fail(connection, claimed, error="refused", next_attempt_at=NOW)
    assert checks.list_of_build(connection, made.id)[0].create_begun_at is None
    _claim(connection, now=NOW + MINUTE)
    assert checks.release_all(connection) == 1
    (claimed,) = _claim(connection, now=NOW + 2 * MINUTE)
    assert claimed.create_begun_at == NOW + MINUTE
    _acknowledge(connection, claimed, status="in_progress")
    (stored,) = checks.list_of_build(connection, made.id)
    assert (stored.create_begun_at, stored.sent_at) == (None, NOW)
    checks.mark_stale(connection, build_id=made.id, job_id=None, is_conclusion=True, now=NOW)
    _claim(connection, now=NOW + 3 * MINUTE)
    assert checks.list_of_build(connection, made.id)[0].create_begun_at is None


def test_a_change_says_whether_it_is_the_end(connection: sa.Connection) -> None:
    made = _insert(connection, "test", "lint")
    job_id = jobs.list_of_builds(connection, [made.id])[0].id
    checks.mark_stale(connection, build_id=made.id, job_id=job_id, is_conclusion=True, now=NOW)
    assert [one.is_conclusion for one in checks.list_of_build(connection, made.id)] == [False, True, False]
    waiting = _insert(connection, state=build.State.WAITING, head_sha="a" * 40)
    assert [one.is_conclusion for one in checks.list_of_build(connection, waiting.id)] == [True]


def test_f39_an_installation_that_works_again_makes_what_failed_in_it_due(connection: sa.Connection) -> None:
    _insert(connection)
    _insert(connection, head_sha="a" * 40, installation_id=9)
    for claimed in _claim(connection):
        checks.fail(connection, claimed, error="suspended", next_attempt_at=NOW + MINUTE)
    assert _claim(connection) == []
    checks.resume(connection, installation_id=9)
    assert [one.installation_id for one in _claim(connection)] == [9]


def test_another_name_or_head_or_repository_holds_nothing_back(connection: sa.Connection) -> None:
    _insert(connection)
    assert len(_claim(connection)) == 1
    _insert(connection, head_sha="a" * 40)
    _insert(connection, repository_id=9)
    _insert(connection, "test", "lint")
    assert [one.name for one in _claim(connection)] == [
        "buildhook",
        "buildhook",
        "buildhook / test",
        "buildhook / lint",
    ]


def test_an_older_run_that_github_shows_is_still_brought_to_its_end(connection: sa.Connection) -> None:
    """It would say "in progress" for ever otherwise; a change of it leaves the newer run of its name untouched."""
    older = _insert(connection)
    (claimed,) = _claim(connection)
    _acknowledge(connection, claimed, status="in_progress")
    _insert(connection)
    (newer,) = _claim(connection)
    _acknowledge(connection, newer)
    checks.mark_stale(connection, build_id=older.id, job_id=None, is_conclusion=False, now=NOW)
    (again,) = _claim(connection, now=LATER)
    assert (again.build_id, again.github_id) == (older.id, claimed.id + 1000)


def test_a_check_is_found_by_the_id_that_github_gave(connection: sa.Connection) -> None:
    _insert(connection)
    (claimed,) = _claim(connection)
    _acknowledge(connection, claimed)
    github_id = 1000 + claimed.id
    found = checks.find_by_github_id(connection, repository_id=REPOSITORY_ID, github_id=github_id)
    assert found is not None
    assert found.id == claimed.id
    assert checks.find_by_github_id(connection, repository_id=9, github_id=github_id) is None
    assert checks.find_by_github_id(connection, repository_id=REPOSITORY_ID, github_id=1) is None


class Outbox(RuleBasedStateMachine):
    """New generations of two heads, changes, reporters that succeed, fail or die, and time that goes on."""

    def __init__(self) -> None:
        super().__init__()
        self._scope = database.fresh()
        self.connection = self._scope.__enter__()
        self.now = NOW
        self.builds: list[build.Build] = []
        self.held: dict[int, tuple[check.Check, datetime]] = {}
        #: For each head the generations in the order in which GitHub made their runs: the last one counts.
        self.created: dict[str, list[int]] = {}

    def teardown(self) -> None:
        """Whatever happened, GitHub shows everything in the end that it ever saw, and the newest generation."""
        try:
            for _ in range(200):
                self.now += 2 * MINUTE
                self.claim(limit=9)
                for claimed, _ in list(self.held.values()):
                    self._succeed(claimed)
                if not checks.count_stale(self.connection):
                    break
            assert checks.count_stale(self.connection) == 0
            for head, created in self.created.items():
                assert created[-1] == max(one.generation for one in self.builds if one.head_sha == head)
        finally:
            self._scope.__exit__(None, None, None)

    @rule(head=st.sampled_from(["a" * 40, "b" * 40]))
    def build(self, head: str) -> None:
        self.builds.append(_insert(self.connection, head_sha=head))
        self.created.setdefault(head, [])

    @precondition(lambda self: self.builds)
    @rule(data=st.data())
    def change(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(self.builds))
        checks.mark_stale(self.connection, build_id=one.id, job_id=None, is_conclusion=False, now=NOW)

    @rule(limit=st.integers(1, 3))
    def claim(self, limit: int) -> None:
        for one in checks.claim_stale(self.connection, now=self.now, owner="octo", lease=MINUTE, limit=limit):
            held = self.held.get(one.id)
            assert held is None or held[1] < self.now, "somebody holds it"
            if one.github_id is None:
                created = self.created[one.head_sha]
                assert not created or created[-1] < one.generation, "a newer generation was created before"
            self.held[one.id] = (one, self.now + MINUTE)

    @invariant()
    def nothing_is_created_beside_a_newer_generation(self) -> None:
        live = [one for one, until in self.held.values() if until >= self.now]
        for one in live:
            newer = [each for each in live if each.head_sha == one.head_sha and each.generation > one.generation]
            assert one.github_id is not None or not newer

    def _succeed(self, claimed: check.Check) -> None:
        self.held.pop(claimed.id)
        try:
            github_id = claimed.github_id or 1000 + claimed.id
            checks.acknowledge(
                self.connection,
                claimed,
                version=claimed.desired_version,
                github_id=github_id,
                status="completed",
                now=self.now,
            )
        except errors.LeaseLost:
            return
        if claimed.github_id is None:
            self.created[claimed.head_sha].append(claimed.generation)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), is_well=st.booleans(), is_known=st.booleans())
    def answer(self, data: st.DataObject, is_well: bool, is_known: bool) -> None:
        claimed, _ = self.held[data.draw(st.sampled_from(sorted(self.held)))]
        if is_well:
            self._succeed(claimed)
            return
        self.held.pop(claimed.id)
        try:
            begun_at = None if is_known else self.now
            checks.fail(self.connection, claimed, error="no", next_attempt_at=self.now + MINUTE, begun_at=begun_at)
        except errors.LeaseLost:
            (stored,) = [one for one in checks.list_of_build(self.connection, claimed.build_id) if one.id == claimed.id]
            assert stored.epoch != claimed.epoch

    @rule(seconds=st.integers(1, 90))
    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)


def test_checks_under_any_order_of_events(kind: None) -> None:
    run_state_machine_as_test(Outbox, settings=settings(max_examples=25, stateful_step_count=40, deadline=None))


def test_the_lists_of_a_build_are_its_own(connection: sa.Connection) -> None:
    first, second = _insert(connection, "test", "lint"), _insert(connection, head_sha="a" * 40)
    assert {one.build_id for one in checks.list_of_build(connection, first.id)} == {first.id}
    assert len(checks.list_of_build(connection, second.id)) == 1
    assert checks.list_of_build(connection, replace(first, id="x").id) == []
