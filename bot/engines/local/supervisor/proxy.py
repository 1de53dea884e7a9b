"""The proxy of one job, a process of its own in this host's network: connects the job to what is listed, and no more.

The job's own network has nothing but a loopback, on which the proxy answers: CONNECT for what is encrypted, which
passes through untouched, and plain HTTP, one request for each connection. A name is looked up once for each
connection, each address is judged, and the connection goes to the very address that was judged.

It ends with the job's supervisor, and does nothing but wait until the job first asks for something.
"""

from __future__ import annotations

import os
import select
import socket
import sys
from marshal import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Descriptors that it is given: what it is to do, where its listening socket comes from, where to tell of refusals.
ORDERS, LINK, NOTES = 3, 4, 5
_MOST_FILES = 1024
_CORE_NOTHING = (0, 0)


def run() -> None:
    """Serve the job until its supervisor is gone."""
    with os.fdopen(ORDERS, "rb") as file:
        given = loads(file.read())  # noqa: S302 (written by the supervisor a moment ago; json costs 9 ms)
    with socket.socket(fileno=LINK) as link:
        _, fds, _, _ = socket.recv_fds(link, 1, 1)
        listening = socket.socket(fileno=fds[0])
        link.send(b".")
    # Most jobs ask for nothing, and should not wait for what only the others need.
    waiting = select.poll()
    waiting.register(listening, select.POLLIN)
    waiting.poll()
    _serve(listening, given)


def _serve(listening: socket.socket, given: dict[str, Any]) -> None:
    import asyncio
    import concurrent.futures.thread
    import resource

    from bot import egress

    from . import spaces, tunnels

    del concurrent
    hosts = egress.Hosts(given["allow"], allow_private=given["allow_private"])
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    most = _MOST_FILES if hard == resource.RLIM_INFINITY else min(_MOST_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, _CORE_NOTHING)
    uid = given["uid"]
    if uid is not None:
        # Only now: another user may not be able to read our code.
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    spaces.die_with_parent()
    if os.getppid() != given["parent"]:
        sys.exit()
    asyncio.run(tunnels.Proxy(listening, hosts=hosts, notes=NOTES).serve())
