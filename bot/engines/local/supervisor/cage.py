"""A step's process: what it is given and what is taken from it between fork and exec, and how it is ended."""

from __future__ import annotations

import os
import resource

from . import spaces

#: Name of the file that says that a mirror may be damaged, see `touch`.
SUSPECT = "suspect"
_STOP = 19


def start(
    program: str,
    arguments: list[str],
    env: dict[str, str],
    fds: dict[int, int],
    uid: int | None,
    doors: list[int],
    file_bytes: int,
    places: dict[str, str] | None = None,
) -> int:
    """Start a program with these descriptors and no others; returns its process id.

    :param fds: number in the program -> descriptor here, none of which is below 20.
    :param uid: user and group to become, or None to stay who we are.
    :param doors: of the control groups that it comes into, see `groups.Group`.
    :param file_bytes: how large a file may become; 0 for no limit.
    :param places: to be mounted for it alone, see `spaces.show`.
    """
    parent = os.getpid()
    child = os.fork()
    if child:
        return child
    try:
        os.setsid()
        for target, source in fds.items():
            os.dup2(source, target)
        for door in doors:
            os.write(door, b"0")
        if places:
            spaces.show(places)
        spaces.heed_signals()
        os.umask(0o022)
        _limit(file_bytes)
        if uid is not None:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
        spaces.die_with_parent()
        if os.getppid() == parent:
            os.execve(program, [program, *arguments], env)  # noqa: S606
    except OSError as error:
        os.write(2, f"{program}: {error.strerror}\n".encode())
    finally:
        os._exit(127)


def leave_no_core() -> None:
    """Have no memory of this process, nor of any that it starts, written to disk when it crashes."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _limit(file_bytes: int) -> None:
    leave_no_core()
    kinds = [(resource.RLIMIT_NOFILE, 16384), (resource.RLIMIT_NPROC, 8192)]
    kinds += [(resource.RLIMIT_FSIZE, file_bytes)] if file_bytes else []
    for kind, most in kinds:
        hard = resource.getrlimit(kind)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, most))
    os.nice(5)
    try:
        # Where memory runs out, a build goes first and the service stays.
        spaces.write_text("/proc/self/oom_score_adj", "500")
    except OSError:
        return


def descendants(pid: int) -> list[int]:
    """The process's children, their children and so on, as far as they can be seen."""
    found: list[int] = []
    waiting = [pid]
    while waiting:
        parent = waiting.pop()
        try:
            threads = os.listdir(f"/proc/{parent}/task")
        except OSError:
            continue
        for thread in threads:
            try:
                with open(f"/proc/{parent}/task/{thread}/children", encoding="ascii") as file:
                    children = [int(word) for word in file.read().split()]
            except OSError:
                continue
            found += children
            waiting += children
    return found


def stopped_descendants(pid: int) -> list[int]:
    """The process's descendants, after it was stopped from making more of them."""
    send(pid, _STOP)
    for _ in range(1000):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                state = file.read().rpartition(")")[2].split()[0]
        except OSError:
            break
        if state in "TtZX":
            break
        os.sched_yield()
    return descendants(pid)


def send(pid: int, number: int) -> None:
    """Send a signal; a process that is gone is no error."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def touch(name: str, *, folder: int) -> None:
    """Make an empty file in an open folder; it is a hint only, so a folder that is gone is no error."""
    try:
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=folder))
    except OSError:
        return
