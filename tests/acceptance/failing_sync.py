"""`buildhook` on a disk that breaks: from SIGUSR1 on every sync of this process fails with EIO, in all of its threads.

A filter of system calls does it, so that the whole way through SQLite is the real one.
https://www.kernel.org/doc/html/latest/userspace-api/seccomp_filter.html
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import signal
import struct
import sys

from bot import cli

_LOAD, _JUMP_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_PR_SET_NO_NEW_PRIVS, _SET_MODE_FILTER, _ALL_THREADS = 38, 1, 1
#: machine -> the numbers of seccomp, fsync and fdatasync.
CALLS = {"x86_64": (317, 74, 75), "aarch64": (277, 82, 83)}
SAYS = "syncs fail from now on\n"


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("lines", ctypes.c_char_p))


def break_disk(*_: object) -> None:
    """Install the filter; it cannot be taken back."""
    seccomp, *syncs = CALLS[platform.machine()]
    lines = [struct.pack("=HBBI", _LOAD, 0, 0, 0)]
    for number in syncs:
        lines.append(struct.pack("=HBBI", _JUMP_EQUAL, 0, 1, number))
        lines.append(struct.pack("=HBBI", _RETURN, 0, 0, _ERRNO | errno.EIO))
    lines.append(struct.pack("=HBBI", _RETURN, 0, 0, _ALLOW))
    program = _Program(len(lines), b"".join(lines))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.syscall(
        seccomp, _SET_MODE_FILTER, _ALL_THREADS, ctypes.byref(program)
    ):
        raise OSError(ctypes.get_errno(), "no filter of system calls")
    os.write(sys.stderr.fileno(), SAYS.encode())


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, break_disk)
    cli.main()
