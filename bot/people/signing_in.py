"""Signing in with GitHub: out to GitHub with a state and a challenge, back with a code, and then a cookie of ours.

https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-user-access-token-for-a-github-app
https://www.rfc-editor.org/rfc/rfc9700
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from bot import errors
from bot.github.users import Users
from bot.model import person
from bot.people import places, proof
from bot.people.grants import Grants
from bot.store import Store, people

#: So many may be on their way at once; a login takes seconds.
MOST_LOGINS = 10_000
CALLBACK = "/login/callback"


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A login that begins."""

    #: Where the browser goes.
    url: str
    #: What the browser keeps until it is back.
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A login that came back well."""

    #: The page that was wanted.
    next: str
    login: str
    user_id: int
    #: What the browser keeps from now on.
    secret: str = field(repr=False)


class SigningIn:
    """The way in and out.

    :param public_url: where people reach this service.
    """

    def __init__(
        self,
        store: Store,
        *,
        users: Users,
        grants: Grants,
        public_url: str,
        new_id: Callable[[], str],
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._users = users
        self._grants = grants
        self._redirect_uri = public_url.rstrip("/") + CALLBACK
        self._new_id = new_id
        self._now = now

    async def begin(self, wanted: str) -> Begun:
        """Send somebody to GitHub.

        :param wanted: the page they wanted.
        """
        state, secret, verifier = proof.new(), proof.new(), proof.new()
        begun = person.Login(
            state_digest=proof.digest(state),
            browser_digest=proof.digest(secret),
            verifier=verifier,
            next=places.after(wanted),
            expires_at=self._now() + person.LOGIN,
        )
        await self._store.write(people.begin_login, begun, most=MOST_LOGINS)
        url = self._users.authorize_url(
            redirect_uri=self._redirect_uri, state=state, challenge=proof.challenge(verifier)
        )
        return Begun(url=url, secret=secret)

    async def finish(self, *, code: str, state: str, secret: str, browser: str) -> Done:
        """Take somebody back from GitHub.

        :param secret: what their browser kept.
        :param browser: what it calls itself.
        :raises errors.SignInRefused: if it did not begin here, in this browser, a moment ago; or GitHub says no.
        """
        now = self._now()
        begun = await self._store.write(people.take_login, proof.digest(state), now=now)
        if begun is None or not hmac.compare_digest(begun.browser_digest, proof.digest(secret)):
            # The same for all: what is wrong helps nobody but who makes it up.
            raise errors.SignInRefused("This login did not begin here, or took too long. Sign in again.")
        given = await self._users.exchange(code=code, verifier=begun.verifier, redirect_uri=self._redirect_uri)
        whose = await self._users.whose(given.token)
        await self._grants.keep(whose, given)
        made = person.SignIn(
            id=self._new_id(),
            user_id=whose.id,
            created_at=now,
            seen_at=now,
            expires_at=now + person.LONGEST,
            browser=browser,
        )
        kept = proof.new()
        await self._store.write(people.insert_sign_in, made, digest=proof.digest(kept))
        return Done(next=begun.next, login=whose.login, user_id=whose.id, secret=kept)
