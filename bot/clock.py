"""The clock: aware UTC instants; whoever decides something by time is given it as a value."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """The present instant."""
    return datetime.now(UTC)
