"""What follows when a delivery could not be handled: pure. Ignored, tried again, or parked with its error."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from bot import errors, ramp

#: Begun this often without an end, a delivery is parked. Counted before handling, so one that kills us counts too.
MAX_ATTEMPTS = 5
#: Begun this often without an end, it is handled alone: it may be what ends the process.
SUSPECT_ATTEMPTS = 2
#: GitHub's longest troubles took hours; the state of a delivery this old is better asked for anew.
OUTAGE_PATIENCE = timedelta(hours=24)
_LONGEST_PAUSE = timedelta(minutes=5)
#: The labels that a metric may bear.
KNOWN_EVENTS = frozenset(
    {
        "check_run",
        "check_suite",
        "consent",
        "create",
        "delete",
        "hook",
        "installation",
        "installation_repositories",
        "issue_comment",
        "merge_group",
        "ping",
        "pull_request",
        "push",
        "repository",
        "schedule",
        "workflow_dispatch",
    }
)


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What to do with a delivery whose handler raised."""

    text: str
    #: None where it is not tried again.
    again_at: datetime | None = None
    #: It cannot concern us.
    is_ignored: bool = False
    #: Whether the attempt counts towards `MAX_ATTEMPTS`.
    is_counted: bool = True
    #: Whether the log wants the stack trace.
    is_unexpected: bool = False


class Claimed(Protocol):
    """What is judged: a delivery, or what one handler does with it."""

    @property
    def seq(self) -> int:
        """Tells it from others that failed together."""

    @property
    def attempts(self) -> int:
        """How often it was begun."""

    @property
    def received_at(self) -> datetime:
        """Since when it waits."""

    @property
    def error(self) -> str | None:
        """The failure before."""


def decide(error: Exception, claimed: Claimed, *, now: datetime) -> Verdict:
    """The verdict on one failed attempt."""
    match error:
        case errors.ShapeUnknown() | errors.NotReachable() | errors.Suspended():
            return Verdict(text=str(error), is_ignored=True)
        case errors.RateLimited():
            return Verdict(text=str(error), again_at=max(error.retry_at, now), is_counted=False)
        case errors.GitHubUnavailable() | errors.Unauthorized():
            waited = now - claimed.received_at
            if waited > OUTAGE_PATIENCE:
                return Verdict(text=f"{error} It was tried for {OUTAGE_PATIENCE.total_seconds() / 3600:.0f} hours.")
            # A pause that grows with the time already waited needs no counter.
            pause = min(max(waited / 2, timedelta(seconds=1)), _LONGEST_PAUSE)
            return Verdict(text=str(error), again_at=now + ramp.spread(pause, claimed.seq), is_counted=False)
        case errors.Forbidden():
            return Verdict(text=str(error))
        case TimeoutError():
            return again("Handling it took too long and was stopped.", claimed, now=now, is_unexpected=False)
        case errors.BuildhookError():
            return again(str(error), claimed, now=now, is_unexpected=False)
        case _:
            text = f"An unexpected {type(error).__name__}: the service's log has it under this delivery's id."
            return again(text, claimed, now=now, is_unexpected=True)


def again(text: str, claimed: Claimed, *, now: datetime, is_unexpected: bool) -> Verdict:
    """Once more behind a pause that grows, unless it was the last attempt."""
    is_last = claimed.attempts >= MAX_ATTEMPTS
    again_at = None if is_last else now + timedelta(seconds=4 ** (claimed.attempts - 1))
    return Verdict(text=text, again_at=again_at, is_unexpected=is_unexpected)


def never_ended(claimed: Claimed) -> str:
    """The error of what was begun too often."""
    text = f"Handling it was begun {claimed.attempts - 1} times and never ended: perhaps it stops the process."
    return f"{text} Before that: {claimed.error}" if claimed.error else text


def no_handler(event: str, action: str | None) -> str:
    """Why a delivery that nobody handles is ignored."""
    if event not in KNOWN_EVENTS:
        return f"No handler takes `{event}` events."
    told = f" with the action `{action}`" if action else ""
    return f"Nothing follows from a `{event}` event{told}."
