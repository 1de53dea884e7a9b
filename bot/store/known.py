"""Queries on what is known already of things that GitHub names: the reconcilers ask before they take something in."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime

import lz4.frame
import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot.model import build, delivery
from bot.store.schema import builds, deliveries

#: A statement may not bear any number of values.
_AT_ONCE = 500
#: So many of a repository's pushes are looked into.
_MOST_PUSHES = 200
_UNFINISHED = sa.text("deliveries.state IN ('received', 'handling', 'retrying')")


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What was built of a commit."""

    event: str
    ref: str
    trust: build.Trust
    state: build.State


class _Push(msgspec.Struct):
    ref: str = ""
    after: str = ""


def guids(connection: Connection, asked: Collection[str]) -> frozenset[str]:
    """Those of the delivery ids that are in the inbox, in whatever state."""
    found: set[str] = set()
    for some in _chunks(sorted(asked)):
        found.update(connection.execute(sa.select(deliveries.c.id).where(deliveries.c.id.in_(some))).scalars())
    return frozenset(found)


def has_unfinished(connection: Connection, *, repository_id: int) -> bool:
    """Whether a delivery about the repository has still to be handled."""
    query = sa.select(deliveries.c.seq).where(_UNFINISHED, deliveries.c.repository_id == repository_id).limit(1)
    return connection.execute(query).first() is not None


def heads(connection: Connection, *, repository_id: int, head_sha: str) -> list[Head]:
    """The builds of a commit, newest generation first."""
    query = (
        sa.select(builds.c.event, builds.c.ref, builds.c.trust, builds.c.state)
        .where(builds.c.repository_id == repository_id, builds.c.head_sha == head_sha)
        .order_by(builds.c.generation.desc())
    )
    return [
        Head(event=row.event, ref=row.ref, trust=build.Trust(row.trust), state=build.State(row.state))
        for row in connection.execute(query)
    ]


def pushes(connection: Connection, *, repository_id: int, since: datetime) -> frozenset[tuple[str, str]]:
    """The ref and the new head of each push that was received since then: of the newest ones, if there are many."""
    query = (
        sa.select(deliveries.c.headers, deliveries.c.body)
        .where(
            deliveries.c.received_at >= since,
            deliveries.c.repository_id == repository_id,
            deliveries.c.event == "push",
        )
        .order_by(deliveries.c.received_at.desc())
        .limit(_MOST_PUSHES)
    )
    return frozenset(_moved(row.headers, lz4.frame.decompress(row.body)) for row in connection.execute(query))


def _moved(headers: dict[str, str], body: bytes) -> tuple[str, str]:
    try:
        push = msgspec.json.decode(delivery.payload(headers=headers, body=body), type=_Push)
    except (ValueError, msgspec.MsgspecError):
        return ("", "")
    return push.ref, push.after


def _chunks(values: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(values), _AT_ONCE):
        yield values[start : start + _AT_ONCE]
