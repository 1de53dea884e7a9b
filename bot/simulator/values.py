"""The nouns of the simulated GitHub: what it knows of accounts, repositories, pull requests, checks and deliveries."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

#: Any JSON value that crosses the border of the simulator.
Json = Any

#: What git writes for "no commit".
ZERO_SHA = "0" * 40

#: What a delivery's body is where the webhook does not want plain JSON.
FORM = "application/x-www-form-urlencoded"

SECOND = timedelta(seconds=1)


def stamp(at: datetime) -> str:
    """An instant as GitHub writes it, e.g. `2026-01-31T12:00:00Z`."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(slots=True, kw_only=True, eq=False)
class User:
    """An account: a person, an organization, or the bot of an App."""

    id: int
    login: str
    #: `User`, `Organization` or `Bot`.
    type: str = "User"

    @property
    def email(self) -> str:
        """The address that GitHub makes up for those who hide theirs."""
        return f"{self.id}+{re.sub('[^A-Za-z0-9-]+', '-', self.login).strip('-')}@users.noreply.github.invalid"


@dataclass(slots=True, kw_only=True, eq=False)
class App:
    """A GitHub App."""

    id: int
    slug: str
    name: str
    client_id: str
    owner: User
    bot: User
    #: What it asked for, e.g. `{"checks": "write"}`.
    permissions: dict[str, str]
    #: The events that it subscribed to.
    events: set[str]
    created_at: datetime
    #: With which it proves that it is this App when people sign in.
    client_secret: str = field(repr=False)
    #: Where people who sign in may be sent back to, exactly.
    callback_urls: list[str] = field(default_factory=list)


@dataclass(slots=True, kw_only=True, eq=False)
class Installation:
    """An App in an account."""

    id: int
    account: User
    permissions: dict[str, str]
    created_at: datetime
    updated_at: datetime
    suspended_at: datetime | None = None
    suspended_by: User | None = None
    #: The ids of the repositories that it may reach.
    repository_ids: set[int] = field(default_factory=set)


@dataclass(slots=True, kw_only=True, eq=False)
class Repository:
    """A repository; `heads` and `tags` always say what its git repository says."""

    id: int
    owner: User
    name: str
    is_private: bool
    default_branch: str
    #: Where people and git find it now, e.g. `http://127.0.0.1:8080/octo/hello`.
    html_url: str
    description: str | None
    created_at: datetime
    updated_at: datetime
    pushed_at: datetime
    #: The id of the repository that its network of forks began with: all of these share their objects.
    network_id: int
    #: The repository that it is a fork of.
    parent: Repository | None = None
    is_archived: bool = False
    #: Branch name to commit.
    heads: dict[str, str] = field(default_factory=dict)
    #: Tag name to object.
    tags: dict[str, str] = field(default_factory=dict)
    #: Login to `admin`, `maintain`, `write`, `triage`, `read` or `none`; others have what the visibility gives.
    permissions: dict[str, str] = field(default_factory=dict)
    #: The number that the next pull request gets.
    next_number: int = 1

    @property
    def full_name(self) -> str:
        return f"{self.owner.login}/{self.name}"

    @property
    def clone_url(self) -> str:
        """The URL for git, without credentials."""
        return f"{self.html_url}.git"


@dataclass(slots=True, kw_only=True, eq=False)
class PullRequest:
    """A pull request as it is now."""

    id: int
    number: int
    repository: Repository
    #: None when the fork is gone.
    head_repository: Repository | None
    head_branch: str
    head_sha: str
    base_branch: str
    base_sha: str
    author: User
    title: str
    body: str | None
    created_at: datetime
    updated_at: datetime
    is_draft: bool = False
    #: `open` or `closed`.
    state: str = "open"
    closed_at: datetime | None = None
    merged_at: datetime | None = None
    merged_by: User | None = None
    #: The test merge while it is open (None on a conflict), the real one when it is merged.
    merge_commit_sha: str | None = None
    is_mergeable: bool | None = None
    labels: list[str] = field(default_factory=list)

    @property
    def is_fork(self) -> bool:
        return self.head_repository is not self.repository


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MergeGroup:
    """A pull request in a merge queue, merged with all that is before it on a branch of its own."""

    pull: PullRequest
    #: e.g. `gh-readonly-queue/main/pr-1-` and the SHA that it begins at.
    branch: str
    head_commit: Commit
    base_branch: str
    #: Where it begins: the head of the group before it, or of the base.
    base_sha: str
    #: What the pull request was when it was merged here.
    pull_head_sha: str
    #: Who queued it.
    sender: str

    @property
    def head_sha(self) -> str:
        return self.head_commit.sha


@dataclass(slots=True, kw_only=True, eq=False)
class CheckSuite:
    """All check runs of one App for one commit."""

    id: int
    repository: Repository
    app: App
    head_commit: Commit
    head_branch: str | None
    before: str | None
    created_at: datetime
    updated_at: datetime
    status: str = "queued"
    conclusion: str | None = None
    #: Oldest first.
    runs: list[CheckRun] = field(default_factory=list)

    @property
    def head_sha(self) -> str:
        return self.head_commit.sha


