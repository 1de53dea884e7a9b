"""One step while it runs: its output, its end, and the ways to end it early."""

from __future__ import annotations

import fcntl
import os
import select
import time
from _collections_abc import Callable  # `collections.abc` alone would cost 3 ms of each job

from . import cage, room, spaces

_CHUNK_BYTES = 256 * 1024
#: Output that trickles is gathered this long, so that the stream is not made of tiny frames.
_GATHER_SECONDS = 0.005
#: Output that pauses for so long is told as it is, also where the beginning of a secret may be held back of it.
_QUIET_SECONDS = 0.2
#: How long an ended step's pipe is read for what is still in it.
_DRAIN_SECONDS = 5.0
_TERMINATE, _KILL = 15, 9
_SETPIPE_SZ = 1031
_NEVER = float("inf")
#: Descriptors of the child beside the first three: it says that the command begins; bubblewrap's words, its
#: options and its filter of system calls.
_BEGIN, _STATUS, _OPTIONS, _CALLS = 3, 4, 5, 6


class Process:
    """A started step. Make one, `follow` it, then ask how it ended."""

    def __init__(
        self,
        *,
        program: str,
        options: list[str],
        command: list[str],
        env: list[str],
        uid: int | None,
        is_sandboxed: bool,
        calls: bytes,
        doors: list[int],
        file_bytes: int,
        given: int = -1,
        places: dict[str, str] | None = None,
    ) -> None:
        """:param doors: of the control groups that it comes into.
        :param file_bytes: how large a file may become; 0 for no limit.
        :param given: a descriptor that becomes its input; it has none else.
        :param places: to be mounted where it finds them, see `spaces.show`.
        """
        self._is_sandboxed = is_sandboxed
        self._open_pipes(uid)
        output, begin, status = self._output_end, self._begin_end, self._status_end
        null = spaces.high(os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC))
        fds = {0: null if given < 0 else spaces.high(os.dup(given)), 1: output, 2: output, _BEGIN: begin}
        if is_sandboxed:
            # In files and not among the arguments, which other users of this machine can read.
            fds |= {_STATUS: status, _OPTIONS: file("\0".join([*options, ""]).encode("utf-8", "surrogateescape"))}
            outer = ["--args", str(_OPTIONS), "--json-status-fd", str(_STATUS)]
            if calls:
                fds[_CALLS] = file(calls)
                outer += ["--seccomp", str(_CALLS)]
            command = [*outer, "--", *command]
        own = dict(pair.split("=", 1) for pair in env)
        self._started(cage.start(program, command, own, fds, uid, doors, file_bytes, places), {*fds.values(), status})

    def _open_pipes(self, uid: int | None) -> None:
        """For the output, the word that the command begins, and the sandbox's words."""
        self._output, self._output_end = _pipe()
        if uid is not None:
            # Or `> /dev/stderr` would be refused in there.
            os.fchown(self._output_end, uid, uid)
        self._begin, self._begin_end = _pipe()
        self._status, self._status_end = _pipe()

    def _started(self, pid: int, given: set[int]) -> None:
        """:param given: descriptors that the child has now."""
        self._pid = pid
        for fd in given:
            os.close(fd)
        self._pid_fd = os.pidfd_open(self._pid)
        self._wait_status: int | None = None
        self._words = b""
        # The first process inside the sandbox, once it is known: when it is gone, so is all else in there.
        self._inner = 0
        #: Whether the command was reached: the sandbox stands, the code is checked out, the folder is there.
        self.has_begun = False
        #: `cancelled`, `timed_out` or `full` where it was ended early.
        self.ended_by: str | None = None

    @property
    def exit_code(self) -> int | None:
        """The command's exit status, 128 + n for signal n; None where nobody can say."""
        if self._is_sandboxed:
            return _number(self._words, b'"exit-code":')
        if self._wait_status is None:
            return None
        code = os.waitstatus_to_exitcode(self._wait_status)
        return code if code >= 0 else 128 - code

    def follow(
        self,
        *,
        on_output: Callable[[bytes], None],
        on_quiet: Callable[[], None],
        on_checkout: Callable[[], None],
        on_begin: Callable[[], None],
        control: int,
        deadline: float,
        grace_seconds: float,
        space: room.Room,
    ) -> None:
        """Wait until the step and all that it started have ended.

        :param control: readable once somebody wants the job cancelled; -1 where that counts no more.
        :param space: on the disk, that it may not pass.
        :param deadline: on the monotonic clock; then the step is asked to end, and after the grace it is made to.
        """
        self._everything, self._but_output = select.poll(), select.poll()
        self._open: set[int] = set()
        for fd in (self._output, self._begin, self._status, self._pid_fd):
            self._watch(fd)
        if control >= 0:
            self._watch(control)
            self._open.discard(control)
        self._gather_until = 0.0
        self._quiet_at = _NEVER
        self._next_at, self._grace_seconds = deadline, grace_seconds
        self._space = space
        self._is_killed = False
        while self._open:
            for fd in self._ready():
                if fd == self._begin:
                    self._read_begin(on_checkout, on_begin)
                elif fd == self._output:
                    self._read_output(on_output)
                elif fd == self._status:
                    self._read_status()
                elif fd == self._pid_fd:
                    self._reap()
                elif fd == control:
                    self._unwatch(control)
                    self._end_early("cancelled")
                else:
                    self._unwatch(fd)
                    os.close(fd)
                    self._inner = 0
            now = time.monotonic()
            if now >= self._quiet_at:
                self._quiet_at = _NEVER
                on_quiet()
            if now >= space.next_at and space.is_over():
                self._end_at_once("full")
            if now >= self._next_at and not self._escalate():
                break
        for fd in (self._output, self._begin, self._status, self._pid_fd):
            os.close(fd)

    def _watch(self, fd: int) -> None:
        self._open.add(fd)
        self._everything.register(fd, select.POLLIN)
        if fd != self._output:
            self._but_output.register(fd, select.POLLIN)

    def _unwatch(self, fd: int) -> None:
        self._open.discard(fd)
        self._everything.unregister(fd)
        if fd != self._output:
            self._but_output.unregister(fd)

    def _ready(self) -> list[int]:
        now = time.monotonic()
        until, poll = min(self._next_at, self._quiet_at, self._space.next_at), self._everything
        if now < self._gather_until and self._wait_status is None:
            until, poll = min(until, self._gather_until), self._but_output
        # A wait longer than poll can express is only cut into parts.
        milliseconds = min(max(0.0, until - now) * 1000 + 1, 3_600_000)
        # The word that the step begins was written before the step's first output, and is to be heard before it.
        return sorted((fd for fd, _ in poll.poll(milliseconds)), key=lambda fd: fd != self._begin)

    def _is_at_end(self, data: bytes, fd: int) -> bool:
        if not data:
            self._unwatch(fd)
        return not data

    def _escalate(self) -> bool:
        """Do the next harder thing; False where nothing is left to do."""
        if self._is_killed:
            return False
        if self.ended_by is None and self._wait_status is None:
            self._end_early("timed_out")
            return True
        self._is_killed = True
        self._kill()
        self._next_at = time.monotonic() + _DRAIN_SECONDS
        return True

    def _read_begin(self, on_checkout: Callable[[], None], on_begin: Callable[[], None]) -> None:
        words = os.read(self._begin, 16)
        if self._is_at_end(words, self._begin):
            return
        if b"c" in words:
            on_checkout()
        if b"b" in words and not self.has_begun:
            self.has_begun = True
            on_begin()

    def _read_output(self, on_output: Callable[[bytes], None]) -> None:
        data = os.read(self._output, _CHUNK_BYTES)
        if self._is_at_end(data, self._output):
            return
        on_output(data)
        self._quiet_at = time.monotonic() + _QUIET_SECONDS
        if len(data) < _CHUNK_BYTES // 4:
            self._gather_until = time.monotonic() + _GATHER_SECONDS

    def _read_status(self) -> None:
        data = os.read(self._status, 4096)
        if self._is_at_end(data, self._status):
            return
        self._words += data
        inner = _number(self._words, b'"child-pid":')
        if inner and not self._inner:
            try:
                self._watch(os.pidfd_open(inner))
                self._inner = inner
            except ProcessLookupError:
                return

    def _reap(self) -> None:
        if self._wait_status is None:
            self._wait_status = os.waitpid(self._pid, 0)[1]
        self._unwatch(self._pid_fd)
        self._next_at = time.monotonic() + _DRAIN_SECONDS
        self._end_leftovers()

    def _end_early(self, how: str) -> None:
        if self._wait_status is not None or self.ended_by:
            return
        self.ended_by = how
        self._next_at = time.monotonic() + self._grace_seconds
        if not self._is_sandboxed:
            for pid in (self._pid, *cage.descendants(self._pid)):
                cage.send(pid, _TERMINATE)
            return
        # From outside of its namespace all that runs inside can be asked, but for the sandbox's own first process.
        asked = cage.descendants(self._inner) if self._inner else []
        for pid in asked:
            cage.send(pid, _TERMINATE)
        if not asked:
            self._kill()

    def _end_at_once(self, how: str) -> None:
        if self._wait_status is not None or self._is_killed:
            return
        self.ended_by = self.ended_by or how
        self._is_killed = True
        self._next_at = time.monotonic() + _DRAIN_SECONDS
        self._kill()

    def _kill(self) -> None:
        if self._inner:
            cage.send(self._inner, _KILL)
        if self._wait_status is None:
            # While it is made, nothing ties the sandbox's first process to the life of the one that makes it.
            for pid in (*cage.stopped_descendants(self._pid), self._pid):
                cage.send(pid, _KILL)
        self._end_leftovers()

    def _end_leftovers(self) -> None:
        if self._is_sandboxed:
            return
        # Without a sandbox orphans become our children; each round may have brought new ones.
        while left := cage.descendants(os.getpid()):
            for pid in left:
                cage.send(pid, _KILL)
            while True:
                try:
                    pid, status = os.waitpid(-1, 0)
                except ChildProcessError:
                    break
                if pid == self._pid:
                    self._wait_status = status


def _pipe() -> tuple[int, int]:
    read, write = os.pipe()
    read, write = spaces.high(read), spaces.high(write)
    try:
        fcntl.fcntl(write, _SETPIPE_SZ, 1 << 20)
    except OSError:
        # A user's pipes are limited in sum; a small one does as well.
        return read, write
    return read, write


def file(data: bytes) -> int:
    """A descriptor from which these bytes can be read, and which is in no folder."""
    fd = spaces.high(os.memfd_create("given", os.MFD_CLOEXEC))
    while data:
        data = data[os.write(fd, data) :]
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _number(words: bytes, name: bytes) -> int | None:
    """The number that follows a name in bubblewrap's JSON."""
    _, found, rest = words.partition(name)
    digits = rest.lstrip().split(b",")[0].split(b"}")[0].strip()
    return int(digits) if found and digits.isdigit() else None
