"""People as the pages ask for them: from a cookie or an API token to who it is and what they may."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime

import msgspec
from msgspec.structs import replace
from sqlalchemy.engine import Connection

from bot import errors, telemetry
from bot.model import person
from bot.model.person import Permission
from bot.people import proof
from bot.people.grants import Grants
from bot.people.rights import Rights
from bot.people.viewer import Viewer
from bot.store import Store, people

_log = telemetry.log("people")


class _Known(msgspec.Struct, frozen=True, kw_only=True):
    """Who shows a proof."""

    user_id: int
    login: str
    sign_in: person.SignIn | None = None
    token: person.ApiToken | None = None


class People:
    """Everybody who signs in.

    :param operators: GitHub's numbers of those who run the service.
    """

    def __init__(
        self,
        store: Store,
        *,
        grants: Grants,
        rights: Rights,
        operators: Callable[[], Collection[int]],
        new_id: Callable[[], str],
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._grants = grants
        self._rights = rights
        self._operators = operators
        self._new_id = new_id
        self._now = now

    async def of_cookie(self, secret: str) -> Viewer | None:
        """Who signed in with the browser that shows this; None where nobody did, or it is over.

        :raises errors.GitHubError: if GitHub cannot be asked what they may see.
        """
        return await self._viewer(await self._store.read(_by_cookie, proof.digest(secret), now=self._now()))

    async def of_token(self, given: str) -> Viewer | None:
        """In whose place a program asks that shows this API token; None where it is none that holds.

        :raises errors.GitHubError: if GitHub cannot be asked what they may see.
        """
        if not given.startswith(proof.API_PREFIX):
            return None
        return await self._viewer(await self._store.read(_by_token, proof.digest(given), now=self._now()))

    async def with_right(self, viewer: Viewer, repository_id: int | None) -> Viewer:
        """The same person, with their right in this repository, which for a public one everybody has."""
        if viewer.user_id is None or viewer.rights is None or repository_id is None or viewer.is_operator:
            return viewer
        try:
            right = await self._rights.in_one(viewer.user_id, repository_id)
        except errors.SignInOver:
            right = Permission.NONE
        return replace(viewer, rights={**viewer.rights, repository_id: right})

    async def is_fresh(self, viewer: Viewer, *, within_seconds: float) -> bool:
        """Whether whoever asks signed in with this browser lately."""
        if viewer.user_id is None:
            return True
        listed = await self.sign_ins(viewer)
        made = next((one.created_at for one in listed if one.id == viewer.sign_in_id), None)
        return made is not None and (self._now() - made).total_seconds() <= within_seconds

    async def sign_ins(self, viewer: Viewer) -> list[person.SignIn]:
        """The browsers that somebody is signed in with."""
        return await self._store.read(people.list_sign_ins, viewer.user_id or 0, now=self._now())

    async def tokens(self, viewer: Viewer) -> list[person.ApiToken]:
        """The API tokens of somebody."""
        return await self._store.read(people.list_tokens, viewer.user_id or 0)

    async def make_token(
        self, viewer: Viewer, *, name: str, scopes: Collection[person.Scope], expires_at: datetime
    ) -> str:
        """A new API token; it is shown once and never again.

        :raises errors.Conflict: if it cannot be so: no name, no scope, too long a life, too many.
        """
        now = self._now()
        if viewer.user_id is None or viewer.sign_in_id is None:
            raise errors.Conflict("Only somebody who is signed in can make an API token.")
        if not name.strip() or len(name) > 100 or not name.isprintable():
            raise errors.Conflict("Give the token a name of at most 100 characters, such as where it is used.")
        if not scopes:
            raise errors.Conflict("Choose what the token may do: read, write or both.")
        if not now < expires_at <= now + person.LONGEST_TOKEN:
            raise errors.Conflict(f"An API token lives at most {person.LONGEST_TOKEN.days} days.")
        secret = proof.API_PREFIX + proof.new()
        made = person.ApiToken(
            id=self._new_id(),
            user_id=viewer.user_id,
            name=name.strip(),
            scopes=tuple(sorted(set(scopes))),
            created_at=now,
            expires_at=expires_at,
        )
        await self._store.write(people.insert_token, made, digest=proof.digest(secret))
        return secret

    async def delete_token(self, viewer: Viewer, token_id: str) -> None:
        """Delete an API token of somebody's own."""
        if viewer.user_id is not None:
            await self._store.write(people.delete_token, token_id, user_id=viewer.user_id)
            await self._tidy()

    async def end(self, viewer: Viewer, sign_in_id: str | None) -> None:
        """End a sign-in of somebody's own."""
        if viewer.user_id is not None and sign_in_id is not None:
            await self._store.write(people.delete_sign_in, sign_in_id, user_id=viewer.user_id)
            await self._tidy()

    async def sweep(self) -> None:
        """Forget what is over, and let go of GitHub's tokens of whom nothing is left."""
        await self._tidy()

    async def _tidy(self) -> None:
        for user_id in await self._store.write(people.sweep, now=self._now()):
            await self._grants.end(user_id)
            self._rights.forget(user_id=user_id)

    async def _viewer(self, known: _Known | None) -> Viewer | None:
        if known is None:
            return None
        try:
            rights = await self._rights.of(known.user_id)
        except errors.SignInOver as error:
            _log.info("A sign-in is over.", action="end_sign_in", user_id=known.user_id, reason=str(error))
            await self._grants.end(known.user_id)
            self._rights.forget(user_id=known.user_id)
            return None
        now = self._now()
        if known.sign_in is not None and now - known.sign_in.seen_at >= people.SEEN_EVERY:
            await self._store.write(people.note_seen, known.sign_in.id, now=now)
        if known.token is not None and (known.token.used_at is None or now - known.token.used_at >= people.SEEN_EVERY):
            await self._store.write(people.note_used, known.token.id, now=now)
        return Viewer(
            user_id=known.user_id,
            login=known.login,
            is_operator=known.user_id in self._operators(),
            rights=rights,
            can_write=known.token is None or person.Scope.WRITE in known.token.scopes,
            sign_in_id=None if known.sign_in is None else known.sign_in.id,
        )


def _by_cookie(connection: Connection, digest: bytes, *, now: datetime) -> _Known | None:
    found = people.find_sign_in(connection, digest, now=now)
    account = people.find_account(connection, found.user_id) if found is not None else None
    return None if account is None else _Known(user_id=account.user_id, login=account.login, sign_in=found)


def _by_token(connection: Connection, digest: bytes, *, now: datetime) -> _Known | None:
    found = people.find_token(connection, digest, now=now)
    account = people.find_account(connection, found.user_id) if found is not None else None
    return None if account is None else _Known(user_id=account.user_id, login=account.login, token=found)
