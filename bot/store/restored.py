"""Queries for what follows a restore: what has to be compared with GitHub, and what the comparison says."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot.model import delivery
from bot.store.schema import checks as checks_table
from bot.store.schema import deliveries as deliveries_table

_OPEN_CHECK = sa.or_(
    checks_table.c.reported_version < checks_table.c.desired_version,
    checks_table.c.reported_status.is_distinct_from("completed"),
)
_UNFINISHED_DELIVERY = sa.text("deliveries.state IN ('received', 'handling', 'retrying')")


class Head(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A commit of which something has to be compared with GitHub."""

    repository_id: int
    head_sha: str
    installation_id: int
    #: `owner/name`: a label.
    repository: str


def list_open_heads(connection: Connection) -> list[Head]:
    """The commits with a check that may have to be told, or was not told to have ended."""
    table = checks_table.c
    query = (
        sa.select(table.repository_id, table.head_sha, table.installation_id, table.repository)
        .where(_OPEN_CHECK)
        .distinct()
        .order_by(table.repository_id, table.head_sha)
    )
    return [Head(**row._mapping) for row in connection.execute(query)]


def list_deliveries(connection: Connection, *, until: datetime) -> list[str]:
    """The ids of deliveries received until an instant that are not handled yet, in their order."""
    query = (
        sa.select(deliveries_table.c.id)
        .where(_UNFINISHED_DELIVERY, deliveries_table.c.received_at <= until)
        .order_by(deliveries_table.c.seq)
    )
    return list(connection.execute(query).scalars())


def adopt_check(connection: Connection, check_id: int, *, github_id: int | None) -> None:
    """Write which check run on GitHub a check is, or that GitHub has none."""
    _write_check(connection, check_id, github_id=github_id)


def settle_check(
    connection: Connection,
    check_id: int,
    *,
    github_id: int | None,
    status: str | None,
    now: datetime,
    error: str | None,
) -> None:
    """Write that nothing is to be told of a check: GitHub keeps what it has."""
    _write_check(
        connection,
        check_id,
        github_id=github_id,
        reported_version=checks_table.c.desired_version,
        reported_status=status,
        reported_at=now if status == "completed" else None,
        error=error,
    )


def _write_check(connection: Connection, check_id: int, **values: Any) -> None:
    connection.execute(
        sa.update(checks_table)
        .where(checks_table.c.id == check_id)
        .values(
            attempts=0,
            next_attempt_at=None,
            create_begun_at=None,
            lease_owner=None,
            lease_until=None,
            epoch=checks_table.c.epoch + 1,
            **values,
        )
    )


def settle_delivery(connection: Connection, delivery_id: str, *, reason: str, now: datetime) -> None:
    """Write that nothing follows from a delivery any more."""
    connection.execute(
        sa.update(deliveries_table)
        .where(deliveries_table.c.id == delivery_id, _UNFINISHED_DELIVERY)
        .values(
            state=delivery.State.IGNORED,
            reason=reason,
            trail=(reason,),
            handled_at=now,
            next_attempt_at=None,
            lease_owner=None,
            lease_until=None,
            epoch=deliveries_table.c.epoch + 1,
        )
    )
