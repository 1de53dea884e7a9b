"""Queries on budgets: who has to wait, who spent how much, and what claims therefore leave for later."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
import sqlalchemy as sa
from msgspec.structs import replace
from sqlalchemy.engine import Connection

from bot.model import budget
from bot.store import hints
from bot.store.columns import Instant
from bot.store.schema import budgets as table
from bot.store.schema import checks, deliveries

MINUTE = timedelta(minutes=1)
#: Once so much of a minute is spent, progress is put off: what is left is for first reports and conclusions.
PROGRESS_POINTS = budget.POINTS_A_MINUTE // 2
#: Once so much is spent, what has waited for a minute waits for the next one, and so do repositories that sent many
#: checks in it where others have some to send as well: what is left of the minute is for what is new.
NOISY_POINTS = budget.POINTS_A_MINUTE * 2 // 3
NOISY_CHECKS = 8
#: Below this part of an hour's calls, progress is put off as well.
RESERVE = 0.2
#: The first secondary limit of a row lasts so long at least, each further one twice as long, up to an hour.
_FIRST_WAIT, _LONGEST_WAIT = timedelta(minutes=1), timedelta(hours=1)

#: What tells of the installation itself: no call follows from it.
_FREE_EVENTS = ("installation", "installation_repositories", "ping")


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """What one installation has still to be told, or handled."""

    checks: int = 0
    deliveries: int = 0
    #: When the oldest of it came.
    oldest_at: datetime | None = None


# Written out, not bound: only then does SQLite see that the partial index holds them.
_UNFINISHED = sa.text("deliveries.state IN ('received', 'handling', 'retrying')")
_now = sa.bindparam("now", type_=Instant())
_minute_ago = sa.bindparam("minute_ago", type_=Instant())
# Made once: making it takes longer than running it.
_NEXT_OPENING = sa.select(sa.func.min(table.c.blocked_until)).where(table.c.blocked_until > _now)
_BLOCKED = sa.select(table.c.installation_id).where(table.c.blocked_until > _now)
_TIGHT = sa.select(table.c.installation_id).where(
    sa.or_(
        sa.and_(table.c.minute_at > _minute_ago, table.c.minute_points >= PROGRESS_POINTS),
        sa.and_(table.c.reset_at > _now, table.c.remaining < table.c.limit_points * RESERVE),
    )
)
_WELL_SPENT = sa.select(table.c.installation_id).where(
    table.c.minute_at > _minute_ago,
    table.c.minute_points >= NOISY_POINTS,
    # A server of one's own that tells of no limit has none.
    table.c.limit_points.is_not(None),
)
_sent = checks.alias("sent")
_rival = checks.alias("rival")
_NOISY = (
    sa.select(_sent.c.repository_id)
    .join(table, table.c.installation_id == _sent.c.installation_id)
    .where(
        table.c.minute_at > _minute_ago,
        table.c.minute_points >= NOISY_POINTS,
        _sent.c.sent_at > _minute_ago,
    )
    .group_by(_sent.c.repository_id, _sent.c.installation_id)
    .having(
        sa.func.count() >= NOISY_CHECKS,
        # Nothing is kept free for nobody.
        sa.exists().where(
            _rival.c.installation_id == _sent.c.installation_id,
            _rival.c.repository_id != _sent.c.repository_id,
            sa.or_(_rival.c.sent_at > _minute_ago, _rival.c.reported_version < _rival.c.desired_version),
        ),
    )
)


def is_open(claimed: sa.FromClause) -> sa.ColumnElement[bool]:
    """Whether the installation of a row may make calls at the bound instant `now`."""
    return sa.or_(claimed.c.installation_id.is_(None), claimed.c.installation_id.not_in(_BLOCKED))


def may_be_handled(received: sa.FromClause) -> sa.ColumnElement[bool]:
    """Whether a delivery's installation may make calls, or handling it takes none."""
    return sa.or_(is_open(received), is_free(received))


def is_free(received: sa.FromClause) -> sa.ColumnElement[bool]:
    """Whether handling a delivery takes no calls."""
    return received.c.event.in_(_FREE_EVENTS)


def is_easy(claimed: sa.FromClause) -> sa.ColumnElement[bool]:
    """Whether the installation of a row has enough left for what may wait, at `now` and the `minute_ago` before it."""
    return claimed.c.installation_id.not_in(_TIGHT)


def is_affordable(claimed: sa.FromClause, *, since: sa.ColumnElement[datetime | None]) -> sa.ColumnElement[bool]:
    """Whether a row is new, or its installation has enough left for what waits since then: no backlog meets a limit."""
    return sa.or_(
        since > _minute_ago, claimed.c.installation_id.is_(None), claimed.c.installation_id.not_in(_WELL_SPENT)
    )


