"""An entry of the audit: who caused what, when and by which way. What is written down stays as it was written."""

from __future__ import annotations

import enum
from datetime import datetime

import msgspec


class Action(enum.StrEnum):
    """What somebody caused."""

    #: Code that waited may run.
    APPROVE = "approve"
    #: Code that waited is not run.
    REFUSE = "refuse"
    CANCEL = "cancel"
    #: An ended build, or a job of it, runs again.
    RETRY = "retry"
    #: A build runs that the rules had left out.
    RUN_ANYWAY = "run-anyway"
    #: A build begins that no event asked for.
    START = "start"
    #: A delivery is handled again.
    REPLAY = "replay"
    #: GitHub is asked for what never came.
    RECOVER = "recover"
    #: A secret of a repository is set, new or anew.
    SET_SECRET = "set-secret"  # noqa: S105 (a word of ours)
    REMOVE_SECRET = "remove-secret"  # noqa: S105
    #: Whoever shows a new token sees a repository's badge and feed.
    BADGE_TOKEN = "badge-token"  # noqa: S105


class Via(enum.StrEnum):
    """By which way."""

    #: A button beside a check on GitHub.
    BUTTON = "button"
    #: A comment on GitHub.
    COMMENT = "comment"
    #: The command line, on the machine of the service.
    CLI = "cli"
    #: A page of ours.
    PAGE = "page"
    #: A program, through the API.
    API = "api"
    #: Something else that GitHub told, e.g. a review.
    EVENT = "event"


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """Who, and by which way."""

    via: Via
    #: GitHub's number of the person; None where GitHub does not say, as on this machine.
    id: int | None = None
    #: Login on GitHub, or user of this machine: a label. None where nobody logs in.
    name: str | None = None


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry, before it is written or as it was written."""

    action: Action
    via: Via
    #: See `Actor`.
    actor_id: int | None = None
    actor: str | None = None
    repository_id: int | None = None
    #: `owner/name` at that time: a label.
    repository: str | None = None
    pull_number: int | None = None
    #: The build that it is about; of a retry the one that it made.
    build_id: str | None = None
    head_sha: str | None = None
    #: What else there is to say, a sentence for people.
    detail: str | None = None
    #: The delivery that told it, or that it is about.
    delivery_id: str | None = None


class Stored(Entry, frozen=True, kw_only=True):
    """An entry as stored."""

    #: Order of writing in this database, from 1.
    id: int
    at: datetime
