"""Installations of the App, asked for as the App itself.

https://docs.github.com/en/rest/apps/apps#get-an-installation-for-the-authenticated-app
https://docs.github.com/en/rest/apps/apps#list-installations-for-the-authenticated-app
https://docs.github.com/en/rest/apps/apps#get-a-repository-installation-for-the-authenticated-app
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from bot.github import classify, pages, urls
from bot.github.app_auth import AppCalls
from bot.model import build

_PAGES = 100


class _Account(msgspec.Struct):
    login: str = ""
    #: Enterprises have a slug instead of a login.
    slug: str = ""


class _Installation(msgspec.Struct):
    id: int
    updated_at: datetime
    account: _Account | None = None
    suspended_at: datetime | None = None
    permissions: dict[str, str] = msgspec.field(default_factory=dict)


async def get_installation(calls: AppCalls, installation_id: int) -> build.Installation:
    """The installation as it is now.

    :raises errors.NotReachable: if it is not one of this App's, or was deleted.
    :raises errors.GitHubError: for all else that GitHub may answer.
    """
    return _installation(await calls.call("GET", urls.path("app", "installations", installation_id), _Installation))


async def get_repository_installation(calls: AppCalls, full_name: str) -> build.Installation:
    """The installation that gives us the repository which has this name now.

    :raises errors.ShapeUnknown: if the full name is not `owner/name`.
    :raises errors.NotReachable: if there is no such repository, or the App is not installed on it.
    :raises errors.GitHubError: for all else that GitHub may answer.
    """
    owner, _, name = urls.checked_full_name(full_name).partition("/")
    return _installation(await calls.call("GET", urls.path("repos", owner, name, "installation"), _Installation))


async def list_installations(calls: AppCalls) -> tuple[build.Installation, ...]:
    """The installations of this App, the suspended ones as well; at most 10,000.

    :raises errors.GitHubError: if GitHub does not say.
    """

    def read(answer: classify.Answer) -> list[_Installation]:
        return classify.decode(answer, list[_Installation], what="GET /app/installations")

    found = await pages.walk(
        lambda page: calls.fetch("GET", urls.path("app", "installations", query=page)),
        read,
        most_pages=_PAGES,
        what="installations of the App",
    )
    return tuple(_installation(one) for one in {one.id: one for one in found}.values())


def _installation(found: _Installation) -> build.Installation:
    account = found.account or _Account()
    return build.Installation(
        id=found.id,
        account=account.login or account.slug,
        state="active" if found.suspended_at is None else "suspended",
        updated_at=found.updated_at,
        permissions=found.permissions,
    )
