"""People who sign in with GitHub: what is kept of them, and what GitHub lets them do."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec

#: A sign-in ends so long after it was last used, and so long after it was made.
IDLE = timedelta(days=1)
LONGEST = timedelta(days=7)
#: How long somebody may take on GitHub's page.
LOGIN = timedelta(minutes=10)
#: How long an API token lives where its maker does not say, and at most.
TOKEN, LONGEST_TOKEN = timedelta(days=90), timedelta(days=366)


class Permission(enum.IntEnum):
    """What somebody may do in a repository; a greater one includes those before it."""

    NONE = 0
    #: GitHub's `read` and `triage`.
    READ = 1
    #: GitHub's `write` and `maintain`.
    WRITE = 2
    ADMIN = 3


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody whom GitHub vouched for."""

    #: The same for ever, whatever becomes of the login.
    id: int
    #: A label: it can change, and pass to somebody else.
    login: str


class Right(msgspec.Struct, frozen=True, kw_only=True):
    """What a person may do in one repository, as GitHub said a moment ago."""

    repository_id: int
    #: `owner/name` at that moment: a label.
    full_name: str
    #: None where GitHub was asked for the repository alone, which does not tell.
    installation_id: int | None
    #: At least to read.
    permission: Permission
    is_private: bool


class Scope(enum.StrEnum):
    """What an API token may do of what its owner may."""

    #: See builds, logs and all else that pages show.
    READ = "read"
    #: Start, cancel, approve and run again.
    WRITE = "write"


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """Somebody who was sent to GitHub and has not come back yet."""

    #: SHA-256 of what GitHub gives back, and of what the browser keeps.
    state_digest: bytes
    browser_digest: bytes
    #: What proves to GitHub that whoever changes the code asked for it. https://www.rfc-editor.org/rfc/rfc7636
    verifier: str = field(repr=False)
    #: The page that was wanted: a path of ours.
    next: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A person, and the token by which GitHub is asked what they may see."""

    #: GitHub's number.
    user_id: int
    #: A label.
    login: str
    #: Sealed, see `bot.sealing`.
    key_id: str
    token: bytes = field(repr=False)
    token_expires_at: datetime | None
    refresh_token: bytes | None = field(repr=False)
    refresh_expires_at: datetime | None


class SignIn(msgspec.Struct, frozen=True, kw_only=True):
    """A browser that somebody signed in with."""

    id: str
    user_id: int
    created_at: datetime
    seen_at: datetime
    expires_at: datetime
    #: What the browser calls itself: a label.
    browser: str


class ApiToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token that a program shows in the place of a person."""

    id: str
    user_id: int
    #: What its owner calls it.
    name: str
    scopes: tuple[Scope, ...]
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None = None
