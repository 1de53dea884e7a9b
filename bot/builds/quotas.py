"""Quotas: how much of the machines one repository may take, so that none takes them from the others, or for mining."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from sqlalchemy.engine import Connection

from bot import policy
from bot.store import Store, usage

WINDOW = timedelta(hours=24)
#: How long an answer counts: adding up a day of jobs before each start would be dear, and an hour has many of these.
LOOK = timedelta(seconds=10)


class Quotas:
    """What the policy grants each repository, and who has used it up."""

    def __init__(self, store: Store, rules: policy.Quotas, *, now: Callable[[], datetime]) -> None:
        self._store = store
        self._hours = rules.hours_per_day
        self._now = now
        self._looked_at: datetime | None = None
        self._exhausted: frozenset[int] = frozenset()
        #: How many jobs of one repository may run at once, over all replicas; None for as many as there are places.
        self.jobs = rules.jobs

    async def exhausted(self) -> frozenset[int]:
        """The ids of repositories of which no job is to start now; why is written with the jobs that wait."""
        now = self._now()
        if self._hours is None or (self._looked_at is not None and now - self._looked_at < LOOK):
            return self._exhausted
        if await self._store.read(usage.list_waiting):
            self._exhausted = await self._store.write(_settle, hours=self._hours, now=now)
        self._looked_at = now
        return self._exhausted


def _settle(connection: Connection, *, hours: int, now: datetime) -> frozenset[int]:
    waiting = usage.list_waiting(connection)
    spans = usage.list_spans(connection, waiting, since=now - WINDOW, now=now)
    quota = timedelta(hours=hours)
    found = set()
    for repository_id, name in waiting.items():
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
