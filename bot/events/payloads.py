"""The shapes of the payloads that handlers read: only the members they use, everything else is left alone. Pure.

The event's name comes in a header that no signature covers, so a handler proves by the shape that the body is what
the header says. Names and texts in here are hostile; numbers are the identity.

https://docs.github.com/en/webhooks/webhook-events-and-payloads
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import msgspec
from gidgethub import sansio

from bot import errors

Id = Annotated[int, msgspec.Meta(gt=0, le=2**63 - 1)]
Sha = Annotated[str, msgspec.Meta(pattern=r"^(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")]
FullName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,100}/[A-Za-z0-9._-]{1,100}\Z")]
Ref = Annotated[str, msgspec.Meta(pattern=r"^refs/[^\x00-\x20\x7f]+\Z", max_length=4096)]
Branch = Annotated[str, msgspec.Meta(pattern=r"^[^\x00-\x20\x7f]+\Z", max_length=4096)]
#: GitHub writes times as text, and in some events as seconds; one without a zone is UTC. See `utc`.
Time = datetime | Annotated[int, msgspec.Meta(ge=0, le=253_402_300_799)]
T = TypeVar("T")


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A user, bot or organisation."""

    id: Id
    login: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.\[\]-]{1,255}\Z")]
    #: `User`, `Bot`, `Organization`, …
    type: str | None = None


class Numbered(msgspec.Struct, frozen=True, kw_only=True):
    """Something of which only the id matters."""

    id: Id


class Repository(msgspec.Struct, frozen=True, kw_only=True):
    """`repository`."""

    id: Id
    full_name: FullName


class PushedRepository(Repository, frozen=True, kw_only=True):
    """`repository` of a push."""

    #: When this very push happened, see `moment`: a push is none the less one where it cannot be read.
    pushed_at: Any = None
    default_branch: str | None = None


class Commit(msgspec.Struct, frozen=True, kw_only=True):
    """`head_commit` of a push."""

    id: Sha | None = None
    message: str | None = None


class Push(msgspec.Struct, frozen=True, kw_only=True):
    """`push`."""

    ref: Ref
    before: Sha
    after: Sha
    deleted: bool | None = False
    repository: PushedRepository
    sender: Account
    installation: Numbered | None = None
    head_commit: Commit | None = None


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """`create` and `delete`: a branch or tag came or went."""

    #: Without `refs/heads/` or `refs/tags/`.
    ref: Branch
    #: `branch` or `tag`; `create` also says `repository`.
    ref_type: str
    repository: PushedRepository
    sender: Account
    installation: Numbered | None = None


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """`head` or `base` of a pull request; the repository is gone when a fork was deleted."""

    ref: Branch
    sha: Sha
    repo: Numbered | None = None


class Label(msgspec.Struct, frozen=True, kw_only=True):
    """`label`."""

    name: str


class Pull(msgspec.Struct, frozen=True, kw_only=True):
    """`pull_request`."""

    number: Id
    state: str
    title: str | None = None
    body: str | None = None
    labels: tuple[Label, ...] | None = None
    user: Account
    draft: bool | None = False
    head: Side
    base: Side
    updated_at: Time
    #: The commit that its base got, where it is merged.
    merge_commit_sha: str | None = None
    merged: bool | None = False


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
    changes: PullChanges | None = None


class LabeledEvent(PullRequest, frozen=True, kw_only=True):
    """`pull_request` events about one label."""

    label: Label


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


class RequestedAction(msgspec.Struct, frozen=True, kw_only=True):
    """`requested_action`: which button was pressed."""

    identifier: Annotated[str, msgspec.Meta(max_length=255)]


class PressedEvent(CheckRunEvent, frozen=True, kw_only=True):
    """`check_run` events of buttons."""

    requested_action: RequestedAction


class MergeGroup(msgspec.Struct, frozen=True, kw_only=True):
    """`merge_group`."""

    head_sha: Sha
    head_ref: Ref
    base_sha: Sha
    base_ref: Ref
    head_commit: Commit | None = None


