"""More to tell than GitHub takes: claims against a model of GitHub's limits, on simulated time."""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from bot import errors
from bot.checks import sending
from bot.model import budget, build, check
from bot.ramp import Ramp
from bot.store import budgets, checks, outcomes
from tests.databases import on_sqlite
from tests.factories import INSTALLATION_ID, NOW, make_build, make_new_build

pytestmark = on_sqlite

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
SIDE_BY_SIDE = 16
OUTAGE = 5 * MINUTE
CALL = 0.3 * SECOND
TOLD = budget.Told(limit=5000, remaining=5000, reset_seconds=3600)
_numbers = itertools.count(1)


@dataclass
class GitHub:
    """Takes so many writes in an hour, and so many points in a minute; counts what it refuses."""

    writes_an_hour: int = 1_000_000
    points_a_minute: int = budget.POINTS_A_MINUTE
    #: Until then it answers nothing at all.
    away_until: datetime = NOW
    refused: int = 0
    sent: int = 0
    _hour: tuple[datetime, int] = (NOW, 0)
    _minute: tuple[datetime, int] = (NOW, 0)

    def take(self, now: datetime) -> budget.Wait | None:
        """One write; what the caller has to wait where it is too much."""
        if now >= self._minute[0] + MINUTE:
            self._minute = (now, 0)
        if now >= self._hour[0] + HOUR:
            self._hour = (now, 0)
        if self._hour[1] >= self.writes_an_hour:
            self.refused += 1
            return budget.Wait(seconds=(self._hour[0] + HOUR - now).total_seconds(), text="hour")
        self._minute = (self._minute[0], self._minute[1] + budget.WRITE_POINTS)
        if self._minute[1] > self.points_a_minute:
            self.refused += 1
            return budget.Wait(seconds=60, text="minute", is_secondary=True, streak=1)
        self._hour = (self._hour[0], self._hour[1] + 1)
        self.sent += 1
        return None


@dataclass
class Model:
    """One installation: changes come at their times, and so many claims are under way as in the reporter."""

    connection: sa.Connection
    github: GitHub
    now: datetime = NOW
    ramp: Ramp = field(default_factory=lambda: Ramp(SIDE_BY_SIDE))
    #: When the conclusion of a check was wanted, and how long it took.
    wanted: dict[str, datetime] = field(default_factory=dict)
    waited: dict[str, timedelta] = field(default_factory=dict)
    _events: list[tuple[datetime, int, Any]] = field(default_factory=list)
    _sending: list[tuple[datetime, int, check.Check]] = field(default_factory=list)

    def at(self, when: datetime, do: Any) -> None:
        """Do something at its time."""
        heapq.heappush(self._events, (when, next(_numbers), do))

    def add(self, *, at: datetime, updates: int, lasts: timedelta, repository_id: int = 1) -> build.Build:
        """A build of one job that is told of so many times before its end."""
        number = next(_numbers)
        made = make_build(repository_id=repository_id, head_sha=f"{number:040x}", created_at=at)
        self.at(at, lambda: outcomes.create(self.connection, make_new_build(made), now=at))
        for update in range(updates):
            self.at(at + lasts * (update + 1) / (updates + 1), lambda: self._change(made, is_conclusion=False))
        self.at(at + lasts, lambda: self._conclude(made))
        return made

    def _change(self, made: build.Build, *, is_conclusion: bool) -> None:
        (one,) = checks.list_of_build(self.connection, made.id)
        checks.mark_stale(
            self.connection, build_id=made.id, job_id=one.job_id, is_conclusion=is_conclusion, now=self.now
        )

    def _conclude(self, made: build.Build) -> None:
        self.wanted[made.id] = self.now
        self._change(made, is_conclusion=True)

    def run(self, *, until: datetime) -> None:
        """Let time pass, from one thing that happens to the next."""
        while self.now < until:
            while self._events and self._events[0][0] <= self.now:
                heapq.heappop(self._events)[2]()
            while self._sending and self._sending[0][0] <= self.now:
                self._answered(heapq.heappop(self._sending)[2])
            self._claim()
            times = [until, *(event[0] for event in self._events[:1]), *(call[0] for call in self._sending[:1])]
            due_at = checks.next_due_at(self.connection, now=self.now)
            if due_at is not None:
                times.append(due_at)
            if not budgets.list_blocked(self.connection, now=self.now):
                # The loop looks every two seconds, should nothing else happen.
                times.append(self.now + 2 * SECOND)
            self.now = min(times)

    def _claim(self) -> None:
        free = self.ramp.width - len(self._sending)
        if free <= 0:
            return
        for one in checks.claim_stale(self.connection, now=self.now, owner="x", lease=HOUR, limit=free):
            if self.now < self.github.away_until:
                self._fail(one, errors.GitHubUnavailable("No answer."))
                continue
            wait = self.github.take(self.now)
            if wait is not None:
                budgets.block(self.connection, INSTALLATION_ID, wait, now=self.now)
                at = self.now + timedelta(seconds=wait.seconds)
                self._fail(one, errors.RateLimited("Wait.", status=403, retry_at=at, is_secondary=wait.is_secondary))
                continue
            budgets.spend(
                self.connection, INSTALLATION_ID, points=budget.WRITE_POINTS, told=TOLD, went_well=True, now=self.now
            )
            heapq.heappush(self._sending, (self.now + CALL, next(_numbers), one))

    def _fail(self, one: check.Check, error: errors.GitHubError) -> None:
        self.ramp.went_badly()
        verdict = sending.decide(error, one, now=self.now)
        assert verdict.again_at is not None
        checks.fail(
            self.connection,
            one,
            error=verdict.text,
            next_attempt_at=verdict.again_at,
            is_counted=verdict.is_counted,
        )

    def _answered(self, one: check.Check) -> None:
        self.ramp.went_well()
        status = "completed" if one.is_conclusion else "in_progress"
        checks.acknowledge(
            self.connection,
            one,
            version=one.desired_version,
            github_id=one.github_id or 1000 + one.id,
            status=status,
            now=self.now,
        )
        if one.is_conclusion:
            self.waited[one.build_id] = self.now - self.wanted[one.build_id]


