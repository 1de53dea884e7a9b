"""What systemd is told of a service: that it is ready, reads its settings again, stops, and still answers.

One datagram for each message: https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Awaitable, Callable

import msgspec

#: How long a manager that is busy may keep us waiting for one message; then it goes without.
SEND_SECONDS = 1.0
#: A sign of life comes this often within the time in which one is due.
_SIGNS = 2
#: A status is one line that `systemctl status` shows.
_LONGEST_STATUS = 400


class Manager(msgspec.Struct, frozen=True, kw_only=True):
    """Whoever started the service and wants to hear of it; all is well without one."""

    #: Where it listens: a path, or `@name` for an abstract socket. None where nobody does.
    address: str | None = None
    #: Within which time it wants a sign of life, again and again; None where it wants none.
    watchdog_seconds: float | None = None

    def ready(self, status: str) -> None:
        """The service is ready, for the first time or behind `reloading`."""
        self._tell("READY=1", f"STATUS={_one_line(status)}")

    def reloading(self) -> None:
        """The settings are read again; `ready` follows."""
        # With the time a manager knows which of its requests this answers; CLOCK_MONOTONIC, in microseconds.
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """The service begins to stop."""
        self._tell("STOPPING=1", "STATUS=Answers what is under way; builds that run go on.")

    async def watch(self, answers: Callable[[], Awaitable[None]]) -> None:
        """Give signs of life until cancelled, each only behind a look that came to its end in time.

        A loop that hangs gives none by itself, because this runs on it. Ends at once where no signs are wanted.

        :param answers: looks whether what the service stands on still answers.
        """
        if self.address is None or self.watchdog_seconds is None:
            return
        pause = self.watchdog_seconds / _SIGNS
        while True:
            due = asyncio.get_running_loop().time() + pause
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await answers()
                self._tell("WATCHDOG=1")
            await asyncio.sleep(due - asyncio.get_running_loop().time())

    def _tell(self, *lines: str) -> None:
        if self.address is None:
            return
        address = f"\0{self.address[1:]}" if self.address.startswith("@") else self.address
        # A manager that is not there any more is no reason to stop.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
            sending.settimeout(SEND_SECONDS)
            sending.sendto("\n".join(lines).encode(), address)


def named(environment: dict[str, str], *, pid: int) -> Manager:
    """The manager that an environment names; signs of life are given where it wants them of this process.

    :param environment: as systemd makes it: `NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`.
    """
    address = environment.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")) or len(address) < 2:
        return Manager()
    time_given, of = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    is_wanted = time_given.isascii() and time_given.isdigit() and int(time_given) > 0 and of in ("", str(pid))
    return Manager(address=address, watchdog_seconds=int(time_given) / 1_000_000 if is_wanted else None)


def _one_line(text: str) -> str:
    return " ".join(text.split())[:_LONGEST_STATUS]
