"""The simulated GitHub as a whole, apart from the server: the world, its credentials, its limits and its record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import multidict

from bot.simulator import auth, faults, limits, queueing, registering, signing_in, values, waits, world


class GitHub(queueing.Queueing):
    """What the API, git over HTTP, the pages and the control API serve."""

    def __init__(self, *, token_lifetime_seconds: float, rate_limit: int, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.tokens = auth.Tokens(self, lifetime=timedelta(seconds=token_lifetime_seconds))
        #: People who sign in through an App.
        self.sign_ins = signing_in.SignIns(self, self.tokens)
        #: Apps that people register by a manifest.
        self.registrations = registering.Registrations(self)
        #: Faults for the API and for git.
        self.faults = faults.Faults()
        self.rates = limits.Rates(rate_limit, self.clock)
        #: Whether it has the GraphQL API, as all but old Enterprise Servers and some proxies have.
        self.has_graphql = True
        #: Who was told to wait.
        self.waits = waits.Waits(self.clock)
        #: Every call of the API, oldest first.
        self.requests: list[values.RecordedRequest] = []
        #: What GitHub's own description finds wrong with our answers: a fault of this simulator, if there is any.
        self.problems: list[str] = []

    # Where it is

    @property
    def url(self) -> str:
        """Where people look and git clones from, e.g. `http://127.0.0.1:3000`."""
        return self.shapes.origin

    @property
    def api_url(self) -> str:
        """The REST API, by its Enterprise-like URL."""
        return self.shapes.api

    @property
    def app_id(self) -> int:
        return self.app.id

    @property
    def client_id(self) -> str:
        """The App's id where people sign in."""
        return self.app.client_id

    @property
    def client_secret(self) -> str:
        """The App's proof where people sign in."""
        return self.app.client_secret

    @property
    def webhook_url(self) -> str | None:
        """Where events go; may be set while it runs."""
        return self.hooks.url

    @webhook_url.setter
    def webhook_url(self, url: str | None) -> None:
        self.hooks.url = url

    @property
    def webhook_secret(self) -> str | None:
        return self.hooks.secret

    @webhook_secret.setter
    def webhook_secret(self, secret: str | None) -> None:
        self.hooks.secret = secret

    # What was said

    @property
    def calls_inside_waits(self) -> list[values.CallInsideWait]:
        """Every call that came while its account had been told to wait, oldest first."""
        return self.waits.broken

    @property
    def deliveries(self) -> list[values.Delivery]:
        """Every attempt to deliver an event, oldest first."""
        return self.hooks.deliveries

    def redeliver(self, delivery_id: int) -> values.Delivery:
        """Sends a delivery again, with the same GUID, as another attempt.

        :raises SimulatorError: if there is none of that id
        """
        found = self.hooks.find(delivery_id)
        if found is None:
            raise world.SimulatorError(f"there is no delivery {delivery_id}")
        return self.hooks.again(found)

    def sign(self, body: bytes) -> str:
        """The value of `X-Hub-Signature-256` for these bytes."""
        return self.hooks.sign(body)

    async def deliver_raw(
        self,
        body: bytes,
        *,
        event: str = "push",
        guid: str = "00000000-0000-0000-0000-000000000001",
        headers: Mapping[str, str | None] | None = None,
    ) -> tuple[int, str]:
        """Posts any bytes to the webhook, signed as GitHub would; gives the status and the text of the answer.

        :param headers: put in place of GitHub's; None leaves one out
        :raises aiohttp.ClientError: if there is no answer
        """
        sent = multidict.CIMultiDict(self.hooks.headers(body, event=event, guid=guid))
        for name, value in (headers or {}).items():
            sent.popall(name, None)
            if value is not None:
                sent[name] = value
        return await self.hooks.post(body, sent)

    # Credentials

    def user_token(self, login: str) -> str:
        """A personal access token, for git and the API."""
        return self.tokens.for_user(self.user(login))

    def sign_in(self, login: str, authorize_url: str) -> str:
        """Does what a person's browser does with the address that an App sent it to: looks, and agrees.

        Gives where the browser goes next: to the App, with a code and the state.

        :raises SimulatorError: if GitHub would show a page that says why not
        """
        try:
            wish = self.sign_ins.wish(dict(parse_qsl(urlsplit(authorize_url).query)))
        except signing_in.NotAsked as error:
            raise world.SimulatorError(str(error)) from None
        return self.sign_ins.authorize(wish, login)

    def signed_in_token(self, login: str, *, app: values.App | None = None) -> str:
        """The token of somebody who signed in through our App, or another one, without the way over its pages."""
        return str(self.sign_ins.issue(app or self.app, self.user(login))["access_token"])

    def revoke_sign_in(self, login: str) -> None:
        """A person takes back that they signed in through the App; sends `github_app_authorization.revoked`."""
        user = self.user(login)
        self.sign_ins.revoke(self.app, user)
        payload = {"action": "revoked", "sender": self.shapes.user(user)}
        self.hooks.send(self.hooks.prepare("github_app_authorization", payload))

    def installation_token(
        self,
        login: str,
        *,
        permissions: Mapping[str, str] | None = None,
        repositories: Iterable[values.Repository | str] | None = None,
    ) -> str:
        """An installation token without the way over the API.

        :raises SimulatorError: if the App is not installed in that account
        """
        found = self.installation_of(login)
        if found is None:
            raise world.SimulatorError(f"the App is not installed in {login!r}; install does that")
        chosen = frozenset(self.repository(repo).id for repo in repositories) if repositories is not None else None
        return self.tokens.for_installation(found, permissions=permissions, repository_ids=chosen)[0]
