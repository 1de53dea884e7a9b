"""People sign in through an App: they are asked, and the App gets a code, and for it a token that ends and is renewed.

https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-user-access-token-for-a-github-app
https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/refreshing-user-access-tokens
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode, urlsplit

from bot.simulator import auth, values, world

CODE_LIFE = timedelta(minutes=10)
TOKEN_LIFE = timedelta(hours=8)
#: 184 days: the six months of GitHub's documents.
REFRESH_LIFE = timedelta(seconds=15_897_600)

_LETTERS = string.ascii_letters + string.digits
_TROUBLE = "/apps/managing-oauth-apps/troubleshooting-oauth-app-access-token-request-errors/#"

#: What GitHub says of each error.
DESCRIPTIONS = {
    "access_denied": "The user has denied your application access.",
    "redirect_uri_mismatch": "The redirect_uri MUST match the registered callback URL for this application.",
    "incorrect_client_credentials": "The client_id and/or client_secret passed are incorrect.",
    "bad_verification_code": "The code passed is incorrect or expired.",
    "bad_refresh_token": "The refresh token passed is incorrect or expired.",
    "unsupported_grant_type": "The grant_type passed is not supported.",
}


class NotAsked(Exception):
    """Who was sent to GitHub to sign in cannot be asked; the text is for that person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What an App wants: that a person signs in."""

    app: values.App
    redirect_uri: str
    #: Given back as it came.
    state: str = ""
    #: Of PKCE, by S256; empty where the App does without.
    challenge: str = ""

    def back(self, **told: str) -> str:
        """Where the browser goes with this."""
        query = {**told, "state": self.state} if self.state else told
        return f"{self.redirect_uri}?{urlencode(query)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Code:
    wish: Wish
    user: values.User
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class _Refresh:
    app: values.App
    user: values.User
    #: The token that ends when this one is used.
    token: str
    expires_at: datetime


class SignIns:
    """Codes and refresh tokens that were given out; the tokens themselves are in `auth.Tokens`."""

    def __init__(self, its_world: world.World, tokens: auth.Tokens) -> None:
        self._world = its_world
        self._tokens = tokens
        self._codes: dict[str, _Code] = {}
        self._refreshes: dict[str, _Refresh] = {}
        #: Whether tokens of people end, as they do unless an App opted out.
        self.are_expiring = True

    def callback_urls(self, app: values.App) -> tuple[str, ...]:
        """Where people may be sent back to: what was set, else `/login/callback` beside the webhook."""
        if app.callback_urls or app is not self._world.app or self._world.hooks.url is None:
            return tuple(app.callback_urls)
        parts = urlsplit(self._world.hooks.url)
        return (f"{parts.scheme}://{parts.netloc}/login/callback",)

    def wish(self, query: Mapping[str, str]) -> Wish:
        """What the query of `/login/oauth/authorize` asks for.

        :raises NotAsked: if it is no App's, or leads to a place that the App does not have
        """
        app = self._world.find_app(query.get("client_id", ""))
        if app is None:
            raise NotAsked("There is no App of this client id.")
        allowed = self.callback_urls(app)
        redirect_uri = query.get("redirect_uri") or (allowed[0] if allowed else "")
        if redirect_uri not in allowed:
            its = f"Its callback URLs: {', '.join(allowed)}." if allowed else "It has no callback URL."
            raise NotAsked(f"The redirect_uri is not associated with this application. {its}")
        challenge = query.get("code_challenge", "")
        if challenge and query.get("code_challenge_method") != "S256":
            raise NotAsked("The code_challenge_method has to be S256.")
        return Wish(app=app, redirect_uri=redirect_uri, state=query.get("state", ""), challenge=challenge)

    def authorize(self, wish: Wish, login: str) -> str:
        """The person agrees; gives where their browser goes next, with a code."""
        code = secrets.token_hex(10)
        expires_at = self._world.clock.now() + CODE_LIFE
        self._codes[code] = _Code(wish=wish, user=self._world.user(login), expires_at=expires_at)
        return wish.back(code=code)

    def deny(self, wish: Wish) -> str:
        """The person does not agree; gives where their browser goes next."""
        return wish.back(error="access_denied", error_description=DESCRIPTIONS["access_denied"])

    def answer(self, form: Mapping[str, str]) -> dict[str, object]:
        """What `/login/oauth/access_token` answers: a token and how to renew it, or an error, with 200 like it."""
        app = self._world.find_app(form.get("client_id", ""))
        if app is None or not hmac.compare_digest(app.client_secret.encode(), form.get("client_secret", "").encode()):
            return _error("incorrect_client_credentials")
        match form.get("grant_type", "authorization_code"):
            case "authorization_code":
                return self._exchange(app, form)
            case "refresh_token":
                return self._refresh(app, form.get("refresh_token", ""))
            case _:
                return _error("unsupported_grant_type")

    def revoke(self, app: values.App, user: values.User) -> None:
        """Ends whatever this person gave the App."""
        self._tokens.revoke_of(app, user)
        self._refreshes = {
            text: one for text, one in self._refreshes.items() if not (one.app is app and one.user is user)
        }
        self._codes = {text: one for text, one in self._codes.items() if not (one.wish.app is app and one.user is user)}

    def issue(self, app: values.App, user: values.User) -> dict[str, object]:
        """A new token, and the one that renews it, as the answer tells them."""
        now = self._world.clock.now()
        token = f"ghu_{_random(36)}"
        self._tokens.keep_for_user(token, app, user, expires_at=now + TOKEN_LIFE if self.are_expiring else None)
        answer: dict[str, object] = {"access_token": token, "token_type": "bearer", "scope": ""}
        if not self.are_expiring:
            return answer
        refresh_token = f"ghr_{_random(76)}"
        self._refreshes[refresh_token] = _Refresh(app=app, user=user, token=token, expires_at=now + REFRESH_LIFE)
        return {
            **answer,
            "expires_in": int(TOKEN_LIFE.total_seconds()),
            "refresh_token": refresh_token,
            "refresh_token_expires_in": int(REFRESH_LIFE.total_seconds()),
        }

    def _exchange(self, app: values.App, form: Mapping[str, str]) -> dict[str, object]:
        # Taken away whatever comes of it: a code is good for one try.
        code = self._codes.pop(form.get("code", ""), None)
        if code is None or code.wish.app is not app or code.expires_at <= self._world.clock.now():
            return _error("bad_verification_code")
        if form.get("redirect_uri", code.wish.redirect_uri) != code.wish.redirect_uri:
            return _error("redirect_uri_mismatch")
        if code.wish.challenge and challenge_of(form.get("code_verifier", "")) != code.wish.challenge:
            return _error("bad_verification_code")
        return self.issue(app, code.user)

    def _refresh(self, app: values.App, text: str) -> dict[str, object]:
        found = self._refreshes.get(text)
        if found is None or found.app is not app:
            return _error("bad_refresh_token")
        del self._refreshes[text]
        self._tokens.revoke(found.token)
        if found.expires_at <= self._world.clock.now():
            return _error("bad_refresh_token")
        return self.issue(app, found.user)


def challenge_of(verifier: str) -> str:
    """What PKCE's S256 makes of it: https://www.rfc-editor.org/rfc/rfc7636#section-4.2."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def _error(name: str) -> dict[str, object]:
    return {
        "error": name,
        "error_description": DESCRIPTIONS[name],
        "error_uri": _TROUBLE + name.replace("_", "-"),
    }


def _random(length: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(length))
