"""How much may be done now: a few at once, then so many in a minute."""

from __future__ import annotations

import time
from collections.abc import Callable


class Allowance:
    """Fills with time, up to its size; what is spent is gone."""

    def __init__(self, *, burst: int, per_minute: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._burst = burst
        self._per_second = per_minute / 60
        self._clock = clock
        self._left = float(burst)
        self._looked_at = clock()

    def left(self) -> int:
        """How much may be done now."""
        now = self._clock()
        self._left = min(float(self._burst), self._left + (now - self._looked_at) * self._per_second)
        self._looked_at = now
        return int(self._left)

    def spend(self, count: int) -> None:
        """Count what is done."""
        self._left -= count
