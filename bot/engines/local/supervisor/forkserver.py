"""Forks supervisors, so that all of them together pay once for the start of an interpreter and its imports.

It answers on descriptor 0, a socket of whole messages: the path of a job's folder comes with two descriptors, for the
service's word and of the job's stream, and the process id of the new supervisor goes back with a descriptor of it. It
ends when the service is gone; the supervisors go on.
"""

from __future__ import annotations

import os
import select
import socket
import sys

from . import main, orders

_MAX_PATH_BYTES = 4096


def run() -> None:
    """Answer until nobody can ask any more."""
    asking = socket.socket(fileno=0)
    waiting = select.poll()
    waiting.register(asking, select.POLLIN)
    children: dict[int, int] = {}
    while True:
        for fd, _ in waiting.poll():
            if fd in children:
                waiting.unregister(fd)
                os.close(fd)
                os.waitpid(children.pop(fd), 0)
                continue
            try:
                job, given, _, _ = socket.recv_fds(asking, _MAX_PATH_BYTES, 2, socket.MSG_CMSG_CLOEXEC)
            except ConnectionResetError:
                # Whoever asked was killed before it had our answer.
                os._exit(0)
            if not job:
                os._exit(0)
            try:
                pid = _fork(job, *given)
            except OSError as error:
                asking.send(b"-%d" % (error.errno or 0))
                continue
            child = os.pidfd_open(pid)
            children[child] = pid
            waiting.register(child, select.POLLIN)
            try:
                socket.send_fds(asking, [b"%d" % pid], [child])
            except OSError:
                # Whoever asked is gone; without its word the supervisor does nothing.
                os._exit(0)


def _fork(job: bytes, hearing: int, stream: int) -> int:
    try:
        pid = os.fork()
        if pid == 0:
            _become(job, hearing, stream)
        return pid
    finally:
        # Before anybody hears of the supervisor: the stream holds the job's lock, which is the supervisor's alone.
        os.close(hearing)
        os.close(stream)


def _become(job: bytes, hearing: int, stream: int) -> None:
    """Be the supervisor of a job, and nothing behind that."""
    try:
        os.setsid()
        os.dup2(hearing, orders.GO)
        os.dup2(stream, main.STREAM)
        os.dup2(os.open("/dev/null", os.O_RDWR), 1)
        os.dup2(os.open(job + b"/supervisor.err", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), 2)
        main.run(job)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
    finally:
        os._exit(1)
