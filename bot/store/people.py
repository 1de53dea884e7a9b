"""Queries on people who sign in: logins under way, accounts, sign-ins and API tokens, each found by a digest only."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from msgspec.structs import asdict
from sqlalchemy.engine import Connection, Row

from bot import errors
from bot.model import person
from bot.store.people_tables import accounts, api_tokens, logins, sign_ins

#: That something was used is written at most so often.
SEEN_EVERY = timedelta(minutes=1)
MAX_SIGN_INS, MAX_TOKENS = 50, 50
_TOKEN_COLUMNS = [column for column in api_tokens.c if column.name != "digest"]
_SIGN_IN_COLUMNS = [column for column in sign_ins.c if column.name != "digest"]
_ACCOUNT_COLUMNS = [column for column in accounts.c if column.name != "refreshing_until"]


def begin_login(connection: Connection, new: person.Login, *, most: int) -> None:
    """Remember somebody who goes to GitHub.

    :param most: so many may be under way; beyond it the oldest are forgotten, so that strangers cannot fill the disk.
    """
    connection.execute(sa.insert(logins).values(dataclasses.asdict(new)))
    count = connection.execute(sa.select(sa.func.count()).select_from(logins)).scalar_one()
    if count > most:
        oldest = sa.select(logins.c.state_digest).order_by(logins.c.expires_at).limit(count - most)
        connection.execute(sa.delete(logins).where(logins.c.state_digest.in_(oldest)))


def take_login(connection: Connection, state_digest: bytes, *, now: datetime) -> person.Login | None:
    """The login that comes back, once; None for one that is not known, came back before or took too long."""
    query = sa.delete(logins).where(logins.c.state_digest == state_digest).returning(logins)
    row = connection.execute(query).first()
    return None if row is None or row.expires_at <= now else person.Login(**row._mapping)


def save_account(connection: Connection, seen: person.Account) -> None:
    """Write who somebody is and what GitHub gave them, in the place of what was known."""
    values = {**dataclasses.asdict(seen), "refreshing_until": None}
    if not connection.execute(sa.update(accounts).where(accounts.c.user_id == seen.user_id).values(values)).rowcount:
        connection.execute(sa.insert(accounts).values(values))


def find_account(connection: Connection, user_id: int) -> person.Account | None:
    """What is kept of a person, or None."""
    row = connection.execute(sa.select(*_ACCOUNT_COLUMNS).where(accounts.c.user_id == user_id)).first()
    return None if row is None else person.Account(**row._mapping)


def claim_refresh(connection: Connection, user_id: int, *, now: datetime, until: datetime) -> bool:
    """Whether the caller may change the person's tokens for new ones; False while somebody else does."""
    is_free = sa.or_(accounts.c.refreshing_until.is_(None), accounts.c.refreshing_until <= now)
    query = sa.update(accounts).where(accounts.c.user_id == user_id, is_free).values(refreshing_until=until)
    return bool(connection.execute(query).rowcount)


def delete_account(connection: Connection, user_id: int) -> None:
    """Forget a person, with all sign-ins and API tokens."""
    connection.execute(sa.delete(sign_ins).where(sign_ins.c.user_id == user_id))
    connection.execute(sa.delete(api_tokens).where(api_tokens.c.user_id == user_id))
    connection.execute(sa.delete(accounts).where(accounts.c.user_id == user_id))


def insert_sign_in(connection: Connection, new: person.SignIn, *, digest: bytes) -> None:
    """Add a sign-in; of a person with too many the one that was used longest ago ends."""
    connection.execute(sa.insert(sign_ins).values({**asdict(new), "digest": digest}))
    newest = (
        sa.select(sign_ins.c.id)
        .where(sign_ins.c.user_id == new.user_id)
        .order_by(sign_ins.c.seen_at.desc(), sign_ins.c.id.desc())
        .limit(MAX_SIGN_INS)
    )
    connection.execute(
        sa.delete(sign_ins).where(sign_ins.c.user_id == new.user_id, sign_ins.c.id.not_in(newest.scalar_subquery()))
    )


def find_sign_in(connection: Connection, digest: bytes, *, now: datetime) -> person.SignIn | None:
    """The sign-in of what a browser shows; None where it is over: by its time, unused for long, or ended by hand."""
    query = sa.select(*_SIGN_IN_COLUMNS).where(
        sign_ins.c.digest == digest, sign_ins.c.expires_at > now, sign_ins.c.seen_at > now - person.IDLE
    )
    row = connection.execute(query).first()
    return None if row is None else person.SignIn(**row._mapping)


