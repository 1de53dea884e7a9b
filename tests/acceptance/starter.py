"""Starts `buildhook` many times in little time: one process that has imported it forks each, as if it were started.

Importing takes longer than most commands work. A forked process has its own memory, session, descriptors, environment
and end, as one that a shell started; only what it imported was there before. What a start itself does is for the tests
that start `python -m bot`.

`python -m tests.acceptance.starter NUMBER` is that process; NUMBER is the descriptor of the socket that it is asked by.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import importlib
import marshal
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path

_LARGEST_REQUEST = 1 << 20
#: Exit status of Python where standard output cannot be flushed.
_NOT_FLUSHED = 120


def _is_readable(fd: int) -> bool:
    # Not by `select`: it knows no descriptor beyond 1,023.
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


class Child:
    """A process that was started; as `asyncio.subprocess.Process`, as far as tests use that."""

    def __init__(self, pid: int, status: int) -> None:
        """:param status: descriptor on which its exit status comes."""
        self.pid = pid
        self._status = status
        self._returncode: int | None = None

    @property
    def returncode(self) -> int | None:
        """The exit status, minus the signal's number if one ended it; None while it runs."""
        if self._returncode is None and _is_readable(self._status):
            data = os.read(self._status, 16)
            os.close(self._status)
            # Without a word its starter has died, and it with it.
            self._returncode = int(data) if data else -signal.SIGKILL
        return self._returncode

    async def wait(self) -> int:
        """Wait for its end."""
        while (code := self.returncode) is None:
            loop, is_there = asyncio.get_running_loop(), asyncio.Event()
            # Several may wait for one end.
            copy = os.dup(self._status)
            loop.add_reader(copy, is_there.set)
            try:
                await is_there.wait()
            finally:
                loop.remove_reader(copy)
                os.close(copy)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal; nothing happens where it has ended."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


class _Starter:
    """Our end of the process that forks."""

    def __init__(self) -> None:
        self._asking, answering = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(answering.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[answering.fileno()],
            start_new_session=True,
        )
        answering.close()
        atexit.register(self._close)

    def start(self, arguments: Sequence[str], *, env: Mapping[str, str], cwd: str, fds: tuple[int, int, int]) -> Child:
        """Start one process in a session of its own with these standard descriptors."""
        status, word = os.pipe()
        try:
            request = marshal.dumps((list(arguments), dict(env), cwd))
            socket.send_fds(self._asking, [request], [*fds, word])
            answer = self._asking.recv(32)
        finally:
            os.close(word)
        if not answer:
            os.close(status)
            raise RuntimeError("the process that starts others has died")
        return Child(int(answer), status)

    def _close(self) -> None:
        self._asking.close()
        self._process.wait()


_starter: _Starter | None = None


def start(arguments: Sequence[str], *, env: Mapping[str, str], cwd: Path, fds: tuple[int, int, int]) -> Child:
    """Start `buildhook` with these arguments, all its environment, and its standard input, output and error."""
    global _starter
    if _starter is None:
        _starter = _Starter()
    return _starter.start(arguments, env=env, cwd=str(cwd), fds=fds)


def _serve(asked: socket.socket) -> None:
    """Fork what is asked for until nobody can ask any more, and tell of each end."""
    poll = select.poll()
    poll.register(asked, select.POLLIN)
    running: dict[int, tuple[int, int]] = {}
    while True:
        for fd, _ in poll.poll():
            if fd in running:
                pid, word = running.pop(fd)
                poll.unregister(fd)
                os.close(fd)
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                # Nobody may be left to hear it.
                with contextlib.suppress(BrokenPipeError):
                    os.write(word, b"%d" % code)
                os.close(word)
                continue
            request, fds, _, _ = socket.recv_fds(asked, _LARGEST_REQUEST, 4)
            if not request:
                return
            pid = os.fork()
            if pid == 0:
                _become(request, fds[:3])
            for one in fds[:3]:
                os.close(one)
            pid_fd = os.pidfd_open(pid)
            running[pid_fd] = (pid, fds[3])
            poll.register(pid_fd, select.POLLIN)
            asked.send(b"%d" % pid)


def _become(request: bytes, fds: Sequence[int]) -> None:
    """Be `buildhook`, to the end."""
    code = 1
    try:
        arguments, env, cwd = marshal.loads(request)
        os.setsid()
        for target, fd in enumerate(fds):
            os.dup2(fd, target)
        os.closerange(3, max(int(name) for name in os.listdir("/proc/self/fd")) + 1)
        os.chdir(cwd)
        os.environ.clear()
        os.environ.update(env)
        sys.argv = ["buildhook", *arguments]
        code = _run(arguments)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _run(arguments: list[str]) -> int:
    from bot import cli

    try:
        cli.main(arguments)
        code: object = 0
    except SystemExit as error:
        code = error.code
    except KeyboardInterrupt:
        traceback.print_exc()
        code = 128 + signal.SIGINT
    # As the interpreter ends.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)  # noqa: T201
        code = 1
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        return _NOT_FLUSHED
    return code or 0


def _main() -> None:
    from bot import cli

    for path in (*cli.COMMANDS.values(), "bot.engines.local.engine:Local"):
        importlib.import_module(path.partition(":")[0])
    with socket.socket(fileno=int(sys.argv[1])) as asked:
        _serve(asked)
    # What it started ends with whoever asked for it.


if __name__ == "__main__":
    _main()