class MergeGroupEvent(msgspec.Struct, frozen=True, kw_only=True):
    """`merge_group` events."""

    action: str
    merge_group: MergeGroup
    #: Of a group that was destroyed: `merged`, `invalidated` or `dequeued`.
    reason: str | None = None
    repository: Repository
    sender: Account | None = None
    installation: Numbered | None = None


class CheckSuite(msgspec.Struct, frozen=True, kw_only=True):
    """`check_suite`."""

    id: Id
    head_sha: Sha
    app: Numbered
    updated_at: str | int | None = None
    latest_check_runs_count: int | None = None


class CheckSuiteEvent(msgspec.Struct, frozen=True, kw_only=True):
    """`check_suite` events."""

    action: str
    check_suite: CheckSuite
    repository: Repository
    sender: Account
    installation: Numbered | None = None


class Issue(msgspec.Struct, frozen=True, kw_only=True):
    """`issue` of a comment: a pull request is one too."""

    number: Id
    state: str
    #: Addresses of the pull request; None for what is an issue only.
    pull_request: dict[str, Any] | None = None


class Comment(msgspec.Struct, frozen=True, kw_only=True):
    """`comment`."""

    id: Id
    #: Hostile text.
    body: str
    user: Account
    #: The App that wrote it, for itself or in somebody's name.
    performed_via_github_app: Numbered | None = None


class IssueCommentEvent(msgspec.Struct, frozen=True, kw_only=True):
    """`issue_comment` events."""

    action: str
    issue: Issue
    comment: Comment
    repository: Repository
    sender: Account
    installation: Numbered | None = None


class Installed(msgspec.Struct, frozen=True, kw_only=True):
    """`installation`."""

    id: Id
    app_id: Id
    account: Account
    updated_at: Time
    suspended_at: Time | None = None
    permissions: dict[str, Any] | None = None


class InstallationEvent(msgspec.Struct, frozen=True, kw_only=True):
    """`installation` events."""

    action: str
    installation: Installed
    sender: Account
    #: Those that it begins with.
    repositories: list[Repository] | None = None


class InstallationRepositoriesEvent(msgspec.Struct, frozen=True, kw_only=True):
    """`installation_repositories` events."""

    action: str
    installation: Installed
    repositories_added: list[Repository]
    repositories_removed: list[Repository]


class RepositoryEvent(msgspec.Struct, frozen=True, kw_only=True):
    """`repository` events."""

    action: str
    repository: Repository
    sender: Account
    installation: Numbered | None = None


class Described(Repository, frozen=True, kw_only=True):
    """A repository as GitHub's API describes it."""

    archived: bool = False
    #: To be told that nobody but some may see it, GitHub has to say so; where it says nothing, it is.
    private: bool = True


class Ping(msgspec.Struct, frozen=True, kw_only=True):
    """`ping`."""

    zen: str
    hook: dict[str, Any]


def utc(told: datetime | int) -> datetime:
    """A time of a payload as an aware instant."""
    if isinstance(told, int):
        return datetime.fromtimestamp(told, UTC)
    return told.replace(tzinfo=UTC) if told.tzinfo is None else told.astimezone(UTC)


def moment(told: object) -> datetime | None:
    """A time of a payload that may be anything; None where it is no time."""
    try:
        return utc(msgspec.convert(told, Time))
    except (msgspec.ValidationError, ValueError, OverflowError):
        return None


def described(raw: bytes) -> Described:
    """A repository as the API told it, see `bot.github.repositories.get_raw`.

    :raises errors.ShapeUnknown: if it is not of that shape.
    """
    try:
        return msgspec.json.decode(raw, type=Described)
    except msgspec.DecodeError as error:
        raise errors.ShapeUnknown(f"GitHub's description of the repository is not one: {error}.") from error


def read(event: sansio.Event, shape: type[T]) -> T:
    """The payload of an event in its shape.

    :raises errors.ShapeUnknown: if the payload is not of that shape.
    """
    try:
        return msgspec.convert(event.data, shape)
    except (msgspec.ValidationError, ValueError, OverflowError) as error:
        raise errors.ShapeUnknown(f"The payload is not that of a {event.event} event: {error}.") from error
