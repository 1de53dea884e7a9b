"""People: who signed in, and what they may do in a repository."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Permission(enum.IntEnum):
    """What somebody may do in a repository; a greater one includes those before it."""

    NONE = 0
    #: GitHub's `read` and `triage`.
    READ = 1
    #: GitHub's `write` and `maintain`.
    WRITE = 2
    ADMIN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody whom GitHub vouched for."""

    #: The same for ever, whatever becomes of the login.
    id: int
    #: A label: it can change, and pass to somebody else.
    login: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """What a person may do in one repository, as GitHub said a moment ago."""

    repository_id: int
    #: `owner/name` at that moment: a label.
    full_name: str
    #: None where GitHub was asked for the repository alone, which does not tell.
    installation_id: int | None
    #: At least to read.
    permission: Permission
    is_private: bool
