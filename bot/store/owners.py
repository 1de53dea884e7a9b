"""Who owns a claimed row: a replica, as long as its lease lasts and it is not known to be silent."""

from __future__ import annotations

import sqlalchemy as sa

from bot.store.columns import Instant
from bot.store.schema import replicas

_now = sa.bindparam("now", type_=Instant())
_SILENT = sa.select(replicas.c.id).where(replicas.c.lease_until < _now)


def is_free(table: sa.FromClause) -> sa.ColumnElement[bool]:
    """Whether nobody owns a row of this table at the bound instant `now`."""
    return sa.or_(table.c.lease_until.is_(None), table.c.lease_until < _now, table.c.lease_owner.in_(_SILENT))


def is_held(table: sa.FromClause) -> sa.ColumnElement[bool]:
    """Whether somebody owns a row of this table at the bound instant `now`."""
    return sa.and_(table.c.lease_until >= _now, table.c.lease_owner.not_in(_SILENT))
