"""Starts jobs' supervisors, and gives them our word."""

from __future__ import annotations

import contextlib
import errno
import marshal
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from bot.engines.local import folder

# The folder that holds the supervisor's package goes last, so that nothing in it can stand for the standard library.
_CODE = "import sys; sys.path.append(sys.argv[1]); from supervisor import forkserver; forkserver.run()"
_ROOM = str(Path(__file__).parent)
#: How long a fork may take, on whatever machine.
_SECONDS = 30.0


class Supervisor:
    """A supervisor process that waits for our word; where it is let go of without the whole, it ends by itself."""

    def __init__(self, pid: int, *, process: int, word: int) -> None:
        """Take the id and the descriptor of the process, and the end of the pipe that it hears."""
        #: Its process id.
        self.pid = pid
        self._process = process
        self._word = os.fdopen(word, "wb", buffering=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._word.close()
        os.close(self._process)

    def go(self, secrets: Mapping[str, str] | None = None, *, note: str | None = None) -> None:
        """The job is laid out: run it. To be called once.

        :param secrets: values by name; they go through the pipe and nowhere else.
        :param note: a line for the beginning of the job's log.
        :raises OSError: if it is gone.
        """
        data = b"g" + marshal.dumps({"secrets": dict(secrets or {}), "note": note})
        while data:
            # It reads on until the pipe is closed, so this never waits for long.
            data = data[self._word.write(data) :]
        self._word.close()

    def wait(self) -> None:
        """Wait until it has ended."""
        poll = select.poll()
        poll.register(self._process, select.POLLIN)
        poll.poll()


class Supervisors:
    """Starts supervisors: forks of one process that has come up already, see `supervisor.forkserver`.

    That process comes up with the first of them, and anew when it was ended. Its methods block: they are called from
    threads, of any number.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._server: _Server | None = None

    def start(self, place: folder.Folder, claim: folder.Claim) -> Supervisor:
        """Start a supervisor in a session of its own and hand it the locked stream.

        :raises OSError: if there can be none.
        """
        # What is torn at the start of the stream came to nothing.
        os.ftruncate(claim.fd, 0)
        hearing, word = os.pipe()
        try:
            with self._lock:
                pid, process = self._fork(os.fsencode(place.path), [hearing, claim.fd])
        except OSError:
            os.close(word)
            raise
        finally:
            os.close(hearing)
        return Supervisor(pid, process=process, word=word)

    def close(self) -> None:
        """Start no more; those that run go on."""
        with self._lock:
            self._end()

    def _fork(self, job: bytes, given: list[int]) -> tuple[int, int]:
        if self._server is not None and not self._server.is_up():
            self._end()
        if self._server is None:
            self._server = _Server()
        try:
            return self._server.fork(job, given)
        except OSError:
            # One may have come up, and be told of to whoever asks next. Without our word it does nothing.
            self._end()
            raise

    def _end(self) -> None:
        if self._server is not None:
            self._server.end()
        self._server = None


class _Server:
    """The process that forks, with our end of its socket."""

    def __init__(self) -> None:
        self._asking, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        actions = [
            (os.POSIX_SPAWN_DUP2, theirs.fileno(), 0),
            (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_RDWR, 0),
        ]
        arguments = [sys.executable, "-I", "-S", "-c", _CODE, _ROOM]
        try:
            self._pid = os.posix_spawn(
                sys.executable, arguments, {"LANG": "C.UTF-8"}, file_actions=actions, setsid=True
            )
        except OSError:
            self._asking.close()
            raise
        finally:
            theirs.close()

    def is_up(self) -> bool:
        """Whether it was not ended meanwhile."""
        try:
            return os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        except ChildProcessError:
            return False

    def fork(self, job: bytes, given: list[int]) -> tuple[int, int]:
        """The id of a new supervisor and a descriptor of its process.

        :raises OSError: if there is none.
        """
        self._asking.settimeout(_SECONDS)
        socket.send_fds(self._asking, [job], given)
        said, fds, _, _ = socket.recv_fds(self._asking, 64, 1, socket.MSG_CMSG_CLOEXEC)
        if not said:
            raise OSError(errno.EPIPE, "the process that starts supervisors ended; the service's output may say why")
        if (number := int(said)) <= 0:
            raise OSError(-number, f"no supervisor can be started: {os.strerror(-number)}")
        if not fds:
            # It came up, and ends without our word.
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return number, fds[0]

    def end(self) -> None:
        """Have it end, which it does by itself once nobody can ask it any more."""
        self._asking.close()
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
