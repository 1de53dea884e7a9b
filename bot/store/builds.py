"""Queries on builds."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from msgspec.structs import asdict, replace
from sqlalchemy.engine import Connection, Row

from bot import errors
from bot.model import approval, build, job
from bot.store import newest
from bot.store.schema import builds as table
from bot.store.schema import jobs

# Written out, not bound: only then does SQLite see that the partial index holds them.
_ACTIVE_JOB = sa.text("jobs.state IN ('waiting', 'queued', 'starting', 'running')")
_NOT_FINAL = ~table.c.state.in_(sorted(build.FINAL))


_of_repository = table.c.repository_id == sa.bindparam("of_repository")
_of_head = table.c.head_sha == sa.bindparam("of_head")
# Made once: making them takes longer than running them.
_INSERT = sa.insert(table)
_BY_ID = sa.select(table).where(table.c.id == sa.bindparam("of_id"))
_LATEST = sa.select(table).where(_of_repository, _of_head).order_by(table.c.generation.desc()).limit(1)
_LATEST_GENERATION = sa.select(sa.func.max(table.c.generation)).where(_of_repository, _of_head)
_BY_CAUSE = sa.select(table).where(_of_repository, table.c.cause == sa.bindparam("of_cause"))
#: What is written is given when it is run.
_WRITE = sa.update(table).where(table.c.id == sa.bindparam("of_id"))


def insert(connection: Connection, new: build.Build) -> build.Build:
    """Insert a build as the next generation of its head SHA; gives it back with that generation."""
    stored = replace(new, generation=latest_generation(connection, new) + 1)
    values = asdict(stored)
    values |= {"problems": stored.problems, "proposal": stored.proposal, "payload": stored.payload}
    connection.execute(_INSERT, values)
    return stored


def latest_generation(connection: Connection, new: build.Build) -> int:
    """The generation of the newest build of the same head, 0 for none."""
    bound = {"of_repository": new.repository_id, "of_head": new.head_sha}
    return connection.execute(_LATEST_GENERATION, bound).scalar_one() or 0


def find(connection: Connection, build_id: str) -> build.Build | None:
    """The build, or None."""
    row = connection.execute(_BY_ID, {"of_id": build_id}).first()
    return None if row is None else _from_row(row)


def get(connection: Connection, build_id: str) -> build.Build:
    """:raises errors.NotFound: if there is no such build."""
    found = find(connection, build_id)
    if found is None:
        raise errors.NotFound(f"There is no build {build_id}.")
    return found


def list_by_ids(connection: Connection, build_ids: Sequence[str]) -> list[build.Build]:
    """Those of the builds that are there, oldest first."""
    if not build_ids:
        return []
    query = sa.select(table).where(table.c.id.in_(build_ids)).order_by(table.c.id)
    return [_from_row(row) for row in connection.execute(query)]


def find_latest(connection: Connection, *, repository_id: int, head_sha: str) -> build.Build | None:
    """The newest generation for a head SHA."""
    row = connection.execute(_LATEST, {"of_repository": repository_id, "of_head": head_sha}).first()
    return None if row is None else _from_row(row)


def find_by_cause(connection: Connection, *, repository_id: int, cause: str) -> build.Build | None:
    """The build that this cause already made."""
    row = connection.execute(_BY_CAUSE, {"of_repository": repository_id, "of_cause": cause}).first()
    return None if row is None else _from_row(row)


def list_newest(
    connection: Connection,
    *,
    limit: int,
    before_id: str | None = None,
    repository: str | None = None,
    states: Sequence[build.State] = (),
    ref: str | None = None,
    pull_number: int | None = None,
    head_ref: str | None = None,
    head_sha: str | None = None,
    among: Collection[int] | None = None,
) -> list[build.Build]:
    """The newest builds first (ids sort by time).

    :param head_ref: only those of pull requests from a branch of this name, in whichever repository.
    :param head_sha: only those of this commit.
    :param among: only those of these repositories.
    """
    if among is not None and {repository, ref, pull_number, head_ref, head_sha} == {None}:
        found = newest.ids(connection, among=among, limit=limit, before_id=before_id, states=states)
        return list_by_ids(connection, found)[::-1]
    if len(states) > 1:
        # One by one: for several at once SQLite may look at every build there is.
        each = [
            list_newest(
                connection,
                limit=limit,
                before_id=before_id,
                repository=repository,
                states=(state,),
                ref=ref,
                pull_number=pull_number,
                head_ref=head_ref,
                head_sha=head_sha,
                among=among,
            )
            for state in states
        ]
        return heapq.nlargest(limit, itertools.chain(*each), key=lambda one: one.id)
    query = sa.select(table).order_by(table.c.id.desc()).limit(limit)
    # There are few builds of a commit or of a branch's name: no other index is taken then.
    is_of_head = head_ref is not None or head_sha is not None
    words, number = (_apart, _apart_number) if is_of_head else (_as_it_is, _as_it_is)
    if before_id is not None:
        query = query.where(table.c.id < before_id)
    if repository is not None:
        query = query.where(words(table.c.repository) == repository)
    if states:
        query = query.where(words(table.c.state) == states[0])
    if ref is not None:
        query = query.where(words(table.c.ref) == ref)
    if pull_number is not None:
        query = query.where(number(table.c.pull_number) == pull_number)
    if head_sha is not None:
        query = query.where(table.c.head_sha == head_sha)
    if head_ref is not None:
        its_name = table.c.head_ref if head_sha is None else _apart(table.c.head_ref)
        query = query.where(its_name == head_ref, table.c.pull_number.is_not(None))
    if among is not None and len(among) == 1 and not is_of_head:
        query = query.where(table.c.repository_id.in_(among))
    elif among is not None:
        # Added to, so that no index on it is taken: all of them would be sorted.
        query = query.where(_apart_number(table.c.repository_id).in_(sorted(among)))
    return [_from_row(row) for row in connection.execute(query)]


def _as_it_is(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    return column


def _apart(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """The same text, of which no index knows."""
    return column.concat("")


def _apart_number(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """The same number, of which no index knows."""
    return column + 0


def list_of_delivery(connection: Connection, delivery_id: str) -> list[build.Build]:
    """The builds that a delivery made."""
    query = sa.select(table).where(table.c.delivery_id == delivery_id).order_by(table.c.id)
    return [_from_row(row) for row in connection.execute(query)]


def list_unfinished(
    connection: Connection,
    *,
    repository_id: int | None = None,
    head_sha: str | None = None,
    pull_number: int | None = None,
    ref: str | None = None,
    except_head_sha: str | None = None,
    installation_id: int | None = None,
) -> list[build.Build]:
    """Builds that have not ended and match every given field."""
    query = sa.select(table).where(_NOT_FINAL).order_by(table.c.id)
    if repository_id is not None:
        query = query.where(table.c.repository_id == repository_id)
    if head_sha is not None:
        query = query.where(table.c.head_sha == head_sha)
    if pull_number is not None:
        query = query.where(table.c.pull_number == pull_number)
    if ref is not None:
        query = query.where(table.c.ref == ref)
    if except_head_sha is not None:
        query = query.where(table.c.head_sha != except_head_sha)
    if installation_id is not None:
        query = query.where(table.c.installation_id == installation_id)
    return [_from_row(row) for row in connection.execute(query)]


def repositories_of(connection: Connection, repository_ids: Collection[int]) -> set[int]:
    """Those of the repositories that have builds."""
    query = sa.select(table.c.repository_id).where(table.c.repository_id.in_(sorted(repository_ids))).distinct()
    return set(connection.execute(query).scalars())


def list_stopped(
    connection: Connection,
    *,
    reason: str,
    since: datetime,
    installation_id: int | None = None,
    repository_ids: Collection[int] | None = None,
) -> list[build.Build]:
    """Builds that somebody wanted cancelled for this reason since an instant, each the newest of its head.

    One whose jobs all had their results before the wish came to anything was not stopped by it.

    :param repository_ids: None for all repositories.
    """
    newer = table.alias("newer")
    query = (
        sa.select(table)
        .where(
            table.c.id.in_(
                sa.select(jobs.c.build_id).where(
                    jobs.c.cancel_reason == reason,
                    jobs.c.cancel_requested_at >= since,
                    jobs.c.state.not_in(sorted(job.DECIDED)),
                )
            ),
            ~sa.exists().where(
                newer.c.repository_id == table.c.repository_id,
                newer.c.head_sha == table.c.head_sha,
                newer.c.generation > table.c.generation,
            ),
        )
        .order_by(table.c.id)
    )
    if installation_id is not None:
        query = query.where(table.c.installation_id == installation_id)
    if repository_ids is not None:
        query = query.where(table.c.repository_id.in_(sorted(repository_ids)))
    return [_from_row(row) for row in connection.execute(query)]


def save_proposal(connection: Connection, build_id: str, proposal: approval.Proposal) -> None:
    """Write what a build that waits proposes."""
    connection.execute(sa.update(table).where(table.c.id == build_id).values(proposal=proposal))


def save_state(
    connection: Connection,
    build_id: str,
    *,
    state: build.State,
    started_at: datetime | None,
    finished_at: datetime | None,
    reason: str | None = None,
    forgets_reason: bool = False,
) -> None:
    """Write the verdict over a build's jobs; a reason is kept where none is given, unless it holds no longer."""
    values: dict[str, Any] = {"state": state, "started_at": started_at, "finished_at": finished_at}
    if reason is not None or forgets_reason:
        values["reason"] = reason
    connection.execute(_WRITE, {**values, "of_id": build_id})


