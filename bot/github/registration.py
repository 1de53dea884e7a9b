"""The App as it is registered: what it may do, what it hears, and where its webhook leads; asked as the App itself.

And, once, what a new App is: for the code that GitHub gives to whoever registered it.

https://docs.github.com/en/rest/apps/apps#get-the-authenticated-app
https://docs.github.com/en/rest/apps/apps#create-a-github-app-from-a-manifest
https://docs.github.com/en/rest/apps/webhooks#get-a-webhook-configuration-for-an-app
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from bot import errors
from bot.github import client, urls
from bot.github.app_auth import AppCalls

#: A code is of hex digits now, and may change.
_CODE = re.compile(r"[A-Za-z0-9_.~-]{1,256}\Z")


class App(msgspec.Struct, frozen=True, kw_only=True):
    """The App."""

    id: int
    slug: str
    #: Name of a permission to `read`, `write` or `admin`.
    permissions: Mapping[str, str] = msgspec.field(default_factory=dict)
    #: Those that it subscribed to.
    events: frozenset[str] = frozenset()
    #: Its page on GitHub; empty where GitHub does not say.
    html_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A new App with all that it is proved by; GitHub tells this once."""

    app: App
    #: PEM.
    private_key: str = field(repr=False)
    webhook_secret: str = field(repr=False)
    client_id: str
    client_secret: str = field(repr=False)


class Hook(msgspec.Struct, frozen=True, kw_only=True):
    """The App's webhook."""

    #: None where there is none.
    url: str | None
    #: `json` or `form`.
    content_type: str
    #: Whether GitHub does not look at our certificate.
    is_insecure: bool
    #: Whether deliveries are signed; what with, GitHub does not tell.
    has_secret: bool


class _App(msgspec.Struct):
    id: int
    slug: str = ""
    permissions: dict[str, str] = msgspec.field(default_factory=dict)
    events: list[str] = msgspec.field(default_factory=list)
    html_url: str = ""


class _Registered(_App, kw_only=True):
    pem: str
    client_id: str
    client_secret: str
    webhook_secret: str | None = None


class _Hook(msgspec.Struct):
    url: str | None = None
    content_type: str | None = None
    insecure_ssl: str | float | None = None
    secret: str | None = None


async def get_app(calls: AppCalls) -> App:
    """The App as which we ask.

    :raises errors.Unauthorized: if the key is not that of the App, or a clock is wrong.
    :raises errors.NotReachable: if there is no such App.
    :raises errors.GitHubError: for all else that GitHub may answer.
    """
    return _app(await calls.call("GET", urls.path("app"), _App))


async def convert(transport: client.Client, code: str) -> Registered:
    """The App that was registered a moment ago, for the code that its maker came back with: it is good once.

    :raises errors.NotReachable: if the code is none, was used already, or is older than an hour.
    :raises errors.AnswerLost: if the code may be used up and nothing came of it.
    :raises errors.GitHubError: for all else that GitHub may answer.
    """
    if not _CODE.match(code):
        raise errors.NotReachable("This is no code of GitHub's.")
    call = client.Call(
        method="POST",
        path=urls.path("app-manifests", code, "conversions"),
        credential="",
        account="registration",
        scope="registration",
    )
    found = await transport.call(call, _Registered)
    if not found.webhook_secret:
        raise errors.NotReachable(f"GitHub gave {found.slug} no webhook secret: its manifest had no webhook.")
    return Registered(
        app=_app(found),
        private_key=found.pem,
        webhook_secret=found.webhook_secret,
        client_id=found.client_id,
        client_secret=found.client_secret,
    )


async def get_hook(calls: AppCalls) -> Hook:
    """The App's webhook.

    :raises errors.GitHubError: if GitHub does not say.
    """
    found = await calls.call("GET", urls.path("app", "hook", "config"), _Hook)
    return Hook(
        url=found.url or None,
        content_type=found.content_type or "form",
        is_insecure=str(found.insecure_ssl or "0") not in {"0", "0.0"},
        has_secret=bool(found.secret),
    )


def _app(found: _App) -> App:
    return App(
        id=found.id,
        slug=found.slug,
        permissions=found.permissions,
        events=frozenset(found.events),
        html_url=found.html_url,
    )
