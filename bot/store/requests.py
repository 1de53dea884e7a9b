"""Queries on requests that bear a key: each is done once, and answered as it was the first time.

What it does is written in one transaction with its result (`run`), so that neither a crash nor another replica does it
twice. The answer is kept afterwards; where that was lost it is made anew of the result.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot import errors
from bot.store.requests_table import requests as table

#: For so long a key stands for its request.
KEPT = timedelta(hours=24)
#: For so long nobody else takes a request over that is under way: more than one takes.
LEASE = timedelta(minutes=1)
#: Keys that one caller may have at a time.
MOST_OF_ONE = 2_000
#: A longer answer is made anew each time.
MAX_ANSWER_BYTES = 64 * 1024


class Verdict(enum.StrEnum):
    """How a request stands."""

    #: It is whose who asks, to be done.
    CLAIMED = "claimed"
    ANSWERED = "answered"
    #: Another one has this key.
    DIFFERS = "differs"
    UNDER_WAY = "under_way"
    #: The caller has too many keys already.
    TOO_MANY = "too_many"


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """A request that is to be done."""

    caller: int
    digest: bytes
    #: A new one for each attempt: it fences the one before.
    token: str


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a claim found."""

    verdict: Verdict
    #: Of an answer that was given.
    status: int = 0
    answer: bytes = b""


def claim(connection: Connection, wanted: Claimed, *, fingerprint: bytes, now: datetime) -> Found:
    """Take a request, unless it was done, is another one, or is under way elsewhere."""
    row = connection.execute(sa.select(table).where(_is_it(wanted))).first()
    if row is not None and row.created_at <= now - KEPT:
        connection.execute(sa.delete(table).where(_is_it(wanted)))
        row = None
    if row is None:
        return _insert(connection, wanted, fingerprint=fingerprint, now=now)
    if row.fingerprint != fingerprint:
        return Found(verdict=Verdict.DIFFERS)
    if row.answer is not None:
        return Found(verdict=Verdict.ANSWERED, status=row.status, answer=row.answer)
    if row.lease_until > now:
        return Found(verdict=Verdict.UNDER_WAY)
    taken = connection.execute(
        sa.update(table)
        .where(_is_it(wanted), table.c.token == row.token)
        .values(token=wanted.token, lease_until=now + LEASE)
    )
    return Found(verdict=Verdict.CLAIMED if taken.rowcount else Verdict.UNDER_WAY)


def _insert(connection: Connection, wanted: Claimed, *, fingerprint: bytes, now: datetime) -> Found:
    has = sa.select(table.c.caller).where(table.c.caller == wanted.caller, table.c.created_at > now - KEPT)
    counted = sa.select(sa.func.count()).select_from(has.limit(MOST_OF_ONE).subquery())
    if connection.execute(counted).scalar_one() >= MOST_OF_ONE:
        return Found(verdict=Verdict.TOO_MANY)
    connection.execute(
        sa.insert(table).values(
            caller=wanted.caller,
            digest=wanted.digest,
            fingerprint=fingerprint,
            token=wanted.token,
            created_at=now,
            lease_until=now + LEASE,
        )
    )
    return Found(verdict=Verdict.CLAIMED)


def run(
    connection: Connection, claimed: Claimed, command: Callable[..., str | None], *args: Any, **given: Any
) -> str | None:
    """Do what was asked for, if it was not done: together with the note that it was.

    :param command: takes the connection and the rest; gives what came of it.
    :raises errors.Conflict: if another attempt took the request over; then nothing is written.
    """
    query = sa.select(table.c.result).where(_is_mine(claimed)).with_for_update()
    row = connection.execute(query).first()
    if row is None:
        raise errors.Conflict("The same request was sent again, and that one is followed.")
    if row.result is not None:
        return str(row.result)
    result = command(connection, *args, **given)
    connection.execute(sa.update(table).where(_is_mine(claimed)).values(result=result or ""))
    return result


def keep(connection: Connection, claimed: Claimed, *, status: int, answer: bytes, now: datetime) -> None:
    """Write what was answered, for whoever asks again."""
    kept = {"status": status, "answer": answer} if len(answer) <= MAX_ANSWER_BYTES else {}
    connection.execute(sa.update(table).where(_is_mine(claimed)).values(lease_until=now, **kept))


def release(connection: Connection, claimed: Claimed, *, now: datetime) -> None:
    """Give back a request that was not answered: where nothing was done, its key is free again."""
    connection.execute(sa.delete(table).where(_is_mine(claimed), table.c.result.is_(None)))
    connection.execute(sa.update(table).where(_is_mine(claimed)).values(lease_until=now))


def delete_expired(connection: Connection, *, before: datetime, limit: int) -> int:
    """Delete requests from before an instant. Returns how many."""
    keys = sa.select(table.c.caller, table.c.digest).where(table.c.created_at <= before).limit(limit)
    found = [tuple(row) for row in connection.execute(keys)]
    if not found:
        return 0
    return connection.execute(sa.delete(table).where(sa.tuple_(table.c.caller, table.c.digest).in_(found))).rowcount


def _is_it(one: Claimed) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.caller == one.caller, table.c.digest == one.digest)


def _is_mine(one: Claimed) -> sa.ColumnElement[bool]:
    return sa.and_(_is_it(one), table.c.token == one.token)
