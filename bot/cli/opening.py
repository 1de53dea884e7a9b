"""The database for one command: opened as the settings say, closed at the end."""

from __future__ import annotations

import asyncio
import os
import pwd
from collections.abc import Awaitable, Callable
from typing import TypeVar

from bot import errors
from bot.cli.remote import Server
from bot.model import audit
from bot.settings import Settings, load
from bot.store import Store

T = TypeVar("T")


def with_store(work: Callable[[Store, Settings], Awaitable[T]]) -> T:
    """Run `work` on the database that the settings name.

    :raises errors.NotFound: if there is no database yet.
    """
    return asyncio.run(_with_store(work))


def with_server(
    url: str | None,
    ask: Callable[[Server], Awaitable[T]],
    *,
    otherwise: Callable[[Store, Settings], Awaitable[T]],
) -> T:
    """Ask the service that the option or the settings name; do `otherwise` on the database where neither names one.

    :raises errors.NotSignedIn: if the service takes no token, or not this one.
    """
    settings = load()
    named = url or settings.server
    if named is None:
        return with_store(otherwise)

    async def work() -> T:
        async with Server(named, token=settings.token.get_secret_value() if settings.token else None) as server:
            return await ask(server)

    return asyncio.run(work())


async def _with_store(work: Callable[[Store, Settings], Awaitable[T]]) -> T:
    settings = load()
    store = Store(settings.effective_database_url)
    if not store.is_shared and not store.path.exists():
        raise errors.NotFound(
            f"There is no database at {store.path} yet: `buildhook serve` makes it."
            " Set BUILDHOOK_DATA_DIR to the folder of the service that you mean."
        )
    await store.open()
    try:
        return await work(store, settings)
    finally:
        await store.close()


def actor() -> audit.Actor:
    """Who runs this command, for the audit: a user of this machine."""
    uid = os.getuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        # As in a container that is run with a number of its own.
        name = f"uid {uid}"
    return audit.Actor(via=audit.Via.CLI, name=name)
