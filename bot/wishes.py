"""What people cause on pages and through the API: each wish is written down, then the loop that fulfils it is woken."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.engine import Connection

from bot.builds import commands, rerun
from bot.model import audit
from bot.people import proof
from bot.store import Store, requests
from bot.web import Actions

#: What badge tokens begin with, so that nobody takes one for an API token.
BADGE_PREFIX = "bhb_"
#: Runs a command as one transaction.
_Write = Callable[..., Awaitable[object]]


def actions(
    store: Store,
    *,
    now: Callable[[], datetime],
    new_id: Callable[[], str],
    wake_dispatcher: Callable[[], None],
    wake_scheduler: Callable[[], None],
) -> Actions:
    """The actions of the pages, on this database."""

    def once(claimed: requests.Claimed) -> _Write:
        async def write(command: Callable[..., str | None], *args: Any, **given: Any) -> object:
            return await store.write(requests.run, claimed, command, *args, **given)

        return write

    return _writing(
        store.write,
        once=once,
        now=now,
        new_id=new_id,
        wake_dispatcher=wake_dispatcher,
        wake_scheduler=wake_scheduler,
    )


def _writing(
    write: _Write,
    *,
    once: Callable[[requests.Claimed], _Write],
    now: Callable[[], datetime],
    new_id: Callable[[], str],
    wake_dispatcher: Callable[[], None],
    wake_scheduler: Callable[[], None],
) -> Actions:
    """The actions by what runs a command as one transaction, and gives what came of it."""

    async def replay(delivery_id: str, by: audit.Actor) -> None:
        await write(commands.replay, delivery_id, now=now(), by=by)
        wake_dispatcher()

    async def cancel(build_id: str, by: audit.Actor) -> None:
        reason = f"It was cancelled {'through the API' if by.via == audit.Via.API else 'on its page'}."
        await write(commands.cancel, build_id, now=now(), reason=reason, by=by)
        wake_scheduler()

    async def retry(build_id: str, only_failed: bool, by: audit.Actor) -> str:
        which = rerun.Which(only_failed=only_failed)
        made = await write(_retry, build_id, now=now(), new_id=new_id, which=which, by=by)
        wake_scheduler()
        return str(made)

    async def start(repository: str, ref: str | None, inputs: Mapping[str, str], by: audit.Actor) -> str:
        asked = await write(
            commands.start, repository=repository, ref=ref, inputs=inputs, new_id=new_id, now=now(), by=by
        )
        wake_dispatcher()
        return str(asked)

    async def approve(build_id: str, seen: commands.Seen, by: audit.Actor) -> str:
        asked = await write(commands.consent, build_id, seen=seen, new_id=new_id, now=now(), by=by)
        wake_dispatcher()
        return str(asked)

    async def make_badge_token(repository: str, by: audit.Actor) -> str:
        secret = BADGE_PREFIX + proof.new()
        digest = proof.digest(secret)
        await write(commands.make_badge_token, repository=repository, digest=digest, now=now(), by=by)
        return secret

    return Actions(
        replay=replay,
        cancel=cancel,
        retry=retry,
        start=start,
        approve=approve,
        make_badge_token=make_badge_token,
        once=lambda claimed: _writing(
            once(claimed),
            once=once,
            now=now,
            new_id=new_id,
            wake_dispatcher=wake_dispatcher,
            wake_scheduler=wake_scheduler,
        ),
    )


def _retry(connection: Connection, build_id: str, **given: Any) -> str:
    return commands.retry(connection, build_id, **given).id
