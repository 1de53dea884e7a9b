"""The time of the simulated GitHub: that of this machine, and what was added to it."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class Clock:
    """Goes on by itself; `advance` lets time pass at once, for everything in the world that hangs on it.

    Only what is sent and received takes real time. A client that compares clocks sees GitHub's run ahead.
    """

    def __init__(self) -> None:
        self._added_seconds = 0.0

    def seconds(self) -> float:
        """Seconds since 1970."""
        return time.time() + self._added_seconds

    def instant(self) -> datetime:
        """The time, aware, UTC."""
        return datetime.fromtimestamp(self.seconds(), tz=UTC)

    def now(self) -> datetime:
        """The time in whole seconds, as GitHub's API tells it."""
        return self.instant().replace(microsecond=0)

    def advance(self, seconds: float) -> None:
        """Lets so many seconds pass."""
        self._added_seconds += seconds
