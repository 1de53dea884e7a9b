"""The stream's writing end: events and output in order, and a log that a flood cannot make longer than its limit."""

from __future__ import annotations

import os
from errno import ENOSPC

from . import frames, mask, tail

_MARK_BYTES = 200
#: Given back to the disk when it is full, so that the end of the job can still be written.
BALLAST = "ballast"
BALLAST_BYTES = 16 * 1024


#: Fields whose words are ours: were a secret one of them, the service would not understand them any more.
_OURS = frozenset({"kind", "result", "sha256", "state", "tested_sha", "tested_tree"})


class Stream:
    """Appends to a job's stream, without any secret. Of the log its beginning is kept, of a flooding step also the end.

    A quarter of the limit (8 MiB at most) is kept for ends. Each step that drops output may use half of what is left
    of that, so the sum never passes the limit and a later step still shows how it ended.
    """

    def __init__(self, fd: int, *, log_limit_bytes: int, masked: mask.Mask | None = None) -> None:
        self._fd = fd
        self._mask = masked or mask.Mask()
        self._size = os.fstat(fd).st_size
        self._limit = log_limit_bytes
        self._for_ends = min(8 << 20, log_limit_bytes // 4)
        self._for_start = log_limit_bytes - self._for_ends
        self._tail = tail.Tail()
        #: Length of the log so far.
        self.log_at = 0

    def event(self, kind: int, values: dict[str, object], *, is_durable: bool = False) -> None:
        """Append an event.

        :raises OSError: if it cannot be written even with the ballast thrown out.
        """
        told = {
            name: self._mask.once(value) if isinstance(value, str) and name not in _OURS else value
            for name, value in values.items()
        }
        payload = frames.fields(told)
        try:
            self._append(kind, payload)
        except OSError as error:
            if error.errno != ENOSPC or not os.path.exists(BALLAST):
                raise
            os.unlink(BALLAST)
            self._append(kind, payload)
        if is_durable:
            os.fdatasync(self._fd)

    def hide(self, data: bytes) -> bytes:
        """The content of a whole file without any secret."""
        return self._mask.once_bytes(data)

    def try_event(self, kind: int, values: dict[str, object]) -> bool:
        """Append an event that the job can end without; False where there is no room. The ballast is not for it."""
        try:
            self._append(kind, frames.fields(values))
        except OSError:
            return False
        return True

    def write(self, data: bytes) -> None:
        """Take output of the running step."""
        if self._for_start and not self._tail:
            self._begin(self._mask.feed(data))
        else:
            self._tail.add(data, most=self._for_end, masked=self._mask)

    def let_go(self) -> None:
        """Append what is held back because a secret might have begun: nothing follows for now."""
        if self._for_start and not self._tail:
            self._begin(self._mask.flush())

    def _begin(self, data: bytes) -> None:
        taken = self._put(data[: self._for_start])
        self._for_start -= taken
        self._tail.begin(data[taken:])

    @property
    def _for_end(self) -> int:
        """How much of the end of a step is kept, where not all of it is."""
        return max(0, self._for_ends // 2 - _MARK_BYTES)

    def end_step(self) -> None:
        """The step ended: append what was held back of its output."""
        self.let_go()
        if not self._tail:
            return
        data, dropped, self._mask = self._tail.told(self._mask)
        if len(data) > min(self._for_end * 5 // 4, self._for_ends):
            excess = len(data) - self._for_end
            dropped += excess
            data = data[excess:]
        if dropped and self._for_ends >= 4 * _MARK_BYTES:
            mark = f"\n[buildhook dropped {dropped} bytes here: a job's log keeps {self._limit} bytes]\n"
            self._for_ends -= self._put(mark.encode())
        self._for_ends -= self._put(data)
        # From here on every byte counts against what is kept for ends.
        self._for_start = 0
        self._tail = tail.Tail()

    def _put(self, data: bytes) -> int:
        """Append output; returns how much of it: less than all only where the disk is full."""
        done = 0
        while done < len(data):
            part = data[done : done + frames.MAX_PAYLOAD_BYTES]
            try:
                self._append(frames.OUTPUT, part)
            except OSError:
                return done
            self.log_at += len(part)
            done += len(part)
        return done

    def _append(self, kind: int, payload: bytes) -> None:
        head = frames.head(kind, payload, log_at=self.log_at)
        try:
            written = os.writev(self._fd, [head, payload])
            if written < len(head) + len(payload):
                raise OSError(ENOSPC, os.strerror(ENOSPC))
        except OSError:
            os.ftruncate(self._fd, self._size)
            raise
        self._size += written
