"""The newest rows of many repositories, found without looking at those that are older.

A database takes such a list either by walking all rows from the newest on, which is slow where few of them are meant,
or by sorting all that are meant, which is slow where there are many; which of the two it has to guess. Here each
repository is asked for its newest by an index that ends with the rows' order, and these are put together.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Generic, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot.model import build

K = TypeVar("K", str, int)
#: Behind every id: ULIDs begin with a digit.
_END = "Z" * 26
#: So many builds are looked at for repositories that had one lately.
_LATELY = 1_000


class OfEach(Generic[K]):
    """Asks many repositories for the keys of their newest rows."""

    def __init__(self, query: str, *, keys: type[list[K]]) -> None:
        """Keep the query of one repository.

        :param query: selects the key where `repository_id = each.value`, the newest first, at most `:most`.
        :param keys: what a list of them is.
        """
        self._keys: type[list[K]] = keys
        name = query.split()[1]
        self._statements = {
            "sqlite": sa.text(
                f"SELECT each.value, (SELECT json_group_array({name}) FROM ({query})) FROM json_each(:ids) AS each"  # noqa: S608
            ),
            "postgresql": sa.text(
                f"SELECT each.value, (SELECT json_agg(newest.{name})::text FROM ({query}) AS newest)"  # noqa: S608
                " FROM unnest(CAST(:ids AS bigint[])) AS each(value)"
            ),
        }

    def newest(self, connection: Connection, among: Collection[int], *, limit: int, **given: object) -> list[K]:
        """The keys of the newest rows of all of them, the newest first.

        :param given: what the query wants to know beside the repository.
        """
        asked: Iterable[int] = among
        if len(among) > limit:
            # Of no other repository than those with the newest ones there is one among the newest.
            heads = self._ask(connection, among, most=1, **given)
            asked = [of for of, _ in heapq.nlargest(limit, heads, key=lambda head: head[1])]
        each = self._ask(connection, asked, most=limit, **given)
        return heapq.nlargest(limit, itertools.chain.from_iterable(found for _, found in each))

    def heads(self, connection: Connection, among: Iterable[int], *, limit: int, **given: object) -> list[K]:
        """The key of the newest row of each, the newest first."""
        return heapq.nlargest(limit, (of[0] for _, of in self._ask(connection, among, most=1, **given)))

    def _ask(self, connection: Connection, among: Iterable[int], **given: Any) -> list[tuple[int, list[K]]]:
        """Those of the repositories that have such rows, each with the keys of its newest."""
        dialect = connection.dialect.name
        repository_ids = sorted(among)
        ids = repository_ids if dialect == "postgresql" else msgspec.json.encode(repository_ids).decode()
        rows = connection.execute(self._statements[dialect], {"ids": ids, **given})
        found = ((row[0], msgspec.json.decode(row[1] or "[]", type=self._keys)) for row in rows)
        return [(of, keys) for of, keys in found if keys]


_BUILDS = "SELECT id FROM builds WHERE repository_id = each.value AND id < :before{more} ORDER BY id DESC LIMIT :most"
_BUILDS_OF_EACH = OfEach(_BUILDS.format(more=""), keys=list[str])
_BUILDS_IN_STATE = OfEach(_BUILDS.format(more=" AND state = :state"), keys=list[str])


def ids(
    connection: Connection,
    *,
    among: Collection[int],
    limit: int,
    before_id: str | None = None,
    states: Sequence[build.State] = (),
) -> list[str]:
    """The ids of the newest builds of these repositories, the newest first."""
    before = before_id or _END
    if not states:
        return _BUILDS_OF_EACH.newest(connection, among, limit=limit, before=before)
    found = [
        _BUILDS_IN_STATE.newest(connection, among, limit=limit, before=before, state=state.value) for state in states
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
    return _BUILDS_OF_EACH.heads(connection, among, limit=limit, before=_END)
