"""People who sign in: GitHub says who they are and what they may see, by a token that is theirs and not the App's.

https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-user-access-token-for-a-github-app
https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/refreshing-user-access-tokens
https://docs.github.com/en/rest/apps/oauth-applications
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, NoReturn
from urllib.parse import urlencode

import msgspec

from bot import errors
from bot.github import classify, client, pages, sign_in, urls
from bot.github.clock import Clock
from bot.model.person import Permission, Person, Right

#: What `redact` of the telemetry knows as well.
_TOKEN = re.compile(r"ghu_[A-Za-z0-9_.-]{16,4096}\Z")
_REFRESH_TOKEN = re.compile(r"ghr_[A-Za-z0-9_.-]{16,4096}\Z")
_CODE = re.compile(r"[A-Za-z0-9_.~-]{1,256}\Z")
#: Those of an enterprise have an underscore.
_LOGIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,99}\Z")
_CLIENT_ID = re.compile(r"[A-Za-z0-9._-]{1,100}\Z")
#: A token that would live longer than thirty years is none.
_LONGEST_LIFE_SECONDS = 1_000_000_000
_LARGEST_ANSWER_BYTES = 64 * 1024
_INSTALLATION_PAGES = 10
_REPOSITORY_PAGES = 100
#: Whose limits count where no person is known yet.
_ACCOUNT = "sign-in"
_FORM = "application/x-www-form-urlencoded"
_OVER = "GitHub no longer takes your sign-in: it ended, or was taken back. Sign in again."
_EXCHANGE = "POST /login/oauth/access_token"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What GitHub gives for somebody who signed in."""

    token: str = field(repr=False)
    #: By our clock, from the moment before we asked; None where the App's tokens do not end.
    expires_at: datetime | None
    #: Good for one use, after which the token is dead as well.
    refresh_token: str | None = field(repr=False)
    refresh_expires_at: datetime | None


class _Granted(msgspec.Struct):
    access_token: str = ""
    token_type: str = ""
    expires_in: int | None = None
    refresh_token: str | None = None
    refresh_token_expires_in: int | None = None


class _App(msgspec.Struct):
    client_id: str


class _Authorization(msgspec.Struct):
    app: _App
    token: str = ""
    #: Looked at by hand: what is odd is refused, and is no reason to try again.
    user: Any = None


class _Permissions(msgspec.Struct):
    admin: bool = False
    maintain: bool = False
    push: bool = False
    triage: bool = False
    pull: bool = False


class _Repository(msgspec.Struct):
    id: int
    full_name: str
    private: bool
    permissions: _Permissions | None = None


class _Repositories(msgspec.Struct):
    repositories: list[_Repository]


class _Installation(msgspec.Struct):
    id: int
    suspended_at: datetime | None = None


class _Installations(msgspec.Struct):
    installations: list[_Installation]


