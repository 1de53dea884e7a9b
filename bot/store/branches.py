"""Queries on what the newest builds of a repository are of: its branches, its pull requests, and how long they took."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot.model import build
from bot.store.schema import builds, pulls

#: So many of the newest builds are looked at, however many there are.
WINDOW = 500


class Brief(msgspec.Struct, frozen=True, kw_only=True):
    """What lists tell of a build."""

    id: str
    event: str
    ref: str
    base_ref: str | None
    head_ref: str | None
    pull_number: int | None
    head_sha: str
    title: str
    state: build.State
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @property
    def seconds(self) -> float | None:
        """How long it ran; None where it has not ended, or never began."""
        if self.started_at is None or self.finished_at is None:
            return None
        return max(0.0, (self.finished_at - self.started_at).total_seconds())


#: What a brief is made of.
COLUMNS = [builds.c[name] for name in Brief.__struct_fields__]


# Made once: making it takes longer than running it.
_OF_REF = (
    sa.select(*COLUMNS)
    .where(builds.c.repository_id == sa.bindparam("of_repository"), builds.c.ref == sa.bindparam("of_ref"))
    .order_by(builds.c.id.desc())
    .limit(sa.bindparam("most", type_=sa.Integer()))
)


def list_of_ref(connection: Connection, *, repository_id: int, ref: str, limit: int) -> list[Brief]:
    """The newest builds of a ref, fully qualified, the newest first."""
    given = {"of_repository": repository_id, "of_ref": ref, "most": limit}
    return [brief(dict(row._mapping)) for row in connection.execute(_OF_REF, given)]


def list_newest(
    connection: Connection, *, repository: str, repository_id: int, before_id: str | None = None, limit: int = WINDOW
) -> list[Brief]:
    """The newest builds of a repository, the newest first.

    :param repository: what it is called, by which its builds are found.
    :param before_id: only those that are older than this one.
    """
    query = (
        sa.select(*COLUMNS)
        .where(builds.c.repository == repository, builds.c.repository_id == repository_id)
        .order_by(builds.c.id.desc())
        .limit(limit)
    )
    if before_id is not None:
        query = query.where(builds.c.id < before_id)
    return [brief(dict(row._mapping)) for row in connection.execute(query)]


def brief(values: Mapping[str, Any]) -> Brief:
    """A brief of a row with `COLUMNS`."""
    return Brief(**{**{column.name: values[column.name] for column in COLUMNS}, "state": build.State(values["state"])})


def of_build(one: build.Build) -> Brief:
    """A brief of what is there whole."""
    return Brief(**{name: getattr(one, name) for name in Brief.__struct_fields__})


def list_closed(connection: Connection, *, repository_id: int, numbers: Collection[int]) -> frozenset[int]:
    """Those of the pull requests that are known to be closed."""
    query = sa.select(pulls.c.number).where(
        pulls.c.repository_id == repository_id, pulls.c.number.in_(sorted(numbers)), pulls.c.state == "closed"
    )
    return frozenset(connection.execute(query).scalars())
