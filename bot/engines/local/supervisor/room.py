"""How much room a job takes on the disk: looked at while its steps run, because no file system here bounds a folder.

The free space of the whole disk is asked for often, which costs nothing; the job's folder is measured when that has
shrunk so far that the job may be at its limit, and now and then.
"""

from __future__ import annotations

import os
import time

_LOOK_SECONDS = 0.5
#: Others may have freed as much as the job took.
_MEASURE_SECONDS = 60.0
#: So many times as long as measuring took, nothing is measured.
_PAUSES = 10.0


class Room:
    """The room of one job."""

    def __init__(self, folder: str, *, size_bytes: int, files: int) -> None:
        """Bytes and files (folders and links too) that it may take; 0 for no limit."""
        self._fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        #: Folders that belong to it too, such as what a container wrote over its image.
        self.others: list[str] = []
        self._limits = (size_bytes, files)
        self._taken = (0, 0)
        self._free = self._look()
        self._measure_at = time.monotonic() + _MEASURE_SECONDS
        self._pause_until = 0.0
        #: When it is to be asked next, on the monotonic clock.
        self.next_at = time.monotonic() + _LOOK_SECONDS

    def is_over(self) -> bool:
        """Whether the job takes more than it may."""
        now = time.monotonic()
        self.next_at = now + _LOOK_SECONDS
        if now < self._pause_until or not self._is_suspected(now):
            return False
        self._taken = (self._measure("-B1"), self._measure("--inodes"))
        self._free = self._look()
        took_seconds = time.monotonic() - now
        self._measure_at = now + _MEASURE_SECONDS
        self._pause_until = now + took_seconds * _PAUSES
        return any(limit and taken > limit for limit, taken in zip(self._limits, self._taken, strict=True))

    def _is_suspected(self, now: float) -> bool:
        if now >= self._measure_at:
            return True
        for limit, taken, before, free in zip(self._limits, self._taken, self._free, self._look(), strict=True):
            if limit and before - free > (limit - taken) / 2:
                return True
        return False

    def _look(self) -> tuple[int, int]:
        found = os.fstatvfs(self._fd)
        return found.f_bavail * found.f_frsize, found.f_favail

    def _measure(self, what: str) -> int:
        # Whatever depth and names a build made: `du` goes through it folder by folder.
        hearing, saying = os.pipe()
        arguments = ["du", "-s", "-c", "-x", what, "--", f"/proc/{os.getpid()}/fd/{self._fd}/.", *self.others]
        actions = [
            (os.POSIX_SPAWN_DUP2, saying, 1),
            (os.POSIX_SPAWN_OPEN, 2, "/dev/null", os.O_RDWR, 0),
        ]
        try:
            pid = os.posix_spawnp("du", arguments, {"PATH": os.defpath, "LC_ALL": "C"}, file_actions=actions)
        except OSError:
            os.close(hearing)
            return 0
        finally:
            os.close(saying)
        said = b""
        while part := os.read(hearing, 4096):
            said += part
        os.close(hearing)
        os.waitpid(pid, 0)
        # The last line is the sum.
        number = said.rstrip(b"\n").rpartition(b"\n")[2].split(b"\t")[0]
        return int(number) if number.isdigit() else 0
