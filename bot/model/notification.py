"""A notification: what one subscriber is told of one build, and a subscriber as its answers made it."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from bot.model import build


class Event(enum.StrEnum):
    """What is told of a build, each once."""

    #: Its first job runs.
    STARTED = "build.started"
    #: It ended, however that was.
    FINISHED = "build.finished"
    #: Somebody has to approve it.
    WAITING = "check.waiting"


class State(enum.StrEnum):
    """Where a notification stands. `sent` and `given_up` are final."""

    WAITING = "waiting"
    #: A sender holds a lease on it.
    SENDING = "sending"
    #: It failed; it is due again at `next_attempt_at`.
    RETRYING = "retrying"
    #: The subscriber took it.
    SENT = "sent"
    #: It failed too often, or its subscriber is sent nothing any more.
    GIVEN_UP = "given_up"


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """One to be sent, or sent."""

    #: Order in this database, from 1.
    seq: int
    #: The subscriber sees it as `webhook-id`: the same one for each attempt.
    id: str
    subscriber: str
    build_id: str
    event: str
    #: Of the build as it was then, see `data_of`.
    data: Mapping[str, Any]
    created_at: datetime
    state: State = State.WAITING
    #: Of the last answer; None where none came.
    status: int | None = None
    #: The last failure, a sentence for people.
    error: str | None = None
    finished_at: datetime | None = None
    #: How often sending was begun.
    attempts: int = 0
    next_attempt_at: datetime | None = None
    #: Fences writes: only the holder of the current epoch may end it.
    epoch: int = 0


class SubscriberState(enum.StrEnum):
    """Whether a subscriber is sent anything."""

    ACTIVE = "active"
    #: It said that it is gone, or failed for days; `reason` says which.
    DISABLED = "disabled"


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A subscriber as the policy has it."""

    name: str
    #: Scheme, host and port of its URL, whose rest may be a secret.
    origin: str
    #: SHA-256 of the whole URL in hex: another one is a new beginning.
    url_digest: str
    events: tuple[str, ...]


class Subscriber(msgspec.Struct, frozen=True, kw_only=True):
    """A subscriber, and how it is going."""

    name: str
    origin: str
    url_digest: str
    events: tuple[str, ...] = msgspec.field(default=())
    state: SubscriberState = SubscriberState.ACTIVE
    #: Why it is disabled.
    reason: str | None = None
    #: Since when nothing reached it; None where the last one did.
    failing_since: datetime | None = None
    updated_at: datetime


def event_of(before: build.Build | None, after: build.Build) -> Event | None:
    """What is to be told of a build that was so before (None: it was not there) and is so now."""
    was_over = before is not None and before.state in build.FINAL
    if after.state in build.FINAL:
        return None if was_over else Event.FINISHED
    if after.state == build.State.RUNNING:
        return Event.STARTED if before is None or before.started_at is None else None
    return Event.WAITING if before is None and after.state == build.State.WAITING else None


def id_of(event: Event, of: build.Build) -> str:
    """The id of a notification: the same one however often it is made. It has no dot, which delimits what is signed."""
    return f"msg_{of.id}_{event.value.replace('.', '_')}"


def data_of(of: build.Build) -> dict[str, Any]:
    """What is told of a build: ids, names and states. No text of a log, a commit or a person is in it."""
    return {
        "id": of.id,
        "repository": {"id": of.repository_id, "full_name": of.repository},
        "event": of.event,
        "ref": of.ref,
        "head_sha": of.head_sha,
        "base_sha": of.base_sha,
        "pull_number": of.pull_number,
        "generation": of.generation,
        "trust": of.trust.value,
        "state": of.state.value,
        "created_at": _instant(of.created_at),
        "started_at": _instant(of.started_at),
        "finished_at": _instant(of.finished_at),
    }


def _instant(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat().replace("+00:00", "Z")
