"""The tables of people who sign in: secrets sealed, and of what is shown as proof only digests."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, LargeBinary, Table

from bot.model import person
from bot.store.columns import Instant, Value, Words
from bot.store.metadata import metadata

#: Who was sent to GitHub and has not come back.
logins = Table(
    "logins",
    metadata,
    Column("state_digest", LargeBinary(32), primary_key=True),
    Column("browser_digest", LargeBinary(32), nullable=False),
    Column("verifier", Words(128), nullable=False),
    Column("next", Words(2048), nullable=False),
    Column("expires_at", Instant, nullable=False),
)

accounts = Table(
    "accounts",
    metadata,
    Column("user_id", BigInteger, primary_key=True, autoincrement=False),
    Column("login", Words(255), nullable=False),
    Column("key_id", Words(16), nullable=False),
    Column("token", LargeBinary, nullable=False),
    Column("token_expires_at", Instant),
    Column("refresh_token", LargeBinary),
    Column("refresh_expires_at", Instant),
    # Whoever changes the tokens for new ones holds this: each refresh token can be used once.
    Column("refreshing_until", Instant),
)

sign_ins = Table(
    "sign_ins",
    metadata,
    Column("id", Words(26), primary_key=True),
    Column("digest", LargeBinary(32), nullable=False, unique=True),
    Column("user_id", BigInteger, ForeignKey("accounts.user_id", ondelete="CASCADE"), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("browser", Words(255), nullable=False),
    Index("ix_sign_ins_user_id", "user_id"),
)

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("id", Words(26), primary_key=True),
    Column("digest", LargeBinary(32), nullable=False, unique=True),
    Column("user_id", BigInteger, ForeignKey("accounts.user_id", ondelete="CASCADE"), nullable=False),
    Column("name", Words(100), nullable=False),
    Column("scopes", Value(tuple[person.Scope, ...]), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("used_at", Instant),
    Index("ix_api_tokens_user_id", "user_id"),
)
