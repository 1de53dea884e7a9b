"""A handler's thread: what blocks there blocks nobody else, and nothing that is raised there ends anything here."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from bot.plugins.thread import HandlerEnded, HandlerThread, HandlerTooSlow


@pytest.fixture
async def thread() -> AsyncIterator[HandlerThread]:
    """A thread whose patience is short."""
    made = HandlerThread("test", timeout_seconds=0.2, grace_seconds=0.2)
    yield made
    await made.close()


async def test_a_handler_runs_in_a_thread_and_loop_of_its_own(thread: HandlerThread) -> None:
    seen: list[Any] = []

    async def look() -> None:
        await asyncio.sleep(0)
        seen.extend([threading.current_thread(), asyncio.get_running_loop()])

    await thread.call(look)
    await thread.call(look)
    assert seen[0] is not threading.current_thread()
    assert seen[1] is not asyncio.get_running_loop()
    assert seen[:2] == seen[2:]


async def test_what_a_handler_raises_is_raised_here(thread: HandlerThread) -> None:
    async def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await thread.call(fail)

    async def time_out() -> None:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        await thread.call(time_out)


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()])
async def test_f91_a_handler_that_would_end_the_process_ends_nothing(
    thread: HandlerThread, error: BaseException
) -> None:
    async def leave() -> None:
        raise error

    with pytest.raises(HandlerEnded, match=type(error).__name__):
        await thread.call(leave)

    async def go_on() -> None:
        return None

    await thread.call(go_on)


async def test_f91_a_handler_that_waits_for_ever_is_stopped(thread: HandlerThread) -> None:
    cleaned = threading.Event()

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.set()

    with pytest.raises(HandlerTooSlow, match="was stopped"):
        await thread.call(wait)
    assert cleaned.is_set()


@pytest.mark.parametrize("kind", ["sleeps", "counts"])
async def test_f91_a_handler_that_holds_its_thread_up_holds_up_nobody_else(thread: HandlerThread, kind: str) -> None:
    is_free = threading.Event()

    async def block() -> None:
        if kind == "sleeps":
            is_free.wait(10)
        else:
            until = time.monotonic() + 1.5
            while time.monotonic() < until:
                sum(range(100))

    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.005)
            turns += 1

    turning = asyncio.create_task(turn())
    with pytest.raises(HandlerTooSlow, match="held its thread up"):
        await thread.call(block)
    turning.cancel()
    # The service's own loop went on meanwhile.
    assert turns > 5

    async def go_on() -> None:
        return None

    # The next one has a thread of its own.
    await thread.call(go_on)
    is_free.set()


async def test_calls_that_wait_run_side_by_side(thread: HandlerThread) -> None:
    both = asyncio.Barrier(2)

    async def meet() -> None:
        await both.wait()

    await asyncio.gather(thread.call(meet), thread.call(meet))


async def test_closing_ends_the_thread_and_what_waits_in_it() -> None:
    made = HandlerThread("closing", timeout_seconds=30)
    begun, ended = threading.Event(), threading.Event()

    async def wait() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    call: Callable[[], Coroutine[Any, Any, None]] = wait
    running = asyncio.create_task(made.call(call))
    while not begun.is_set():
        await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.wait({running})
    await made.close()
    assert ended.is_set()
    assert not [one for one in threading.enumerate() if one.name.startswith("handler closing")]
    assert sys.exc_info() == (None, None, None)
