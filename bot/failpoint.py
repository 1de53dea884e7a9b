"""Failpoints: named places on the way of a delivery where this process can be told to die, to fail or to wait.

For tests of crashes: `BUILDHOOK_FAILPOINT=name:action[:nth]`, several with commas between. Off by default, and a place
that is reached then costs one comparison.
"""

from __future__ import annotations

import asyncio
import enum
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import msgspec

#: Longer than anybody waits for an answer, shorter than every lease.
DELAY_SECONDS = 20.0

#: Every failpoint, and where it is.
POINTS: Mapping[str, str] = MappingProxyType(
    {
        "recv.after_headers": "The head of a request was looked at, its body not yet read.",
        "recv.mid_body": "Some of a request's body was read.",
        "recv.after_verify": "A request's signature was proved, nothing is stored.",
        "inbox.before_commit": "Within the transaction that stores deliveries, before its commit.",
        "inbox.after_commit": "Deliveries are stored, who waits for it was not told.",
        "inbox.before_200": "A delivery is stored, its request not answered.",
        "dispatch.after_claim": "A delivery is claimed, its handler not called.",
        "dispatch.mid_handler": "A handler has decided, nothing of it is written.",
        "plan.after_config_fetch": "The pipeline file was fetched, nothing is planned.",
        "build.after_row": "Within the transaction that makes a build, behind the build's row.",
        "engine.before_submit": "A job is noted as starting, the engine not told.",
        "engine.after_submit_before_record": "The engine has the job, nothing that it tells is noted.",
        "engine.after_record": "The progress of a job that runs is noted.",
        "log.mid_chunk": "Half of a piece of a job's log is in its file.",
        "log.after_append_before_offset": "A piece of a job's log is in its file, where to go on reading is not noted.",
        "artifact.mid_write": "A whole log is packed beside the plain one, not yet durable.",
        "log.packed": "A whole log is packed and in its place, the plain one not yet removed.",
        "result.before_commit": "Within the transaction that writes how a job ended, before its commit.",
        "result.after_commit": "How a job ended is written, the engine still holds the job.",
        "outbox.after_claim": "A check is claimed, nothing is rendered.",
        "outbox.before_http": "What a check should show is rendered, GitHub not called.",
        "outbox.after_http_before_mark": "GitHub has a check, its answer is not noted.",
        "outbox.after_mark": "GitHub's answer about a check is noted.",
        "token.mid_refresh": "GitHub gave a token, it is not kept.",
        "migrate.each_step": "Behind each statement of a migration.",
        "gc.mid_delete": "The rows of old builds are deleted, their logs are not.",
        "cancel.after_mark": "A job's cancellation is noted, the engine not told.",
        "answer.before_http": "What a comment of ours should tell is rendered, GitHub not called.",
        "answer.after_http_before_mark": "GitHub has a comment of ours, its answer is not noted.",
        "results.before_end": "What a job left behind is written, how it ended is not.",
    }
)


class Action(enum.StrEnum):
    """What happens at a failpoint."""

    #: This process ends at once, as by `kill -9`; those it started go on.
    KILL = "kill"
    #: `Fired` is raised.
    EXCEPTION = "exception"
    #: `DELAY_SECONDS` pass, or as many as `delay=SECONDS` says.
    DELAY = "delay"


class Fired(Exception):
    """A failpoint was told to fail here: an error that nobody can expect."""


class Failpoint(msgspec.Struct, frozen=True, kw_only=True):
    """What is to happen where, and when."""

    name: str
    action: Action
    #: For how long `delay` waits.
    delay_seconds: float = DELAY_SECONDS
    #: At which time that the place is reached, from 1: it happens once.
    nth: int = 1


class _Armed:
    def __init__(self, failpoints: Sequence[Failpoint], on_fire: Callable[[Failpoint], None]) -> None:
        self._waiting = list(failpoints)
        self._on_fire = on_fire
        self._reached: dict[str, int] = {}
        self._lock = threading.Lock()

    def waits_for(self, name: str) -> bool:
        return any(one.name == name for one in self._waiting)

    def due(self, name: str) -> Failpoint | None:
        with self._lock:
            count = self._reached[name] = self._reached.get(name, 0) + 1
            found = next((one for one in self._waiting if (one.name, one.nth) == (name, count)), None)
            if found is not None:
                self._waiting.remove(found)
        if found is None:
            return None
        self._on_fire(found)
        if found.action == Action.KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        if found.action == Action.EXCEPTION:
            raise Fired(f"The failpoint {name} was told to fail.")
        return found


_armed: _Armed | None = None


def parse(text: str) -> tuple[Failpoint, ...]:
    """The failpoints that `name:action[:nth]` names, several with commas between.

    :raises ValueError: with what is wrong and what to write instead.
    """
    return tuple(_parse(one.strip()) for one in text.split(",") if one.strip())


def _parse(text: str) -> Failpoint:
    name, *rest = text.split(":")
    if name not in POINTS:
        raise ValueError(f"there is no failpoint {name!r}; there are {', '.join(POINTS)}")
    if len(rest) not in (1, 2):
        raise ValueError(f"{text!r}: write name:action or name:action:nth")
    word, _, seconds = rest[0].partition("=")
    if word not in set(Action) or (seconds and word != Action.DELAY):
        raise ValueError(f"{rest[0]!r} is no action of a failpoint; write kill, exception, delay or delay=SECONDS")
    return Failpoint(
        name=name,
        action=Action(word),
        delay_seconds=_seconds(seconds) if seconds else DELAY_SECONDS,
        nth=_nth(rest[1]) if len(rest) == 2 else 1,
    )


def _seconds(text: str) -> float:
    if not text.replace(".", "", 1).isdecimal() or not text.isascii():
        raise ValueError(f"{text!r} is no number of seconds to wait at a failpoint")
    return float(text)


def _nth(text: str) -> int:
    if not text.isdecimal() or not text.isascii() or int(text) < 1:
        raise ValueError(f"{text!r} does not say when a failpoint is meant; write a number from 1")
    return int(text)


def arm(failpoints: Sequence[Failpoint], *, on_fire: Callable[[Failpoint], None]) -> None:
    """Let these happen from now on, and nothing else.

    :param on_fire: called from any thread just before it happens.
    """
    global _armed
    _armed = _Armed(failpoints, on_fire) if failpoints else None


def reach(name: str) -> None:
    """A failpoint of blocking code, and of transactions: a delay holds up the thread.

    :raises Fired: if it was told to.
    """
    if _armed is not None and (due := _armed.due(name)) is not None:
        time.sleep(due.delay_seconds)


async def pause(name: str) -> None:
    """A failpoint of the event loop: a delay holds up nobody else.

    :raises Fired: if it was told to.
    """
    if _armed is not None and (due := _armed.due(name)) is not None:
        await asyncio.sleep(due.delay_seconds)


def is_awaited(name: str) -> bool:
    """Whether something is still to happen there: for a place that has to be made first."""
    return _armed is not None and _armed.waits_for(name)
