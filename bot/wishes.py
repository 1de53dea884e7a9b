"""What people cause on pages and through the API: each wish is written down, then the loop that fulfils it is woken."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from bot.builds import commands, rerun
from bot.model import audit
from bot.people import proof
from bot.store import Store
from bot.web import Actions

#: What badge tokens begin with, so that nobody takes one for an API token.
BADGE_PREFIX = "bhb_"


def actions(
    store: Store,
    *,
    now: Callable[[], datetime],
    new_id: Callable[[], str],
    wake_dispatcher: Callable[[], None],
    wake_scheduler: Callable[[], None],
) -> Actions:
    """The actions of the pages, on this database."""

    async def replay(delivery_id: str, by: audit.Actor) -> None:
        await store.write(commands.replay, delivery_id, now=now(), by=by)
        wake_dispatcher()

    async def cancel(build_id: str, by: audit.Actor) -> None:
        reason = f"It was cancelled {'through the API' if by.via == audit.Via.API else 'on its page'}."
        await store.write(commands.cancel, build_id, now=now(), reason=reason, by=by)
        wake_scheduler()

    async def retry(build_id: str, only_failed: bool, by: audit.Actor) -> str:
        which = rerun.Which(only_failed=only_failed)
        made = await store.write(commands.retry, build_id, now=now(), new_id=new_id, which=which, by=by)
        wake_scheduler()
        return made.id

    async def start(repository: str, ref: str | None, inputs: Mapping[str, str], by: audit.Actor) -> str:
        asked = await store.write(
            commands.start, repository=repository, ref=ref, inputs=inputs, new_id=new_id, now=now(), by=by
        )
        wake_dispatcher()
        return asked

    async def approve(build_id: str, seen: commands.Seen, by: audit.Actor) -> str:
        asked = await store.write(commands.consent, build_id, seen=seen, new_id=new_id, now=now(), by=by)
        wake_dispatcher()
        return asked

    async def make_badge_token(repository: str, by: audit.Actor) -> str:
        secret = BADGE_PREFIX + proof.new()
        digest = proof.digest(secret)
        await store.write(commands.make_badge_token, repository=repository, digest=digest, now=now(), by=by)
        return secret

    return Actions(
        replay=replay,
        cancel=cancel,
        retry=retry,
        start=start,
        approve=approve,
        make_badge_token=make_badge_token,
    )