@dataclass(slots=True, kw_only=True, eq=False)
class CheckRun:
    """One check run; `output` holds the texts, `annotations` all annotations that were ever sent for it."""

    id: int
    repository: Repository
    suite: CheckSuite
    app: App
    name: str
    head_sha: str
    status: str
    conclusion: str | None
    external_id: str
    details_url: str
    started_at: datetime | None
    completed_at: datetime | None
    title: str | None = None
    summary: str | None = None
    text: str | None = None
    annotations: list[dict[str, Json]] = field(default_factory=list)
    actions: list[dict[str, str]] = field(default_factory=list)


@dataclass(slots=True, kw_only=True, eq=False)
class Status:
    """A commit status."""

    id: int
    repository: Repository
    sha: str
    state: str
    context: str
    description: str | None
    target_url: str | None
    creator: User
    created_at: datetime


@dataclass(slots=True, kw_only=True, eq=False)
class Comment:
    """A comment on a pull request."""

    id: int
    repository: Repository
    number: int
    author: User
    body: str
    created_at: datetime
    updated_at: datetime
    #: The App that wrote it, if one did.
    via_app: App | None = None
    reactions: list[Reaction] = field(default_factory=list)


@dataclass(slots=True, kw_only=True, eq=False)
class Reaction:
    """One emoji of one account under a comment."""

    id: int
    user: User
    #: `+1`, `-1`, `laugh`, `confused`, `heart`, `hooray`, `rocket` or `eyes`.
    content: str
    created_at: datetime


@dataclass(slots=True, kw_only=True, eq=False)
class Delivery:
    """One attempt to deliver one event. A redelivery is another attempt with the same `guid`."""

    id: int
    guid: str
    event: str
    action: str | None
    installation_id: int | None
    repository_id: int | None
    #: The headers that go out, signature included.
    headers: dict[str, str]
    #: The bytes that go out and that the signature covers.
    body: bytes
    created_at: datetime
    redelivery: bool = False
    #: Where it was sent; None if there was no webhook URL at the time, then it was never sent.
    url: str | None = None
    duration_seconds: float = 0.0
    #: `OK`, `Invalid HTTP Response: 503`, `timed out`, `failed to connect to host`; `pending` while under way.
    status: str = "pending"
    #: What the receiver answered; 502 if there was none to connect to, 504 after a time-out, 0 while pending.
    status_code: int = 0
    response_headers: dict[str, str] = field(default_factory=dict)
    response_body: str = ""
    #: Set when the attempt is over.
    done: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def payload_json(self) -> bytes:
        """The payload, however it is wrapped."""
        if self.headers.get("Content-Type") != FORM:
            return self.body
        return parse_qs(self.body.decode())["payload"][0].encode()

    @property
    def payload_summary(self) -> str:
        """The event and its action, e.g. `pull_request.opened`."""
        return f"{self.event}.{self.action}" if self.action else self.event


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedRequest:
    """One call of the API, as it came and as it was answered."""

    method: str
    #: With the query, without the `/api/v3` of an Enterprise-like URL.
    path: str
    #: The route, e.g. `/repos/{owner}/{repo}/check-runs`; empty for a path that the API does not have.
    template: str
    #: 0 if the connection was dropped before anything was answered.
    status: int
    at: datetime
    duration_seconds: float
    #: e.g. `app 1`, `installation 5000001`, `user mona` or `anonymous`.
    authenticated_as: str
    #: The parsed JSON body, or None.
    body: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class CallInsideWait:
    """A call of the API that came although its account had been told to wait."""

    #: e.g. `installation 5000001`.
    account: str
    method: str
    #: With the query, without the `/api/v3` of an Enterprise-like URL.
    path: str
    #: How long after the answer that told it.
    seconds_after: float
    #: How long before the wait was over.
    seconds_early: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    """What one commit or comparison does to one file."""

    #: `added`, `removed`, `modified` or `renamed`.
    status: str
    path: str
    previous_path: str | None = None
    #: The blob afterwards; before, for a removed file.
    blob: str | None = None
    additions: int = 0
    deletions: int = 0
    patch: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """Who wrote or committed something, and when."""

    name: str
    email: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """One commit, with the files that it changes against its first parent."""

    sha: str
    tree: str
    parents: Sequence[str]
    author: Signature
    committer: Signature
    message: str
    changes: Sequence[FileChange]


class Link(str):
    """The target of a symbolic link, in place of a file's content."""

    __slots__ = ()


#: Files to write: path to text or bytes, None to delete the file. What begins with `#!` becomes executable.
Files = Mapping[str, str | bytes | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCommit:
    """A commit to be written."""

    #: The full name of the ref that will point at it.
    ref: str
    #: The first parent; None for a root commit.
    parent: str | None
    files: Files
    message: str
    author: Signature
