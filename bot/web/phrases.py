"""Phrases: durations, ages, sizes and references in words for people; pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from bot.model import audit, build, delivery, storage

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_DEEDS = {
    audit.Action.APPROVE: "Approved",
    audit.Action.REFUSE: "Refused",
    audit.Action.CANCEL: "Cancelled",
    audit.Action.RETRY: "Run again",
    audit.Action.RUN_ANYWAY: "Run anyway",
    audit.Action.START: "Started",
    audit.Action.REPLAY: "Delivery handled again",
    audit.Action.RECOVER: "GitHub asked for what is missing",
    audit.Action.SET_SECRET: "Secret set",
    audit.Action.REMOVE_SECRET: "Secret removed",
    audit.Action.BADGE_TOKEN: "Badge token made",
}
_WAYS = {
    audit.Via.BUTTON: "with the button on GitHub",
    audit.Via.COMMENT: "by a comment on GitHub",
    audit.Via.CLI: "on the command line",
    audit.Via.PAGE: "on a page",
    audit.Via.API: "through the API",
    audit.Via.EVENT: "on GitHub",
}


def duration(seconds: float) -> str:
    """A length of time with its two largest units: `1 min 12 s`, `3 h`."""
    if seconds < 1:
        return "0 s" if seconds <= 0 else "under 1 s"
    rest = int(seconds)
    parts: list[str] = []
    for size, unit in _UNITS:
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {unit}")
        elif parts:
            break
        if len(parts) == 2:
            break
    return " ".join(parts)


def age(at: datetime, now: datetime) -> str:
    """How long ago: `3 min ago`; the day where that was over four weeks ago."""
    passed = now - at
    if passed < timedelta(seconds=-1):
        return f"in {duration(-passed.total_seconds())}"
    if passed < timedelta(seconds=5):
        return "just now"
    if passed > timedelta(weeks=4):
        return at.astimezone(UTC).strftime("%Y-%m-%d")
    seconds = int(passed.total_seconds())
    size, unit = next((size, unit) for size, unit in _UNITS if seconds >= size)
    return f"{seconds // size} {unit} ago"


def took(started_at: datetime | None, finished_at: datetime | None, now: datetime) -> str:
    """How long something took, or takes so far; empty where it has not begun."""
    return "" if started_at is None else duration(((finished_at or now) - started_at).total_seconds())


def instant(at: datetime) -> str:
    """An instant in UTC, to the second."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def size(size_bytes: int) -> str:
    """A number of bytes: `512 bytes`, `1.5 MiB`."""
    return storage.size(size_bytes)


def short(sha: str) -> str:
    """The first 7 digits of a SHA, as GitHub shows it."""
    return sha[:7]


def reference(made: build.Build) -> str:
    """What a build is for: `#7 feature → main`, `main`, `tag v1.0`."""
    if made.pull_number is not None:
        return f"#{made.pull_number} {made.head_ref or '?'} → {made.base_ref or '?'}"
    return place(made.ref)


def place(ref: str) -> str:
    """A branch or tag as people call it: `main`, `tag v1.0`; any other ref as it is."""
    for prefix, label in (("refs/heads/", ""), ("refs/tags/", "tag ")):
        if ref.startswith(prefix):
            return label + ref.removeprefix(prefix)
    return ref


def event_name(one: delivery.Delivery) -> str:
    """A delivery's event and action: `pull_request.opened`."""
    return one.event if one.action is None else f"{one.event}.{one.action}"


def count(number: int, noun: str) -> str:
    """A number with its noun: `1 job`, `3 jobs`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def deed(action: audit.Action) -> str:
    """What somebody caused, as a heading."""
    return _DEEDS[action]


def who(one: audit.Entry) -> str:
    """Who caused it and by which way: `mona (id 5), with the button on GitHub`."""
    name = one.actor or "somebody"
    number = "" if one.actor_id is None else f" (id {one.actor_id})"
    return f"{name}{number}, {_WAYS[one.via]}"
