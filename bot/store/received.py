"""A row of deliveries as the value that it stands for; whole, or as lists read it."""

from __future__ import annotations

from typing import Any

import lz4.frame
import sqlalchemy as sa
from sqlalchemy.engine import Row

from bot.model import delivery
from bot.store.schema import deliveries as table

#: What lists read: all but headers and bodies, and what is only looked for.
LISTED = [column for column in table.c if column.name not in {"headers", "body", "body_sha256", "head_sha"}]

#: GitHub's reports on our own check runs come by the dozen, and nothing follows from them.
IS_REPORT = sa.and_(
    table.c.event.in_(("check_run", "check_suite")),
    sa.func.coalesce(table.c.action, "").not_in(("rerequested", "requested_action")),
)


def from_row(row: Row[Any]) -> delivery.Delivery:
    """A row of all columns, or of `LISTED`."""
    values = dict(row._mapping)
    for internal in ("lease_owner", "lease_until", "body_sha256"):
        values.pop(internal, None)
    if "body" in values:
        values["body"] = lz4.frame.decompress(values["body"])
    values["state"] = delivery.State(values["state"])
    return delivery.Delivery(**values)
