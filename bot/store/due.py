"""Which deliveries are due, and in which order: the statements of a claim, made once.

Of one ordering key the oldest goes first and alone; of several repositories each gets its turn.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from bot.model import delivery
from bot.store import budgets, owners
from bot.store.columns import Instant
from bot.store.schema import deliveries as table

# Written out, not bound: only then does SQLite see that the partial indexes hold them.
UNFINISHED = sa.text("deliveries.state IN ('received', 'handling', 'retrying')")
SETTLED = sa.text("deliveries.state IN ('handled', 'ignored', 'parked')")
_OTHER_UNFINISHED = sa.text("other.state IN ('received', 'handling', 'retrying')")
_other = table.alias("other")
_now = sa.bindparam("now", type_=Instant())
_IS_HELD_BACK = sa.exists().where(
    _other.c.ordering_key == table.c.ordering_key,
    _other.c.seq < table.c.seq,
    _OTHER_UNFINISHED,
)
# A replayed delivery is older than one that may be in work right now.
_IS_IN_WORK = sa.exists().where(
    _other.c.ordering_key == table.c.ordering_key,
    _other.c.seq > table.c.seq,
    _OTHER_UNFINISHED,
    _other.c.state == delivery.State.HANDLING,
    owners.is_held(_other),
)
_IS_DUE = sa.or_(
    sa.and_(table.c.state == delivery.State.HANDLING, owners.is_free(table)),
    table.c.state == delivery.State.RECEIVED,
    sa.and_(table.c.state == delivery.State.RETRYING, table.c.next_attempt_at <= _now),
)
# Made once: making them takes longer than running them. Of two replicas that look at once, each gets other rows.
_CLAIMABLE = (
    sa.select(table.c.seq)
    .where(UNFINISHED, ~_IS_HELD_BACK, ~_IS_IN_WORK, budgets.may_be_handled(table))
    .order_by(table.c.seq)
    .limit(sa.bindparam("most", type_=sa.Integer()))
    .with_for_update(skip_locked=True, of=table)
)
DUE = _CLAIMABLE.where(_IS_DUE, sa.or_(budgets.is_free(table), budgets.is_affordable(table, since=table.c.received_at)))
DUE_OF_REPOSITORY = DUE.where(table.c.repository_id == sa.bindparam("repository_id", type_=sa.BigInteger()))
DUE_OF_NONE = DUE.where(table.c.repository_id.is_(None))
SUSPECT = _CLAIMABLE.where(
    table.c.state == delivery.State.RECEIVED,
    table.c.attempts >= sa.bindparam("min_attempts", type_=sa.Integer()),
)


def _waiting_repositories() -> sa.Select[Any]:
    """The repositories with unfinished deliveries: one step in the index for each, however many it has."""
    first = sa.select(sa.func.min(table.c.repository_id).label("id")).where(UNFINISHED)
    found = first.cte("waiting", recursive=True)
    following = sa.select(
        sa.select(sa.func.min(table.c.repository_id))
        .where(UNFINISHED, table.c.repository_id > found.c.id)
        .scalar_subquery()
    ).where(found.c.id.is_not(None))
    whole = found.union_all(following)
    return sa.select(whole.c.id).where(whole.c.id.is_not(None)).limit(_MOST_REPOSITORIES)


#: Of so many repositories the oldest deliveries are looked at in one claim.
_MOST_REPOSITORIES = 256
WAITING_REPOSITORIES: sa.Select[Any] = _waiting_repositories()
#: Whether there is anything that nobody is handling.
ANY = (
    sa.select(table.c.seq)
    .where(UNFINISHED, sa.or_(table.c.state != delivery.State.HANDLING, owners.is_free(table)))
    .limit(1)
)
CLAIM = (
    sa.update(table)
    .where(table.c.seq.in_(sa.bindparam("seqs", expanding=True)))
    .values(
        state=delivery.State.HANDLING,
        attempts=table.c.attempts + 1,
        epoch=table.c.epoch + 1,
        lease_owner=sa.bindparam("owner"),
        lease_until=sa.bindparam("until", type_=Instant()),
        next_attempt_at=None,
    )
)
CLAIMED = sa.select(table).where(table.c.seq.in_(sa.bindparam("seqs", expanding=True))).order_by(table.c.seq)
NEXT_DUE_AT = sa.select(sa.func.min(table.c.next_attempt_at)).where(
    UNFINISHED, table.c.state == delivery.State.RETRYING, table.c.next_attempt_at > _now
)


OLDEST = (
    sa.select(table.c.seq, table.c.event, table.c.action)
    .where(UNFINISHED, table.c.state == delivery.State.RECEIVED)
    .order_by(table.c.seq)
    .limit(sa.bindparam("most", type_=sa.Integer()))
    .with_for_update(skip_locked=True, of=table)
)