def test_f36_of_10000_changes_an_hour_the_conclusions_arrive_where_github_takes_500(
    connection: sa.Connection,
) -> None:
    """200 checks an hour with 49 updates each: 10,000 writes are wanted. Scaled to a tenth, so that it is quick.

    Stated bound: a conclusion waits at most one hour, until GitHub allows calls again.
    """
    model = Model(connection, GitHub(writes_an_hour=50))
    made = [
        model.add(at=NOW + hour * HOUR + number * 3 * MINUTE, updates=49, lasts=10 * MINUTE)
        for hour in range(3)
        for number in range(20)
    ]
    model.run(until=NOW + 5 * HOUR)
    assert set(model.waited) == {one.id for one in made}
    assert max(model.waited.values()) <= HOUR
    assert checks.count_stale(connection) == 0
    # Of one call each hour GitHub has to say that it is one too many; a few more are under way then.
    assert model.github.refused <= 5 * SIDE_BY_SIDE


def test_f36_a_backlog_of_20_hours_ends_after_20_hours_without_a_wasted_write(connection: sa.Connection) -> None:
    """10,000 checks have ended, GitHub takes 500 writes an hour (scaled to a 20th): one write for each check.

    Stated bound: the backlog divided by what GitHub takes.
    """
    model = Model(connection, GitHub(writes_an_hour=25))
    made = [
        model.add(at=NOW + number * timedelta(milliseconds=1), updates=5, lasts=0.5 * SECOND) for number in range(500)
    ]
    model.run(until=NOW + 21 * HOUR)
    assert set(model.waited) == {one.id for one in made}
    assert max(model.waited.values()) <= 20 * HOUR
    # What is more than one for each was sent in the half second before they ended.
    assert model.github.sent <= 500 + 2 * SIDE_BY_SIDE
    order = sorted(model.waited, key=lambda one: model.wanted[one] + model.waited[one])
    late = {one: abs(place - order.index(one)) for place, one in enumerate(one.id for one in made)}
    assert max(late.values()) <= 3 * SIDE_BY_SIDE, "the oldest first"


def test_t116_a_repository_that_floods_delays_anothers_conclusion_by_less_than_30_seconds(
    connection: sa.Connection,
) -> None:
    """One repository wants 20 writes a second for 100 seconds; GitHub takes 15 points a second, so 3 writes."""
    model = Model(connection, GitHub())
    for number in range(100):
        model.add(at=NOW + number * SECOND, updates=18, lasts=20 * SECOND, repository_id=1)
    others = [
        model.add(at=NOW + number * 10 * SECOND, updates=3, lasts=5 * SECOND, repository_id=2) for number in range(10)
    ]
    model.run(until=NOW + timedelta(minutes=10))
    waited = [model.waited[one.id] for one in others]
    assert max(waited) < 30 * SECOND
    assert len(model.waited) == 110, "and the flood arrives as well"
    assert model.github.refused == 0


def test_f63_the_backlog_of_an_outage_is_worked_off_without_meeting_a_limit(connection: sa.Connection) -> None:
    """GitHub is away for some minutes; 320 checks of one repository wait when it is back."""
    model = Model(connection, GitHub(away_until=NOW + OUTAGE))
    for number in range(320):
        model.add(at=NOW + number * SECOND / 5, updates=0, lasts=timedelta(0), repository_id=1)
    fresh = [model.add(at=NOW + OUTAGE + n * 20 * SECOND, updates=0, lasts=SECOND, repository_id=1) for n in range(6)]
    model.run(until=NOW + OUTAGE + 15 * MINUTE)
    assert len(model.waited) == 326
    assert model.github.refused == 0
    assert max(model.waited[one.id] for one in fresh) < 5 * SECOND, "what is new does not wait for the backlog"
