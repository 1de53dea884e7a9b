"""What pages show at once of builds, jobs, branches, tests and artifacts: the same on both databases."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from msgspec.structs import replace

from bot.model import build, job, outcome
from bot.store import active, artifacts, branches, counts, jobs, newest, outcomes, repositories, results, tests
from tests import factories
from tests.factories import NOW

B, J = build.State, job.State


def add(
    connection: sa.Connection,
    state: build.State,
    *of_build: job.State,
    repository_id: int = 1,
    ref: str = "refs/heads/main",
) -> tuple[build.Build, list[job.Job]]:
    """A build in a state, with a job in each of these."""
    made = factories.make_build(
        repository_id=repository_id,
        repository=f"octo/{repository_id}",
        state=state,
        ref=ref,
        head_sha=factories.new_id().lower()[-10:] * 4,
    )
    plans = [factories.make_plan(key=f"j{number}", name=f"j{number}") for number in range(len(of_build))]
    new = factories.make_new_build(made, *(factories.make_job(plan=plan) for plan in plans))
    outcomes.create(connection, new, now=NOW)
    its_jobs = [
        replace(
            one, state=its, started_at=None if its == J.QUEUED else NOW, finished_at=NOW if its in job.FINAL else None
        )
        for one, its in zip(new.jobs, of_build, strict=True)
    ]
    for one in its_jobs:
        jobs.save(connection, one)
    return made, its_jobs


def test_active_jobs_are_found_with_their_builds_and_only_those_that_may_be_seen(connection: sa.Connection) -> None:
    own, own_jobs = add(connection, B.RUNNING, J.RUNNING, J.QUEUED, J.PASSED)
    add(connection, B.RUNNING, J.RUNNING, J.QUEUED, J.ERRORED, repository_id=2)
    add(connection, B.QUEUED, J.QUEUED)
    (running,) = active.list_running(connection, limit=9, among={1})
    assert (running.job.id, running.build.id, running.replica) == (own_jobs[0].id, own.id, None)
    assert [one.id for one in running.of_build] == [one.id for one in own_jobs]
    assert len(active.list_running(connection, limit=9)) == 2
    assert len(active.list_running(connection, limit=1)) == 1
    assert active.list_running(connection, limit=9, among=()) == []
    assert [one.job.id for one in active.list_waiting(connection, limit=9, among={1})] == [own_jobs[1].id]
    assert [(one.state, one.count) for one in active.list_lately(connection, among={1})] == [(J.PASSED, 1)]
    assert [one.state for one in active.list_lately(connection)] == [J.ERRORED, J.PASSED]
    assert counts.unfinished_builds(connection, among={1}) == {B.RUNNING: 1, B.QUEUED: 1}
    assert counts.unfinished_builds(connection) == {B.RUNNING: 2, B.QUEUED: 1}


def test_the_newest_builds_of_a_repository_and_of_a_ref_come_newest_first(connection: sa.Connection) -> None:
    made = [add(connection, B.PASSED, J.PASSED, ref=f"refs/heads/{name}")[0] for name in ("a", "b", "a")]
    other, _ = add(connection, B.PASSED, J.PASSED, repository_id=2)
    found = branches.list_newest(connection, repository="octo/1", repository_id=1)
    assert [one.id for one in found] == [one.id for one in reversed(made)]
    older = branches.list_newest(connection, repository="octo/1", repository_id=1, before_id=made[2].id)
    assert [one.id for one in older] == [made[1].id, made[0].id]
    of_ref = branches.list_of_ref(connection, repository_id=1, ref="refs/heads/a", limit=9)
    assert [one.id for one in of_ref] == [made[2].id, made[0].id]
    assert newest.heads(connection, among=None, limit=9) == [other.id, made[2].id]
    assert newest.heads(connection, among={1}, limit=9) == [made[2].id]
    assert newest.heads(connection, among=None, limit=1) == [other.id]


def test_the_runs_of_a_test_and_the_artifacts_of_a_repository_are_found_by_it_alone(
    connection: sa.Connection,
) -> None:
    case = factories.make_case()
    for repository_id in (1, 2, 1):
        made, (one,) = add(connection, B.PASSED, J.PASSED, repository_id=repository_id)
        results.insert_cases(connection, one, [case], repository_id=repository_id)
        artifacts.replace_of_job(connection, one.id, [factories.make_artifact(job_id=one.id)])
    runs = tests.list_runs(connection, repository_id=1, digest=results.digest(case))
    assert (runs[0].build.id, len(runs)) == (made.id, 2)
    assert (runs[0].case.full_name, runs[0].case.state) == (case.full_name, case.state)
    kept, older = artifacts.list_of_repository(connection, repository="octo/1", repository_id=1)
    assert (kept[0].build.id, len(kept), older) == (made.id, 2, None)


@pytest.mark.parametrize(
    ("told", "is_told"),
    [
        ([True], True),
        ([False], False),
        ([True, False], False),
        ([False, True], False),
        ([True, False, True], False),
        ([False, "asked"], True),
        (["asked", False], False),
        ([True, None], False),
        ([False, None, True], True),
    ],
)
def test_t92_a_repository_is_public_only_where_github_said_so_last(
    connection: sa.Connection, told: list[bool | str | None], is_told: bool
) -> None:
    add(connection, B.PASSED, J.PASSED)
    for number, word in enumerate(told):
        is_public = True if word == "asked" else bool(word) if word is not None else None
        seen = outcome.Visibility(repository_id=1, is_public=is_public, is_asked=word == "asked")
        repositories.note(connection, seen, now=NOW + timedelta(seconds=number))
    assert repositories.is_told(connection, 1, digest=None) == is_told
    repositories.set_badge_digest(connection, 1, b"d" * 32, now=NOW)
    assert repositories.is_told(connection, 1, digest=b"d" * 32)
    assert repositories.is_told(connection, 1, digest=b"e" * 32) == is_told
    assert repositories.is_told(connection, 1, digest=None) == is_told
    assert not repositories.is_told(connection, 2, digest=b"d" * 32)
