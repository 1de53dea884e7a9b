"""Builds: generations count up for each head, lists filter exactly, old ones go with all that hangs on them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot import errors
from bot.model import build, job
from bot.store import builds, checks, jobs, outcomes, schema
from tests.factories import (
    NOW,
    REPOSITORY_ID,
    make_build,
    make_job,
    make_new_build,
    make_plan,
    make_problem,
    make_pull_build,
)

State = build.State
FINAL = sorted(build.FINAL)
UNFINISHED = sorted(set(State) - build.FINAL)


def _jobs(*states: job.State) -> list[job.Job]:
    return [make_job(state=state, plan=make_plan(name=f"job {number}")) for number, state in enumerate(states)]


def _insert(connection: sa.Connection, made: build.Build | None = None, **changes: Any) -> build.Build:
    return builds.insert(connection, made or make_build(**changes))


def test_what_is_stored_is_given_back_whole(connection: sa.Connection) -> None:
    made = make_pull_build(
        problems=(make_problem(), make_problem(line=9)),
        title="ü\u2028\N{ROCKET} 'quoted'",
        trust=build.Trust.UNTRUSTED,
        reason="Waits.",
        delivery_id="g",
        origin_id="o",
        started_at=NOW,
        finished_at=NOW + timedelta(microseconds=1),
    )
    assert _insert(connection, made) == made
    assert builds.find(connection, made.id) == builds.get(connection, made.id) == made


def test_what_is_not_there_is_none_or_an_error(connection: sa.Connection) -> None:
    assert builds.find(connection, "x") is None
    assert builds.find_latest(connection, repository_id=1, head_sha="a") is None
    assert builds.find_by_cause(connection, repository_id=1, cause="a") is None
    with pytest.raises(errors.NotFound, match="no build x"):
        builds.get(connection, "x")


def test_the_generation_counts_up_for_each_head_of_each_repository(connection: sa.Connection) -> None:
    made = [
        _insert(connection),
        _insert(connection),
        _insert(connection, head_sha="a" * 40),
        _insert(connection, repository_id=9),
        # What a caller says about its generation does not count.
        _insert(connection, generation=77),
    ]
    assert [one.generation for one in made] == [1, 2, 1, 1, 3]
    assert builds.find_latest(connection, repository_id=REPOSITORY_ID, head_sha=made[0].head_sha) == made[4]


def test_one_cause_makes_one_build_in_a_repository(connection: sa.Connection) -> None:
    first = _insert(connection, cause="push:1")
    _insert(connection, cause="push:1", repository_id=9)
    with pytest.raises(sa.exc.IntegrityError), connection.begin_nested():
        _insert(connection, cause="push:1")
    assert builds.find_by_cause(connection, repository_id=REPOSITORY_ID, cause="push:1") == first


def test_lists_are_newest_first_and_filter_exactly(connection: sa.Connection) -> None:
    made = [
        _insert(connection, repository="octo/hello", state=State.PASSED),
        _insert(connection, repository="octo/hello_", state=State.FAILED),
        _insert(connection, repository="octo/hello", state=State.RUNNING),
        _insert(connection, repository="octo/hellox", state=State.PASSED),
    ]

    def listed(**given: Any) -> list[int]:
        found = builds.list_newest(connection, **{"limit": 9, **given})
        return [made.index(one) for one in found]

    assert listed() == [3, 2, 1, 0]
    assert listed(limit=2) == [3, 2]
    assert listed(before_id=made[2].id) == [1, 0]
    assert listed(repository="octo/hello") == [2, 0]
    assert listed(repository="octo/hello_") == [1]
    assert listed(repository="octo/%") == []
    assert listed(states=[State.PASSED, State.FAILED]) == [3, 1, 0]
    assert listed(states=[State.PASSED], repository="octo/hello") == [0]


def test_the_builds_of_a_delivery_are_listed(connection: sa.Connection) -> None:
    made = [_insert(connection, delivery_id=guid) for guid in ("a", "b", "a")]
    assert builds.list_of_delivery(connection, "a") == [made[0], made[2]]


@pytest.mark.parametrize("state", State)
def test_only_builds_that_have_not_ended_are_unfinished(connection: sa.Connection, state: build.State) -> None:
    made = _insert(connection, state=state)
    assert builds.list_unfinished(connection) == ([] if state in build.FINAL else [made])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, [0, 1, 2, 3]),
        ({"repository_id": REPOSITORY_ID}, [0, 1, 2]),
        ({"repository_id": REPOSITORY_ID, "pull_number": 7}, [1, 2]),
        ({"pull_number": 7, "except_head_sha": "b" * 40}, [1]),
        ({"head_sha": "b" * 40}, [2]),
        ({"ref": "refs/heads/main"}, [0, 3]),
        ({"installation_id": 8}, [3]),
        ({"installation_id": 8, "repository_id": REPOSITORY_ID}, []),
    ],
)
def test_unfinished_builds_match_every_given_field(
    connection: sa.Connection, given: dict[str, Any], expected: list[int]
) -> None:
    made = [
        _insert(connection),
        _insert(connection, make_pull_build()),
        _insert(connection, make_pull_build(head_sha="b" * 40)),
        _insert(connection, repository_id=9, installation_id=8),
    ]
    assert [made.index(one) for one in builds.list_unfinished(connection, **given)] == expected


def test_a_state_is_saved_and_a_reason_kept_where_none_is_given(connection: sa.Connection) -> None:
    made, other = _insert(connection, reason="First."), _insert(connection)
    builds.save_state(connection, made.id, state=State.RUNNING, started_at=NOW, finished_at=None)
    running = builds.get(connection, made.id)
    assert (running.state, running.started_at, running.reason) == (State.RUNNING, NOW, "First.")
    builds.save_state(connection, made.id, state=State.FAILED, started_at=NOW, finished_at=NOW, reason="Last.")
    assert builds.get(connection, made.id).reason == "Last."
    assert builds.get(connection, other.id) == other


def test_old_ended_builds_go_with_their_jobs_and_checks_and_the_rest_stays(connection: sa.Connection) -> None:
    old = NOW - timedelta(days=9)
    made = [
        outcomes.create(
            connection,
            make_new_build(make_build(state=state, created_at=at), *_jobs(job.State.PASSED, job.State.QUEUED)),
            now=NOW,
        )
        for state, at in [
            (State.PASSED, old),
            (State.FAILED, old),
            (State.RUNNING, old),
            (State.PASSED, NOW),
            (State.CANCELLED, old),
        ]
    ]
    ids = [one.id for one in made]
    owned = {one.id: [each.id for each in jobs.list_of_builds(connection, [one.id])] for one in made}
    assert builds.delete_finished(connection, before=NOW, limit=2) == (2, owned[ids[0]] + owned[ids[1]])
    assert builds.delete_finished(connection, before=NOW, limit=2) == (1, owned[ids[4]])
    assert builds.delete_finished(connection, before=NOW, limit=2) == (0, [])
    assert {one.id for one in builds.list_newest(connection, limit=9)} == {ids[2], ids[3]}
    assert [len(checks.list_of_build(connection, one)) for one in ids] == [0, 0, 3, 3, 0]
    assert connection.execute(sa.select(sa.func.count()).select_from(schema.jobs)).scalar_one() == 4


def test_unfinished_jobs_are_counted_by_state(connection: sa.Connection) -> None:
    states = [job.State.QUEUED, job.State.QUEUED, job.State.RUNNING, job.State.PASSED, job.State.WAITING]
    outcomes.create(connection, make_new_build(None, *_jobs(*states)), now=NOW)
    assert builds.count_jobs_by_state(connection) == {
        job.State.QUEUED: 2,
        job.State.RUNNING: 1,
        job.State.WAITING: 1,
    }


@given(
    made=st.lists(st.tuples(st.integers(1, 6), st.sampled_from(sorted(State))), max_size=40),
    among=st.none() | st.frozensets(st.integers(0, 7)),
    states=st.frozensets(st.sampled_from(sorted(State))),
    limit=st.integers(1, 5),
    before=st.none() | st.integers(0, 40),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_t91_the_newest_of_those_that_may_be_seen_are_what_a_look_at_all_of_them_finds(
    connection: sa.Connection,
    made: list[tuple[int, State]],
    among: frozenset[int] | None,
    states: frozenset[State],
    limit: int,
    before: int | None,
) -> None:
    with connection.begin_nested() as nested:
        stored = [
            _insert(connection, id=f"{number:026d}", repository_id=of, state=state, head_sha=f"{number:040x}")
            for number, (of, state) in enumerate(made)
        ]
        before_id = None if before is None else f"{before:026d}"
        found = builds.list_newest(connection, limit=limit, before_id=before_id, states=sorted(states), among=among)
        wanted = [
            one.id
            for one in reversed(stored)
            if (among is None or one.repository_id in among)
            and (not states or one.state in states)
            and (before_id is None or one.id < before_id)
        ]
        assert [one.id for one in found] == wanted[:limit]
        nested.rollback()


def test_the_newest_of_many_repositories_are_found_by_indexes_alone(connection: sa.Connection) -> None:
    if connection.dialect.name != "sqlite":
        pytest.skip("PostgreSQL plans by what it counted; SQLite says what it does.")
    seen: list[str] = []
    sa.event.listen(connection, "before_cursor_execute", lambda *arguments: seen.append(arguments[2]))
    builds.list_newest(connection, limit=2, among=range(1, 9), states=(State.FAILED, State.ERRORED))
    builds.list_newest(connection, limit=2, among=range(1, 9))
    builds.list_newest(connection, limit=2, repository="octo/hello", among=range(1, 9))
    builds.list_newest(connection, limit=2, states=(State.WAITING, State.QUEUED))
    asked = [statement for statement in seen if "FROM builds" in statement]
    assert len(asked) >= 6
    for statement in asked:
        marks = tuple([1] * statement.count("?"))
        plan = " ".join(row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", marks))
        assert "SCAN builds" not in plan, statement
        assert "TEMP B-TREE" not in plan, statement
