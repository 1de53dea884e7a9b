"""Waits until a job's service is ready, by the command that says so."""

from __future__ import annotations

import time

from .ends import Trouble

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .container import Containers

#: How often it is asked, where it is to be asked less often: nothing is gained by waiting longer.
_MOST_SECONDS = 1.0


def wait(containers: Containers, service: dict[str, Any], *, deadline: float) -> None:
    """Return once a service is ready; at once where nothing says when that is.

    :raises Trouble: if it is not in the time that it has, or ends.
    """
    host, told = service["host"], service["health"]
    if told is None:
        return
    seconds = told["start_seconds"] + told["retries"] * told["interval_seconds"]
    until = min(deadline, time.monotonic() + seconds)
    containers.say(f"Waiting for the service {host} to become healthy.")
    while True:
        if not containers.is_running(host):
            raise Trouble(f"The service {host} ended before it was healthy; the log says more.", result="failed")
        asked_until = min(deadline, time.monotonic() + told["timeout_seconds"])
        code, said = containers.call(["exec", service["name"], *told["command"]], deadline=asked_until)
        if code == 0:
            return
        if time.monotonic() >= until:
            break
        if containers.pause(min(told["interval_seconds"], _MOST_SECONDS)):
            raise Trouble("It was cancelled while its services started.")
    last = said.strip()[-1000:]
    containers.say(f"The service {host} is not healthy: {last}. {containers.last_words(host)}")
    raise Trouble(f"The service {host} did not become healthy; the log says more.", result="failed")
