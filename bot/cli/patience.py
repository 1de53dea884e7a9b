"""Asks again where a service, or a database, does not answer for a while: it is started again, or moved."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from bot import errors
from bot.cli import output

T = TypeVar("T")
#: What ends by itself.
_AWAY = (errors.ServiceAway, errors.StoreUnavailable)
#: For how long it is asked again: a service is started again, or moved, in less.
_PATIENCE_SECONDS = 600.0
_LONGEST_PAUSE_SECONDS = 15.0


async def asked(
    ask: Callable[[], Awaitable[T]], *, every_seconds: float, lose: Callable[[str], None] | None = None
) -> T:
    """What it answers, asked the more seldom the longer it is away.

    :param lose: told each time that it does not answer; else that is said once, where messages go.
    :raises errors.BuildhookError: if it does not answer for minutes.
    """
    until, pause = time.monotonic() + _PATIENCE_SECONDS, every_seconds
    is_told = False
    while True:
        try:
            return await ask()
        except _AWAY as error:
            if time.monotonic() >= until:
                raise
            if lose is not None:
                lose(str(error))
            elif not is_told:
                say(str(error))
            is_told = True
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        await asyncio.sleep(pause)


def say(error: str) -> None:
    """Say that it is asked again, where messages go."""
    output.console(is_error=True).print(f"{output.clean(error)} Asking again.")
