"""Which changes of a build's checks wait a little for others, so that many go with one request.

The first that is shown of a build goes at once, and so does its verdict. What its jobs come to in between may follow on
what was sent before after a pause that grows with the number of its checks: a build of 50 jobs would else take two
requests for each of them. A build with one check waits for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot.pipelines import plan
from bot.store.columns import Instant
from bot.store.schema import checks as table

#: How long what a build never showed waits behind what was just sent of it.
FIRST_PAUSE = timedelta(milliseconds=250)
#: How long other changes do, by how many checks the build has at the most.
PAUSES = ((4, timedelta(milliseconds=400)), (16, timedelta(milliseconds=1500)))
LONGEST_PAUSE = timedelta(seconds=5)

_sibling = table.alias("sibling")
_first_since = sa.bindparam("first_since", type_=Instant())
_longest_since = sa.bindparam("longest_since", type_=Instant())


def pause(size: int) -> timedelta:
    """How long changes wait in a build with so many checks."""
    return next((waits for most, waits in PAUSES if size <= most), LONGEST_PAUSE)


def may_go(*, busy: sa.BindParameter[list[str]]) -> sa.ColumnElement[bool]:
    """Whether a check may be sent now, as far as others of its build go; `instants` binds the times.

    :param busy: the builds of which a request is under way.
    """
    size = sa.select(sa.func.count()).where(_sibling.c.build_id == table.c.build_id).scalar_subquery()
    shown_at = sa.select(sa.func.max(_sibling.c.sent_at)).where(_sibling.c.build_id == table.c.build_id)
    since = sa.case(
        (table.c.github_id.is_(None), _first_since),
        *((size <= most, sa.bindparam(f"since_{most}", type_=Instant())) for most, _ in PAUSES),
        else_=_longest_since,
    )
    # What stands for the whole build bears this name: it is the only check, or the verdict once it has ended.
    is_alone_or_verdict = sa.or_(table.c.is_conclusion, table.c.job_id.is_not(None))
    return sa.or_(
        sa.and_(table.c.name == plan.CHECK_NAME, is_alone_or_verdict),
        sa.and_(
            table.c.build_id.not_in(busy),
            # Nothing of it was sent yet: that was long ago.
            sa.func.coalesce(shown_at.scalar_subquery(), 0, type_=Instant()) <= since,
        ),
    )


def instants(now: datetime) -> Mapping[str, datetime]:
    """The values of what `may_go` compares with."""
    by_size = {f"since_{most}": now - waits for most, waits in PAUSES}
    return {"first_since": now - FIRST_PAUSE, "longest_since": now - LONGEST_PAUSE, **by_size}


_IS_STALE = table.c.reported_version < table.c.desired_version
_RECENT = (
    sa.select(
        sa.func.max(table.c.sent_at).label("sent_at"),
        sa.func.count().label("size"),
        sa.func.max(sa.case((sa.and_(_IS_STALE, table.c.github_id.is_(None)), 1), else_=0)).label("has_new"),
    )
    .where(table.c.build_id.in_(sa.select(_sibling.c.build_id).where(_sibling.c.sent_at > _longest_since)))
    .group_by(table.c.build_id)
    .having(sa.func.max(sa.case((_IS_STALE, 1), else_=0)) == 1)
)


def next_at(connection: Connection, *, now: datetime) -> datetime | None:
    """When the next change that waits for others may go."""
    found = connection.execute(_RECENT, {"longest_since": now - LONGEST_PAUSE})
    due = [row.sent_at + (FIRST_PAUSE if row.has_new else pause(row.size)) for row in found if row.size > 1]
    return min((at for at in due if at > now), default=None)
