"""What waits for others of its build, and for how long: never the first word, never the verdict."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from bot.model import build, check
from bot.store import checks, gathering
from tests.factories import NOW
from tests.store import test_checks

MINUTE = timedelta(minutes=1)
MOMENT = timedelta(milliseconds=1)
#: When what was just made is shown as queued.
SHOWN_AT = NOW + checks.START_GRACE
NAMES = ("a", "b", "c")


def _insert(connection: sa.Connection, *names: str, **changes: Any) -> build.Build:
    return test_checks._insert(connection, *names, state=build.State.QUEUED, created_at=NOW, **changes)


def claim(
    connection: sa.Connection, now: datetime, *, together: int = 0, busy: Collection[str] = (), limit: int = 99
) -> list[check.Check]:
    return checks.claim_stale(
        connection, now=now, owner="octo", lease=MINUTE, limit=limit, together=together, busy=busy
    )


def send(connection: sa.Connection, claimed: list[check.Check], now: datetime) -> None:
    for one in claimed:
        status = "completed" if one.is_conclusion else "in_progress"
        version, number = one.desired_version, one.github_id or 1000 + one.id
        checks.acknowledge(connection, one, version=version, github_id=number, status=status, now=now)


def end(connection: sa.Connection, made: build.Build, *names: str, now: datetime) -> None:
    """Let these jobs end; the build itself where a name is empty."""
    for one in checks.list_of_build(connection, made.id):
        if one.name.removeprefix("buildhook").removeprefix(" / ") in names:
            checks.mark_stale(connection, build_id=made.id, job_id=one.job_id, is_conclusion=True, now=now)


def names(claimed: list[check.Check]) -> list[str]:
    return sorted(one.name.removeprefix("buildhook").removeprefix(" / ") for one in claimed)


def test_a_build_with_one_check_waits_for_nothing(connection: sa.Connection) -> None:
    made = _insert(connection)
    send(connection, claim(connection, SHOWN_AT), SHOWN_AT)
    end(connection, made, "", now=SHOWN_AT)
    assert names(claim(connection, SHOWN_AT + MOMENT)) == [""]


@pytest.mark.parametrize("size", [3, 4, 16, 17])
def test_how_jobs_end_is_gathered_the_longer_the_more_there_are(connection: sa.Connection, size: int) -> None:
    made = _insert(connection, *(str(at) for at in range(size - 1)))
    send(connection, claim(connection, SHOWN_AT), SHOWN_AT)
    end(connection, made, "0", now=SHOWN_AT)
    due_at = SHOWN_AT + gathering.pause(size)
    assert gathering.next_at(connection, now=SHOWN_AT) == due_at
    assert checks.next_due_at(connection, now=SHOWN_AT + MOMENT) == min(due_at, SHOWN_AT + checks.PROGRESS_PAUSE)
    assert claim(connection, due_at - MOMENT) == []
    end(connection, made, "1", now=due_at - MOMENT)
    assert names(claim(connection, due_at)) == ["0", "1"]


def test_the_verdict_waits_for_nothing_and_takes_along_what_waits(connection: sa.Connection) -> None:
    made = _insert(connection, *NAMES)
    send(connection, claim(connection, SHOWN_AT), SHOWN_AT)
    end(connection, made, "a", "", now=SHOWN_AT)
    assert names(claim(connection, SHOWN_AT + MOMENT, together=9)) == ["", "a"]


def test_the_first_word_goes_at_once_and_leaves_behind_what_nothing_happened_to(connection: sa.Connection) -> None:
    made = _insert(connection, *NAMES)
    end(connection, made, "a", now=NOW)
    first = claim(connection, NOW + MOMENT, together=9)
    assert names(first) == ["a"]
    send(connection, first, NOW + 2 * MOMENT)
    end(connection, made, "b", now=NOW + 3 * MOMENT)
    assert claim(connection, SHOWN_AT) == []
    due_at = NOW + 2 * MOMENT + gathering.FIRST_PAUSE
    assert gathering.next_at(connection, now=SHOWN_AT) == due_at
    assert names(claim(connection, due_at)) == ["", "b", "c"]


def test_while_a_request_is_under_way_only_the_verdict_goes_beside_it(connection: sa.Connection) -> None:
    made = _insert(connection, *NAMES)
    other = _insert(connection, "test", head_sha="2" * 40)
    end(connection, made, "a", now=NOW)
    taken = claim(connection, SHOWN_AT, busy=[made.id])
    assert {one.build_id for one in taken} == {other.id}
    end(connection, made, "", now=SHOWN_AT)
    assert names(claim(connection, SHOWN_AT, busy=[made.id])) == [""]


def test_what_goes_together_counts_as_one_and_is_bounded(connection: sa.Connection) -> None:
    _insert(connection, *(str(at) for at in range(20)))
    assert len(claim(connection, SHOWN_AT, limit=1, together=12)) == 12
    assert len(claim(connection, SHOWN_AT, limit=1, together=12)) == 9


def test_of_another_repository_or_waiting_after_a_failure_nothing_is_taken_along(connection: sa.Connection) -> None:
    made = _insert(connection, "a", "b")
    _insert(connection, repository_id=7, head_sha="2" * 40)
    end(connection, made, "a", "b", now=NOW)
    (first,) = claim(connection, NOW + MOMENT, limit=1)
    later = NOW + MINUTE
    checks.fail(connection, first, error="away", next_attempt_at=later, begun_at=None)
    taken = claim(connection, NOW + 2 * MOMENT, limit=1, together=9)
    assert first.id not in {one.id for one in taken}
    assert len({one.repository_id for one in taken}) == 1


def test_an_older_generation_is_settled_before_a_newer_one_is_taken_along(connection: sa.Connection) -> None:
    older = _insert(connection, *NAMES)
    send(connection, claim(connection, SHOWN_AT)[:1], SHOWN_AT)
    newer = _insert(connection, *NAMES)
    taken = claim(connection, NOW + MINUTE / 2, together=99)
    slots = [one.name for one in taken]
    assert len(slots) == len(set(slots))
    assert {one.build_id for one in taken} <= {older.id, newer.id}
