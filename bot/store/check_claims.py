"""The queries that claim checks which have to be sent, made once: making them takes longer than running them."""

from __future__ import annotations

import sqlalchemy as sa

from bot.store import budgets, gathering, owners
from bot.store.columns import Instant
from bot.store.schema import checks as table

IS_STALE = table.c.reported_version < table.c.desired_version
_older = table.alias("older")
_newer = table.alias("newer")
_now = sa.bindparam("now", type_=Instant())


def _is_there(other: sa.FromClause, *conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """Whether another generation of the same slot meets the conditions.

    Not `EXISTS`: a database that knows little of the table yet would join all stale rows with all others for it.
    """
    is_same_slot = (
        other.c.repository_id == table.c.repository_id,
        other.c.head_sha == table.c.head_sha,
        other.c.name == table.c.name,
    )
    return sa.select(sa.func.min(other.c.id)).where(*is_same_slot, *conditions).scalar_subquery().is_not(None)


_IS_HELD_BACK = _is_there(
    _older,
    _older.c.generation < table.c.generation,
    # One that is there already can only be updated, and that leaves the newest run of a name what it is.
    _older.c.github_id.is_(None),
    sa.or_(_older.c.reported_version < _older.c.desired_version, owners.is_held(_older)),
)
_HAS_NEWER = _is_there(_newer, _newer.c.generation > table.c.generation)
#: Conclusions go first, then what GitHub does not show at all, then progress.
_PRIORITY = sa.case((table.c.is_conclusion, 0), (table.c.github_id.is_(None), 1), else_=2)
_IS_DUE = sa.and_(
    IS_STALE,
    sa.or_(table.c.next_attempt_at.is_(None), table.c.next_attempt_at <= _now),
    owners.is_free(table),
)
#: Progress that comes soon after something else becomes one with what follows.
_IS_PROGRESS_DUE = sa.and_(
    sa.or_(table.c.sent_at.is_(None), table.c.sent_at <= sa.bindparam("progress_since", type_=Instant())),
    budgets.is_easy(table),
)
_READY = (
    sa.select(
        table.c.id,
        table.c.installation_id,
        _PRIORITY.label("priority"),
        sa.func.row_number().over(partition_by=(table.c.repository_id, _PRIORITY), order_by=table.c.id).label("place"),
    )
    .where(
        _IS_DUE,
        budgets.is_open(table),
        budgets.is_affordable(table, since=table.c.wanted_at),
        budgets.is_quiet(table),
        sa.or_(_PRIORITY < 2, _IS_PROGRESS_DUE),
        gathering.may_go(busy=sa.bindparam("busy", expanding=True)),
        ~_IS_HELD_BACK,
    )
    .subquery("ready")
)
# In turn: the first of each repository, then the second; and so for the installations among each other.
_TURN = sa.func.row_number().over(
    partition_by=(_READY.c.installation_id, _READY.c.priority), order_by=(_READY.c.place, _READY.c.id)
)
_RANKED = sa.select(_READY.c.id, _READY.c.priority, _TURN.label("turn")).subquery("ranked")
# The locks of other replicas are passed over, so of what is first somewhat more is looked at.
_FIRST = (
    sa.select(_RANKED)
    .order_by(_RANKED.c.priority, _RANKED.c.turn, _RANKED.c.id)
    .limit(sa.bindparam("looked_at", type_=sa.Integer()))
    .subquery("first")
)
LOOKED_AT_MORE = 64
CLAIMABLE = (
    sa.select(table)
    .join(_FIRST, _FIRST.c.id == table.c.id)
    .where(_IS_DUE)
    .order_by(_FIRST.c.priority, _FIRST.c.turn, table.c.id)
    .limit(sa.bindparam("most", type_=sa.Integer()))
    # Of two replicas that look at once, each gets other rows.
    .with_for_update(skip_locked=True, of=table)
)
# What goes in the same request costs nothing more, so whatever waits only for others of its build goes with it. What
# nothing happened to since it was made waits for that: it may end at once.
COMPANIONS = (
    sa.select(table)
    .where(
        IS_STALE,
        table.c.repository_id == sa.bindparam("repository_id"),
        table.c.installation_id == sa.bindparam("installation_id"),
        table.c.id.not_in(sa.bindparam("known", expanding=True)),
        owners.is_free(table),
        sa.or_(
            table.c.next_attempt_at.is_(None),
            table.c.next_attempt_at <= _now,
            sa.and_(table.c.error.is_(None), table.c.desired_version > 1),
        ),
        ~_IS_HELD_BACK,
    )
    .order_by(table.c.is_conclusion.desc(), table.c.id)
    .limit(sa.bindparam("most", type_=sa.Integer()))
    .with_for_update(skip_locked=True, of=table)
)
DROP_UNSEEN = (
    sa.update(table)
    .where(IS_STALE, table.c.create_begun_at.is_(None), table.c.github_id.is_(None), _HAS_NEWER)
    .values(reported_version=table.c.desired_version)
)
CLAIM = (
    sa.update(table)
    .where(table.c.id.in_(sa.bindparam("ids", expanding=True)))
    .values(
        lease_owner=sa.bindparam("owner"),
        lease_until=sa.bindparam("until", type_=Instant()),
        epoch=table.c.epoch + 1,
        attempts=table.c.attempts + 1,
        create_begun_at=sa.case((table.c.github_id.is_(None), _now), else_=table.c.create_begun_at),
    )
)
