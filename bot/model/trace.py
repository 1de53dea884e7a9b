"""A trace: one build as a tree of spans, whose ids follow from what they tell of. Pure.

Nobody has to remember an id: each replica, before and behind a crash, derives the same ones, and so does a step's
environment long before the span of that step is sent. A trace's id is the build's: a ULID has 128 bits, as it has.

https://www.w3.org/TR/trace-context/
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Mapping
from datetime import datetime

import msgspec

#: Crockford's digits, which ULIDs are written with: https://github.com/ulid/spec#encoding
_DIGITS = {digit: value for value, digit in enumerate("0123456789ABCDEFGHJKMNPQRSTVWXYZ")}
_TRACE_BITS = 128
#: Who makes these ids, so that nobody else's hash of the same words is the same.
_DOMAIN = "buildhook"


class Kind(enum.StrEnum):
    """On which side of a call a span is."""

    SERVER = "SERVER"
    CLIENT = "CLIENT"
    INTERNAL = "INTERNAL"


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """Another span that has to do with one."""

    trace_id: int
    span_id: int


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """One stretch of time in a trace."""

    trace_id: int
    id: int
    #: None for the first span of a trace.
    parent_id: int | None
    name: str
    kind: Kind = Kind.INTERNAL
    started_at: datetime
    finished_at: datetime
    attributes: Mapping[str, str | int] = msgspec.field(default_factory=dict)
    #: What went wrong, a bounded word; None where nothing did.
    error_type: str | None = None
    links: tuple[Link, ...] = ()


def trace_id(build_id: str) -> int:
    """The id of a build's trace.

    :raises ValueError: if this is no ULID.
    """
    value = 0
    for digit in build_id:
        if digit not in _DIGITS:
            raise ValueError("not a ULID")
        value = value * 32 + _DIGITS[digit]
    if len(build_id) != 26 or not 0 < value < 1 << _TRACE_BITS:
        raise ValueError("not a ULID")
    return value


def span_id(*parts: str) -> int:
    """The id of the span that tells of this, e.g. `"step"`, the job's id and its number. Never 0, which means none."""
    digest = hashlib.sha256("\0".join((_DOMAIN, *parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") or 1


def of_build(build_id: str) -> int:
    """The id of the span of a whole build."""
    return span_id("build", build_id)


def of_job(job_id: str) -> int:
    """The id of the span of a job on its engine."""
    return span_id("job", job_id)


def of_step(job_id: str, index: int) -> int:
    """The id of the span of one step of a job."""
    return span_id("step", job_id, str(index))


def parent(build_id: str, span: int, *, is_sampled: bool = True) -> str:
    """What a child needs to know of its parent, in the form of `traceparent`."""
    return f"00-{trace_id(build_id):032x}-{span:016x}-{'01' if is_sampled else '00'}"
