"""Patience: what a claim led to is written as soon as the database can be written again, before the claim runs out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy.engine import Connection

from bot import errors, telemetry
from bot.store.transaction import Store

P = ParamSpec("P")
T = TypeVar("T")

#: Between two attempts.
PAUSE_SECONDS = 1.0
_log = telemetry.log("store")


async def write(store: Store, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `work` as `Store.write` does, again and again while the database is locked or the disk is full.

    For work that is fenced: it may come when somebody else holds the claim already.

    :raises errors.StoreBroken: if the database cannot be trusted any more.
    """
    while True:
        try:
            return await store.write(work, *args, **kwargs)
        except errors.StoreBroken:
            raise
        except errors.StoreUnavailable as error:
            _log.error("What was done waits to be written.", action="wait_for_store", error=str(error))
            await asyncio.sleep(PAUSE_SECONDS)