class Users:
    """What GitHub is asked about people: by the App's client secret, or by the token of one person."""

    def __init__(
        self, transport: client.Client, *, client_id: str, client_secret: str, clock: Clock | None = None
    ) -> None:
        """:raises errors.SettingsError: if the client id or its secret cannot be one."""
        if not _CLIENT_ID.match(client_id) or not client_secret.isascii() or not client_secret.isprintable():
            raise errors.SettingsError(
                "BUILDHOOK_CLIENT_ID, BUILDHOOK_CLIENT_SECRET: copy both from the App's settings page."
            )
        self._transport = transport
        self._client_id = client_id
        self._client_secret = client_secret
        self._clock = clock or Clock()

    def __repr__(self) -> str:
        return f"Users(client_id={self._client_id!r})"

    # Signing in

    def authorize_url(self, *, redirect_uri: str, state: str, challenge: str) -> str:
        """Where a person's browser is sent to: GitHub asks them there, and sends them back to `redirect_uri`.

        :param redirect_uri: exactly one of the App's callback URLs
        :param state: comes back as it is; who asks with another one did not begin here
        :param challenge: of the verifier that `exchange` will give, from `sign_in.challenge_of`
        """
        query = {
            "client_id": self._client_id,
            "redirect_uri": redirect_uri,
            "state": state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return f"{self._transport.urls.web}/login/oauth/authorize?{urlencode(query)}"

    async def exchange(self, *, code: str, verifier: str, redirect_uri: str) -> Grant:
        """The token for a code that a browser brought back. A code is good once.

        :raises errors.SignInRefused: if the code is used, late, or another browser's.
        :raises errors.SignInBroken: if the operator has to mend something.
        :raises errors.AnswerLost: if the code may be used up by now: sign in again.
        :raises errors.GitHubError: for all else that GitHub may answer.
        """
        if not _CODE.match(code):
            raise sign_in.refusal("bad_verification_code")
        return await self._grant({"code": code, "code_verifier": verifier, "redirect_uri": redirect_uri})

    async def refresh(self, refresh_token: str) -> Grant:
        """A new token and a new refresh token. Both old ones are dead from then on: write the new ones down at once.

        :raises errors.SignInOver: if it was used already, ended, or was taken back.
        :raises errors.SignInBroken: if the operator has to mend something.
        :raises errors.AnswerLost: if it may be used up by now; one more try tells, by `SignInOver`.
        :raises errors.GitHubError: for all else that GitHub may answer.
        """
        if not _REFRESH_TOKEN.match(refresh_token):
            raise sign_in.refusal("bad_refresh_token")
        return await self._grant({"grant_type": "refresh_token", "refresh_token": refresh_token})

    async def _grant(self, asked: Mapping[str, str]) -> Grant:
        form = {"client_id": self._client_id, "client_secret": self._client_secret, **asked}
        call = client.Call(
            method="POST",
            path="/login/oauth/access_token",
            credential="",
            account=_ACCOUNT,
            scope=_ACCOUNT,
            content=urlencode(form).encode(),
            content_type=_FORM,
            accept="application/json",
            max_bytes=_LARGEST_ANSWER_BYTES,
            is_web=True,
        )
        now = self._clock.now()
        answer = await self._transport.ask(call)
        if (name := sign_in.error_of(answer)) is not None:
            raise sign_in.refusal(name)
        try:
            classify.check(answer, what=call.what, now=now)
            return _read(classify.decode(answer, _Granted, what=call.what), now=now)
        except errors.NotReachable:
            raise sign_in.refusal("incorrect_client_credentials") from None
        except errors.GitHubUnavailable as error:
            # What was sent is good once.
            raise errors.AnswerLost(f"{error} It may be used up all the same.", status=error.status) from None

    # By the client secret

    async def whose(self, token: str) -> Person:
        """Whose token it is, once GitHub said that it was given to this App and not to another one.

        :raises errors.SignInRefused: if it was not, has ended, or is nobody's that could sign in.
        :raises errors.SignInBroken: if the operator has to mend something.
        :raises errors.GitHubError: for all else that GitHub may answer.
        """
        if not _TOKEN.match(token):
            _refuse("has not the form of one that GitHub gives Apps")
        try:
            found = await self._transport.call(self._about("POST", token), _Authorization)
        except errors.Unauthorized:
            raise sign_in.refusal("incorrect_client_credentials") from None
        except (errors.NotReachable, errors.Invalid) as error:
            if error.status not in {404, 422}:
                raise
            _refuse("is not one of this App, or is no longer good")
        if found.app.client_id != self._client_id or found.token not in {"", token}:
            _refuse("belongs to another App")
        return _person(found.user)

    async def revoke(self, token: str) -> None:
        """End a token; one that GitHub does not know any more is ended. The caller forgets what would renew it.

        :raises errors.SignInBroken: if the operator has to mend something.
        :raises errors.GitHubError: for all else that GitHub may answer.
        """
        if not _TOKEN.match(token):
            return
        try:
            await self._transport.fetch(self._about("DELETE", token))
        except errors.Unauthorized:
            raise sign_in.refusal("incorrect_client_credentials") from None
        except (errors.NotReachable, errors.Invalid) as error:
            if error.status not in {404, 422}:
                raise

    def _about(self, method: str, token: str) -> client.Call:
        """A call about a token. Doing it twice does no harm."""
        pair = f"{self._client_id}:{self._client_secret}"
        return client.Call(
            method=method,
            path=urls.path("applications", self._client_id, "token"),
            credential=base64.b64encode(pair.encode()).decode(),
            scheme="Basic",
            account=_ACCOUNT,
            scope=_ACCOUNT,
            body={"access_token": token},
            max_bytes=_LARGEST_ANSWER_BYTES,
            is_repeatable=True,
        )

    # By a person's token

    async def rights(self, token: str, *, user_id: int) -> Mapping[int, Right]:
        """What this person may do in the repositories that the App's installations give, by the repository's id.

        Those of a suspended installation are not among them, nor those that an organisation gives only to who signed
        in to it. At most 1,000 installations are asked, and 10,000 repositories of each.

        :param user_id: whose token it is, as `whose` said: limits are counted and answers kept for each person apart
        :raises errors.SignInOver: if the token is no longer good.
        :raises errors.GitHubError: if GitHub does not say: then nothing is known.
        """
        try:
            installations = await pages.walk(
                lambda page: self._fetch(token, user_id, urls.path("user", "installations", query=page)),
                lambda answer: classify.decode(answer, _Installations, what="GET /user/installations").installations,
                most_pages=_INSTALLATION_PAGES,
                what=f"installations of user {user_id}",
            )
        except (errors.Forbidden, errors.Suspended):
            return MappingProxyType({})
        found: dict[int, Right] = {}
        for installation in installations:
            if installation.suspended_at is None:
                found |= await self._rights_in(installation.id, token, user_id=user_id)
        return MappingProxyType(found)

    async def _rights_in(self, installation_id: int, token: str, *, user_id: int) -> dict[int, Right]:
        parts = ("user", "installations", installation_id, "repositories")
        try:
            repositories = await pages.walk(
                lambda page: self._fetch(token, user_id, urls.path(*parts, query=page)),
                lambda answer: classify.decode(answer, _Repositories, what="GET " + urls.path(*parts)).repositories,
                most_pages=_REPOSITORY_PAGES,
                what=f"repositories of installation {installation_id} for user {user_id}",
            )
        except (errors.Forbidden, errors.Suspended, errors.NotReachable):
            # SAML, an allow list of addresses, suspended or gone since: nothing of it is this person's to see.
            return {}
        rights = (_right(one, installation_id) for one in repositories)
        return {right.repository_id: right for right in rights if right is not None}

    async def right(self, token: str, repository_id: int, *, user_id: int) -> Right | None:
        """What this person may do in one repository now, whatever it is called; None where they do not even see it.

        A public repository may be read by everybody, also where the App is not installed.

        :param user_id: whose token it is, as `whose` said
        :raises errors.SignInOver: if the token is no longer good.
        :raises errors.GitHubError: if GitHub does not say: then nothing is known.
        """
        path = urls.path("repositories", repository_id)
        try:
            answer = await self._fetch(token, user_id, path)
        except (errors.Forbidden, errors.Suspended, errors.NotReachable):
            return None
        found = classify.decode(answer, _Repository, what=f"GET {path}")
        return _right(found, None) if found.id == repository_id else None

    async def _fetch(self, token: str, user_id: int, path: str) -> classify.Answer:
        if not _TOKEN.match(token):
            raise errors.SignInOver(_OVER)
        whose = f"user {user_id}"
        call = client.Call(method="GET", path=path, credential=token, account=whose, scope=whose)
        try:
            return await self._transport.fetch(call)
        except errors.Unauthorized:
            raise errors.SignInOver(_OVER, status=401) from None


def _read(granted: _Granted, *, now: datetime) -> Grant:
    """:raises errors.GitHubUnavailable: if it is not what GitHub gives."""
    is_token = _TOKEN.match(granted.access_token) and granted.token_type.lower() in {"", "bearer"}
    refresh_token = granted.refresh_token or None
    if not is_token or (refresh_token is not None and not _REFRESH_TOKEN.match(refresh_token)):
        raise errors.GitHubUnavailable(f"GitHub answered {_EXCHANGE} with something that is no token.")
    return Grant(
        token=granted.access_token,
        expires_at=_end(granted.expires_in, now),
        refresh_token=refresh_token,
        refresh_expires_at=_end(granted.refresh_token_expires_in, now) if refresh_token is not None else None,
    )


def _end(seconds: int | None, now: datetime) -> datetime | None:
    if seconds is not None and not 0 < seconds <= _LONGEST_LIFE_SECONDS:
        raise errors.GitHubUnavailable(f"GitHub answered {_EXCHANGE} with a token that never lives.")
    return now + timedelta(seconds=seconds) if seconds is not None else None


def _person(user: object) -> Person:
    """:raises errors.SignInRefused: unless it is a person with a number that is one."""
    told = user if isinstance(user, dict) else {}
    number, login = told.get("id"), told.get("login")
    if type(number) is not int or not 0 < number < 2**63:
        _refuse("belongs to nobody whom GitHub has a number for")
    if told.get("type") != "User" or not isinstance(login, str) or not _LOGIN.match(login):
        _refuse("does not belong to a person")
    return Person(id=number, login=login)


def _right(found: _Repository, installation_id: int | None) -> Right | None:
    """:raises errors.GitHubUnavailable: if its name is none."""
    permission = _permission(found)
    if permission is Permission.NONE:
        return None
    try:
        full_name = urls.checked_full_name(found.full_name)
    except errors.ShapeUnknown as error:
        raise errors.GitHubUnavailable(f"GitHub told of a repository that cannot be: {error}") from None
    return Right(
        repository_id=found.id,
        full_name=full_name,
        installation_id=installation_id,
        permission=permission,
        is_private=found.private,
    )


def _permission(found: _Repository) -> Permission:
    told = found.permissions or _Permissions()
    if told.admin:
        return Permission.ADMIN
    if told.push or told.maintain:
        return Permission.WRITE
    if told.pull or told.triage or not found.private:
        return Permission.READ
    return Permission.NONE


def _refuse(why: str) -> NoReturn:
    raise errors.SignInRefused(f"The token that GitHub was asked about {why}. Sign in again.")
