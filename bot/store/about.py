"""Queries on all that there is about one delivery, commit or pull request, for the answer to why it was not built."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot.model import build, delivery, job
from bot.store import due, received
from bot.store.schema import IS_OF_PULL, builds, deliveries, jobs

_PREFIX = re.compile(r"[0-9a-f]{7,64}", re.ASCII)
#: Behind every text that a SHA can go on with.
_BEHIND = "g"
# Written out, not bound: only then does SQLite see that the partial index holds them.
_ACTIVE_JOB = sa.text("jobs.state IN ('waiting', 'queued', 'starting', 'running')")


def _is_among(table: sa.Table, among: Collection[int] | None) -> sa.ColumnElement[bool]:
    return sa.true() if among is None else table.c.repository_id.in_(sorted(among))


class Queue(msgspec.Struct, frozen=True, kw_only=True):
    """What stands before a delivery that still has to be handled."""

    #: Deliveries that came before it and are not handled yet; of those that whoever asks may hear of.
    ahead: int
    #: An earlier one about the same ref, pull request or commit, which it has to wait for.
    held_by: str | None


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What stands before the jobs of a build."""

    #: Jobs that are on an engine.
    running: int
    #: Jobs of older builds that may start as soon as there is a place.
    ahead: int
    #: False where only jobs are counted that whoever asks may see: others may be there.
    is_whole: bool = True


def list_shas(connection: Connection, prefix: str, *, limit: int, among: Collection[int] | None = None) -> list[str]:
    """The commits that begin like this, of deliveries and builds; none where it cannot begin a SHA.

    :param among: only those of these repositories.
    """
    if not _PREFIX.fullmatch(prefix):
        return []
    found: set[str] = set()
    for table in (deliveries, builds):
        column = table.c.head_sha
        query = sa.select(column).where(column >= prefix, column < prefix + _BEHIND, _is_among(table, among))
        query = query.distinct().order_by(column)
        found.update(connection.execute(query.limit(limit)).scalars())
    return sorted(found)[:limit]


def list_of_head(
    connection: Connection, head_sha: str, *, limit: int, among: Collection[int] | None = None
) -> list[delivery.Delivery]:
    """The newest deliveries about a commit first, without GitHub's reports on our own check runs.

    :param among: only those of these repositories.
    """
    query = _NEWEST.where(deliveries.c.head_sha == head_sha, ~received.IS_REPORT, _is_among(deliveries, among)).limit(
        limit
    )
    return [received.from_row(row) for row in connection.execute(query)]


def list_of_pull(connection: Connection, *, repository_id: int, number: int, limit: int) -> list[delivery.Delivery]:
    """The newest deliveries about a pull request first."""
    # As `bot.webhooks.ordering` makes it.
    query = _NEWEST.where(IS_OF_PULL, deliveries.c.ordering_key == f"pull:{repository_id}:{number}").limit(limit)
    return [received.from_row(row) for row in connection.execute(query)]


def list_builds_of_head(
    connection: Connection, head_sha: str, *, limit: int, among: Collection[int] | None = None
) -> list[str]:
    """The ids of the newest builds of a commit first, of every repository that has it.

    :param among: only those of these repositories.
    """
    query = sa.select(builds.c.id).where(builds.c.head_sha == head_sha, _is_among(builds, among))
    return list(connection.execute(query.order_by(builds.c.id.desc()).limit(limit)).scalars())


def list_builds_of_pull(connection: Connection, *, repository_id: int, number: int, limit: int) -> list[str]:
    """The ids of the newest builds of a pull request first."""
    of_pull = sa.and_(builds.c.repository_id == repository_id, builds.c.pull_number == number)
    query = sa.select(builds.c.id).where(of_pull).order_by(builds.c.id.desc()).limit(limit)
    return list(connection.execute(query).scalars())


def find_repository(connection: Connection, full_name: str) -> tuple[int, int | None] | None:
    """The repository's id and its installation's, as last heard of under this name; None if it never was."""
    for table, order in ((builds, builds.c.id), (deliveries, deliveries.c.seq)):
        row = connection.execute(
            sa.select(table.c.repository_id, table.c.installation_id)
            .where(table.c.repository == full_name, table.c.repository_id.is_not(None))
            .order_by(order.desc())
            .limit(1)
        ).first()
        if row is not None:
            return row.repository_id, row.installation_id
    return None


def newest_at(connection: Connection) -> datetime | None:
    """When the newest delivery of all came."""
    query = sa.select(deliveries.c.received_at).order_by(deliveries.c.seq.desc()).limit(1)
    return connection.execute(query).scalar()


def queue(connection: Connection, waiting: delivery.Delivery, *, among: Collection[int] | None = None) -> Queue:
    """What stands before a delivery.

    :param among: only deliveries about these repositories are counted.
    """
    before = sa.and_(due.UNFINISHED, deliveries.c.seq < waiting.seq)
    same = sa.and_(before, deliveries.c.ordering_key == waiting.ordering_key)
    seen = sa.and_(before, _is_among(deliveries, among))
    return Queue(
        ahead=connection.execute(sa.select(sa.func.count()).select_from(deliveries).where(seen)).scalar_one(),
        held_by=connection.execute(
            sa.select(deliveries.c.id).where(same).order_by(deliveries.c.seq.desc()).limit(1)
        ).scalar(),
    )


def load(connection: Connection, waiting: build.Build, *, among: Collection[int] | None = None) -> Load:
    """What stands before the jobs of a build.

    :param among: only jobs of these repositories are counted.
    """
    count = sa.select(sa.func.count()).select_from(jobs).where(_ACTIVE_JOB)
    if among is not None:
        count = count.join(builds, builds.c.id == jobs.c.build_id).where(_is_among(builds, among))
    is_ahead = sa.and_(jobs.c.state == job.State.QUEUED, jobs.c.build_id < waiting.id)
    return Load(
        running=connection.execute(count.where(jobs.c.state.in_(sorted(job.ON_ENGINE)))).scalar_one(),
        ahead=connection.execute(count.where(is_ahead)).scalar_one(),
        is_whole=among is None,
    )


_NEWEST = sa.select(*received.LISTED).order_by(deliveries.c.seq.desc())