def list_old_ids(
    connection: Connection, *, before: datetime, limit: int, installation_id: int | None = None
) -> list[str]:
    """The ids of ended builds made before an instant, oldest first.

    :param installation_id: only those of this installation.
    """
    query = sa.select(table.c.id).where(table.c.created_at < before, ~_NOT_FINAL).order_by(table.c.id).limit(limit)
    if installation_id is not None:
        query = query.where(table.c.installation_id == installation_id)
    return list(connection.execute(query).scalars())


def delete_finished(
    connection: Connection, *, before: datetime, limit: int, installation_id: int | None = None
) -> tuple[int, list[str]]:
    """Delete ended builds made before an instant, with their jobs and checks.

    :param installation_id: only those of this installation.
    :return: how many builds are gone, and the ids of their jobs.
    """
    old = list_old_ids(connection, before=before, limit=limit, installation_id=installation_id)
    gone = list(connection.execute(sa.select(jobs.c.id).where(jobs.c.build_id.in_(old))).scalars())
    connection.execute(sa.delete(table).where(table.c.id.in_(old)))
    return len(old), gone


def list_repository_ids(connection: Connection) -> frozenset[int]:
    """The repositories that there are builds of."""
    return frozenset(connection.execute(sa.select(table.c.repository_id).distinct()).scalars())


def count_jobs_by_state(connection: Connection) -> dict[job.State, int]:
    """How many unfinished jobs are in each state."""
    rows = connection.execute(sa.select(jobs.c.state, sa.func.count()).where(_ACTIVE_JOB).group_by(jobs.c.state))
    return {job.State(row[0]): row[1] for row in rows}


def _from_row(row: Row[Any]) -> build.Build:
    values = dict(row._mapping)
    values["state"] = build.State(values["state"])
    values["trust"] = build.Trust(values["trust"])
    return build.Build(**values)
