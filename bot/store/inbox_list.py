"""The newest deliveries of an event, a repository or a state: found by an index, however many there are.

A delivery gets into these indexes when its handling ends, so that what stands at the door does not pay for lists. What
is still to be handled is looked through as it is: the inbox's bound keeps it few.

What is read first is the order alone. All of it is in the index, so that no database can think that to walk all rows
from the newest on would be less work: it is where there are many, and takes as long as there are rows where there is
none.
"""

from __future__ import annotations

import functools
import heapq
from collections.abc import Collection, Iterable

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot.model import delivery
from bot.store import due, newest, received
from bot.store.schema import deliveries as table

_SETTLED_STATES = sorted(set(delivery.State) - delivery.UNFINISHED)
_OF_EACH = (
    "SELECT seq FROM deliveries WHERE repository_id = each.value AND state = :state AND seq < :before"
    " AND state IN ('handled', 'ignored', 'parked'){more} ORDER BY seq DESC LIMIT :most"
)
#: As `received.IS_REPORT` has it.
_NO_REPORT = " AND (event NOT IN ('check_run', 'check_suite') OR action IN ('rerequested', 'requested_action'))"
#: Behind every delivery.
_END = 2**63 - 1


@functools.cache
def _of_each(*, has_event: bool, has_repository: bool, has_reports: bool) -> newest.OfEach[int]:
    """The newest of each of many repositories; a condition that is always true would mislead who plans the query."""
    more = (" AND event = :event" if has_event else "") + (" AND repository = :repository" if has_repository else "")
    return newest.OfEach(_OF_EACH.format(more=more + ("" if has_reports else _NO_REPORT)), keys=list[int])


def list_newest(
    connection: Connection,
    *,
    limit: int,
    before_seq: int | None = None,
    state: delivery.State | None = None,
    event: str | None = None,
    repository: str | None = None,
    among: Collection[int] | None = None,
    has_reports: bool = True,
) -> list[delivery.Delivery]:
    """The newest deliveries first (of these repositories; with GitHub's reports or without), no headers, no bodies."""
    before = _END if before_seq is None else before_seq
    seqs = sa.select(table.c.seq).where(table.c.seq < before).order_by(table.c.seq.desc()).limit(limit)
    if not has_reports:
        seqs = seqs.where(~received.IS_REPORT)
    if state is None and event is None and repository is None and among is None:
        return _rows(connection, connection.scalars(seqs), limit=limit)
    if event is not None:
        seqs = seqs.where(table.c.event == event)
    if repository is not None:
        seqs = seqs.where(table.c.repository == repository)
    found = list[int]()
    if state is None or state in delivery.UNFINISHED:
        unfinished = seqs.where(due.UNFINISHED)
        if state is not None:
            unfinished = unfinished.where(table.c.state == state)
        if among is not None:
            unfinished = unfinished.where(table.c.repository_id.in_(sorted(among)))
        found += connection.scalars(unfinished)
    for settled in _SETTLED_STATES if state is None else {state} - delivery.UNFINISHED:
        if among is None:
            found += connection.scalars(seqs.where(due.SETTLED, table.c.state == settled))
        else:
            wanted = {"event": event, "repository": repository}
            given = {name: value for name, value in wanted.items() if value is not None}
            of_each = _of_each(
                has_event=event is not None, has_repository=repository is not None, has_reports=has_reports
            )
            found += of_each.newest(connection, among, limit=limit, state=settled.value, before=before, **given)
    return _rows(connection, found, limit=limit)


def _rows(connection: Connection, seqs: Iterable[int], *, limit: int) -> list[delivery.Delivery]:
    newest_ones = heapq.nlargest(limit, seqs)
    query = sa.select(*received.LISTED).where(table.c.seq.in_(newest_ones)).order_by(table.c.seq.desc())
    return [received.from_row(row) for row in connection.execute(query)]
