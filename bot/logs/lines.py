"""Where lines begin in a log that still grows: every byte is looked at once, and a line is found by one short read."""

from __future__ import annotations

import bisect
import threading
from collections.abc import Callable

#: Of so many bytes it is known how many lines end before them.
STEP_BYTES = 256 * 1024

Read = Callable[[int, int], bytes]


class Index:
    """The line ends of one file whose bytes change only behind `cut`. Hold `lock` around every call."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        #: How many lines end before each whole step.
        self._before = [0]
        #: How far the bytes were looked at, and how many lines end there.
        self._end = 0
        self._ended = 0

    @property
    def end(self) -> int:
        """The byte behind the last that was looked at."""
        return self._end

    def take(self, data: bytes) -> None:
        """Look at the bytes that follow."""
        at = 0
        while at < len(data):
            part = min(len(data) - at, STEP_BYTES - self._end % STEP_BYTES)
            self._ended += data.count(b"\n", at, at + part)
            self._end += part
            at += part
            if self._end % STEP_BYTES == 0:
                self._before.append(self._ended)

    def cut(self, at: int) -> None:
        """Forget what is behind a byte: it is about to change."""
        if at < self._end:
            steps = at // STEP_BYTES
            del self._before[steps + 1 :]
            self._end, self._ended = steps * STEP_BYTES, self._before[-1]

    def number(self, at: int, *, read: Read, size_bytes: int) -> int:
        """The number of the line, from 1, in which a byte lies; of one behind the end that of the end."""
        self._extend(read, size_bytes)
        at = max(0, min(at, self._end))
        step = min(at // STEP_BYTES, len(self._before) - 1)
        start = step * STEP_BYTES
        return self._before[step] + read(start, at - start).count(b"\n") + 1

    def find(self, number: int, *, read: Read, size_bytes: int) -> int | None:
        """The byte with which line `number` begins; None where there are not so many."""
        self._extend(read, size_bytes)
        if number <= 1:
            return 0
        if number - 1 > self._ended:
            return None
        # The last step before which fewer lines end.
        step = bisect.bisect_left(self._before, number - 1) - 1
        data = read(step * STEP_BYTES, STEP_BYTES)
        start = step * STEP_BYTES + behind_end(data, number - 1 - self._before[step])
        return start if start < self._end else None

    def _extend(self, read: Read, size_bytes: int) -> None:
        self.cut(size_bytes)
        while self._end < size_bytes and (data := read(self._end, min(STEP_BYTES, size_bytes - self._end))):
            self.take(data)


def behind_end(data: bytes, count: int) -> int:
    """The place behind the end of so many lines, which are all there."""
    start, end = 0, len(data)
    while end - start > 256:
        middle = (start + end) // 2
        found = data.count(b"\n", start, middle)
        if found < count:
            count -= found
            start = middle
        else:
            end = middle
    at = start - 1
    for _ in range(count):
        at = data.index(b"\n", at + 1)
    return at + 1
