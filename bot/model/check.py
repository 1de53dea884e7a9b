"""A check: a check run as it should be on GitHub, and as GitHub last acknowledged it."""

from __future__ import annotations

import enum
from datetime import datetime

import msgspec


class Level(enum.StrEnum):
    """https://docs.github.com/en/rest/checks/runs: `annotation_level`."""

    NOTICE = "notice"
    WARNING = "warning"
    FAILURE = "failure"


class Annotation(msgspec.Struct, frozen=True, kw_only=True):
    """One remark on a line of a file. Lines count from 1."""

    path: str
    start_line: int
    end_line: int
    level: Level
    text: str
    title: str | None = None
    raw_details: str | None = None


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """A button beside a check run. GitHub takes 20, 40 and 20 characters.

    https://docs.github.com/en/rest/checks/runs: `actions`
    """

    label: str
    description: str
    identifier: str


class CheckRun(msgspec.Struct, frozen=True, kw_only=True):
    """A check run as GitHub takes it: the rendered form, already within GitHub's limits.

    https://docs.github.com/en/rest/checks/runs
    """

    name: str
    head_sha: str
    external_id: str
    details_url: str
    #: `queued`, `in_progress` or `completed`.
    status: str
    #: Only with `completed`.
    conclusion: str | None
    started_at: datetime | None
    completed_at: datetime | None
    title: str
    summary: str
    text: str | None = None
    #: Those of the whole run; 50 are the limit of one request.
    annotations: tuple[Annotation, ...] = ()
    #: At most three.
    actions: tuple[Action, ...] = ()


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """A check as stored: one slot (repository id, head SHA, name) and generation."""

    #: Our number, also the order of work.
    id: int
    build_id: str
    #: None for a check that stands for the whole build.
    job_id: str | None
    repository_id: int
    installation_id: int
    #: `owner/name`: a label, used in the URL of the call.
    repository: str
    head_sha: str
    name: str
    generation: int
    external_id: str
    #: GitHub's id of the check run, once acknowledged.
    github_id: int | None = None
    #: Grows with each change of what should be shown.
    desired_version: int = 1
    #: The version that GitHub acknowledged; 0 before the first.
    reported_version: int = 0
    #: The status that GitHub acknowledged.
    reported_status: str | None = None
    #: When a conclusion was acknowledged.
    reported_at: datetime | None = None
    #: When GitHub last acknowledged anything.
    sent_at: datetime | None = None
    #: Since when GitHub may hold a check run of ours whose id we never learnt; None where that cannot be.
    create_begun_at: datetime | None = None
    #: Since when GitHub does not show it as it should; of what it shows, since when it did not before.
    wanted_at: datetime | None = None
    #: Whether what has to be sent is the end of it.
    is_conclusion: bool = False
    attempts: int = 0
    next_attempt_at: datetime | None = None
    error: str | None = None
    epoch: int = 0

    @property
    def is_stale(self) -> bool:
        """Whether GitHub does not yet show what it should."""
        return self.reported_version < self.desired_version
