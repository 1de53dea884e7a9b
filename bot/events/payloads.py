"""The shapes of the payloads that handlers read: only the members they use, everything else is left alone. Pure.

The event's name comes in a header that no signature covers, so a handler proves by the shape that the body is what
the header says. Names and texts in here are hostile; numbers are the identity.

https://docs.github.com/en/webhooks/webhook-events-and-payloads
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, TypeVar

import msgspec
from gidgethub import sansio

from bot import errors

Id = Annotated[int, msgspec.Meta(gt=0, le=2**63 - 1)]
Sha = Annotated[str, msgspec.Meta(pattern=r"^(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")]
FullName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,100}/[A-Za-z0-9._-]{1,100}\Z")]
Ref = Annotated[str, msgspec.Meta(pattern=r"^refs/[^\x00-\x20\x7f]+\Z", max_length=4096)]
Branch = Annotated[str, msgspec.Meta(pattern=r"^[^\x00-\x20\x7f]+\Z", max_length=4096)]
T = TypeVar("T")


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A user, bot or organisation."""

    id: Id
    login: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.\[\]-]{1,255}\Z")]


class Numbered(msgspec.Struct, frozen=True, kw_only=True):
    """Something of which only the id matters."""

    id: Id


class Repository(msgspec.Struct, frozen=True, kw_only=True):
    """`repository`."""

    id: Id
    full_name: FullName


class Commit(msgspec.Struct, frozen=True, kw_only=True):
    """`head_commit` of a push."""

    message: str = ""


class Push(msgspec.Struct, frozen=True, kw_only=True):
    """`push`."""

    ref: Ref
    before: Sha
    after: Sha
    deleted: bool = False
    repository: Repository
    sender: Account
    installation: Numbered | None = None
    head_commit: Commit | None = None


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """`head` or `base` of a pull request; the repository is gone when a fork was deleted."""

    ref: Branch
    sha: Sha
    repo: Numbered | None = None


class Pull(msgspec.Struct, frozen=True, kw_only=True):
    """`pull_request`."""

    number: Id
    state: str
    title: str
    user: Account
    head: Side
    base: Side
    updated_at: datetime


class PullChanges(msgspec.Struct, frozen=True, kw_only=True):
    """`changes` of an edited pull request."""

    base: dict[str, Any] | None = None


class PullRequest(msgspec.Struct, frozen=True, kw_only=True):
    """`pull_request` events."""

    action: str
    number: Id
    pull_request: Pull
    repository: Repository
    sender: Account
    installation: Numbered | None = None
    changes: PullChanges = PullChanges()


class CheckRun(msgspec.Struct, frozen=True, kw_only=True):
    """`check_run`."""

    id: Id
    head_sha: Sha
    app: Numbered


class CheckRunEvent(msgspec.Struct, frozen=True, kw_only=True):
    """`check_run` events."""

    action: str
    check_run: CheckRun
    repository: Repository
    sender: Account
    installation: Numbered | None = None


class CheckSuite(msgspec.Struct, frozen=True, kw_only=True):
    """`check_suite`."""

    id: Id
    head_sha: Sha
    app: Numbered
    updated_at: str = ""
    latest_check_runs_count: int = 0


class CheckSuiteEvent(msgspec.Struct, frozen=True, kw_only=True):
    """`check_suite` events."""

    action: str
    check_suite: CheckSuite
    repository: Repository
    sender: Account
    installation: Numbered | None = None


class Installed(msgspec.Struct, frozen=True, kw_only=True):
    """`installation`: its times come as text or as seconds."""

    id: Id
    app_id: Id
    account: Account
    updated_at: datetime | int
    permissions: dict[str, Any] = {}


class InstallationEvent(msgspec.Struct, frozen=True, kw_only=True):
    """`installation` events."""

    action: str
    installation: Installed
    sender: Account


class InstallationRepositoriesEvent(msgspec.Struct, frozen=True, kw_only=True):
    """`installation_repositories` events."""

    action: str
    installation: Installed
    repositories_added: list[Repository]
    repositories_removed: list[Repository]


class Ping(msgspec.Struct, frozen=True, kw_only=True):
    """`ping`."""

    zen: str
    hook: dict[str, Any]


def read(event: sansio.Event, shape: type[T]) -> T:
    """The payload of an event in its shape.

    :raises errors.ShapeUnknown: if the payload is not of that shape.
    """
    try:
        return msgspec.convert(event.data, shape)
    except (msgspec.ValidationError, ValueError, OverflowError) as error:
        raise errors.ShapeUnknown(f"The payload is not that of a {event.event} event: {error}.") from error
