"""What follows when a check could not be sent: pure. Tried again later, or given up with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from bot import errors
from bot.model import check

_LONGEST_PAUSE = timedelta(minutes=5)
#: An unexpected error of ours is tried this often.
MAX_ATTEMPTS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What to do with a check that could not be sent."""

    text: str
    #: None where it is given up until it changes.
    again_at: datetime | None
    #: Whether the log wants the stack trace.
    is_unexpected: bool = False


def decide(error: Exception, claimed: check.Check, *, now: datetime) -> Verdict:
    """The verdict on one failed attempt."""
    pause = min(timedelta(seconds=2 ** min(claimed.attempts - 1, 10)), _LONGEST_PAUSE)
    match error:
        case errors.RateLimited():
            return Verdict(text=str(error), again_at=max(error.retry_at, now))
        case errors.GitHubUnavailable() | errors.Unauthorized() | errors.Forbidden():
            # An administrator may accept a permission meanwhile; our own check run is never another App's.
            is_foreign = isinstance(error, errors.ForeignCheckRun)
            return Verdict(text=str(error), again_at=None if is_foreign else now + pause)
        case errors.NotReachable() | errors.Suspended() | errors.Invalid():
            return Verdict(text=str(error), again_at=None)
        case _:
            is_last = claimed.attempts >= MAX_ATTEMPTS
            text = f"An unexpected {type(error).__name__}: the service's log has it."
            return Verdict(text=text, again_at=None if is_last else now + pause, is_unexpected=True)