def is_quiet(claimed: sa.FromClause) -> sa.ColumnElement[bool]:
    """Whether the repository of a row leaves enough to the others of its installation."""
    return claimed.c.repository_id.not_in(_NOISY)


def block(connection: Connection, installation_id: int, wait: budget.Wait, *, now: datetime) -> datetime:
    """Write that an installation has to wait; of two waits the later end counts. Gives that end.

    Secondary limits in a row make the wait longer, whichever replica met them.
    """
    known = _locked(connection, installation_id, now=now)
    until = now + timedelta(seconds=wait.seconds)
    streak = wait.streak
    is_over = known.blocked_until is None or known.blocked_until <= now
    if wait.is_secondary and is_over and known.streak:
        streak = max(streak, known.streak + 1)
        until = max(until, now + min(_FIRST_WAIT * 2 ** min(streak - 1, 10), _LONGEST_WAIT))
    if known.blocked_until is not None and known.blocked_until >= until:
        return known.blocked_until
    connection.execute(
        sa.update(table)
        .where(table.c.installation_id == installation_id)
        .values(
            blocked_until=until,
            blocked_text=wait.text,
            is_secondary=wait.is_secondary,
            streak=streak,
            updated_at=now,
        )
    )
    hints.give(connection, hints.Word.BUDGETS)
    return until


def spend(
    connection: Connection,
    installation_id: int,
    *,
    points: int,
    told: budget.Told | None,
    went_well: bool,
    now: datetime,
) -> None:
    """Write what was spent, and what the last answer told.

    :param went_well: a call went through, which ends a row of secondary limits.
    """
    known = _locked(connection, installation_id, now=now)
    is_same_minute = known.minute_at is not None and known.minute_at > now - MINUTE
    values: dict[str, object] = {
        "minute_at": known.minute_at if is_same_minute else now,
        "minute_points": points + (known.minute_points if is_same_minute else 0),
        "updated_at": now,
    }
    if told is not None:
        reset_at = now + timedelta(seconds=told.reset_seconds)
        values |= {"limit_points": told.limit, "remaining": told.remaining, "reset_at": reset_at}
    if went_well and (known.blocked_until is None or known.blocked_until <= now):
        values["streak"] = 0
    connection.execute(sa.update(table).where(table.c.installation_id == installation_id).values(values))


def _locked(connection: Connection, installation_id: int, *, now: datetime) -> budget.Budget:
    """The row, made where there is none, that nobody else writes before this transaction ends."""
    query = sa.select(table).where(table.c.installation_id == installation_id).with_for_update()
    row = connection.execute(query).first()
    if row is None:
        connection.execute(sa.insert(table).values(installation_id=installation_id, updated_at=now))
        return budget.Budget(installation_id=installation_id, updated_at=now)
    return budget.Budget(**row._mapping)


def list_all(connection: Connection) -> list[budget.Budget]:
    """What is known of every installation, by its id."""
    rows = connection.execute(sa.select(table).order_by(table.c.installation_id))
    return [budget.Budget(**row._mapping) for row in rows]


def list_blocked(connection: Connection, *, now: datetime) -> list[budget.Budget]:
    """Those that have to wait."""
    query = sa.select(table).where(table.c.blocked_until > now).order_by(table.c.installation_id)
    return [budget.Budget(**row._mapping) for row in connection.execute(query)]


def count_waiting(connection: Connection) -> dict[int, Waiting]:
    """What waits to be sent and handled, by installation."""
    of_checks = (
        sa.select(checks.c.installation_id, sa.func.count(), sa.func.min(checks.c.wanted_at))
        .where(checks.c.reported_version < checks.c.desired_version)
        .group_by(checks.c.installation_id)
    )
    of_deliveries = (
        sa.select(deliveries.c.installation_id, sa.func.count(), sa.func.min(deliveries.c.received_at))
        .where(_UNFINISHED, deliveries.c.installation_id.is_not(None))
        .group_by(deliveries.c.installation_id)
    )
    found: dict[int, Waiting] = {}
    for of, count, oldest_at in connection.execute(of_checks):
        found[of] = Waiting(checks=count, oldest_at=oldest_at)
    for of, count, oldest_at in connection.execute(of_deliveries):
        known = found.get(of, Waiting())
        oldest = min(at for at in (known.oldest_at, oldest_at) if at is not None)
        found[of] = replace(known, deliveries=count, oldest_at=oldest)
    return found


def next_opening(connection: Connection, *, now: datetime) -> datetime | None:
    """When the next wait of an installation ends."""
    found: datetime | None = connection.execute(_NEXT_OPENING, {"now": now}).scalar_one()
    return found
