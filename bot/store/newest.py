"""The newest builds of many repositories, found without looking at those that are older.

A database takes such a list either by walking all builds from the newest on, which is slow where few of them are
meant, or by sorting all that are meant, which is slow where there are many; which of the two it has to guess. Here each
repository is asked for its newest by an index that ends with the id, and these are put together.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Collection, Iterable, Sequence

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot.model import build

#: Behind every id: ULIDs begin with a digit.
_END = "Z" * 26
#: So many builds are looked at for repositories that had one lately.
_LATELY = 1_000
_OF_EACH = "SELECT id FROM builds WHERE repository_id = each.value AND id < :before{more} ORDER BY id DESC LIMIT :most"
_IN_STATE = " AND state = :state"


def _statements(more: str) -> dict[str, sa.TextClause]:
    newest = _OF_EACH.format(more=more)
    return {
        "sqlite": sa.text(
            f"SELECT each.value, (SELECT json_group_array(id) FROM ({newest})) FROM json_each(:ids) AS each"  # noqa: S608
        ),
        "postgresql": sa.text(
            f"SELECT each.value, (SELECT json_agg(newest.id)::text FROM ({newest}) AS newest)"  # noqa: S608
            " FROM unnest(CAST(:ids AS bigint[])) AS each(value)"
        ),
    }


_NEWEST = _statements("")
_NEWEST_IN_STATE = _statements(_IN_STATE)


def ids(
    connection: Connection,
    *,
    among: Collection[int],
    limit: int,
    before_id: str | None = None,
    states: Sequence[build.State] = (),
) -> list[str]:
    """The ids of the newest builds of these repositories, the newest first."""
    found: list[list[str]] = [
        _in_state(connection, among=among, limit=limit, before_id=before_id, state=state) for state in states or (None,)
    ]
    return list(itertools.islice(heapq.merge(*found, reverse=True), limit))


def heads(connection: Connection, *, among: Collection[int] | None, limit: int) -> list[str]:
    """The newest build of each repository, the newest first: of those that had one lately, where all are meant."""
    if among is None:
        lately = sa.text(
            "SELECT DISTINCT repository_id"
            " FROM (SELECT repository_id FROM builds ORDER BY id DESC LIMIT :most) AS lately"
        )
        among = list(connection.execute(lately, {"most": _LATELY}).scalars())
    found = _of_each(connection, among, most=1, before_id=None, state=None)
    return heapq.nlargest(limit, (of[0] for _, of in found))


def _in_state(
    connection: Connection, *, among: Collection[int], limit: int, before_id: str | None, state: build.State | None
) -> list[str]:
    asked: Iterable[int] = among
    if len(among) > limit:
        # Of no other repository than those with the newest ones there is one among the newest.
        heads = _of_each(connection, among, most=1, before_id=before_id, state=state)
        asked = [of for of, _ in heapq.nlargest(limit, heads, key=lambda head: head[1])]
    each = _of_each(connection, asked, most=limit, before_id=before_id, state=state)
    return heapq.nlargest(limit, itertools.chain.from_iterable(found for _, found in each))


def _of_each(
    connection: Connection, among: Iterable[int], *, most: int, before_id: str | None, state: build.State | None
) -> list[tuple[int, list[str]]]:
    """Those of the repositories that have such builds, each with its newest."""
    dialect = connection.dialect.name
    repository_ids = sorted(among)
    given = {
        "ids": repository_ids if dialect == "postgresql" else msgspec.json.encode(repository_ids).decode(),
        "before": before_id or _END,
        "most": most,
    }
    statement = (_NEWEST if state is None else _NEWEST_IN_STATE)[dialect]
    rows = connection.execute(statement, given if state is None else {**given, "state": state.value})
    found = ((row[0], msgspec.json.decode(row[1] or "[]", type=list[str])) for row in rows)
    return [(of, ids) for of, ids in found if ids]
