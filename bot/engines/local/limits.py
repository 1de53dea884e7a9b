"""Bounds that are no setting."""

from __future__ import annotations

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of each job, and of the engine's own work for it."""

    #: How much of a job's output is kept: its beginning and its end.
    log_bytes: int = 64 << 20
    #: How long a step may take to end after it was asked to.
    grace_seconds: float = 10.0
    #: How long fetching may take.
    fetch_seconds: float = 900.0
    #: How long a follower waits for a job to be started again whose preparation a restart cut off.
    patience_seconds: float = 60.0
