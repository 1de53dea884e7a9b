"""Load at a fixed rate: each request has its time, however late the one before is answered, and counts from that time.

So a server that stands still for a moment is charged with all that came meanwhile ("coordinated omission").
`python -m benchmarks.load PORT RATE SECONDS CONNECTIONS FOLDER RUN` posts the file `body` of the folder with the
headers of its `headers.json`, each with a delivery id of its own, and prints what it saw as JSON. It needs a core of
its own: between two requests it looks without pausing.
"""

from __future__ import annotations

import gc
import json
import re
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path

from benchmarks import figures

#: What is not answered this long after the last request was due counts as lost.
_PATIENCE_SECONDS = 5.0
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)", re.IGNORECASE)


class Connection:
    """One connection: a request at a time."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        #: When the request under way was due.
        self.due = 0.0
        self._out = memoryview(b"")
        self._in = b""

    def send(self, data: bytes, *, due: float) -> bool:
        """Begin a request; whether all of it is out."""
        self.due = due
        self._out = memoryview(data)
        return self.flush()

    def flush(self) -> bool:
        """Send what is left; whether all of it is out."""
        while self._out:
            try:
                self._out = self._out[self.socket.send(self._out) :]
            except BlockingIOError:
                return False
        return True

    def receive(self) -> int | None:
        """The status, once the whole answer is here."""
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("the server closed a connection")
        self._in += data
        end = self._in.find(b"\r\n\r\n")
        if end < 0:
            return None
        length = _LENGTH.search(self._in, 0, end + 2)
        if len(self._in) < end + 4 + (int(length[1]) if length else 0):
            return None
        status, self._in = int(self._in[9:12]), b""
        return status


def offer(
    *, port: int, rate: float, seconds: float, connections: int, body: bytes, headers: Mapping[str, str], run: str
) -> tuple[list[float], int, int]:
    """Send so many requests a second; gives the seconds that each answered one took, the refused, and the lost ones."""
    fixed = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if name != "X-GitHub-Delivery")
    head = f"POST /webhook HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {len(body)}\r\n{fixed}".encode()
    count = int(rate * seconds)
    poll = select.epoll()
    by_fd = {}
    idle: deque[Connection] = deque()
    for _ in range(connections):
        one = Connection(port)
        by_fd[one.socket.fileno()] = one
        poll.register(one.socket, select.EPOLLIN)
        idle.append(one)
    took: list[float] = []
    refused = number = 0
    began = time.perf_counter() + 0.05
    gives_up_at = began + seconds + _PATIENCE_SECONDS
    while len(took) + refused < count:
        now = time.perf_counter()
        if now > gives_up_at:
            break
        while idle and number < count and began + number / rate <= now:
            one = idle.popleft()
            data = head + f"X-GitHub-Delivery: {run}-{number}\r\n\r\n".encode() + body
            if not one.send(data, due=began + number / rate):
                poll.modify(one.socket, select.EPOLLIN | select.EPOLLOUT)
            number += 1
        for fd, event in poll.poll(0):
            one = by_fd[fd]
            if event & select.EPOLLOUT and one.flush():
                poll.modify(one.socket, select.EPOLLIN)
            if event & ~select.EPOLLOUT and (status := one.receive()) is not None:
                if 200 <= status < 300:
                    took.append(time.perf_counter() - one.due)
                else:
                    refused += 1
                idle.append(one)
    for one in by_fd.values():
        one.socket.close()
    poll.close()
    return took, refused, count - len(took) - refused


def main(arguments: list[str]) -> None:
    """Offer the load that the arguments name."""
    port, rate, seconds, connections, folder, run = arguments
    gc.disable()
    took, refused, lost = offer(
        port=int(port),
        rate=float(rate),
        seconds=float(seconds),
        connections=int(connections),
        body=(Path(folder) / "body").read_bytes(),
        headers=json.loads((Path(folder) / "headers.json").read_text()),
        run=run,
    )
    # What never was answered took longer than all that was.
    known = took + [float(seconds) + _PATIENCE_SECONDS] * lost
    found = {name: figures.percentile(known, part) * 1000 for name, part in (("p50", 0.5), ("p99", 0.99), ("max", 1))}
    print(json.dumps({**found, "answered": len(took), "refused": refused, "lost": lost}))


if __name__ == "__main__":
    main(sys.argv[1:])
