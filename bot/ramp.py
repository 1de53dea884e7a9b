"""A ramp: how much may be under way at once, and when what failed comes back, so that no outage ends in a stampede.

https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#avoid-concurrent-requests
"""

from __future__ import annotations

from datetime import timedelta

#: So many in a row are no accident.
_IN_A_ROW = 3
#: Of a pause, at most this part is added.
_JITTER = 0.25


def spread(pause: timedelta, number: int) -> timedelta:
    """A pause that differs a little from number to number: what failed together does not come back together."""
    part = (number * 2_654_435_761 % 2**32) / 2**32
    return pause * (1 + _JITTER * part)


class Ramp:
    """The width of one loop: half after calls went badly in a row, one more after each that went well."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.width = most
        self._bad = 0

    def went_well(self) -> None:
        """A call went through."""
        self._bad = 0
        self.width = min(self.width + 1, self.most)

    def went_badly(self) -> None:
        """GitHub was away, or asked us to wait."""
        self._bad += 1
        if self._bad >= _IN_A_ROW:
            self.width = max(self.width // 2, 1)
