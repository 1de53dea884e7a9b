"""Consent: what a build waits for before it runs, and that somebody gave it, for exactly one commit."""

from __future__ import annotations

import enum
from datetime import datetime

import msgspec


class Consent(enum.StrEnum):
    """What somebody who may push has to say. It is the identifier of a button, which holds 20 characters.

    https://docs.github.com/en/rest/checks/runs: `actions`
    """

    #: Somebody else's code may run.
    APPROVE = "approve"
    #: The author asked for no build, and a pull request does not get around its checks by that.
    RUN_ANYWAY = "run-anyway"


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """What would run once somebody consents."""

    consent: Consent
    #: Names of the jobs, in order.
    jobs: tuple[str, ...]
    #: The commit whose pipeline file makes them.
    file_sha: str
    #: SHA-256 of the plan: what runs is what was shown.
    digest: str
    #: How the pipeline file of the head differs from that one: lines of a unified diff.
    changes: tuple[str, ...] = ()
    #: What became of the last attempt to consent, where it was refused.
    remark: str | None = None


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody's consent. It holds for one head on one base, and for no other plan."""

    #: ULID.
    id: str
    repository_id: int
    pull_number: int
    head_sha: str
    base_ref: str
    base_sha: str
    #: Of the plan that was shown.
    digest: str
    approver_id: int
    #: Login: a label.
    approver: str
    #: `button`, `comment`, `label` or `page`.
    via: str
    delivery_id: str
    created_at: datetime
    #: When something changed that it does not hold for.
    dropped_at: datetime | None = None
    dropped_reason: str | None = None
