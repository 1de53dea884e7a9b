"""The tokens by which GitHub is asked what somebody may see: sealed, renewed in time, gone with the last sign-in.

Each refresh token can be used once, so of several replicas one renews; meanwhile the old token still holds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from bot import errors, sealing, telemetry
from bot.github.users import Grant, Users
from bot.model import person
from bot.model.person import Person
from bot.store import Store, people

#: A token is renewed when it ends within this time.
RENEW_BEFORE = timedelta(minutes=30)
#: So long one renews, then another may try.
_RENEWING = timedelta(minutes=1)
_log = telemetry.log("people")


class Grants:
    """The tokens of people.

    :param keys: gives the keys that seal, made where there are none; it may block.
    """

    def __init__(
        self, store: Store, *, users: Users, keys: Callable[[], sealing.Ring], now: Callable[[], datetime]
    ) -> None:
        self._store = store
        self._users = users
        self._keys = keys
        self._now = now

    async def keep(self, whose: Person, given: Grant) -> None:
        """Keep what GitHub gave to somebody, in the place of what they had.

        :raises errors.SettingsError: if there is no key to seal it with.
        """
        ring = await asyncio.to_thread(self._keys)
        await self._store.write(people.save_account, _sealed(ring, whose, given))

    async def token(self, user_id: int) -> str:
        """A token that holds.

        :raises errors.SignInOver: if GitHub takes none of them any more, or none is kept.
        :raises errors.GitHubError: if GitHub cannot be asked for a new one and the old one has ended.
        """
        kept = await self._store.read(people.find_account, user_id)
        if kept is None:
            raise errors.SignInOver("Sign in: what GitHub gave was let go.")
        if kept.token_expires_at is not None and kept.token_expires_at - self._now() < RENEW_BEFORE:
            kept = await self._renewed(kept)
        return await self._opened(kept)

    async def end(self, user_id: int) -> None:
        """Let everything of somebody go: sign-ins, API tokens, and GitHub's tokens there as well."""
        kept = await self._store.read(people.find_account, user_id)
        await self._store.write(people.delete_account, user_id)
        if kept is None:
            return
        try:
            await self._users.revoke(await self._opened(kept))
        except errors.BuildhookError as error:
            # It ends by itself within hours.
            _log.info("A person's token could not be revoked.", action="revoke_token", error=str(error))

    async def _renewed(self, kept: person.Account) -> person.Account:
        now = self._now()
        is_over = kept.token_expires_at is not None and kept.token_expires_at <= now
        is_renewable = kept.refresh_token is not None and (kept.refresh_expires_at or now + _RENEWING) > now
        if not is_renewable:
            if is_over:
                raise errors.SignInOver("Sign in again: what GitHub gave has ended.")
            return kept
        if not await self._store.write(people.claim_refresh, kept.user_id, now=now, until=now + _RENEWING):
            if is_over:
                raise errors.GitHubUnavailable("Somebody else renews what GitHub gave: try again in a moment.")
            return kept
        ring = await asyncio.to_thread(self._keys)
        refresh_token = _open(ring, kept.user_id, "refresh", kept.key_id, kept.refresh_token or b"")
        try:
            given = await self._users.refresh(refresh_token)
        except errors.GitHubUnavailable:
            if is_over:
                raise
            return kept
        await self.keep(Person(id=kept.user_id, login=kept.login), given)
        found = await self._store.read(people.find_account, kept.user_id)
        if found is None:
            raise errors.SignInOver("Sign in: it was ended meanwhile.")
        return found

    async def _opened(self, kept: person.Account) -> str:
        ring = await asyncio.to_thread(self._keys)
        return _open(ring, kept.user_id, "access", kept.key_id, kept.token)


def _sealed(ring: sealing.Ring, whose: Person, given: Grant) -> person.Account:
    access = ring.seal(given.token.encode(), sealing.Grant(user_id=whose.id, kind="access"))
    refresh = None
    if given.refresh_token is not None:
        refresh = ring.seal(given.refresh_token.encode(), sealing.Grant(user_id=whose.id, kind="refresh"))
    return person.Account(
        user_id=whose.id,
        login=whose.login,
        key_id=access.key_id,
        token=access.data,
        token_expires_at=given.expires_at,
        refresh_token=refresh.data if refresh is not None else None,
        refresh_expires_at=given.refresh_expires_at,
    )


def _open(ring: sealing.Ring, user_id: int, kind: str, key_id: str, data: bytes) -> str:
    try:
        place = sealing.Grant(user_id=user_id, kind=kind)
        return ring.open(sealing.Sealed(key_id=key_id, data=data), place).decode()
    except sealing.CannotOpen:
        # The key was changed, or the row was written by somebody else: signing in again mends both.
        raise errors.SignInOver("Sign in again: what GitHub gave cannot be opened any more.") from None
