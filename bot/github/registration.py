"""The App as it is registered: what it may do, what it hears, and where its webhook leads; asked as the App itself.

https://docs.github.com/en/rest/apps/apps#get-the-authenticated-app
https://docs.github.com/en/rest/apps/webhooks#get-a-webhook-configuration-for-an-app
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from bot.github import urls
from bot.github.app_auth import AppCalls


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """The App."""

    id: int
    slug: str
    #: Name of a permission to `read`, `write` or `admin`.
    permissions: Mapping[str, str] = field(default_factory=dict)
    #: Those that it subscribed to.
    events: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
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
    found = await calls.call("GET", urls.path("app"), _App)
    return App(id=found.id, slug=found.slug, permissions=found.permissions, events=frozenset(found.events))


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
