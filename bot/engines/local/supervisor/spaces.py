"""Namespaces of the supervisor itself: mounts that only its children see, and a network of its own."""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct

_NEWNS, _NEWUSER, _NEWNET = 0x00020000, 0x10000000, 0x40000000
_MS_BIND, _MS_REC, _MS_SLAVE = 4096, 16384, 1 << 19
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_KILL = 9
#: SIGPIPE and SIGXFSZ.
_IGNORED_BY_PYTHON = (13, 25)

#: Where the places that a sandbox takes are mounted for an unprivileged bubblewrap to find: inside the supervisor's
#: own mount namespace, because no folder above the job's is open to another user.
PLACES = "/tmp"  # noqa: S108 (an empty file system of the supervisor's own covers it)

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def high(fd: int) -> int:
    """The descriptor moved out of the way of those that a child is given."""
    moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 20)
    os.close(fd)
    return moved


def die_with_parent() -> None:
    """Have this process killed when its parent ends. To be asked for after a change of user, which forgets it."""
    _checked(_libc.prctl(_PR_SET_PDEATHSIG, _KILL, 0, 0, 0), "cannot be bound to the parent's life")


def heed_signals() -> None:
    """Undo what Python ignores: it would stay ignored through exec."""
    for number in _IGNORED_BY_PYTHON:
        _libc.signal(number, None)


def show(places: dict[str, str]) -> None:
    """Mount each place below `PLACES`, seen by this process and its children only."""
    _checked(_libc.unshare(_NEWNS), "cannot make a mount namespace")
    _checked(_libc.mount(None, b"/", None, _MS_REC | _MS_SLAVE, None), "cannot cut mounts off")
    # Opened in the new namespace, whose mounts alone can be bound, and before anything covers them.
    opened = {name: os.open(path, os.O_PATH | os.O_CLOEXEC) for name, path in places.items()}
    _checked(_libc.mount(b"tmpfs", PLACES.encode(), b"tmpfs", 0, b"mode=0755,size=64k"), "cannot mount a tmpfs")
    for name, fd in opened.items():
        target = f"{PLACES}/{name}"
        os.mkdir(target, 0o755)
        source = f"/proc/self/fd/{fd}".encode()
        _checked(_libc.mount(source, target.encode(), None, _MS_BIND | _MS_REC, None), f"cannot mount {name}")
        os.close(fd)


def adopt_orphans() -> None:
    """Become the parent of what a step leaves behind, so that it can be found."""
    _checked(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "cannot adopt orphans")


def connect(*, slirp: str, ip: str, forbidden: list[str], uid: int) -> None:
    """Move into a network namespace of our own that reaches the outside through slirp4netns, `forbidden` excepted.

    What a step runs in is not its own, so it cannot change the routes.

    :raises OSError: if that cannot be made; the text says which part.
    """
    start_read, start_write = os.pipe()
    ready_read, ready_write = os.pipe()
    exit_read, exit_write = os.pipe()
    target = os.getpid()
    child = os.fork()
    if child == 0:
        _become_slirp(slirp, target=target, start=start_read, ready=ready_write, ending=exit_read, has_user=uid != 0)
    os.close(ready_write)
    os.close(exit_read)
    # Kept open until this process ends, and by nobody else: then slirp4netns ends as well.
    high(exit_write)
    _own_network()
    os.close(start_read)
    os.write(start_write, b".")
    os.close(start_write)
    if not os.read(ready_read, 1):
        raise OSError("slirp4netns did not come up; is /dev/net/tun there and open to the service?")
    os.close(ready_read)
    _forbid(ip, forbidden)


def _own_network() -> None:
    """Move into an empty network namespace of our own.

    :raises OSError: if that cannot be made.
    """
    identity = os.getuid(), os.getgid()
    is_root = identity[0] == 0
    _checked(_libc.unshare(_NEWNET if is_root else _NEWNET | _NEWUSER), "cannot make a network namespace")
    if not is_root:
        write_text("/proc/self/setgroups", "deny")
        write_text("/proc/self/uid_map", f"0 {identity[0]} 1")
        write_text("/proc/self/gid_map", f"0 {identity[1]} 1")


def be_alone() -> None:
    """Move into a network namespace of our own that has nothing but its loopback.

    :raises OSError: if that cannot be made.
    """
    import socket  # few jobs need it, and it costs each of them 5 ms

    _own_network()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        wanted = struct.pack("16sh14x", b"lo", _IFF_UP)
        fcntl.ioctl(asking, _SIOCSIFFLAGS, wanted)


def _become_slirp(slirp: str, *, target: int, start: int, ready: int, ending: int, has_user: bool) -> None:
    try:
        os.read(start, 1)
        os.set_inheritable(ready, True)
        os.set_inheritable(ending, True)
        arguments = [slirp, "--configure", "--mtu=65520", "--disable-host-loopback", f"--ready-fd={ready}"]
        arguments += [f"--exit-fd={ending}", "--netns-type=path"]
        arguments += [f"--userns-path=/proc/{target}/ns/user"] if has_user else []
        null = os.open("/dev/null", os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        os.execv(slirp, [*arguments, f"/proc/{target}/ns/net", "tap0"])  # noqa: S606
    finally:
        os._exit(127)


def _forbid(ip: str, addresses: list[str]) -> None:
    read, write = os.pipe()
    os.write(write, "".join(f"route replace unreachable {address}\n" for address in addresses).encode())
    os.close(write)
    child = os.fork()
    if child == 0:
        try:
            os.dup2(read, 0)
            os.execv(ip, [ip, "-batch", "-"])  # noqa: S606
        finally:
            os._exit(127)
    os.close(read)
    if os.waitpid(child, 0)[1] != 0:
        raise OSError("cannot close the routes to this host and to the metadata address")


def own_addresses() -> list[str]:
    """The IPv4 addresses of this host's network namespace, loopback excepted."""
    found: set[str] = set()
    last = ""
    with open("/proc/net/fib_trie", encoding="ascii") as trie:
        for line in trie:
            words = line.split()
            if words[:1] == ["|--"]:
                last = words[1]
            elif words[:3] == ["/32", "host", "LOCAL"] and not last.startswith("127."):
                found.add(last)
    return sorted(found)


def write_text(path: str, text: str) -> None:
    """Write one of the kernel's files."""
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
