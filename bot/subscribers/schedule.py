"""When a notification that failed is sent again, and when its subscriber has failed for too long: pure.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md#deliverability-and-reliability
"""

from __future__ import annotations

import enum
from datetime import datetime, timedelta

import msgspec

from bot import ramp
from bot.model import notification

#: The pause behind each failed attempt; behind the last one there is no other.
PAUSES = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
#: Nothing reached a subscriber for so long: it is sent nothing any more.
DISABLE_AFTER = timedelta(days=5)


class Action(enum.StrEnum):
    """What follows from an attempt."""

    SENT = "sent"
    RETRY = "retry"
    GIVE_UP = "give_up"
    #: Its receiver says that it is gone for good.
    DISABLE = "disable"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What follows, and why."""

    action: Action
    #: Empty where it went well.
    text: str = ""
    again_at: datetime | None = None


def decide(claimed: notification.Notification, *, status: int | None, reason: str, now: datetime) -> Verdict:
    """What follows from an answer's status, or from there being none for this reason."""
    if status is not None and 200 <= status < 300:
        return Verdict(action=Action.SENT)
    if status == 410:
        return Verdict(action=Action.DISABLE, text="It answered 410: it wants nothing any more.")
    text = reason if status is None else f"It answered {status}."
    if status is not None and 300 <= status < 400:
        text += " Redirects are not followed: write where it leads into the policy file."
    if claimed.attempts > len(PAUSES):
        return Verdict(action=Action.GIVE_UP, text=text)
    pause = ramp.spread(PAUSES[claimed.attempts - 1], claimed.seq)
    return Verdict(action=Action.RETRY, text=text, again_at=now + pause)


def why_disabled(failing_since: datetime, *, now: datetime) -> str | None:
    """Why a subscriber is sent nothing any more after it failed once more, or None."""
    if now - failing_since < DISABLE_AFTER:
        return None
    return f"Nothing reached it since {failing_since:%Y-%m-%d %H:%M} UTC."
