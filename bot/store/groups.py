"""Queries on concurrency groups: whose turn it is among the builds of a repository of which one runs at a time."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa
from msgspec.structs import replace
from sqlalchemy.engine import Connection

from bot.model import build
from bot.store import hints
from bot.store.schema import builds as table

# Written out, not bound: only then does SQLite see that the partial index holds them.
_IS_MEMBER = sa.text("builds.concurrency_group IS NOT NULL AND builds.state IN ('waiting', 'queued', 'running')")
_IS_PEER = sa.text("peer.concurrency_group IS NOT NULL AND peer.state IN ('waiting', 'queued', 'running')")
_peer = table.alias("peer")


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """The place of a new build in its group."""

    #: With its turn, and where it waits with the reason.
    build: build.Build
    #: The builds that it takes the place of: they are to be cancelled.
    replaced_ids: tuple[str, ...] = ()

    @property
    def replaced_reason(self) -> str:
        """Why they are cancelled, a sentence for people."""
        return f"Superseded by build {self.build.id} of the same concurrency group."


def find_place(connection: Connection, new: build.Build) -> Place:
    """The place of a build that is about to be inserted; the caller holds the lock of its repository.

    The first of a group runs. Of those behind it only the newest waits, and where it ends what is in progress not even
    the first is left; it begins when that has ended.
    https://docs.github.com/en/actions/how-tos/write-workflows/choose-when-workflows-run/control-workflow-concurrency
    """
    if new.concurrency_group is None or new.state != build.State.QUEUED:
        return Place(build=replace(new, concurrency_turn=None))
    query = (
        sa.select(table.c.id, table.c.concurrency_turn)
        .where(
            _IS_MEMBER,
            table.c.repository_id == new.repository_id,
            table.c.concurrency_group == new.concurrency_group,
            table.c.concurrency_turn.is_not(None),
        )
        .order_by(table.c.concurrency_turn)
    )
    there = connection.execute(query).all()
    if not there:
        return Place(build=replace(new, concurrency_turn=1))
    placed = replace(
        new,
        concurrency_turn=there[-1].concurrency_turn + 1,
        reason=f"Waits for build {there[0].id} of the same concurrency group.",
    )
    replaced = there if new.cancel_in_progress else there[1:]
    return Place(build=placed, replaced_ids=tuple(one.id for one in replaced))


def leave(connection: Connection, ended: build.Build) -> None:
    """Say to all replicas that a build has left its group: the next one's turn has come, and it waits no longer."""
    if ended.concurrency_group is None:
        return
    connection.execute(
        sa.update(table)
        .where(
            _IS_MEMBER,
            table.c.repository_id == ended.repository_id,
            table.c.concurrency_group == ended.concurrency_group,
            table.c.state == build.State.QUEUED,
            table.c.concurrency_turn == _first_turn(table),
            table.c.reason.is_not(None),
        )
        .values(reason=None)
    )
    hints.give(connection, hints.Word.JOBS)


def has_turn(of_build: sa.FromClause) -> sa.ColumnElement[bool]:
    """Whether a build may run: it is in no group, or no build is before it. Once true it stays so.

    Turns are given under the lock of the repository, so whoever sees a build sees all that are before it.
    """
    return sa.or_(
        of_build.c.concurrency_turn.is_(None),
        of_build.c.concurrency_turn <= _first_turn(of_build),
    )


def _first_turn(of_build: sa.FromClause) -> sa.ScalarSelect[int]:
    # Not `EXISTS`: see `bot.store.checks`.
    return (
        sa.select(sa.func.min(_peer.c.concurrency_turn))
        .where(
            _IS_PEER,
            _peer.c.repository_id == of_build.c.repository_id,
            _peer.c.concurrency_group == of_build.c.concurrency_group,
        )
        .correlate(of_build)
        .scalar_subquery()
    )
