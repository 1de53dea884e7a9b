"""The page `/budget`: what GitHub lets each installation do, and what waits for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
from aiohttp import web
from sqlalchemy.engine import Connection

from bot.model import budget, build
from bot.store import budgets, installations
from bot.web.page import Page, Sources


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One installation."""

    installation_id: int
    #: None where no event of it came yet.
    account: str | None
    #: None where no answer told of it yet.
    limit: int | None
    remaining: int | None
    reset_at: datetime | None
    #: Points of GitHub's 900 in this minute.
    minute_points: int
    #: None where it may make calls.
    blocked_until: datetime | None
    blocked_text: str | None
    checks: int
    oldest_at: datetime | None
    deliveries: int


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What the page shows."""

    now: datetime
    #: Those that wait first, then those with the oldest work.
    rows: tuple[Row, ...]
    #: What GitHub lets each of them spend in a minute.
    minute_limit: int
    #: Whether something waits, so that the page looks again.
    is_live: bool


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored."""

    known: Sequence[budget.Budget]
    accounts: Mapping[int, build.Installation]
    #: By installation; so are those below.
    waiting: Mapping[int, budgets.Waiting]


def make_context(found: Found, *, now: datetime) -> Context:
    """Every installation that is known, of which something waits, or that made calls."""
    known = {one.installation_id: one for one in found.known}
    rows = [
        _row(of, known.get(of), found.accounts.get(of), found.waiting.get(of), now=now)
        for of in sorted({*known, *found.accounts, *found.waiting})
    ]
    rows.sort(key=lambda row: (row.blocked_until is None, row.oldest_at is None, row.oldest_at or now))
    return Context(
        now=now,
        rows=tuple(rows),
        minute_limit=budget.POINTS_A_MINUTE,
        is_live=any(row.blocked_until is not None or row.checks or row.deliveries for row in rows),
    )


def _row(
    installation_id: int,
    known: budget.Budget | None,
    installation: build.Installation | None,
    waiting: budgets.Waiting | None,
    *,
    now: datetime,
) -> Row:
    known = known or budget.Budget(installation_id=installation_id, updated_at=now)
    waiting = waiting or budgets.Waiting()
    is_reset = known.reset_at is None or known.reset_at <= now
    is_blocked = known.blocked_until is not None and known.blocked_until > now
    is_this_minute = known.minute_at is not None and known.minute_at > now - budgets.MINUTE
    return Row(
        installation_id=installation_id,
        account=installation.account if installation is not None else None,
        limit=known.limit_points,
        remaining=known.limit_points if is_reset else known.remaining,
        reset_at=None if is_reset else known.reset_at,
        minute_points=known.minute_points if is_this_minute else 0,
        blocked_until=known.blocked_until if is_blocked else None,
        blocked_text=known.blocked_text if is_blocked else None,
        checks=waiting.checks,
        oldest_at=waiting.oldest_at,
        deliveries=waiting.deliveries,
    )


def _find(connection: Connection) -> Found:
    return Found(
        known=budgets.list_all(connection),
        accounts={one.id: one for one in installations.list_all(connection)},
        waiting=budgets.count_waiting(connection),
    )


async def load(sources: Sources, request: web.Request) -> Context:
    """Read what is known."""
    return make_context(await sources.store.read(_find), now=sources.clock())


PAGE = Page(route="/budget", template="budget.html", context=Context, load=load)
