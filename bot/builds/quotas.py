"""Quotas: how much of the machines one repository may take, so that none takes them from the others, or for mining."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec
from sqlalchemy.engine import Connection

from bot import policy
from bot.model import storage
from bot.store import kept, usage

WINDOW = timedelta(hours=24)
#: How long an answer counts: adding up a day of jobs before each start would be dear, and an hour has many of these.
LOOK = timedelta(seconds=10)


class _Answer(msgspec.Struct, frozen=True):
    """What was found out about a repository of which a job waits."""

    at: datetime
    is_exhausted: bool


class Quotas:
    """What the policy grants each repository, and who has used it up."""

    def __init__(self, rules: policy.Quotas) -> None:
        self._hours = rules.hours_per_day
        self._answers: dict[int, _Answer] = {}
        #: How many jobs of one repository may run at once, over all replicas; None for as many as there are places.
        self.jobs = rules.jobs
        self._storage_bytes = rules.storage_bytes

    def log_bytes(self, connection: Connection, repository_id: int) -> int | None:
        """How much of the output of a job that starts now is kept; None for as much as ever."""
        found = storage.Room(kept=kept.of_repository(connection, repository_id), most_bytes=self._storage_bytes)
        return storage.LEAN_LOG_BYTES if found.is_full else None

    def exhausted(self, connection: Connection, *, now: datetime) -> frozenset[int]:
        """The ids of repositories of which no job is to start now; why is written with the jobs that wait.

        To be asked in the transaction that claims, so that no job slips in between.
        """
        if self._hours is None:
            return frozenset()
        waiting = usage.list_waiting(connection)
        known = {id: self._answers[id] for id in waiting if id in self._answers and now - self._answers[id].at < LOOK}
        new = {id: name for id, name in waiting.items() if id not in known}
        found = _look(connection, new, hours=self._hours, now=now) if new else frozenset()
        self._answers = known | {id: _Answer(now, id in found) for id in new}
        return frozenset(id for id, one in self._answers.items() if one.is_exhausted)


def _look(connection: Connection, names: Mapping[int, str], *, hours: int, now: datetime) -> frozenset[int]:
    spans = usage.list_spans(connection, names, since=now - WINDOW, now=now)
    quota = timedelta(hours=hours)
    found = set()
    for repository_id, name in names.items():
        again_at = free_at(spans.get(repository_id, ()), quota=quota)
        if again_at is None:
            continue
        found.add(repository_id)
        usage.explain(
            connection,
            repository_id,
            f"Waits until about {again_at:%H:%M} UTC: jobs of {name} ran for {hours} hours within one day, which is "
            "all that the operator's policy grants a repository (`quotas.hours_per_day`).",
        )
    return frozenset(found)


def free_at(spans: Sequence[usage.Span], *, quota: timedelta) -> datetime | None:
    """When so much of these times lies a day back that the quota is not used up any more; None where it is not. Pure.

    :param spans: of the last day.
    """
    too_much = sum((end - begin for begin, end in spans), timedelta()) - quota
    if too_much < timedelta():
        return None
    # Time leaves the day in the order in which it was used; what was used at once leaves at once.
    moments = sorted({moment for span in spans for moment in span})
    for begin, end in itertools.pairwise(moments):
        width = sum(first <= begin and end <= last for first, last in spans)
        leaves = width * (end - begin)
        if leaves > too_much:
            return begin + too_much / width + WINDOW
        too_much -= leaves
    return moments[-1] + WINDOW
