"""The two clocks: what time it is, and how much of it has passed."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

import msgspec

from bot import clock


class Clock(msgspec.Struct, frozen=True, kw_only=True):
    """The wall clock stamps and compares with GitHub's; durations are measured with the monotonic one only."""

    #: Aware, UTC.
    now: Callable[[], datetime] = clock.now
    #: Seconds since some moment; never goes back.
    monotonic: Callable[[], float] = time.monotonic
