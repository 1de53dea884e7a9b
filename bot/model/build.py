"""A build: one plan being run for one commit (and, for a pull request, the base it is merged with)."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from bot.model.approval import Consent, Proposal


class State(enum.StrEnum):
    """The graph's verdict; what it is made of is decided by `bot.builds.lifecycle.verdict`."""

    #: Waits until a person wants it, see `Wait`.
    WAITING = "waiting"
    QUEUED = "queued"
    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"
    ERRORED = "errored"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    SKIPPED = "skipped"


FINAL = frozenset({State.PASSED, State.FAILED, State.ERRORED, State.CANCELLED, State.TIMED_OUT, State.SKIPPED})


class Trust(enum.StrEnum):
    """Whose code it is; mirrors, caches and networks are kept apart by it."""

    TRUSTED = "trusted"
    UNTRUSTED = "untrusted"


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One mistake in a pipeline file, placed for an annotation. Lines and columns count from 1."""

    path: str
    line: int
    column: int
    #: What is wrong, and what to write instead.
    text: str


class Build(msgspec.Struct, frozen=True, kw_only=True):
    """A build as stored. Keyed by (repository id, head SHA, generation); `base_sha` is None for a push."""

    #: ULID.
    id: str
    repository_id: int
    installation_id: int
    #: `owner/name` when the build was made: a label.
    repository: str
    #: `push`, `pull_request`, `merge_group` or `hook`.
    event: str
    #: Fully qualified: `refs/heads/...`, `refs/tags/...` or `refs/pull/N/merge`.
    ref: str
    head_sha: str
    base_sha: str | None = None
    #: Branch name of the base, for a pull request.
    base_ref: str | None = None
    #: Branch name of the head, for a pull request.
    head_ref: str | None = None
    pull_number: int | None = None
    #: 1 for the first build of this head; each re-run or moved base is the next.
    generation: int = 1
    #: First line of the commit, or the pull request's title: hostile text.
    title: str = ""
    #: Login of who caused it: a label.
    sender: str = ""
    sender_id: int = 0
    trust: Trust = Trust.UNTRUSTED
    #: SHA-256 of the plan: equal digests mean equal jobs.
    plan_digest: str = ""
    #: `name:` of the pipeline file.
    pipeline: str = ""
    state: State = State.QUEUED
    #: Why it stands where it stands, where that is not obvious from its jobs.
    reason: str | None = None
    #: Of the builds of a repository in one group one runs at a time; None where it runs whatever else does.
    concurrency_group: str | None = None
    #: Whether it ends what is under way in its group.
    cancel_in_progress: bool = False
    #: Its turn among the builds of its group that have not ended.
    concurrency_turn: int | None = None
    #: Mistakes of the pipeline file; then there are no jobs.
    problems: tuple[Problem, ...] = ()
    #: What would run, of a build that waits for somebody's consent.
    proposal: Proposal | None = None
    #: What expressions may name as `github.event`: bounded, and hostile text.
    payload: Mapping[str, Any] = msgspec.field(default_factory=dict)
    #: The delivery that caused it.
    delivery_id: str | None = None
    #: The build whose result or plan it took over.
    origin_id: str | None = None
    #: What asked for it, so that a replay under another delivery id starts nothing: unique in a repository.
    cause: str
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def waits_for(self) -> Consent | None:
        """Whose consent it waits for, if it waits for any."""
        return self.proposal.consent if self.state == State.WAITING and self.proposal is not None else None


class Pull(msgspec.Struct, frozen=True, kw_only=True):
    """What we last knew of a pull request, so that an older event cannot overwrite a newer one."""

    repository_id: int
    number: int
    head_repository_id: int | None
    head_ref: str
    head_sha: str
    base_ref: str
    base_sha: str
    author_id: int
    #: `open` or `closed`.
    state: str
    #: The payload's `pull_request.updated_at`: the order of events.
    updated_at: datetime
    #: Whether its author's code was let run when last decided.
    runs: bool = False
    is_draft: bool = False
    #: Whether its author pushed every head that was heard of, the first one included.
    is_only_authors: bool = False
    #: Whether our comment on it shows how its builds stand.
    shows_builds: bool = False


class Installation(msgspec.Struct, frozen=True, kw_only=True):
    """An installation of the App, as its events and our tokens told."""

    id: int
    account: str
    #: `active`, `suspended` or `deleted`.
    state: str
    updated_at: datetime
    permissions: Mapping[str, Any] = msgspec.field(default_factory=dict)
