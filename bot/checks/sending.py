"""What follows when a check or answer could not be sent: pure. Tried later, made anew, or given up with its reason."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from bot import errors, ramp

_LONGEST_PAUSE = timedelta(minutes=5)
#: Until GitHub answers again; how many ask meanwhile is bounded by the reporter's width.
_OUTAGE_PAUSE = timedelta(seconds=30)
#: What only an owner can change is told by an event; this is for when that event is lost.
_OWNERS_PAUSE = timedelta(hours=1)
#: An unexpected error of ours is tried this often.
MAX_ATTEMPTS = 10
#: What was made a moment ago may not be known everywhere at GitHub; so often it is asked for.
LOST_ATTEMPTS = 3


class Claimed(Protocol):
    """What was to be sent."""

    @property
    def id(self) -> int:
        """A number that spreads what failed together."""

    @property
    def attempts(self) -> int:
        """How often it was tried, this time included."""


class NotYet(errors.BuildhookError):
    """A check run or comment may be there that GitHub does not show yet: it is looked for again before one is made."""

    def __init__(self, text: str, *, until: datetime) -> None:
        super().__init__(text)
        #: When it would be shown if it were there.
        self.until = until


class RunGone(errors.BuildhookError):
    """GitHub has the check run no more."""


class CommentGone(errors.BuildhookError):
    """GitHub has the comment no more."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What to do with what could not be sent."""

    text: str
    #: None where it is given up until it changes.
    again_at: datetime | None
    #: Whether the attempt surely left nothing behind on GitHub whose id we do not know.
    is_unmade: bool = True
    #: Whether it was an attempt; a call that was never made is none.
    is_counted: bool = True
    #: Whether the log wants the stack trace.
    is_unexpected: bool = False


def decide(error: Exception, claimed: Claimed, *, now: datetime, number: int | None = None) -> Verdict:
    """The verdict on one failed attempt.

    :param number: what spreads it, if not its own: what went with one request comes back together.
    """
    number = claimed.id if number is None else number
    match error:
        case NotYet():
            return Verdict(text=str(error), again_at=min(now + _growing(claimed, _OUTAGE_PAUSE), error.until))
        case errors.RateLimited():
            return Verdict(text=str(error), again_at=max(error.retry_at, now), is_counted=False)
        case errors.AnswerLost():
            return Verdict(text=str(error), again_at=now + _spread(claimed, number, _OUTAGE_PAUSE), is_unmade=False)
        case errors.GitHubUnavailable() | errors.Unauthorized():
            return Verdict(text=str(error), again_at=now + _spread(claimed, number, _OUTAGE_PAUSE))
        case errors.CommitUnknown():
            return _lost(f"{error} The commit is superseded: nobody sees its result on GitHub any more.", claimed, now)
        case errors.NotReachable():
            return _lost(str(error), claimed, now)
        case errors.Invalid() | errors.ForeignCheckRun() | errors.Locked():
            # Our own check run is never another App's.
            return Verdict(text=str(error), again_at=None)
        case errors.Forbidden():
            return Verdict(text=str(error), again_at=now + _spread(claimed, number, _OWNERS_PAUSE))
        case errors.Suspended():
            return Verdict(text=str(error), again_at=now + _OWNERS_PAUSE)
        case _:
            is_last = claimed.attempts >= MAX_ATTEMPTS
            text = f"An unexpected {type(error).__name__}: the service's log has it."
            again_at = None if is_last else now + _spread(claimed, number, _LONGEST_PAUSE)
            return Verdict(text=text, again_at=again_at, is_unmade=False, is_unexpected=True)


def _lost(text: str, claimed: Claimed, now: datetime) -> Verdict:
    is_last = claimed.attempts >= LOST_ATTEMPTS
    return Verdict(text=text, again_at=None if is_last else now + _growing(claimed, _LONGEST_PAUSE))


def _growing(claimed: Claimed, longest: timedelta) -> timedelta:
    """1, 2, 4, ... seconds with each attempt."""
    return min(timedelta(seconds=2 ** min(max(claimed.attempts - 1, 0), 20)), longest)


def _spread(claimed: Claimed, number: int, longest: timedelta) -> timedelta:
    """The growing pause and a part of it that differs from number to number."""
    return ramp.spread(_growing(claimed, longest), number)
