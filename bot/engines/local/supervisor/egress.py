"""A network of the job's own in which nothing is but the way to the proxy of its egress list.

Taken only by jobs that have such a list: a socket costs them 5 ms.
"""

from __future__ import annotations

import os
import socket
import sys
from marshal import dumps
from typing import Any

from . import cage, process, proxy, spaces

#: What a line of the job's log begins with that tells of a refusal.
SIGN = "buildhook: network: "
#: Where the proxy answers, in the job's own network.
PORT = 3128
_CODE = "import sys; sys.path += sys.argv[1:]; from supervisor import proxy; proxy.run()"
_BACKLOG = 1024
_COME_UP_SECONDS = 20.0
#: More than it can have to say of a mistake of ours.
_MAX_WORDS_BYTES = 64 * 1024


class Refusals:
    """What the proxy refused, as it tells of it."""

    def __init__(self, fd: int, *, pid: int) -> None:
        """:param pid: of the proxy; 0 once it has ended."""
        self._fd = fd
        self._pid = pid

    def told(self) -> list[str]:
        """A line of the log for each host that was refused since this was asked last, and for the proxy's own end."""
        try:
            found = os.read(self._fd, 1 << 17).decode("ascii", "replace").splitlines()
        except BlockingIOError:
            found = []
        if self._pid and os.waitpid(self._pid, os.WNOHANG)[0]:
            # Where the job's memory ran out, for one: it counts as the job's.
            self._pid = 0
            found.append("the proxy of the egress list was ended, so the rest of the job reaches nothing")
        return [f"{SIGN}{one}." for one in found]


def connect(given: dict[str, Any], *, library: str, uid: int | None, doors: list[int]) -> Refusals:
    """Start the proxy in the network that we are in, and leave it for one of our own.

    What a step runs in is not its own, so it cannot give itself another way out.

    :param given: what is listed, see `bot.engines.local.reach`, which makes it.
    :param library: folder of the package, for what the proxy decides by.
    :param uid: the user that the proxy becomes, or None.
    :param doors: of the control groups that it comes into: what it uses is the job's.
    :raises OSError: if that cannot be made; the text says which part.
    """
    ours, its = socket.socketpair()
    hearing, saying = os.pipe()
    hearing, saying = spaces.high(hearing), spaces.high(saying)
    os.set_blocking(hearing, False)
    orders = process.file(dumps({**given, "uid": uid, "parent": os.getpid()}))
    null = spaces.high(os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC))
    link = spaces.high(its.detach())
    room = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    fds = {0: null, 1: null, proxy.ORDERS: orders, proxy.LINK: link, proxy.NOTES: saying}
    arguments = ["-I", "-S", "-c", _CODE, room, library]
    pid = cage.start(sys.executable, arguments, {"LANG": "C.UTF-8"}, fds, None, doors, _MAX_WORDS_BYTES)
    for fd in set(fds.values()):
        os.close(fd)
    spaces.be_alone()
    with ours, socket.socket() as listening:
        listening.bind(("127.0.0.1", PORT))
        listening.listen(_BACKLOG)
        ours.settimeout(_COME_UP_SECONDS)
        socket.send_fds(ours, [b"."], [listening.fileno()])
        if not ours.recv(1):
            raise OSError("the proxy of the egress list did not come up")
    return Refusals(hearing, pid=pid)