def list_sign_ins(connection: Connection, user_id: int, *, now: datetime) -> list[person.SignIn]:
    """The sign-ins of a person that hold, the last used first."""
    query = (
        sa.select(*_SIGN_IN_COLUMNS)
        .where(sign_ins.c.user_id == user_id, sign_ins.c.expires_at > now, sign_ins.c.seen_at > now - person.IDLE)
        .order_by(sign_ins.c.seen_at.desc(), sign_ins.c.id.desc())
    )
    return [person.SignIn(**row._mapping) for row in connection.execute(query)]


def note_seen(connection: Connection, sign_in_id: str, *, now: datetime) -> None:
    """Write that a sign-in was used."""
    is_old = sign_ins.c.seen_at <= now - SEEN_EVERY
    connection.execute(sa.update(sign_ins).where(sign_ins.c.id == sign_in_id, is_old).values(seen_at=now))


def delete_sign_in(connection: Connection, sign_in_id: str, *, user_id: int) -> None:
    """End a sign-in of a person; of one that is not theirs nothing happens."""
    connection.execute(sa.delete(sign_ins).where(sign_ins.c.id == sign_in_id, sign_ins.c.user_id == user_id))


def insert_token(connection: Connection, new: person.ApiToken, *, digest: bytes) -> None:
    """Add an API token.

    :raises errors.Conflict: if its owner has as many as they may have.
    """
    count = connection.execute(
        sa.select(sa.func.count()).select_from(api_tokens).where(api_tokens.c.user_id == new.user_id)
    ).scalar_one()
    if count >= MAX_TOKENS:
        raise errors.Conflict(f"You have {count} API tokens: delete one that is not needed.")
    connection.execute(sa.insert(api_tokens).values({**asdict(new), "digest": digest}))


def find_token(connection: Connection, digest: bytes, *, now: datetime) -> person.ApiToken | None:
    """The API token of what a program shows, or None where there is none that holds."""
    query = sa.select(*_TOKEN_COLUMNS).where(api_tokens.c.digest == digest, api_tokens.c.expires_at > now)
    row = connection.execute(query).first()
    return None if row is None else _token(row)


def list_tokens(connection: Connection, user_id: int) -> list[person.ApiToken]:
    """The API tokens of a person, those that are over as well, the newest first."""
    query = sa.select(*_TOKEN_COLUMNS).where(api_tokens.c.user_id == user_id).order_by(api_tokens.c.id.desc())
    return [_token(row) for row in connection.execute(query)]


def note_used(connection: Connection, token_id: str, *, now: datetime) -> None:
    """Write that an API token was used."""
    is_old = sa.or_(api_tokens.c.used_at.is_(None), api_tokens.c.used_at <= now - SEEN_EVERY)
    connection.execute(sa.update(api_tokens).where(api_tokens.c.id == token_id, is_old).values(used_at=now))


def delete_token(connection: Connection, token_id: str, *, user_id: int) -> None:
    """Delete an API token of a person; of one that is not theirs nothing happens."""
    connection.execute(sa.delete(api_tokens).where(api_tokens.c.id == token_id, api_tokens.c.user_id == user_id))


def sweep(connection: Connection, *, now: datetime) -> list[int]:
    """Forget what is over; gives the people of whom nothing is left but their account."""
    connection.execute(sa.delete(logins).where(logins.c.expires_at <= now))
    is_over = sa.or_(sign_ins.c.expires_at <= now, sign_ins.c.seen_at <= now - person.IDLE)
    connection.execute(sa.delete(sign_ins).where(is_over))
    connection.execute(sa.delete(api_tokens).where(api_tokens.c.expires_at <= now))
    used = sa.union(sa.select(sign_ins.c.user_id), sa.select(api_tokens.c.user_id))
    return list(connection.execute(sa.select(accounts.c.user_id).where(accounts.c.user_id.not_in(used))).scalars())


def _token(row: Row[Any]) -> person.ApiToken:
    values = dict(row._mapping)
    return person.ApiToken(**{**values, "scopes": tuple(person.Scope(one) for one in values["scopes"])})
